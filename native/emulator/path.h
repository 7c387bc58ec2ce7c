// One direction of a link: what happens to a packet between the device that reads it and the device that writes it.
//
//   read -> down? -> rules -> loss -> [ queue, emptied at `rate` ] -> [ in flight for `delay` +- `jitter` ] -> write
//
// Time is an argument, in nanoseconds of CLOCK_MONOTONIC; the path itself has no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "device.h"
#include "packet.h"

using Nanoseconds = int64_t;
constexpr Nanoseconds kNever = std::numeric_limits<Nanoseconds>::max();

struct Profile {
  double rate = 0;                     // bit/s of IP packets; 0: no limit, and no queue
  Nanoseconds delay = 0;               // one way
  Nanoseconds jitter = 0;              // uniform, in [delay - jitter, delay + jitter], not below 0
  bool reorder = false;                // whether jitter may let a packet overtake another
  double loss = 0;                     // probability
  uint64_t seed = 1;                   // of loss and jitter
  Nanoseconds buffer = 100'000'000;    // how long a packet may wait in the queue
  bool down = false;                   // silent: everything is lost, the queue too
};

enum class Action { kDrop, kStripMptcp, kStripSynData };

struct Rule {
  Action action;
  Match match;
  uint64_t remaining;  // how many more packets it is for
};

struct Counters {
  uint64_t packets = 0, bytes = 0;  // delivered
  uint64_t mangled = 0;
  uint64_t dropped_down = 0, dropped_by_rule = 0, dropped_by_loss = 0, dropped_by_queue = 0;
};

class Path {
 public:
  // `stream` keeps the random numbers of a link's two directions apart.
  Path(Device& to, uint64_t stream) : to_(to), stream_(stream) { seed(profile_.seed); }

  void accept(uint8_t* packet, size_t size, Nanoseconds now);
  // Writes what is due.
  void deliver(Nanoseconds now);
  // When `deliver` has something to do again.
  Nanoseconds next() const;

  const Profile& profile() const { return profile_; }
  // Packets in flight keep their time of arrival; what waits in the queue leaves at the new rate.
  void change(const Profile& profile, Nanoseconds now);
  // Without carrier everything is lost, as when down.
  void set_carrier(bool on, Nanoseconds now);
  // Restarts the sequences of loss and jitter.
  void seed(uint64_t seed);
  void set_rules(std::vector<Rule> rules) { rules_ = std::move(rules); }

  const Counters& counters() const { return counters_; }
  size_t queued_packets() const { return waiting_.size(); }
  size_t queued_bytes() const { return waiting_bytes_; }

 private:
  struct Packet {
    std::unique_ptr<uint8_t[]> bytes;
    size_t size;
    Nanoseconds due;
  };

  bool obey_rules(uint8_t* packet, size_t& size);
  void lose_all();
  void enqueue(Packet packet, Nanoseconds now);
  void drain(Nanoseconds now);
  void launch(Packet packet, Nanoseconds at);
  void write(const uint8_t* packet, size_t size);
  Nanoseconds transmission_time(size_t size) const;

  Device& to_;
  const uint64_t stream_;
  Profile profile_;
  bool carrier_ = true;
  std::vector<Rule> rules_;
  Counters counters_;
  std::mt19937_64 loss_random_, jitter_random_;
  std::deque<Packet> waiting_;  // the first of them is being transmitted, until head_departs_
  size_t waiting_bytes_ = 0;
  Nanoseconds head_departs_ = 0;
  std::deque<Packet> flying_;   // in the order of `due`
  size_t flying_bytes_ = 0;
};
