#include "command.h"

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <limits>
#include <sstream>
#include <system_error>
#include <vector>

namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw std::system_error(EINVAL, std::generic_category(), what);
}

// Hands out the words of a command, one after the other.
class Words {
 public:
  explicit Words(const std::string& line) : line_(line) {}

  std::string next(const char* what) {
    std::string word;
    if (!(line_ >> word)) refuse(std::string("missing ") + what);
    return word;
  }
  bool more() { return !(line_ >> std::ws).eof(); }
  // All that is left, spaces included.
  std::string rest() {
    std::string text;
    std::getline(line_ >> std::ws, text);
    return text;
  }
  double number(const char* what) {
    const std::string word = next(what);
    char* end = nullptr;
    const double value = std::strtod(word.c_str(), &end);
    if (*end != '\0' || !(value >= 0)) refuse(std::string(what) + " " + word);
    return value;
  }

 private:
  std::istringstream line_;
};

std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    json += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return json + "\"";
}

Link& named(const std::string& name, Links& links) {
  const auto found = links.find(name);
  if (found == links.end()) refuse("no link " + name);
  return *found->second;
}

std::vector<Path*> directions(const std::string& direction, Link& link) {
  if (direction == "uplink") return {&link.uplink};
  if (direction == "downlink") return {&link.downlink};
  if (direction != "both") refuse("direction " + direction);
  return {&link.uplink, &link.downlink};
}

void make_link(Words& words, Links& links) {
  const std::string name = words.next("link");
  if (links.count(name) != 0) refuse("there is a link " + name);
  const std::string ue_netns = words.next("namespace"), ue_device = words.next("device");
  const std::string network_netns = words.next("namespace"), network_device = words.next("device");
  links[name] = std::make_unique<Link>(ue_netns, ue_device, network_netns, network_device);
}

void set(Words& words, Links& links, Nanoseconds now) {
  const auto microseconds = [](double value) { return static_cast<Nanoseconds>(value * 1000); };
  Link& link = named(words.next("link"), links);
  const std::vector<Path*> paths = directions(words.next("direction"), link);
  std::vector<std::function<void(Profile&)>> changes;
  bool reseeded = false;
  while (words.more()) {
    const std::string key = words.next("key");
    const double value = words.number(key.c_str());
    if (key == "rate") changes.push_back([=](Profile& to) { to.rate = value; });
    else if (key == "delay") changes.push_back([=](Profile& to) { to.delay = microseconds(value); });
    else if (key == "jitter") changes.push_back([=](Profile& to) { to.jitter = microseconds(value); });
    else if (key == "reorder") changes.push_back([=](Profile& to) { to.reorder = value != 0; });
    else if (key == "loss") changes.push_back([=](Profile& to) { to.loss = value; });
    else if (key == "buffer") changes.push_back([=](Profile& to) { to.buffer = microseconds(value); });
    else if (key == "down") changes.push_back([=](Profile& to) { to.down = value != 0; });
    else if (key == "seed") changes.push_back([=](Profile& to) { to.seed = static_cast<uint64_t>(value); });
    else refuse("key " + key);
    reseeded = reseeded || key == "seed";
  }
  for (Path* path : paths) {
    Profile profile = path->profile();
    for (const auto& change : changes) change(profile);
    path->change(profile, now);
    if (reseeded) path->seed(profile.seed);
  }
}

Rule rule_of(const std::string& word) {
  static const std::map<std::string, Action> actions = {
      {"drop", Action::kDrop}, {"strip-mptcp", Action::kStripMptcp}, {"strip-syn-data", Action::kStripSynData}};
  std::istringstream parts(word);
  std::string action_name, match_name;
  uint64_t count = 0;
  std::getline(parts, action_name, ':');
  std::getline(parts, match_name, ':');
  const auto action = actions.find(action_name);
  const auto match = match_named(match_name);
  if (action == actions.end() || !match || !(parts >> count)) refuse("rule " + word);
  return {action->second, *match, count == 0 ? std::numeric_limits<uint64_t>::max() : count};
}

void set_rules(Words& words, Links& links) {
  Link& link = named(words.next("link"), links);
  const std::vector<Path*> paths = directions(words.next("direction"), link);
  std::vector<Rule> rules;
  while (words.more()) rules.push_back(rule_of(words.next("rule")));
  for (Path* path : paths) path->set_rules(rules);
}

void set_carrier(Words& words, Links& links, Nanoseconds now) {
  Link& link = named(words.next("link"), links);
  const bool on = words.number("carrier") != 0;
  link.ue.set_carrier(on);
  link.uplink.set_carrier(on, now);
  link.downlink.set_carrier(on, now);
}

void capture(Words& words, Links& links) {
  Link& link = named(words.next("link"), links);
  const std::string end = words.next("end");
  if (end != "ue" && end != "network") refuse("end " + end);
  const std::string path = words.more() ? words.rest() : "";
  (end == "ue" ? link.ue : link.network).capture(path.empty() ? nullptr : std::make_unique<PcapWriter>(path));
}

std::string json(const Path& path) {
  const Counters& counters = path.counters();
  std::ostringstream text;
  text << "{\"packets\":" << counters.packets << ",\"bytes\":" << counters.bytes << ",\"mangled\":" << counters.mangled
       << ",\"dropped\":{\"down\":" << counters.dropped_down << ",\"mangling\":" << counters.dropped_by_rule
       << ",\"loss\":" << counters.dropped_by_loss << ",\"queue\":" << counters.dropped_by_queue
       << "},\"queuedPackets\":" << path.queued_packets() << ",\"queuedBytes\":" << path.queued_bytes() << "}";
  return text.str();
}

std::string sysctl(Words& words) {
  const std::string netns = words.next("namespace"), name = words.next("name");
  if (words.more()) write_sysctl(netns, name, words.rest());
  return quoted(read_sysctl(netns, name));
}

// The value to answer with; empty for a plain "ok".
std::string carry_out(const std::string& verb, Words& words, Links& links, Nanoseconds now) {
  if (verb == "link") make_link(words, links);
  else if (verb == "set") set(words, links, now);
  else if (verb == "rules") set_rules(words, links);
  else if (verb == "carrier") set_carrier(words, links, now);
  else if (verb == "capture") capture(words, links);
  else if (verb == "mount") mount_netns_directory();
  else if (verb == "sysctl") return sysctl(words);
  else if (verb == "flush") {
    Link& link = named(words.next("link"), links);
    link.ue.flush_capture();
    link.network.flush_capture();
  } else if (verb == "stats") {
    const Link& link = named(words.next("link"), links);
    return "{\"uplink\":" + json(link.uplink) + ",\"downlink\":" + json(link.downlink) + "}";
  } else {
    refuse("verb " + verb);
  }
  return "";
}

}  // namespace

std::string obey(const std::string& line, Links& links, Nanoseconds now) {
  Words words(line);
  std::string id = "0";
  try {
    id = std::to_string(static_cast<uint64_t>(words.number("id")));
    const std::string verb = words.next("verb");
    const std::string value = carry_out(verb, words, links, now);
    return "{\"id\":" + id + (value.empty() ? ",\"ok\":true}" : ",\"value\":" + value + "}");
  } catch (const std::system_error& error) {
    return "{\"id\":" + id + ",\"error\":" + quoted(error.what()) +
           ",\"errno\":" + std::to_string(error.code().value()) + "}";
  }
}
