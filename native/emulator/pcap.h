// A capture file for tcpdump and Wireshark: pcap with nanoseconds and raw IP packets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

namespace atsss {

class PcapWriter {
 public:
  explicit PcapWriter(const std::string& path);
  void write(const uint8_t* packet, size_t size);
  void flush() { std::fflush(file_.get()); }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace atsss
