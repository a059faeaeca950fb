package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// disk puts a /sys/block of one disk with this scheduler over the real one, in
// the lab alone.
const disk = `
mkdir /run/w; cd /run/w
disk() { umount /sys/block 2>/dev/null; mount -t tmpfs none /sys/block; mkdir -p /sys/block/sdx/queue; echo 8 >/sys/block/sdx/size; echo "$1" >/sys/block/sdx/queue/scheduler; }
`

// A weight that no disk honours is refused, whoever is to hold the daemon: the
// kernel would take it, and systemd.
func TestIOWeightThatNobodyHonours(t *testing.T) {
	got := inSections(t, lab.Systemd, disk+`
disk 'none [mq-deadline] kyber bfq'
for via in systemd cgroup; do say $via; "$D" --via $via --io-weight 300 -p pid -- sleep 1000; echo $?; done 2>&1
say left; ls; pgrep -fx 'sleep 1000'; find /sys/fs/cgroup -name 'detach-*'
disk 'none mq-deadline [bfq]'
say honoured; "$D" --via systemd --io-weight 300 -p pid -- sleep 1000 >/dev/null; echo $?; "$D" status pid | grep ^limits
disk 'none [mq-deadline] kyber bfq'
say no more; "$D" status pid | grep ^limits; "$D" stop -q pid
`)
	refused := "detach: limit io-weight=300: no disk has a scheduler that honours it, so it cannot be enforced (sdx: mq-deadline)\n" +
		"hint: give the disk the scheduler BFQ: echo bfq >/sys/block/DISK/queue/scheduler; or turn on the cost model, see io.cost.qos\n125"
	require.Equal(t, refused, got["systemd"])
	require.Equal(t, refused, got["cgroup"])
	require.Empty(t, got["left"])
	require.Regexp(t, `^0\nlimits .*I/O weight \d+$`, got["honoured"])
	require.NotContains(t, got["no more"], "I/O weight")
}

// The weight bites: of two daemons that read a disk with BFQ as fast as they can,
// the one with more weight gets more than twice as much. The disk is
// a loop device that is made for that.
func TestIOWeightBites(t *testing.T) {
	lab.Program(t, "losetup")
	got := inSections(t, lab.Systemd, `
mkdir /run/w /run/sys; cd /run/w
loop() { perl -e 'open F, "+<", "/dev/loop-control" or die $!; defined ioctl(F, hex $ARGV[0], int $ARGV[1]) or die $!' $1 $n; }
mount -t sysfs none /run/sys && mount -o remount,rw /run/sys
[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
n=$((1000 + $(date +%N | sed 's/^0*//') % 100000))
loop 0x4C80 && trap 'losetup -d /dev/loop$n; loop 0x4C81' EXIT
mknod /dev/loop$n b 7 $n
dd if=/dev/zero of=image bs=1M count=64 2>/dev/null
losetup /dev/loop$n image
say scheduler; echo bfq >/run/sys/block/loop$n/queue/scheduler; cat /run/sys/block/loop$n/queue/scheduler
grep -q '\[bfq\]' /run/sys/block/loop$n/queue/scheduler || exit 0
for weight in 10000 1; do
	"$D" --via systemd --io-weight $weight -p $weight.pid -- sh -c 'while :; do dd if=$0 of=/dev/null bs=64k iflag=direct 2>/dev/null; done' /dev/loop$n >/dev/null
done
# Bytes that the daemon with the PID file $1 has read.
bytes() { awk '$2=="Total"{print $3}' /sys/fs/cgroup/blkio$(awk -F: '$2=="blkio"{print $3}' /proc/$(cat $1.pid)/cgroup)/blkio.bfq.io_service_bytes; }
until [ "$(bytes 1)" ] && [ "$(bytes 10000)" ]; do sleep .02; done
low=$(bytes 1) high=$(bytes 10000)
until more=$(($(bytes 10000) - high)) && [ $more -gt 300000000 ]; do sleep .02; done
say share; echo $(($more / ($(bytes 1) - low + 1)))
for weight in 10000 1; do "$D" stop -q --timeout 0 $weight.pid; done
`)
	if !strings.Contains(got["scheduler"], "[bfq]") {
		lab.Skip(t, "the kernel has no loop device with BFQ")
	}
	require.Regexp(t, `^([2-9]|\d\d+)$`, got["share"])
}
