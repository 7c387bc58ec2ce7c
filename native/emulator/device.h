// A TUN device in a network namespace, and what else has to be done from inside a namespace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "pcap.h"

// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

// Runs the rest of the scope in the network namespace /run/netns/NAME, then goes back. The process has one thread.
class Inside {
 public:
  explicit Inside(const std::string& name);
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Descriptor home_;
};

// One end of a link. What is captured here is what this end's kernel sent and what it was given.
class Device {
 public:
  // Creates the device inside the namespace; it never exists anywhere else, and ends with this object.
  Device(const std::string& netns, const std::string& name);

  int fd() const { return fd_.get(); }
  // The size of the next packet the kernel sends, 0 when there is none now, -1 when the device is gone.
  long read(uint8_t* packet, size_t room);
  // False when the kernel would not take it, because the device is not up.
  bool write(const uint8_t* packet, size_t size);
  // IFF_RUNNING, and operstate, as the kernel shows them.
  void set_carrier(bool on);
  void capture(std::unique_ptr<PcapWriter> writer) { capture_ = std::move(writer); }
  void flush_capture() { if (capture_) capture_->flush(); }

 private:
  Descriptor fd_;
  std::unique_ptr<PcapWriter> capture_;
};

// `net.ipv4.tcp_fastopen` and the like, inside a namespace.
std::string read_sysctl(const std::string& netns, const std::string& name);
void write_sysctl(const std::string& netns, const std::string& name, const std::string& value);

// Makes /run/netns a directory that `ip netns` can write to, in a mount namespace of our own (`unshare -Urnm`).
void mount_netns_directory();
