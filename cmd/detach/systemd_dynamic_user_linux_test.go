package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// A user that systemd has made for a service cannot linger, and is not told to.
func TestSystemdDynamicUser(t *testing.T) {
	got := inSections(t, lab.Systemd, `
mkdir /run/w; cp "$D" /run/w/d; chmod -R 755 /run/w
as() { user=$1; shift; systemd-run -q --pipe --wait -G --unit=panel -p $user "$@" 2>&1; echo $?; }
say hazards; as DynamicUser=yes /run/w/d hazards
say asked; as DynamicUser=yes /run/w/d --via systemd -- sleep 1000
say ordinary; as User=games /run/w/d hazards
`)
	const remedy = "set KillMode=process in panel.service, or a User= of /etc/passwd, which a dynamic user is not, and let that one linger: loginctl enable-linger USER\n"
	require.Contains(t, got["hazards"], "  hint: "+remedy)
	require.Regexp(t, `^detach: via systemd: .*\nhint: a dynamic user has no systemd of its own: --via fork, with KillMode=process in the unit; or a User= of /etc/passwd\n125$`, got["asked"])
	require.Contains(t, got["ordinary"], "give its user a systemd that stays: loginctl enable-linger 5\n")
}
