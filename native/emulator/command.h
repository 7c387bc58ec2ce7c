// The commands on standard input, and their answers on standard output.
//
// A command is a line of words: a number that the answer repeats, a verb, and its arguments. The answer is a line of
// JSON:
// {"id":7,"ok":true}, {"id":7,"value":...} or {"id":7,"error":"...","errno":1}.
//
//   link NAME NETNS DEVICE NETNS DEVICE   joins two new devices; the first is the UE's end
//   set NAME DIRECTION KEY VALUE ...      DIRECTION is uplink, downlink or both; see Profile for the keys; times in us
//   rules NAME DIRECTION RULE ...         replaces the rules; RULE is ACTION:MATCH:COUNT, COUNT 0 for no end
//   carrier NAME 0|1                      carrier of the UE's end; without it nothing passes either way
//   stats NAME                            reports the counters of both directions
//   capture NAME ue|network PATH          to a pcap file, until the next capture of that end; no PATH: to stop
//   flush NAME                            writes captured packets to the files
//   sysctl NETNS NAME [VALUE]             reads or writes a kernel setting
//   mount                                 mounts a tmpfs on /run/netns
#pragma once

#include <map>
#include <memory>
#include <string>

#include "path.h"

namespace atsss {

struct Link {
  Link(const std::string& ueNetns, const std::string& ueDevice, const std::string& networkNetns,
       const std::string& networkDevice)
      : ue(ueNetns, ueDevice), network(networkNetns, networkDevice), uplink(network, 0), downlink(ue, 1) {}

  Device ue, network;
  Path uplink, downlink;
  bool watched = false;  // the event loop watches its devices
};

using Links = std::map<std::string, std::unique_ptr<Link>>;

/** Executes one line. @returns the line that answers it */
std::string obey(const std::string& line, Links& links, Nanoseconds now);

}  // namespace atsss
