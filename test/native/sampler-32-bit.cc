// Samples an MPTCP connection over loopback, in a 32-bit process: prints its ports, as the sampler and the subflows'
// addresses have them, and as getsockname(2) does.
#include <arpa/inet.h>
#include <poll.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include "sampler.h"
#include "sockets.h"

static_assert(sizeof(void*) == 4);

namespace {

constexpr int kMptcp = 262;

void print(const char* name, int fd, atsss::Asking asking) {
  std::vector<uint8_t> out(atsss::kLongestRecord);
  atsss::sampleSockets(&fd, 1, out.data(), out.size(), asking);
  atsss::SocketRecord socket;
  std::memcpy(&socket, out.data(), sizeof socket);
  atsss::SubflowRecord subflow;
  std::memcpy(&subflow, out.data() + sizeof socket + socket.subflows * atsss::kTcpInfoSize, sizeof subflow);
  const auto addresses = atsss::subflowEndpoints(fd, asking);
  std::printf("%s: errno %d, %u subflow, port %u, local %s %u, remote %s %u, same id %d\n", name, socket.errorNumber,
              socket.subflows, subflow.localPort, addresses.at(0).local.address.c_str(), addresses.at(0).local.port,
              addresses.at(0).remote.address.c_str(), addresses.at(0).remote.port, subflow.id == addresses.at(0).id);
}

}  // namespace

int main() {
  const atsss::Descriptor listener = atsss::openSocket(4, kMptcp);
  atsss::bindSocket(listener.get(), "127.0.0.1", 0);
  atsss::listenSocket(listener.get(), 1);
  const uint16_t port = atsss::socketName(listener.get()).port;
  const atsss::Descriptor client = atsss::openSocket(4, kMptcp);
  atsss::connectSocket(client.get(), "127.0.0.1", port);
  pollfd connected = {client.get(), POLLOUT, 0};
  ::poll(&connected, 1, 5000);
  std::printf("%u %u\n", atsss::socketName(client.get()).port, port);
  print("whole", client.get(), atsss::Asking::whole);
  print("in parts", client.get(), atsss::Asking::inParts);
}
