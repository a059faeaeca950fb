package detach

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/internal/proc"
)

var cgroups = map[string]string{
	"0::/system.slice/panel.service\n":                                     "/system.slice/panel.service",
	"0::/system.slice/docker.service/abc/def\n":                            "/system.slice/docker.service",
	"0::/user.slice/user-1000.slice/session-3.scope\n":                     "/user.slice/user-1000.slice/session-3.scope",
	"0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope\n": "/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope",
	"0::/system.slice/gone.service (deleted)\n":                            "/system.slice/gone.service",
	"3:cpuset:/\n1:name=systemd:/system.slice/a.service\n0::/\n":           "/system.slice/a.service",
	"0::/system.slice/b.service\n1:name=systemd:/system.slice/a.service\n": "/system.slice/a.service",
	"1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n": "/system.slice/a.service",
	"1:name=systemd:/\n0::/system.slice/b.service\n":                       "/system.slice/b.service",
	"4:memory:/system.slice/a.service\n0::/\n":                             "",
	"0::/init.scope\n": "",
	"0::/user.slice/user-1000.slice/user@1000.service/init.scope\n": "",
	"0::/\n":                      "",
	"0::\n":                       "",
	"0::a.service":                "a.service",
	"0::/odd:name/a b.service\n":  "/odd:name/a b.service",
	"":                            "",
	"0:\n:\nx\n":                  "",
	"0::/system.slice/.service\n": "/system.slice/.service",
}

func TestUnitOf(t *testing.T) {
	for content, want := range cgroups {
		require.Equal(t, want, unitOf([]byte(content)), "%q", content)
	}
	require.Equal(t, "panel.service", unitName("/system.slice/panel.service"))
	require.Equal(t, "cgroup.service", unitName("/system.slice/_cgroup.service"))
	require.Equal(t, "a.scope", unitName("a.scope"))
}

func FuzzUnitOf(f *testing.F) {
	for content := range cgroups {
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if unit := unitOf(content); unit != "" {
			name := unitName(unit)
			if !strings.HasSuffix(name, ".service") && !strings.HasSuffix(name, ".scope") {
				t.Errorf("%q", unit)
			}
		}
	})
}

// An orphan of a service looks like its main process.
func TestIsService(t *testing.T) {
	service := func() *inspection {
		in := observe(proc.Stat{Parent: 1, Session: 100})
		in.unit = "/system.slice/panel.service"
		in.environ = []string{"SYSTEMD_EXEC_PID=100"}
		return in
	}
	require.True(t, service().isService())

	in := service()
	in.environ = []string{"SYSTEMD_EXEC_PID=99"}
	require.False(t, in.isService())
	in = service()
	in.environ = nil // an older systemd: there is nobody else in the unit
	require.True(t, in.isService())
	in = service()
	in.status.NSpid = []int{100, 7} // it is told of its PID where it is
	require.False(t, in.isService())
	in.environ = []string{"SYSTEMD_EXEC_PID=7"}
	require.True(t, in.isService())
	in = service()
	in.unit = "/user.slice/session-3.scope"
	require.False(t, in.isService())
	in = service()
	in.stat.Session = 90
	require.False(t, in.isService())
	in = service()
	in.stat.Parent = gone
	require.False(t, in.isService())
}

func TestSpeaksOfItself(t *testing.T) {
	for _, c := range []struct {
		environ string
		service bool
		want    string
	}{
		{"NOTIFY_SOCKET=/run/systemd/notify", false, "NOTIFY_SOCKET"},
		{"NOTIFY_SOCKET=/run/systemd/notify", true, ""},
		{"NOTIFY_SOCKET=@0cf5f", false, ""},
		{"NOTIFY_SOCKET=@0cf5g", false, "NOTIFY_SOCKET"},
		{"NOTIFY_SOCKET=@0cf5f0", false, "NOTIFY_SOCKET"},
		{"NOTIFY_SOCKET=00cf5f", false, "NOTIFY_SOCKET"},
		{"NOTIFY_SOCKET=", false, "NOTIFY_SOCKET"},
		{"LISTEN_PID=100 LISTEN_FDS=1 LISTEN_FDNAMES=x", false, ""},
		{"LISTEN_PID=99 LISTEN_FDS=1 LISTEN_FDNAMES=x", true, "LISTEN_FDNAMES, LISTEN_FDS and LISTEN_PID"},
		{"LISTEN_FDS=1", false, "LISTEN_FDS"},
		{"MAINPID=100", false, ""},
		{"MAINPID=1", true, "MAINPID"},
		{"INVOCATION_ID=1 MANAGERPID=1 WATCHDOG_USEC=1", true, ""},
		{"INVOCATION_ID=1 MANAGERPID=1", false, "INVOCATION_ID and MANAGERPID"},
		{"JOURNAL_STREAM=9:7", false, "JOURNAL_STREAM"},
		{"JOURNAL_STREAM=8:8", false, "JOURNAL_STREAM"},
		{"JOURNAL_STREAM=9:8", false, ""},
		{"PATH=/bin INVOCATION=1 XNOTIFY_SOCKET=1", false, ""},
	} {
		in := observe(proc.Stat{})
		in.environErr, in.environ, in.service = nil, strings.Fields(c.environ), c.service
		in.streams[2] = stream{fd: 2, kind: streamSocket, device: 9, inode: 8}
		check := in.checkEnvironment()
		if c.want == "" {
			require.True(t, check.OK, "%+v: %s", c, check.Got)
			continue
		}
		require.False(t, check.OK, "%+v", c)
		require.Equal(t, c.want, check.Got)
	}
}
