#include "pcap.h"

#include <ctime>

#include <cerrno>
#include <system_error>

namespace atsss {

namespace {

/** draft-ietf-opsawg-pcap §4 and §5, in the byte order of this machine. */
struct FileHeader {
  uint32_t magic = 0xa1b23c4d;  // nanoseconds
  uint16_t major = 2, minor = 4;
  uint32_t reserved[2] = {0, 0};
  uint32_t snapLength = 65535;
  uint32_t linkType = 101;  // LINKTYPE_RAW: the packet begins with its IP header
};

struct PacketHeader {
  uint32_t seconds, nanoseconds, captured, length;
};

}  // namespace

PcapWriter::PcapWriter(const std::string& path) : file_(std::fopen(path.c_str(), "wbe")) {
  if (!file_) throw std::system_error(errno, std::generic_category(), path);
  const FileHeader header;
  std::fwrite(&header, sizeof header, 1, file_.get());
  flush();
}

void PcapWriter::write(const uint8_t* packet, size_t size) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const auto length = static_cast<uint32_t>(size);
  const PacketHeader header{static_cast<uint32_t>(now.tv_sec), static_cast<uint32_t>(now.tv_nsec), length, length};
  std::fwrite(&header, sizeof header, 1, file_.get());
  std::fwrite(packet, 1, size, file_.get());
}

}  // namespace atsss
