// What a middlebox recognises in an IP packet, and how it changes the packet. Bytes only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace atsss {

enum class Match { all, tcp, syn, synAck, synData, mpCapable, mpJoin, data };
std::optional<Match> matchNamed(const std::string& name);

/** Whether an IPv4 or IPv6 packet is of this kind. */
bool matches(Match match, const uint8_t* packet, size_t size);

/** Replaces every MPTCP option (kind 30) by NOPs, and updates the checksum. @returns whether there was one */
bool stripMptcp(uint8_t* packet, size_t size);

/** Removes the payload of a SYN or SYN+ACK, and updates lengths and checksums. @returns the new size */
size_t stripSynData(uint8_t* packet, size_t size);

}  // namespace atsss
