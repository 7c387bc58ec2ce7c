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

namespace {

constexpr const char* kNamespaces = "/run/netns";

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

Descriptor open_file(const std::string& path, int flags) {
  Descriptor fd(open(path.c_str(), flags | O_CLOEXEC));
  if (fd.get() < 0) fail(path);
  return fd;
}

std::string sysctl_path(const std::string& name) {
  std::string path = "/proc/sys/" + name;
  std::replace(path.begin(), path.end(), '.', '/');
  return path;
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

Inside::Inside(const std::string& name) : home_(open_file("/proc/self/ns/net", O_RDONLY)) {
  const Descriptor there = open_file(std::string(kNamespaces) + "/" + name, O_RDONLY);
  if (setns(there.get(), CLONE_NEWNET) != 0) fail("setns " + name);
}

Inside::~Inside() {
  // To stay in the wrong namespace would put devices where nobody looks for them.
  if (setns(home_.get(), CLONE_NEWNET) != 0) _exit(70);
}

Device::Device(const std::string& netns, const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) throw std::system_error(EINVAL, std::generic_category(), name);
  const Inside inside(netns);
  fd_ = open_file("/dev/net/tun", O_RDWR | O_NONBLOCK);
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

void Device::set_carrier(bool on) {
  int value = on ? 1 : 0;
  if (ioctl(fd_.get(), TUNSETCARRIER, &value) != 0) fail("TUNSETCARRIER");
}

std::string read_sysctl(const std::string& netns, const std::string& name) {
  const Inside inside(netns);
  const Descriptor fd = open_file(sysctl_path(name), O_RDONLY);
  char value[4096];
  const ssize_t size = read(fd.get(), value, sizeof value);
  if (size < 0) fail(name);
  std::string text(value, static_cast<size_t>(size));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void write_sysctl(const std::string& netns, const std::string& name, const std::string& value) {
  const Inside inside(netns);
  const Descriptor fd = open_file(sysctl_path(name), O_WRONLY);
  if (write(fd.get(), value.data(), value.size()) < 0) fail(name + " = " + value);
}

void mount_netns_directory() {
  if (access(kNamespaces, F_OK) != 0 && mkdir(kNamespaces, 0755) != 0) {
    if (mount("atsss", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) fail("mount /run");
    if (mkdir(kNamespaces, 0755) != 0) fail(kNamespaces);
  } else if (mount("atsss", kNamespaces, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) {
    fail(std::string("mount ") + kNamespaces);
  }
}
