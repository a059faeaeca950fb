package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// In another PID namespace the PIDs of systemd are those of strangers.
func TestSystemdOtherPIDNamespace(t *testing.T) {
	lab.Program(t, "python3")
	got := inSections(t, lab.Systemd, `
mkdir /run/w; cd /run/w
cat >inner <<'INNER'
D=$1; say() { echo "== $*"; }
`+busProxy+`
echo $(($2 + 300)) >/proc/sys/kernel/ns_last_pid
for n in $(seq 600); do sleep 2000 & done
say hazards; "$D" hazards; echo status $?
for via in auto systemd; do
	say $via; "$D" --via $via -o log -p $via.pid -- sleep 1000 >out 2>err; echo $?
	cat err; sed -n 's/.*"via": "\(.*\)",/\1/p' $via.pid.json 2>/dev/null
done
say behind a proxy
proxied /run/w/proxy
DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/w/proxy "$D" --via systemd -o log -p proxy.pid -- sleep 1001; echo $?; ls proxy.pid* 2>/dev/null
say strangers; pgrep -cfx "sleep 2000"
INNER
unshare -p -f --mount-proc --kill-child sh inner "$D" $(sh -c 'echo $$') 2>&1
say left; pgrep -fx 'sleep 1001'; systemctl list-units --all --plain --no-legend 'detach-*'
`)
	const why = `systemd is in another PID namespace than the caller`
	require.Regexp(t, `via: fork\n(.*\n)*hazard: it is in the cgroup of sdtest-cmd\.service, .*; it is no service of its own because: `+why, got["hazards"])
	require.Regexp(t, `^0\ndetach: warning: .*; it is no service of its own because: `+why+`\nhint: .*\n(.*\n)*fork$`, got["auto"])
	require.Equal(t, "125\ndetach: via systemd: "+why, got["systemd"])
	require.Regexp(t, `^detach: verify /\S*/sleep: not detached: unit of PID \d+: \S+, want detach-proxy-[0-9a-f]+\.service\n125$`, got["behind a proxy"])
	require.Equal(t, "600", got["strangers"])
	require.Empty(t, got["left"])
}

// sandboxes are what confines a manager, and what becomes of its daemons.
var sandboxes = []struct {
	name, flags string // of systemd-run
	left        string // what systemd would leave, by which auto forks
	mounts      bool   // a mount namespace, because of which it does not
	given       string // what a service is given of it, of /proc/PID/status
}{
	{name: "none"},
	{name: "network", flags: "-p PrivateNetwork=yes", left: "its network namespace"},
	{name: "ipc", flags: "-p PrivateIPC=yes", left: "its IPC namespace", mounts: true},
	{name: "hostname", flags: "-p ProtectHostname=yes", left: "its UTS namespace and its seccomp filter"},
	{name: "users", flags: "-p PrivateUsers=yes", left: "its user namespace"},
	{name: "seccomp", flags: "-p SystemCallFilter=~acct", left: "its seccomp filter"},
	{name: "capabilities", flags: "-p CapabilityBoundingSet=CAP_KILL", given: "CapBnd:\t0000000000000020"},
	{name: "privileges", flags: "-p NoNewPrivileges=yes", given: "NoNewPrivs:\t1"},
	{name: "affinity", flags: "-p CPUAffinity=0", given: "Cpus_allowed:\t1"},
	{name: "chroot", flags: "chroot /srv/other", left: "its root directory"},
	{name: "read-only", flags: "-p ProtectSystem=yes", mounts: true},
	{name: "tmp", flags: "-p PrivateTmp=yes", mounts: true},
	// Where PID 1 may not be looked at.
	{name: "network, hidden", flags: "-p CapabilityBoundingSet= -p PrivateNetwork=yes", left: "its network namespace", given: "CapBnd:\t0000000000000000"},
	{name: "users, hidden", flags: "-p CapabilityBoundingSet= -p PrivateUsers=yes", left: "its user namespace", given: "CapBnd:\t0000000000000000"},
	{name: "tmp, hidden", flags: "-p CapabilityBoundingSet= -p PrivateTmp=yes", mounts: true, given: "CapBnd:\t0000000000000000"},
	{name: "chroot, hidden", flags: "-p CapabilityBoundingSet=CAP_SYS_CHROOT chroot /srv/other", left: "its root directory"},
}

// What confines a manager confines its daemon: systemd is told what it can be
// told, auto forks where that is not all, and who wants a service by name hears
// of it.
func TestSystemdSandbox(t *testing.T) {
	script := `
mkdir /run/w; cd /run/w; cp "$D" /opt/detach
mkdir -p /srv/other; for d in usr lib lib64 bin etc proc run dev sys opt; do [ ! -e /$d ] || { mkdir -p /srv/other/$d && mount --rbind /$d /srv/other/$d; }; done
cat >try <<'END'
#!/bin/sh
cd /run/w
/opt/detach hazards -o log
/opt/detach -o log -p auto.pid -- sleep 1000 >/dev/null
grep -o '"via": "[a-z]*"' auto.pid.json; /opt/detach stop -q auto.pid
/opt/detach --via systemd -o log -p systemd.pid -- sleep 1001 >/dev/null
[ -e systemd.pid ] && grep -E 'CapBnd|NoNewPrivs|Cpus_allowed:' /proc/$(cat systemd.pid)/status; /opt/detach stop -q systemd.pid
END
chmod +x try
`
	for _, s := range sandboxes {
		script += "say " + s.name + "; systemd-run -q --pipe --wait -G --unit=panel " + s.flags + " /run/w/try 2>&1\n"
	}
	got := inSections(t, lab.Systemd, script)
	const why = "outside what confines the caller: "
	const mounts = "its mount namespace, as PrivateTmp= or ProtectSystem= make it"
	for _, s := range sandboxes {
		t.Run(s.name, func(t *testing.T) {
			text := got[s.name]
			via, left := "systemd", s.left
			if left != "" {
				via = "fork"
				require.Equal(t, 2, strings.Count(text, "; it is no service of its own because: systemd would start it "+why+left+"\n"), "hazards and auto")
			} else if s.mounts {
				require.Equal(t, 3, strings.Count(text, ": systemd starts it "+why+mounts+"\n"), "hazards, auto and systemd")
			} else {
				require.NotContains(t, text, why)
			}
			require.Contains(t, text, `"via": "`+via+`"`)
			require.Contains(t, text, "via: "+via)
			if left != "" {
				require.Contains(t, text, "warning: systemd starts it "+why+left)
			}
			require.Contains(t, text+"\n", s.given+"\n")
			require.Contains(t, text, "CapBnd:", "it runs")
		})
	}
}

// A program that is another file, or none, for systemd is never started by it:
// somebody else may have put that one there.
func TestSystemdSandboxOtherFile(t *testing.T) {
	got := inSections(t, lab.Systemd, `
mkdir /run/w; cd /run/w; cp "$D" /opt/detach
mkdir -p /srv/other; for d in usr lib lib64 bin etc proc run dev sys opt; do [ ! -e /$d ] || { mkdir -p /srv/other/$d && mount --rbind /$d /srv/other/$d; }; done
cp /bin/sleep /tmp/foreign
cat >try <<'END'
#!/bin/sh
cd $1; cp /bin/sleep own; cp /bin/sleep foreign
for program in own foreign; do
	/opt/detach -o /run/w/log -p /run/w/auto.pid -- ./$program 1000 2>&1 >/dev/null | grep -o 'because: .*'; sed -n 's/.*"via": "\(.*\)",/\1/p' /run/w/auto.pid.json
	/opt/detach stop -q /run/w/auto.pid
	/opt/detach --via systemd -o log -- ./$program 1001; echo $?
done
END
chmod +x try
box() { systemd-run -q --pipe --wait "$@" 2>&1; }
say tmp; box -p PrivateTmp=yes /run/w/try /tmp
say tmp, hidden; box -p CapabilityBoundingSet= -p PrivateTmp=yes /run/w/try /tmp
say chroot; box chroot /srv/other /run/w/try /
say left; pgrep -fx './(own|foreign) 1001'
true
`)
	const other = ": is another file, or none, outside the mount namespace of the caller\n"
	for name, dir := range map[string]string{"tmp": "/tmp", "tmp, hidden": "/tmp", "chroot": "/"} {
		because, refused := "because: find "+dir+other, "detach: find "+dir+other+"126"
		if name == "chroot" {
			because = "because: systemd would start it outside what confines the caller: its root directory\n"
		}
		require.Equal(t, because+"fork\n"+refused+"\n"+because+"fork\n"+refused, got[name], name)
	}
	require.Empty(t, got["left"])
}

// The files of a daemon that is started again are opened by systemd, which must
// not take others of these names.
func TestSystemdSandboxSupervised(t *testing.T) {
	got := inSections(t, lab.Systemd, `
mkdir /run/w; cd /run/w; cp "$D" /opt/detach; : >/run/w/in
box() { say $1; shift; systemd-run -q --pipe --wait -p PrivateTmp=yes -p PrivateDevices=yes -p WorkingDirectory=/run/w sh -c 'touch /tmp/file; /opt/detach --restart always -p pid "$@" >out 2>err; echo $?; grep -v -e warning: -e ^hint: err; /opt/detach stop -q pid' sh "$@" 2>&1; }
box stdout -o /tmp/log -- sleep 1000
box stderr -o log -e /tmp/log -- sleep 1000
box stdin -i /tmp/file -- sleep 1000
box console --console /tmp/console -- sleep 1000
box redirected -- sleep 1000
say stdout, redirected; systemd-run -q --pipe --wait -p PrivateTmp=yes sh -c '/opt/detach --restart always -p /run/w/pid -- sleep 1000 >/tmp/out 2>/run/w/err; echo $?; grep -v -e warning: -e ^hint: /run/w/err; /opt/detach stop -q /run/w/pid'
box shared -o log -e new -i in -- sleep 1000
box null -o /dev/null -- sleep 1000
say left; ls /tmp/log /tmp/file /tmp/console /tmp/out 2>/dev/null; ls
`)
	const other = ": is another file, or none, outside the mount namespace of the caller"
	for name, path := range map[string]string{
		"stdout": "/tmp/log", "stderr": "/tmp/log", "stdin": "/tmp/file", "console": "/tmp/console", "stdout, redirected": "/tmp/out",
	} {
		require.Equal(t, "125\ndetach: open "+path+other, got[name], name)
	}
	for _, name := range []string{"redirected", "shared", "null"} {
		require.Equal(t, "0", got[name], name)
	}
	require.Equal(t, "err\nin\nlog\nnew\nout", got["left"])
}

// A user's systemd is no more than the user's; it gives what needs no root.
func TestSystemdSandboxOfAUser(t *testing.T) {
	got := inSections(t, lab.UnifiedSystemd, `
useradd -m -u 4711 panel
mkdir -m 777 /run/w; cd /run/w; cp "$D" /opt/detach
loginctl enable-linger panel
until [ "$(systemctl is-active user@4711)" = active ]; do systemctl is-failed -q user@4711 && exit 1; sleep .02; done
cat >try <<'END'
#!/bin/sh
/opt/detach -o log -p pid -- sleep 1000 2>&1 | sed 's/^[0-9]*$/PID/'
sed -n 's/.*"via": "\(.*\)",/\1/p' pid.json
grep -E 'NoNewPrivs|Cpus_allowed:' /proc/$(cat pid)/status | cut -f2
/opt/detach stop -q pid
END
chmod +x try
box() { say $1; shift; systemd-run -q --pipe --wait -G --unit=panel -p User=panel -p WorkingDirectory=/run/w "$@" /run/w/try 2>&1; }
all=$(grep Cpus_allowed: /proc/1/status | cut -f2); say all; echo $all
box none
box network -p PrivateNetwork=yes
box capabilities -p CapabilityBoundingSet=CAP_KILL
box privileges -p CapabilityBoundingSet=CAP_KILL -p NoNewPrivileges=yes
box affinity -p CPUAffinity=0
box tmp -p PrivateTmp=yes
say with its systemd; mkdir -p /run/systemd/system/user@4711.service.d; printf '[Service]\nPrivateNetwork=yes\n' >/run/systemd/system/user@4711.service.d/network.conf
systemctl daemon-reload && systemctl restart user@4711 || exit
setpriv --reuid=4711 --regid=4711 --init-groups env XDG_RUNTIME_DIR=/run/user/4711 systemd-run --user -q --pipe --wait -G -p WorkingDirectory=/run/w ./try 2>&1
`)
	all := got["all"]
	const danger, hint = "detach: warning: it is in the cgroup of panel.service, which has KillMode=control-group: systemctl stop or restart of that unit ends it too; it is no service of its own because: ", "\nhint: set KillMode=process in panel.service, or give its user a systemd that stays: loginctl enable-linger 4711\n"
	const why = "outside what confines the caller: "
	for name, want := range map[string]string{
		"none":         "PID\nsystemd\n0\n" + all,
		"network":      danger + "systemd would start it " + why + "its network namespace" + hint + "PID\nfork\n0\n" + all,
		"capabilities": danger + "systemd would start it " + why + "its capability bounding set" + hint + "PID\nfork\n0\n" + all,
		"affinity":     "PID\nsystemd\n0\n1",
		"tmp": "detach: warning: systemd starts it " + why + "its mount namespace, as PrivateTmp= or ProtectSystem= make it\n" +
			"hint: if it is to be confined too: detach --via fork, and KillMode=process in the unit of the caller\nPID\nsystemd\n0\n" + all,
		"privileges":       "PID\nsystemd\n1\n" + all,
		"with its systemd": "PID\nsystemd\n0\n" + all,
	} {
		require.Equal(t, want, got[name], name)
	}
}
