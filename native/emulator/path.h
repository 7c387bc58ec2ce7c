// One direction of a link: what happens to a packet between the device it is read from and the one it is written to.
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

namespace atsss {

using Nanoseconds = int64_t;
constexpr Nanoseconds kNever = std::numeric_limits<Nanoseconds>::max();

struct Profile {
  double rate = 0;                   // bit/s of IP packets; 0: no limit, and no queue
  Nanoseconds delay = 0;             // one way
  Nanoseconds jitter = 0;            // uniform, in [delay - jitter, delay + jitter], not below 0
  bool reorder = false;              // whether jitter may reorder packets
  double loss = 0;                   // probability
  uint64_t seed = 1;                 // of loss and jitter
  Nanoseconds buffer = 100'000'000;  // how long a packet may wait in the queue
  bool down = false;                 // everything is lost silently, the queue included
};

enum class Action { drop, stripMptcp, stripSynData };

struct Rule {
  Action action;
  Match match;
  uint64_t remaining;  // how many more packets it applies to
};

struct Counters {
  uint64_t packets = 0, bytes = 0;  // delivered
  uint64_t mangled = 0;
  uint64_t droppedDown = 0, droppedByRule = 0, droppedByLoss = 0, droppedByQueue = 0;
};

class Path {
 public:
  /** @param stream keeps the random numbers of a link's two directions apart */
  Path(Device& to, uint64_t stream) : to_(to), stream_(stream) { seed(profile_.seed); }

  void accept(uint8_t* packet, size_t size, Nanoseconds now);
  /** Writes the packets that are due. */
  void deliver(Nanoseconds now);
  /** When to call `deliver` again. */
  Nanoseconds next() const;

  const Profile& profile() const { return profile_; }
  /** Packets in flight keep their time of arrival; queued packets leave at the new rate. */
  void change(const Profile& profile, Nanoseconds now);
  /** Without carrier everything is lost, as with `down`. */
  void setCarrier(bool on, Nanoseconds now);
  /** Restarts the sequences of loss and jitter. */
  void seed(uint64_t seed);
  void setRules(std::vector<Rule> rules) { rules_ = std::move(rules); }

  const Counters& counters() const { return counters_; }
  size_t queuedPackets() const { return waiting_.size(); }
  size_t queuedBytes() const { return waitingBytes_; }

 private:
  struct Packet {
    std::unique_ptr<uint8_t[]> bytes;
    size_t size;
    Nanoseconds due;
  };

  bool obeyRules(uint8_t* packet, size_t& size);
  void loseAll();
  void enqueue(Packet packet, Nanoseconds now);
  void drain(Nanoseconds now);
  void launch(Packet packet, Nanoseconds at);
  void write(const uint8_t* packet, size_t size);
  Nanoseconds transmissionTime(size_t size) const;

  Device& to_;
  const uint64_t stream_;
  Profile profile_;
  bool carrier_ = true;
  std::vector<Rule> rules_;
  Counters counters_;
  std::mt19937_64 lossRandom_, jitterRandom_;
  std::deque<Packet> waiting_;  // the first of them is being transmitted, until headDeparts_
  size_t waitingBytes_ = 0;
  Nanoseconds headDeparts_ = 0;
  std::deque<Packet> flying_;  // in the order of `due`
  size_t flyingBytes_ = 0;
};

}  // namespace atsss
