#include "sampler.h"

#include <cstring>

namespace atsss {

namespace {

template <typename Record>
uint8_t* append(uint8_t* out, const Record& record) {
  std::memcpy(out, &record, sizeof record);
  return out + sizeof record;
}

}  // namespace

size_t sampleSockets(const int32_t* fds, size_t count, uint8_t* out, size_t room, Asking asking) {
  Connection connection;
  const uint8_t* const end = out + room;
  for (size_t i = 0; i < count; i++) {
    if (static_cast<size_t>(end - out) < kLongestRecord) return i;
    connection.tcpInfo = out + sizeof(SocketRecord);
    const int error = askConnection(fds[i], connection, asking);
    out = append(out, SocketRecord{fds[i], error, static_cast<uint32_t>(connection.infoLength),
                                   static_cast<uint32_t>(connection.subflows), connection.info});
    out += connection.subflows * kTcpInfoSize;
    for (size_t k = 0; k < connection.subflows; k++)
      out = append(out, SubflowRecord{connection.names[k].localPort, static_cast<uint32_t>(connection.tcpInfoLength),
                                      connection.names[k].id});
  }
  return count;
}

}  // namespace atsss
