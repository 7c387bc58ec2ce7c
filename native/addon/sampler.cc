#include "sampler.h"

#include <cmath>

namespace atsss {

namespace {

/** Writes the fields of one record, whichever enum numbers them. */
template <typename Field>
class Record {
 public:
  explicit Record(double* out) : out_(out) {}
  template <typename Value>
  void set(Field field, Value value) {
    out_[static_cast<size_t>(field)] = static_cast<double>(value);
  }

 private:
  double* const out_;
};

void writeSocket(int fd, int error, const Connection& connection, double* out) {
  Record<SocketField> record(out);
  record.set(SocketField::fd, fd);
  record.set(SocketField::errorNumber, error);
  record.set(SocketField::subflows, connection.subflows);

  const uint8_t* const info = connection.info.data();
  const auto number = [&](SocketField field, size_t offset, auto type) {
    using Value = decltype(type);
    const bool there = offset + sizeof(Value) <= connection.infoLength;
    record.set(field, there ? static_cast<double>(at<Value>(info, offset)) : std::nan(""));
  };
  // Offsets in struct mptcp_info.
  constexpr size_t kToken = 12, kWriteSeq = 16, kSndUna = 24;
  record.set(SocketField::token, kToken + 4 <= connection.infoLength ? at<uint32_t>(info, kToken) : 0);
  const bool sequences = kSndUna + 8 <= connection.infoLength;
  record.set(SocketField::outstanding, sequences ? static_cast<double>(at<uint64_t>(info, kWriteSeq) -
                                                                       at<uint64_t>(info, kSndUna))
                                                 : std::nan(""));
  number(SocketField::retransmits, 44, uint32_t());
  number(SocketField::bytesRetrans, 48, uint64_t());
  number(SocketField::bytesSent, 56, uint64_t());
  number(SocketField::bytesReceived, 64, uint64_t());
  number(SocketField::bytesAcked, 72, uint64_t());
  number(SocketField::lastDataSent, 84, uint32_t());
  number(SocketField::lastDataRecv, 88, uint32_t());
  number(SocketField::lastAckRecv, 92, uint32_t());
}

void writeSubflow(double id, uint16_t localPort, const TcpInfoBytes& bytes, double* out) {
  Record<SubflowField> record(out);
  record.set(SubflowField::id, id);
  record.set(SubflowField::localPort, localPort);
  // Offsets in struct tcp_info.
  const uint8_t* const info = bytes.data();
  record.set(SubflowField::state, info[0]);
  record.set(SubflowField::retransmits, info[2]);
  record.set(SubflowField::unacked, at<uint32_t>(info, 24));
  record.set(SubflowField::lost, at<uint32_t>(info, 32));
  record.set(SubflowField::lastDataSent, at<uint32_t>(info, 44));
  record.set(SubflowField::lastDataRecv, at<uint32_t>(info, 52));
  record.set(SubflowField::lastAckRecv, at<uint32_t>(info, 56));
  record.set(SubflowField::rtt, at<uint32_t>(info, 68));
  record.set(SubflowField::rttvar, at<uint32_t>(info, 72));
  record.set(SubflowField::sndCwnd, at<uint32_t>(info, 80));
  record.set(SubflowField::totalRetrans, at<uint32_t>(info, 100));
  record.set(SubflowField::pacingRate, at<uint64_t>(info, 104));
  record.set(SubflowField::bytesAcked, at<uint64_t>(info, 120));
  record.set(SubflowField::bytesReceived, at<uint64_t>(info, 128));
  record.set(SubflowField::segsIn, at<uint32_t>(info, 140));
  record.set(SubflowField::notsentBytes, at<uint32_t>(info, 144));
  record.set(SubflowField::minRtt, at<uint32_t>(info, 148));
  record.set(SubflowField::deliveryRate, at<uint64_t>(info, 160));
  record.set(SubflowField::bytesSent, at<uint64_t>(info, 200));
  record.set(SubflowField::bytesRetrans, at<uint64_t>(info, 208));
}

}  // namespace

size_t sampleSockets(const int32_t* fds, size_t count, double* out, size_t room, Asking asking) {
  Connection connection;
  double* const end = out + room;
  for (size_t i = 0; i < count; i++) {
    if (static_cast<size_t>(end - out) < kMostDoubles) return i;
    const int error = askConnection(fds[i], connection, asking);
    writeSocket(fds[i], error, connection, out);
    out += static_cast<size_t>(SocketField::count);
    for (size_t k = 0; k < connection.subflows; k++) {
      writeSubflow(connection.ids[k], connection.localPorts[k], connection.tcpInfo[k], out);
      out += static_cast<size_t>(SubflowField::count);
    }
  }
  return count;
}

}  // namespace atsss
