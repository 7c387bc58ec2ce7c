#include "device.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

// Linux 4.20; older headers lack it.
#ifndef TUNSETCARRIER
#define TUNSETCARRIER _IOW('T', 226, int)
#endif

namespace atsss {

namespace {

constexpr const char* kNamespaces = "/run/netns";

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

Descriptor openFile(const std::string& path, int flags) {
  Descriptor fd(open(path.c_str(), flags | O_CLOEXEC));
  if (!fd) throw OpenError(errno, path);
  return fd;
}

std::string sysctlPath(const std::string& name) {
  std::string path = "/proc/sys/" + name;
  std::replace(path.begin(), path.end(), '.', '/');
  return path;
}

}  // namespace

Inside::Inside(const std::string& name) : home_(openFile("/proc/self/ns/net", O_RDONLY)) {
  const Descriptor there = openFile(std::string(kNamespaces) + "/" + name, O_RDONLY);
  if (setns(there.get(), CLONE_NEWNET) != 0) fail("setns " + name);
}

Inside::~Inside() {
  // Staying in the wrong namespace would create devices there.
  if (setns(home_.get(), CLONE_NEWNET) != 0) _exit(70);
}

Device::Device(const std::string& netns, const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) throw std::system_error(EINVAL, std::generic_category(), name);
  const Inside inside(netns);
  fd_ = openFile("/dev/net/tun", O_RDWR | O_NONBLOCK);
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::copy(name.begin(), name.end(), request.ifr_name);
  if (ioctl(fd_.get(), TUNSETIFF, &request) != 0) fail("TUNSETIFF " + name);
}

long Device::read(uint8_t* packet, size_t room) {
  for (;;) {
    const ssize_t size = ::read(fd_.get(), packet, room);
    if (size >= 0) {
      if (capture_) capture_->write(packet, static_cast<size_t>(size));
      return size;
    }
    if (errno == EAGAIN) return 0;
    if (errno != EINTR) return -1;
  }
}

bool Device::write(const uint8_t* packet, size_t size) {
  for (;;) {
    const ssize_t written = ::write(fd_.get(), packet, size);
    if (written >= 0) {
      if (capture_) capture_->write(packet, size);
      return true;
    }
    if (errno != EINTR) return false;
  }
}

void Device::setCarrier(bool on) {
  int value = on ? 1 : 0;
  if (ioctl(fd_.get(), TUNSETCARRIER, &value) != 0) fail("TUNSETCARRIER");
}

std::string readSysctl(const std::string& netns, const std::string& name) {
  const Inside inside(netns);
  const Descriptor fd = openFile(sysctlPath(name), O_RDONLY);
  char value[4096];
  const ssize_t size = read(fd.get(), value, sizeof value);
  if (size < 0) fail(name);
  std::string text(value, static_cast<size_t>(size));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void writeSysctl(const std::string& netns, const std::string& name, const std::string& value) {
  const Inside inside(netns);
  const Descriptor fd = openFile(sysctlPath(name), O_WRONLY);
  if (write(fd.get(), value.data(), value.size()) < 0) fail(name + " = " + value);
}

void mountNetnsDirectory() {
  if (access(kNamespaces, F_OK) != 0 && mkdir(kNamespaces, 0755) != 0) {
    if (mount("atsss", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) fail("mount /run");
    if (mkdir(kNamespaces, 0755) != 0) fail(kNamespaces);
  } else if (mount("atsss", kNamespaces, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) {
    fail(std::string("mount ") + kNamespaces);
  }
}

}  // namespace atsss
