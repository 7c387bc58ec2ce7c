#!/bin/busybox sh
# The guest's first program. It mounts the host's root file system read-only with a layer in memory above it, runs
# /run/out/command there, leaves the status and the kernel's log in /run/out, and powers off.
export PATH=/bin
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for module in $($b cat /modules/order); do
  $b insmod "/modules/$module.ko" 2>/dev/null || $b echo "module $module was not loaded"
done
fail() {
  $b echo "guest: $*"
  $b poweroff -f
}
nine=trans=virtio,version=9p2000.L,msize=512000
$b mount -t 9p -o "$nine,ro,cache=loose" host /host || fail "cannot mount the host's root"
$b mount -t tmpfs -o size=75% rw /rw && $b mkdir /rw/upper /rw/work
$b mount -t overlay -o lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work overlay /root || fail "cannot mount the overlay"
r=/root
for tree in proc sys dev; do $b mount --move "/$tree" "$r/$tree" || fail "cannot move /$tree"; done
$b mkdir -p $r/dev/shm $r/dev/pts $r/dev/net
$b mount -t tmpfs run $r/run && $b mkdir -p $r/run/out
$b mount -t tmpfs shm $r/dev/shm
$b mount -t devpts -o ptmxmode=666 pts $r/dev/pts
[ -e $r/dev/fd ] || $b ln -s /proc/self/fd $r/dev/fd
for stream in 0:stdin 1:stdout 2:stderr; do
  [ -e "$r/dev/${stream#*:}" ] || $b ln -s "/proc/self/fd/${stream%:*}" "$r/dev/${stream#*:}"
done
[ -e $r/dev/net/tun ] || $b mknod -m 666 $r/dev/net/tun c 10 200
$b mount -t 9p -o "$nine,cache=none" out $r/run/out || fail "cannot mount the folder for the output"
$b ip link set lo up
$b hostname guest
$b touch $r/run/out/booted
$b chroot $r /bin/bash /run/out/command >>$r/run/out/stdout 2>>$r/run/out/stderr <$r/dev/null
status=$?
$b dmesg >$r/run/out/dmesg
$b echo $status >$r/run/out/status
$b sync
$b poweroff -f
