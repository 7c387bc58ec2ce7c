#include "command.h"

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <limits>
#include <sstream>
#include <system_error>
#include <vector>

namespace atsss {

namespace {

[[noreturn]] void refuse(const std::string& what) { throw std::system_error(EINVAL, std::generic_category(), what); }

/** Reads the words of a command, one after the other. */
class Words {
 public:
  explicit Words(const std::string& line) : line_(line) {}

  std::string next(const char* what) {
    std::string word;
    if (!(line_ >> word)) refuse(std::string("missing ") + what);
    return word;
  }
  bool more() { return !(line_ >> std::ws).eof(); }
  /** Everything that is left, spaces included. */
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

void makeLink(Words& words, Links& links) {
  const std::string name = words.next("link");
  if (links.count(name) != 0) refuse("there is a link " + name);
  const std::string ueNetns = words.next("namespace"), ueDevice = words.next("device");
  const std::string networkNetns = words.next("namespace"), networkDevice = words.next("device");
  links[name] = std::make_unique<Link>(ueNetns, ueDevice, networkNetns, networkDevice);
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
    if (key == "rate") changes.emplace_back([=](Profile& to) { to.rate = value; });
    else if (key == "delay") changes.emplace_back([=](Profile& to) { to.delay = microseconds(value); });
    else if (key == "jitter") changes.emplace_back([=](Profile& to) { to.jitter = microseconds(value); });
    else if (key == "reorder") changes.emplace_back([=](Profile& to) { to.reorder = value != 0; });
    else if (key == "loss") changes.emplace_back([=](Profile& to) { to.loss = value; });
    else if (key == "buffer") changes.emplace_back([=](Profile& to) { to.buffer = microseconds(value); });
    else if (key == "down") changes.emplace_back([=](Profile& to) { to.down = value != 0; });
    else if (key == "seed") changes.emplace_back([=](Profile& to) { to.seed = static_cast<uint64_t>(value); });
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

Rule ruleOf(const std::string& word) {
  static const std::map<std::string, Action> actions = {
      {"drop", Action::drop}, {"strip-mptcp", Action::stripMptcp}, {"strip-syn-data", Action::stripSynData}};
  std::istringstream parts(word);
  std::string actionName, matchName;
  uint64_t count = 0;
  std::getline(parts, actionName, ':');
  std::getline(parts, matchName, ':');
  const auto action = actions.find(actionName);
  const auto match = matchNamed(matchName);
  if (action == actions.end() || !match || !(parts >> count)) refuse("rule " + word);
  return {action->second, *match, count == 0 ? std::numeric_limits<uint64_t>::max() : count};
}

void setRules(Words& words, Links& links) {
  Link& link = named(words.next("link"), links);
  const std::vector<Path*> paths = directions(words.next("direction"), link);
  std::vector<Rule> rules;
  while (words.more()) rules.push_back(ruleOf(words.next("rule")));
  for (Path* path : paths) path->setRules(rules);
}

void setCarrier(Words& words, Links& links, Nanoseconds now) {
  Link& link = named(words.next("link"), links);
  const bool on = words.number("carrier") != 0;
  link.ue.setCarrier(on);
  link.uplink.setCarrier(on, now);
  link.downlink.setCarrier(on, now);
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
       << ",\"dropped\":{\"down\":" << counters.droppedDown << ",\"mangling\":" << counters.droppedByRule
       << ",\"loss\":" << counters.droppedByLoss << ",\"queue\":" << counters.droppedByQueue
       << "},\"queuedPackets\":" << path.queuedPackets() << ",\"queuedBytes\":" << path.queuedBytes() << "}";
  return text.str();
}

std::string sysctl(Words& words) {
  const std::string netns = words.next("namespace"), name = words.next("name");
  if (words.more()) writeSysctl(netns, name, words.rest());
  return quoted(readSysctl(netns, name));
}

/** @returns the value to answer with; empty for a plain "ok" */
std::string carryOut(const std::string& verb, Words& words, Links& links, Nanoseconds now) {
  if (verb == "link") makeLink(words, links);
  else if (verb == "set") set(words, links, now);
  else if (verb == "rules") setRules(words, links);
  else if (verb == "carrier") setCarrier(words, links, now);
  else if (verb == "capture") capture(words, links);
  else if (verb == "mount") mountNetnsDirectory();
  else if (verb == "sysctl") return sysctl(words);
  else if (verb == "flush") {
    Link& link = named(words.next("link"), links);
    link.ue.flushCapture();
    link.network.flushCapture();
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
    const std::string value = carryOut(verb, words, links, now);
    return "{\"id\":" + id + (value.empty() ? ",\"ok\":true}" : ",\"value\":" + value + "}");
  } catch (const std::system_error& error) {
    const auto* file = dynamic_cast<const OpenError*>(&error);
    return "{\"id\":" + id + ",\"error\":" + quoted(error.what()) +
           ",\"errno\":" + std::to_string(error.code().value()) +
           (file == nullptr ? "" : ",\"path\":" + quoted(file->path)) + "}";
  }
}

}  // namespace atsss
