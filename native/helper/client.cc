#include "client.h"

#include <poll.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <deque>
#include <optional>
#include <unordered_set>
#include <vector>

#include "owned-socket.h"

namespace atsss {

namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
/** A client that reads nothing for so long, while there is something to read, is given up. */
constexpr timeval kPatience = {5, 0};
/** The client's unread answers and events, in bytes as the kernel counts them: some thousand. */
constexpr int kSendBuffer = 2 << 20;
/** Announcements of connections that the client does not watch yet: it may still be on its way to do so. */
constexpr size_t kMostAnnouncements = 512;
/** Events that are passed on before requests get their turn, and the other way round. */
constexpr int kBurst = 32;
/** To be served costs as much as so many requests: who connects again and again, waits. */
constexpr uint32_t kConnectionCost = 200;

/** MPTCP_PM_ADDR_FLAG_*. */
constexpr uint32_t kSignal = 1;
constexpr uint32_t kSubflow = 2;
constexpr uint32_t kBackup = 4;

int64_t clockNow() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * kNanosecondsPerSecond + now.tv_nsec;
}

void sleepUntil(int64_t when) {
  const timespec time = {static_cast<time_t>(when / kNanosecondsPerSecond),
                         static_cast<long>(when % kNanosecondsPerSecond)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) == EINTR) {
  }
}

/** One datagram. */
struct Received {
  ssize_t size = -1;
  std::array<Request, kMostRequests> requests = {};
  std::vector<Descriptor> descriptors;

  /** 0: it is not made of whole requests. */
  size_t count() const {
    const size_t bytes = static_cast<size_t>(size);
    return size > 0 && bytes % sizeof(Request) == 0 && bytes <= sizeof requests ? bytes / sizeof(Request) : 0;
  }
};

/** Takes every descriptor that has come, so that none stays open. */
Received receive(int socket) {
  Received received;
  // One byte more: a datagram that is too long is seen.
  struct {
    std::array<Request, kMostRequests> requests;
    char more;
  } bytes = {};
  iovec into = {&bytes, sizeof bytes};
  // The kernel closes the descriptors for which there is no room.
  alignas(cmsghdr) char control[CMSG_SPACE((kMostRequests + 4) * sizeof(int))];
  msghdr message = {};
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  do received.size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (received.size < 0 && errno == EINTR);
  if (received.size < 0) return received;
  for (const cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr;
       one = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(one))) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = CMSG_LEN(0); at + sizeof(int) <= one->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, reinterpret_cast<const char*>(one) + at, sizeof fd);
      received.descriptors.emplace_back(fd);
    }
  }
  received.requests = bytes.requests;
  return received;
}

bool isAddress(const WireAddress& address) { return address.family == 4 || address.family == 6; }

/** Whether the command has what it needs, and nothing that the kernel might understand in another way. */
bool isWellFormed(const Request& request) {
  const auto onlyFlags = [&](uint32_t allowed) { return (request.flags & ~allowed) == 0; };
  const bool hasBoth = isAddress(request.local) && isAddress(request.remote);
  if (request.interfaceIndex < 0) return false;
  switch (request.command) {
    case Command::hello:
    case Command::watch:
    case Command::forget:
    case Command::remove:
      return true;
    case Command::createSubflow:
      // `signal` is for the client's test of whether the kernel reads the flags.
      return hasBoth && request.local.id != 0 && onlyFlags(kSignal | kSubflow | kBackup);
    case Command::destroySubflow:
      return hasBoth;
    case Command::setFlags:
      return hasBoth && onlyFlags(kBackup);
    case Command::announce:
      return isAddress(request.local) && request.local.id != 0 && onlyFlags(kSignal | kBackup);
  }
  return false;
}

bool needsSocket(Command command) { return command != Command::hello && command != Command::forget; }

class Client {
 public:
  Client(Descriptor socket, const ucred& who, const ClientSettings& settings, Usage& usage, int slot)
      : socket_(std::move(socket)),
        commands_(openCommands()),
        events_(openEvents(settings.family)),
        who_(who),
        settings_(settings),
        usage_(usage),
        slot_(slot) {}

  void serve() {
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof kSendBuffer);
    waitForTurn(kConnectionCost);
    while (isServed_) {
      pollfd polled[] = {{socket_.get(), POLLIN, 0}, {events_.get(), POLLIN, 0}};
      if (::poll(polled, 2, -1) < 0 && errno != EINTR) break;
      if (polled[1].revents != 0) passEvents();
      if (polled[0].revents != 0) takeRequests();
    }
    std::fprintf(stderr, "uid %u, process %d: has gone after %llu requests, of which %llu were refused\n", who_.uid,
                 who_.pid, requests_, refusals_);
  }

 private:
  void takeRequests() {
    for (int i = 0; i < kBurst && isServed_; i++)
      if (!takeDatagram()) return;
  }

  /** @returns false if there is none */
  bool takeDatagram() {
    const Received received = receive(socket_.get());
    if (received.size < 0 && errno == EAGAIN) return false;
    if (received.size <= 0) {
      isServed_ = false;
      return false;
    }
    const size_t count = received.count();
    waitForTurn(std::max<uint32_t>(1, static_cast<uint32_t>(count)));
    if (count == 0) giveUp(received.requests[0].sequence, kMalformed);
    const Request* const first = received.requests.data();
    const auto needing =
        std::count_if(first, first + count, [](const Request& one) { return needsSocket(one.command); });
    // Otherwise it is not clear whose each of them is.
    const bool isComplete = received.descriptors.size() == static_cast<size_t>(needing);
    const Descriptor* socket = isComplete ? received.descriptors.data() : nullptr;
    for (size_t i = 0; i < count && isServed_; i++) {
      const bool needs = needsSocket(first[i].command);
      takeRequest(first[i], isComplete, needs ? socket : nullptr);
      if (needs && isComplete) socket++;
    }
    flush();
    return true;
  }

  /** @param socket that it has come with; null: it needs none, or has come with too few or too many */
  void takeRequest(const Request& request, bool isComplete, const Descriptor* socket) {
    requests_++;
    if (request.protocol != kProtocol) return giveUp(request.sequence, kOtherVersion);
    const std::optional<Refusal> refusal = whyNot(request, isComplete, socket);
    if (refusal) refuse(request.sequence, *refusal);
    else obey(request);
  }

  /** There is nothing to agree on with a client that speaks otherwise. */
  void giveUp(uint32_t sequence, const Refusal& refusal) {
    refuse(sequence, refusal);
    isServed_ = false;
  }

  std::optional<Refusal> whyNot(const Request& request, bool isComplete, const Descriptor* socket) const {
    if (!isWellFormed(request)) return kMalformed;
    if (!needsSocket(request.command)) return isComplete ? std::nullopt : std::optional(kMalformed);
    if (socket == nullptr) return kNoSocket;
    if (const auto why = whyNotOwned(socket->get(), request.token, settings_.namespaceCookie)) return why;
    const bool usesInterface = request.command == Command::createSubflow || request.command == Command::announce;
    if (usesInterface && !settings_.interfaces.allow(request.interfaceIndex, request.local)) return kInterface;
    return std::nullopt;
  }

  void obey(const Request& request) {
    switch (request.command) {
      case Command::hello:
        return answer(request.sequence, 0, &settings_.namespaceCookie, sizeof settings_.namespaceCookie);
      case Command::watch:
        return watch(request);
      case Command::forget:
        forget(request.token);
        return answer(request.sequence, 0, nullptr, 0);
      default: {
        const Outcome outcome = carryOut(commands_.get(), settings_.family, request);
        return answer(request.sequence, outcome.error, outcome.words, std::strlen(outcome.words));
      }
    }
  }

  void watch(const Request& request) {
    if (watched_.count(request.token) == 0) {
      if (!usage_.addSocket(slot_, settings_.quota)) return refuse(request.sequence, kMostSockets);
      watched_.insert(request.token);
    }
    answer(request.sequence, 0, nullptr, 0);
    for (const Announcement& one : announcements_)
      if (one.token == request.token) send(Kind::event, 0, 0, one.bytes.data(), one.bytes.size());
    dropAnnouncements(request.token);
  }

  void forget(uint32_t token) {
    if (watched_.erase(token) > 0) usage_.removeSocket(slot_);
  }

  void passEvents() {
    for (int i = 0; i < kBurst; i++) {
      const EventReader::Read read = reader_.read(events_.get());
      if (read == EventReader::Read::nothing) return;
      if (read == EventReader::Read::lost) loseEvents();
      for (Event event; reader_.next(settings_.family, event);) pass(event);
      flush();
    }
  }

  void pass(const Event& event) {
    if (watched_.count(event.token) > 0) send(Kind::event, 0, 0, event.bytes, event.size);
    else if (event.command == kEventAnnounced) keepAnnouncement(event);
    if (event.command != kEventClosed) return;
    // The kernel may give the token to another connection.
    forget(event.token);
    dropAnnouncements(event.token);
  }

  /** The end of a connection may be among them, and its token be another's by now: the client shows its sockets again.
   */
  void loseEvents() {
    while (!watched_.empty()) forget(*watched_.begin());
    announcements_.clear();
    send(Kind::overrun, 0, 0, nullptr, 0);
  }

  void keepAnnouncement(const Event& event) {
    if (announcements_.size() >= kMostAnnouncements) announcements_.pop_front();
    announcements_.push_back({event.token, {event.bytes, event.bytes + std::min<size_t>(event.size, kMostReplyBytes)}});
  }

  void dropAnnouncements(uint32_t token) {
    const auto isIts = [&](const Announcement& one) { return one.token == token; };
    announcements_.erase(std::remove_if(announcements_.begin(), announcements_.end(), isIts), announcements_.end());
  }

  void refuse(uint32_t sequence, const Refusal& refusal) {
    if (refusals_++ == 0)
      std::fprintf(stderr, "uid %u, process %d: %s: %s\n", who_.uid, who_.pid, refusal.code, refusal.sentence);
    char text[kMostReplyBytes];
    const int size = std::snprintf(text, sizeof text, "%s: %s", refusal.code, refusal.sentence);
    send(Kind::refusal, sequence, EPERM, text, static_cast<size_t>(size));
  }

  void answer(uint32_t sequence, int error, const void* bytes, size_t size) {
    send(Kind::answer, sequence, error, bytes, size);
  }

  /** With the next `flush`. */
  void send(Kind kind, uint32_t sequence, int error, const void* bytes, size_t size) {
    size = std::min<size_t>(size, kMostReplyBytes);
    if (outgoingSize_ + sizeof(Reply) + size > outgoing_.size()) flush();
    const Reply reply = {kProtocol, kind, sequence, error, static_cast<uint32_t>(size)};
    std::memcpy(outgoing_.data() + outgoingSize_, &reply, sizeof reply);
    if (bytes != nullptr) std::memcpy(outgoing_.data() + outgoingSize_ + sizeof reply, bytes, size);
    outgoingSize_ += sizeof reply + size;
  }

  /** Waits at most for SO_SNDTIMEO. */
  void flush() {
    if (outgoingSize_ > 0 && ::send(socket_.get(), outgoing_.data(), outgoingSize_, MSG_NOSIGNAL) < 0)
      isServed_ = false;
    outgoingSize_ = 0;
  }

  void waitForTurn(uint32_t requests) {
    const int64_t now = clockNow();
    const int64_t when = usage_.countRequests(slot_, requests, settings_.quota, now);
    if (when <= now) return;
    if (!wasDelayed_)
      std::fprintf(stderr, "uid %u, process %d: sends more than %u requests in a second, which therefore wait\n",
                   who_.uid, who_.pid, settings_.quota.requestsPerSecond);
    wasDelayed_ = true;
    sleepUntil(when);
  }

  struct Announcement {
    uint32_t token;
    std::vector<uint8_t> bytes;
  };

  const Descriptor socket_, commands_, events_;
  const ucred who_;
  const ClientSettings& settings_;
  Usage& usage_;
  const int slot_;
  EventReader reader_;
  std::unordered_set<uint32_t> watched_;
  std::deque<Announcement> announcements_;
  /** Replies that are not sent yet. */
  std::array<uint8_t, kMostDatagramBytes> outgoing_ = {};
  size_t outgoingSize_ = 0;
  unsigned long long requests_ = 0;
  unsigned long long refusals_ = 0;
  bool wasDelayed_ = false;
  bool isServed_ = true;
};

}  // namespace

void serveClient(Descriptor socket, const ucred& who, const ClientSettings& settings, Usage& usage, int slot) {
  Client(std::move(socket), who, settings, usage, slot).serve();
}

void refuseClient(int socket, const Refusal& refusal) {
  struct {
    Reply reply;
    char text[kMostReplyBytes];
  } datagram;
  const int size = std::snprintf(datagram.text, sizeof datagram.text, "%s: %s", refusal.code, refusal.sentence);
  datagram.reply = {kProtocol, Kind::refusal, 0, EPERM, static_cast<uint32_t>(size)};
  ::send(socket, &datagram, sizeof(Reply) + static_cast<size_t>(size), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace atsss
