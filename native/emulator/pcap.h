// A capture file: pcap with nanoseconds and raw IP packets, as tcpdump and Wireshark read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

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
