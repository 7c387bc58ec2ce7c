#include "path-manager.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace atsss {

namespace {

constexpr uint8_t kVersion = 1;
/** MPTCP_PM_CMD_*. */
constexpr uint8_t kDeleteAddress = 2;
constexpr uint8_t kSetFlags = 7;
constexpr uint8_t kAnnounce = 8;
constexpr uint8_t kRemove = 9;
constexpr uint8_t kSubflowCreate = 10;
constexpr uint8_t kSubflowDestroy = 11;
/** MPTCP_PM_ATTR_*. */
constexpr uint16_t kLocal = 1;
constexpr uint16_t kToken = 4;
constexpr uint16_t kLocalId = 5;
constexpr uint16_t kRemote = 6;
/** MPTCP_PM_ADDR_ATTR_*. */
constexpr uint16_t kFamily = 1;
constexpr uint16_t kId = 2;
constexpr uint16_t kAddress4 = 3;
constexpr uint16_t kAddress6 = 4;
constexpr uint16_t kPort = 5;
constexpr uint16_t kFlags = 6;
constexpr uint16_t kInterface = 7;
/** MPTCP_ATTR_TOKEN, of events. */
constexpr uint16_t kEventToken = 1;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

/** A netlink message that is being written. It has room for the largest command. */
class Message {
 public:
  Message(uint16_t type, uint8_t command, uint8_t version) {
    auto* const header = reinterpret_cast<nlmsghdr*>(bytes_);
    header->nlmsg_type = type;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    header->nlmsg_seq = ++lastSequence;
    bytes_[sizeof(nlmsghdr)] = command;
    bytes_[sizeof(nlmsghdr) + 1] = version;
  }

  void add(uint16_t type, const void* value, size_t size) {
    const auto length = static_cast<uint16_t>(NLA_HDRLEN + size);
    if (size_ + NLA_ALIGN(length) > sizeof bytes_) std::abort();
    std::memcpy(bytes_ + size_, &length, sizeof length);
    std::memcpy(bytes_ + size_ + sizeof length, &type, sizeof type);
    if (size > 0) std::memcpy(bytes_ + size_ + NLA_HDRLEN, value, size);
    size_ += NLA_ALIGN(length);
  }

  template <typename Value>
  void add(uint16_t type, Value value) {
    add(type, &value, sizeof value);
  }

  /** @returns for `end` */
  size_t begin(uint16_t type) {
    const size_t at = size_;
    add(type | NLA_F_NESTED, nullptr, 0);
    return at;
  }

  void end(size_t begun) {
    const auto length = static_cast<uint16_t>(size_ - begun);
    std::memcpy(bytes_ + begun, &length, sizeof length);
  }

  uint32_t sequence() const { return reinterpret_cast<const nlmsghdr*>(bytes_)->nlmsg_seq; }
  const uint8_t* bytes() {
    reinterpret_cast<nlmsghdr*>(bytes_)->nlmsg_len = static_cast<uint32_t>(size_);
    return bytes_;
  }
  size_t size() const { return size_; }

 private:
  alignas(8) uint8_t bytes_[256] = {};
  size_t size_ = NLMSG_HDRLEN + GENL_HDRLEN;
  static uint32_t lastSequence;
};

uint32_t Message::lastSequence = 0;

/** Attributes, one after the other. */
class Attributes {
 public:
  Attributes(const uint8_t* bytes, size_t size) : bytes_(bytes), size_(size) {}

  bool next() {
    if (at_ + NLA_HDRLEN > size_) return false;
    uint16_t length = 0;
    std::memcpy(&length, bytes_ + at_, sizeof length);
    std::memcpy(&type, bytes_ + at_ + sizeof length, sizeof type);
    type &= NLA_TYPE_MASK;
    if (length < NLA_HDRLEN || at_ + length > size_) return false;
    value = bytes_ + at_ + NLA_HDRLEN;
    valueSize = length - size_t{NLA_HDRLEN};
    at_ += NLA_ALIGN(length);
    return true;
  }

  template <typename Value>
  bool read(Value& into) const {
    if (valueSize < sizeof into) return false;
    std::memcpy(&into, value, sizeof into);
    return true;
  }

  uint16_t type = 0;
  const uint8_t* value = nullptr;
  size_t valueSize = 0;

 private:
  const uint8_t* bytes_;
  size_t size_;
  size_t at_ = 0;
};

Descriptor openNetlink() {
  Descriptor netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
  if (!netlink) die("a netlink socket");
  sockaddr_nl local = {};
  local.nl_family = AF_NETLINK;
  if (::bind(netlink.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) die("bind of netlink");
  return netlink;
}

void setInt(int fd, int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof value); }

/** A datagram of the kernel; those of other processes are dropped. @returns its size, or -1 and errno */
ssize_t receive(int netlink, uint8_t* into, size_t room, int flags) {
  for (;;) {
    sockaddr_nl from = {};
    socklen_t length = sizeof from;
    const ssize_t size = ::recvfrom(netlink, into, room, flags, reinterpret_cast<sockaddr*>(&from), &length);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 || from.nl_pid == 0) return size;
  }
}

void takeAnswer(const nlmsghdr& header, const uint8_t* payload, size_t size, Outcome& outcome) {
  int32_t error = 0;
  if (size < sizeof error) return;
  std::memcpy(&error, payload, sizeof error);
  outcome.error = -error;
  constexpr size_t kFixed = sizeof(nlmsgerr);
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0 || size < kFixed) return;
  for (Attributes attributes(payload + kFixed, size - kFixed); attributes.next();)
    if (attributes.type == NLMSGERR_ATTR_MSG) {
      const size_t length = ::strnlen(reinterpret_cast<const char*>(attributes.value), attributes.valueSize);
      std::memcpy(outcome.words, attributes.value, length < sizeof outcome.words ? length : sizeof outcome.words - 1);
    }
}

/** @param answered called with the payload of each message before the acknowledgement */
template <typename Answered>
Outcome exchange(int netlink, Message& message, Answered answered) {
  Outcome outcome;
  outcome.error = ETIMEDOUT;
  sockaddr_nl kernel = {};
  kernel.nl_family = AF_NETLINK;
  if (::sendto(netlink, message.bytes(), message.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) <
      0) {
    outcome.error = errno;
    return outcome;
  }
  alignas(8) uint8_t datagram[8192];
  for (;;) {
    const ssize_t received = receive(netlink, datagram, sizeof datagram, 0);
    if (received < 0) return outcome;
    const auto size = static_cast<size_t>(received);
    for (size_t at = 0; at + sizeof(nlmsghdr) <= size;) {
      nlmsghdr header;
      std::memcpy(&header, datagram + at, sizeof header);
      if (header.nlmsg_len < sizeof header || at + header.nlmsg_len > size) break;
      const uint8_t* const payload = datagram + at + NLMSG_HDRLEN;
      at += NLMSG_ALIGN(header.nlmsg_len);
      // Of a command whose answer came too late.
      if (header.nlmsg_seq != message.sequence()) continue;
      const size_t payloadSize = header.nlmsg_len - size_t{NLMSG_HDRLEN};
      if (header.nlmsg_type == NLMSG_ERROR) {
        takeAnswer(header, payload, payloadSize, outcome);
        return outcome;
      }
      answered(payload, payloadSize);
    }
  }
}

void takeFamily(const uint8_t* payload, size_t size, PathManagerFamily& family) {
  if (size < GENL_HDRLEN) return;
  for (Attributes of(payload + GENL_HDRLEN, size - GENL_HDRLEN); of.next();) {
    if (of.type == CTRL_ATTR_FAMILY_ID) of.read(family.id);
    if (of.type != CTRL_ATTR_MCAST_GROUPS) continue;
    for (Attributes groups(of.value, of.valueSize); groups.next();) {
      uint32_t number = 0;
      bool isEvents = false;
      for (Attributes group(groups.value, groups.valueSize); group.next();) {
        if (group.type == CTRL_ATTR_MCAST_GRP_ID) group.read(number);
        constexpr char kEvents[] = "mptcp_pm_events";
        if (group.type == CTRL_ATTR_MCAST_GRP_NAME && group.valueSize == sizeof kEvents)
          isEvents = std::memcmp(group.value, kEvents, sizeof kEvents) == 0;
      }
      if (isEvents) family.events = number;
    }
  }
}

/** In the order of iproute2. */
void addAddress(Message& message, uint16_t type, const WireAddress& address, bool hasId, const uint32_t* flags,
                int32_t interfaceIndex) {
  const size_t begun = message.begin(type);
  if (hasId) message.add(kId, address.id);
  if (flags != nullptr) message.add(kFlags, *flags);
  if (interfaceIndex != 0) message.add(kInterface, interfaceIndex);
  if (address.port != 0) message.add(kPort, address.port);
  message.add(kFamily, static_cast<uint16_t>(address.family == 6 ? AF_INET6 : AF_INET));
  if (address.family == 6) message.add(kAddress6, address.bytes, 16);
  else message.add(kAddress4, address.bytes, 4);
  message.end(begun);
}

}  // namespace

PathManagerFamily findPathManager() {
  const Descriptor commands = openCommands();
  PathManagerFamily family;
  Message lookUp(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 2);
  constexpr char kName[] = "mptcp_pm";
  lookUp.add(CTRL_ATTR_FAMILY_NAME, kName, sizeof kName);
  const Outcome found =
      exchange(commands.get(), lookUp, [&](const uint8_t* payload, size_t size) { takeFamily(payload, size, family); });
  if (found.error != 0 || family.id == 0 || family.events == 0) {
    std::fprintf(stderr, "This kernel has no MPTCP path manager: %s. Linux 5.19 or later is needed\n",
                 std::strerror(found.error));
    std::exit(1);
  }
  // The kernel checks the right before it finds that the address is missing.
  Message nothing(family.id, kDeleteAddress, kVersion);
  if (exchange(commands.get(), nothing, [](const uint8_t*, size_t) {}).error == EPERM) {
    std::fprintf(
        stderr, "The helper needs CAP_NET_ADMIN: run it as root, or by the unit that \"atsss helper install\" makes\n");
    std::exit(1);
  }
  return family;
}

Descriptor openCommands() {
  Descriptor netlink = openNetlink();
  setInt(netlink.get(), SOL_NETLINK, NETLINK_EXT_ACK, 1);
  setInt(netlink.get(), SOL_NETLINK, NETLINK_CAP_ACK, 1);
  const timeval twoSeconds = {2, 0};
  ::setsockopt(netlink.get(), SOL_SOCKET, SO_RCVTIMEO, &twoSeconds, sizeof twoSeconds);
  return netlink;
}

Descriptor openEvents(const PathManagerFamily& family) {
  Descriptor netlink = openNetlink();
  setInt(netlink.get(), SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20);
  if (::setsockopt(netlink.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &family.events, sizeof family.events) != 0)
    die("the events of mptcp_pm");
  return netlink;
}

Outcome carryOut(int commands, const PathManagerFamily& family, const Request& request) {
  const auto send = [&](Message& message) { return exchange(commands, message, [](const uint8_t*, size_t) {}); };
  const auto begun = [&](uint8_t command) {
    Message message(family.id, command, kVersion);
    message.add(kToken, request.token);
    return message;
  };
  switch (request.command) {
    case Command::createSubflow: {
      Message message = begun(kSubflowCreate);
      addAddress(message, kLocal, request.local, true, &request.flags, request.interfaceIndex);
      addAddress(message, kRemote, request.remote, false, nullptr, 0);
      return send(message);
    }
    case Command::destroySubflow: {
      Message message = begun(kSubflowDestroy);
      addAddress(message, kLocal, request.local, false, nullptr, 0);
      addAddress(message, kRemote, request.remote, false, nullptr, 0);
      return send(message);
    }
    case Command::setFlags: {
      Message message = begun(kSetFlags);
      addAddress(message, kLocal, request.local, false, &request.flags, 0);
      addAddress(message, kRemote, request.remote, false, nullptr, 0);
      return send(message);
    }
    case Command::announce: {
      Message message = begun(kAnnounce);
      addAddress(message, kLocal, request.local, true, &request.flags, request.interfaceIndex);
      return send(message);
    }
    case Command::remove: {
      Message message = begun(kRemove);
      message.add(kLocalId, request.local.id);
      return send(message);
    }
    default:
      std::abort();
  }
}

EventReader::Read EventReader::read(int events) {
  at_ = size_ = 0;
  const ssize_t received = receive(events, datagram_, sizeof datagram_, MSG_DONTWAIT);
  if (received < 0) return errno == ENOBUFS ? Read::lost : Read::nothing;
  size_ = static_cast<size_t>(received);
  return Read::events;
}

bool EventReader::next(const PathManagerFamily& family, Event& event) {
  while (at_ + sizeof(nlmsghdr) <= size_) {
    nlmsghdr header;
    std::memcpy(&header, datagram_ + at_, sizeof header);
    if (header.nlmsg_len < NLMSG_HDRLEN + GENL_HDRLEN || at_ + header.nlmsg_len > size_) return false;
    const uint8_t* const payload = datagram_ + at_ + NLMSG_HDRLEN;
    const size_t size = header.nlmsg_len - size_t{NLMSG_HDRLEN};
    at_ += NLMSG_ALIGN(header.nlmsg_len);
    if (header.nlmsg_type != family.id) continue;
    for (Attributes of(payload + GENL_HDRLEN, size - GENL_HDRLEN); of.next();) {
      if (of.type != kEventToken || !of.read(event.token)) continue;
      event.command = payload[0];
      event.bytes = payload;
      event.size = size;
      return true;
    }
  }
  return false;
}

}  // namespace atsss
