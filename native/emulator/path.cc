#include "path.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace atsss {

namespace {

/** A link without a rate has no queue that could overflow: this bounds its memory instead. */
constexpr size_t kMostBytesInFlight = size_t{64} << 20;
/** A queue holds at least this much: with a short queue a slow link could not carry a full packet. */
constexpr size_t kLeastQueue = size_t{2} * 1500;

/** In [0, 1), the same on every standard library. */
double unit(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

}  // namespace

void Path::accept(uint8_t* packet, size_t size, Nanoseconds now) {
  if (profile_.down || !carrier_) {
    counters_.droppedDown++;
    return;
  }
  if (!rules_.empty() && !obeyRules(packet, size)) {
    counters_.droppedByRule++;
    return;
  }
  if (profile_.loss > 0 && unit(lossRandom_) < profile_.loss) {
    counters_.droppedByLoss++;
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
    flyingBytes_ -= flying_.front().size;
    flying_.pop_front();
  }
}

Nanoseconds Path::next() const {
  const Nanoseconds landing = flying_.empty() ? kNever : flying_.front().due;
  if (waiting_.empty()) return landing;
  // Waking when the packet leaves the queue would double the wake-ups. Its departure is computed, not observed, so it
  // is enough to wake in time for its arrival.
  const Nanoseconds shortest = std::max<Nanoseconds>(0, profile_.delay - profile_.jitter);
  return std::min(landing, headDeparts_ + shortest);
}

void Path::change(const Profile& profile, Nanoseconds now) {
  drain(now);
  const double oldRate = std::exchange(profile_, profile).rate;
  if (profile.down) loseAll();
  if (waiting_.empty()) return;
  if (profile.rate > 0) {
    headDeparts_ = now + static_cast<Nanoseconds>(static_cast<double>(headDeparts_ - now) * oldRate / profile.rate);
  } else {
    headDeparts_ = now;
    drain(now);
  }
}

void Path::setCarrier(bool on, Nanoseconds now) {
  drain(now);
  carrier_ = on;
  if (!on) loseAll();
}

void Path::seed(uint64_t seed) {
  profile_.seed = seed;
  lossRandom_.seed(4 * seed + 2 * stream_);
  jitterRandom_.seed(4 * seed + 2 * stream_ + 1);
}

/** @returns false if a rule drops the packet */
bool Path::obeyRules(uint8_t* packet, size_t& size) {
  for (Rule& rule : rules_) {
    if (rule.remaining == 0 || !matches(rule.match, packet, size)) continue;
    if (rule.action == Action::drop) {
      rule.remaining--;
      return false;
    }
    const size_t before = size;
    bool changed = false;
    if (rule.action == Action::stripMptcp) {
      changed = stripMptcp(packet, size);
    } else {
      size = stripSynData(packet, size);
      changed = size != before;
    }
    if (!changed) continue;
    rule.remaining--;
    counters_.mangled++;
  }
  return true;
}

void Path::loseAll() {
  counters_.droppedDown += waiting_.size() + flying_.size();
  waiting_.clear();
  flying_.clear();
  waitingBytes_ = flyingBytes_ = 0;
}

void Path::enqueue(Packet packet, Nanoseconds now) {
  drain(now);
  const double seconds = static_cast<double>(profile_.buffer) / 1e9;
  const double most = std::max(seconds * profile_.rate / 8, static_cast<double>(kLeastQueue));
  if (static_cast<double>(waitingBytes_ + packet.size) > most) {
    counters_.droppedByQueue++;
    return;
  }
  if (waiting_.empty()) headDeparts_ = now + transmissionTime(packet.size);
  waitingBytes_ += packet.size;
  waiting_.push_back(std::move(packet));
}

/** Takes from the queue what has been transmitted by now. */
void Path::drain(Nanoseconds now) {
  while (!waiting_.empty() && headDeparts_ <= now) {
    Packet packet = std::move(waiting_.front());
    waiting_.pop_front();
    waitingBytes_ -= packet.size;
    launch(std::move(packet), headDeparts_);
    if (!waiting_.empty()) headDeparts_ += transmissionTime(waiting_.front().size);
  }
}

void Path::launch(Packet packet, Nanoseconds at) {
  if (flyingBytes_ + packet.size > kMostBytesInFlight) {
    counters_.droppedByQueue++;
    return;
  }
  packet.due = at + profile_.delay;
  if (profile_.jitter > 0) {
    const double shift = static_cast<double>(profile_.jitter) * (2 * unit(jitterRandom_) - 1);
    packet.due = std::max(at, packet.due + static_cast<Nanoseconds>(shift));
  }
  flyingBytes_ += packet.size;
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
    counters_.droppedDown++;
    return;
  }
  counters_.packets++;
  counters_.bytes += size;
}

Nanoseconds Path::transmissionTime(size_t size) const {
  return static_cast<Nanoseconds>(std::llround(static_cast<double>(size) * 8e9 / profile_.rate));
}

}  // namespace atsss
