#include "packet.h"

#include <algorithm>
#include <map>

namespace atsss {

namespace {

constexpr uint8_t kTcp = 6;
constexpr uint8_t kSynFlag = 0x02, kAckFlag = 0x10;
constexpr uint8_t kEndOfOptions = 0, kNoOperation = 1, kMptcpOption = 30;
constexpr uint8_t kMpCapableSubtype = 0, kMpJoinSubtype = 1;

/** Where the parts of a TCP segment begin in its packet; each is inside [0, end). */
struct Segment {
  bool v6;
  size_t tcp, payload, end;
};

uint16_t get16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

void put16(uint8_t* at, uint16_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

/** RFC 8200 §4: hop-by-hop options, routing, destination options. Fragments are not parsed. */
bool skippable(uint8_t nextHeader) { return nextHeader == 0 || nextHeader == 43 || nextHeader == 60; }

std::optional<Segment> segmentOf(const uint8_t* packet, size_t size) {
  Segment segment{};
  uint8_t protocol = 0;
  if (size >= 20 && packet[0] >> 4 == 4) {
    const bool fragment = (get16(packet + 6) & 0x3fff) != 0;
    if (fragment) return std::nullopt;
    segment.tcp = static_cast<size_t>(packet[0] & 0x0f) * 4;
    segment.end = get16(packet + 2);
    protocol = packet[9];
  } else if (size >= 40 && packet[0] >> 4 == 6) {
    segment.v6 = true;
    segment.tcp = 40;
    segment.end = 40u + get16(packet + 4);
    protocol = packet[6];
    while (skippable(protocol) && segment.tcp + 8 <= size) {
      protocol = packet[segment.tcp];
      segment.tcp += 8 + static_cast<size_t>(packet[segment.tcp + 1]) * 8;
    }
  }
  if (protocol != kTcp || segment.end > size || segment.tcp + 20 > segment.end) return std::nullopt;
  segment.payload = segment.tcp + static_cast<size_t>(packet[segment.tcp + 12] >> 4) * 4;
  if (segment.payload < segment.tcp + 20 || segment.payload > segment.end) return std::nullopt;
  return segment;
}

/** The next TCP option of this kind at or after `at`; segment.payload if there is none. */
size_t findOption(const uint8_t* packet, const Segment& segment, uint8_t kind, size_t at) {
  while (at < segment.payload && packet[at] != kEndOfOptions) {
    if (packet[at] == kNoOperation) {
      at++;
      continue;
    }
    if (at + 2 > segment.payload || packet[at + 1] < 2 || at + packet[at + 1] > segment.payload) break;
    if (packet[at] == kind) return at;
    at += packet[at + 1];
  }
  return segment.payload;
}

bool hasMptcp(const uint8_t* packet, const Segment& segment, uint8_t subtype) {
  const size_t at = findOption(packet, segment, kMptcpOption, segment.tcp + 20);
  return at + 2 < segment.payload && packet[at + 2] >> 4 == subtype;
}

uint32_t sum(const uint8_t* bytes, size_t size, uint32_t start) {
  for (size_t i = 0; i + 1 < size; i += 2) start += get16(bytes + i);
  if (size % 2 == 1) start += static_cast<uint32_t>(bytes[size - 1] << 8);
  return start;
}

uint16_t fold(uint32_t value) {
  while (value >> 16 != 0) value = (value & 0xffff) + (value >> 16);
  return static_cast<uint16_t>(~value);
}

void updateTcpChecksum(uint8_t* packet, const Segment& segment) {
  const size_t length = segment.end - segment.tcp;
  const uint32_t addresses = segment.v6 ? sum(packet + 8, 32, 0) : sum(packet + 12, 8, 0);
  uint8_t* const checksum = packet + segment.tcp + 16;
  put16(checksum, 0);
  put16(checksum, fold(sum(packet + segment.tcp, length, addresses + kTcp + static_cast<uint32_t>(length))));
}

}  // namespace

std::optional<Match> matchNamed(const std::string& name) {
  static const std::map<std::string, Match> names = {
      {"all", Match::all},        {"tcp", Match::tcp},          {"syn", Match::syn},
      {"syn-ack", Match::synAck}, {"syn-data", Match::synData}, {"mp-capable", Match::mpCapable},
      {"mp-join", Match::mpJoin}, {"data", Match::data},
  };
  const auto found = names.find(name);
  return found == names.end() ? std::nullopt : std::optional(found->second);
}

bool matches(Match match, const uint8_t* packet, size_t size) {
  if (match == Match::all) return true;
  const auto segment = segmentOf(packet, size);
  if (!segment) return false;
  const uint8_t flags = packet[segment->tcp + 13];
  const bool syn = (flags & (kSynFlag | kAckFlag)) == kSynFlag;
  const bool data = segment->end > segment->payload;
  switch (match) {
    case Match::syn:
      return syn;
    case Match::synAck:
      return (flags & kSynFlag) != 0 && (flags & kAckFlag) != 0;
    case Match::synData:
      return syn && data;
    case Match::mpCapable:
      return syn && hasMptcp(packet, *segment, kMpCapableSubtype);
    case Match::mpJoin:
      return syn && hasMptcp(packet, *segment, kMpJoinSubtype);
    case Match::data:
      return data && (flags & kSynFlag) == 0;
    case Match::all:
    case Match::tcp:
      break;
  }
  return true;
}

bool stripMptcp(uint8_t* packet, size_t size) {
  const auto segment = segmentOf(packet, size);
  if (!segment) return false;
  const size_t first = findOption(packet, *segment, kMptcpOption, segment->tcp + 20);
  for (size_t at = first; at < segment->payload; at = findOption(packet, *segment, kMptcpOption, at))
    std::fill_n(packet + at, packet[at + 1], kNoOperation);
  if (first == segment->payload) return false;
  updateTcpChecksum(packet, *segment);
  return true;
}

size_t stripSynData(uint8_t* packet, size_t size) {
  auto segment = segmentOf(packet, size);
  if (!segment || (packet[segment->tcp + 13] & kSynFlag) == 0 || segment->end == segment->payload) return size;
  segment->end = segment->payload;
  if (segment->v6) {
    put16(packet + 4, static_cast<uint16_t>(segment->end - 40));
  } else {
    put16(packet + 2, static_cast<uint16_t>(segment->end));
    put16(packet + 10, 0);
    put16(packet + 10, fold(sum(packet, static_cast<size_t>(packet[0] & 0x0f) * 4, 0)));
  }
  updateTcpChecksum(packet, *segment);
  return segment->end;
}

}  // namespace atsss
