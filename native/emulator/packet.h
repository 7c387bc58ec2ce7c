// What a middlebox looks at in an IP packet, and what it does to it. Bytes only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

enum class Match { kAll, kTcp, kSyn, kSynAck, kSynData, kMpCapable, kMpJoin, kData };
std::optional<Match> match_named(const std::string& name);

// Whether the IPv4 or IPv6 packet is of the kind meant.
bool matches(Match match, const uint8_t* packet, size_t size);

// Replaces every MPTCP option (kind 30) by NOPs, and mends the checksum. Says whether there was one.
bool strip_mptcp(uint8_t* packet, size_t size);

// Takes the payload out of a SYN or SYN+ACK, and mends lengths and checksums. Returns the new size.
size_t strip_syn_data(uint8_t* packet, size_t size);
