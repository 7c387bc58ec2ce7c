#include "path.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace {

// A link without a rate has no queue to overflow; this bounds its memory instead.
constexpr size_t kMostBytesInFlight = 64u << 20;
// A queue takes this much however short its time is, else a slow link could not carry a full packet.
constexpr size_t kLeastQueue = 2 * 1500;

// In [0, 1), the same on every standard library.
double unit(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

}  // namespace

void Path::accept(uint8_t* packet, size_t size, Nanoseconds now) {
  if (profile_.down || !carrier_) {
    counters_.dropped_down++;
    return;
  }
  if (!rules_.empty() && !obey_rules(packet, size)) {
    counters_.dropped_by_rule++;
    return;
  }
  if (profile_.loss > 0 && unit(loss_random_) < profile_.loss) {
    counters_.dropped_by_loss++;
    return;
  }
  const bool immediate = profile_.rate <= 0 && profile_.delay == 0 && profile_.jitter == 0 && flying_.empty();
  if (immediate) {
    write(packet, size);
    return;
  }
  Packet kept{std::make_unique<uint8_t[]>(size), size, 0};
  std::copy_n(packet, size, kept.bytes.get());
  if (profile_.rate > 0) {
    enqueue(std::move(kept), now);
  } else {
    launch(std::move(kept), now);
  }
}

void Path::deliver(Nanoseconds now) {
  drain(now);
  while (!flying_.empty() && flying_.front().due <= now) {
    write(flying_.front().bytes.get(), flying_.front().size);
    flying_bytes_ -= flying_.front().size;
    flying_.pop_front();
  }
}

Nanoseconds Path::next() const {
  const Nanoseconds landing = flying_.empty() ? kNever : flying_.front().due;
  if (waiting_.empty()) return landing;
  // To wake when the packet leaves the queue would be one more wake for each packet: its departure is computed, not
  // observed, so to wake in time for its arrival is enough.
  const Nanoseconds shortest = std::max<Nanoseconds>(0, profile_.delay - profile_.jitter);
  return std::min(landing, head_departs_ + shortest);
}

void Path::change(const Profile& profile, Nanoseconds now) {
  drain(now);
  const double old_rate = std::exchange(profile_, profile).rate;
  if (profile.down) lose_all();
  if (waiting_.empty()) return;
  if (profile.rate > 0) {
    head_departs_ = now + static_cast<Nanoseconds>(static_cast<double>(head_departs_ - now) * old_rate / profile.rate);
  } else {
    head_departs_ = now;
    drain(now);
  }
}

void Path::set_carrier(bool on, Nanoseconds now) {
  drain(now);
  carrier_ = on;
  if (!on) lose_all();
}

void Path::seed(uint64_t seed) {
  profile_.seed = seed;
  loss_random_.seed(4 * seed + 2 * stream_);
  jitter_random_.seed(4 * seed + 2 * stream_ + 1);
}

// False when a rule drops the packet.
bool Path::obey_rules(uint8_t* packet, size_t& size) {
  for (Rule& rule : rules_) {
    if (rule.remaining == 0 || !matches(rule.match, packet, size)) continue;
    if (rule.action == Action::kDrop) {
      rule.remaining--;
      return false;
    }
    const size_t before = size;
    bool changed = false;
    if (rule.action == Action::kStripMptcp) {
      changed = strip_mptcp(packet, size);
    } else {
      size = strip_syn_data(packet, size);
      changed = size != before;
    }
    if (!changed) continue;
    rule.remaining--;
    counters_.mangled++;
  }
  return true;
}

void Path::lose_all() {
  counters_.dropped_down += waiting_.size() + flying_.size();
  waiting_.clear();
  flying_.clear();
  waiting_bytes_ = flying_bytes_ = 0;
}

void Path::enqueue(Packet packet, Nanoseconds now) {
  drain(now);
  const double seconds = static_cast<double>(profile_.buffer) / 1e9;
  const double most = std::max(seconds * profile_.rate / 8, static_cast<double>(kLeastQueue));
  if (static_cast<double>(waiting_bytes_ + packet.size) > most) {
    counters_.dropped_by_queue++;
    return;
  }
  if (waiting_.empty()) head_departs_ = now + transmission_time(packet.size);
  waiting_bytes_ += packet.size;
  waiting_.push_back(std::move(packet));
}

// Lets go what has been transmitted by now.
void Path::drain(Nanoseconds now) {
  while (!waiting_.empty() && head_departs_ <= now) {
    Packet packet = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= packet.size;
    launch(std::move(packet), head_departs_);
    if (!waiting_.empty()) head_departs_ += transmission_time(waiting_.front().size);
  }
}

void Path::launch(Packet packet, Nanoseconds at) {
  if (flying_bytes_ + packet.size > kMostBytesInFlight) {
    counters_.dropped_by_queue++;
    return;
  }
  packet.due = at + profile_.delay;
  if (profile_.jitter > 0) {
    const double shift = static_cast<double>(profile_.jitter) * (2 * unit(jitter_random_) - 1);
    packet.due = std::max(at, packet.due + static_cast<Nanoseconds>(shift));
  }
  flying_bytes_ += packet.size;
  if (flying_.empty() || packet.due >= flying_.back().due) {
    flying_.push_back(std::move(packet));
  } else if (!profile_.reorder) {
    packet.due = flying_.back().due;
    flying_.push_back(std::move(packet));
  } else {
    const auto later = std::upper_bound(flying_.begin(), flying_.end(), packet.due,
                                        [](Nanoseconds due, const Packet& other) { return due < other.due; });
    flying_.insert(later, std::move(packet));
  }
}

void Path::write(const uint8_t* packet, size_t size) {
  if (!to_.write(packet, size)) {
    counters_.dropped_down++;
    return;
  }
  counters_.packets++;
  counters_.bytes += size;
}

Nanoseconds Path::transmission_time(size_t size) const {
  return static_cast<Nanoseconds>(std::llround(static_cast<double>(size) * 8e9 / profile_.rate));
}
