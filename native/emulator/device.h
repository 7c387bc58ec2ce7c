// A TUN device in a network namespace, and other things that are done from inside a namespace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "../descriptor.h"
#include "pcap.h"

namespace atsss {

/** A file that could not be opened. */
struct OpenError : std::system_error {
  OpenError(int error, std::string file)
      : std::system_error(error, std::generic_category(), file), path(std::move(file)) {}
  std::string path;
};

/** Runs the rest of the scope in the network namespace /run/netns/NAME. Assumes a process with one thread. */
class Inside {
 public:
  explicit Inside(const std::string& name);
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Descriptor home_;
};

/** One end of a link. Captures what this end's kernel sends and receives. */
class Device {
 public:
  /** Creates the device inside the namespace. It never exists elsewhere, and ends with this object. */
  Device(const std::string& netns, const std::string& name);

  int fd() const { return fd_.get(); }
  /** @returns the size of the next packet that the kernel sends; 0 if there is none now, -1 if the device is gone */
  long read(uint8_t* packet, size_t room);
  /** @returns false if the kernel did not take the packet, since the device is not up */
  bool write(const uint8_t* packet, size_t size);
  /** Sets IFF_RUNNING and operstate, as the kernel shows them. */
  void setCarrier(bool on);
  void capture(std::unique_ptr<PcapWriter> writer) { capture_ = std::move(writer); }
  void flushCapture() {
    if (capture_) capture_->flush();
  }

 private:
  Descriptor fd_;
  std::unique_ptr<PcapWriter> capture_;
};

/** Settings such as `net.ipv4.tcp_fastopen` inside a namespace. */
std::string readSysctl(const std::string& netns, const std::string& name);
void writeSysctl(const std::string& netns, const std::string& name, const std::string& value);

/** Makes /run/netns a directory that `ip netns` can write to, in a private mount namespace (`unshare -Urnm`). */
void mountNetnsDirectory();

}  // namespace atsss
