package detach

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/service"
	"github.com/detachkit/detach/detach/lab"
	_ "github.com/detachkit/detach/detach/systemd"
)

// Without the driver, as in a program that does not import it, unless a test
// wants it.
var linked = service.Unregister()

// ends starts services that end in several ways, with a kernel that does not
// tell how, and prints what systemd tells.
var _ = lab.Helper("ends", func([]string) error {
	service.Register(linked)
	kernelTells = func(int) bool { return false }
	ctx := context.Background()
	dir, err := os.MkdirTemp("/run", "ends")
	if err != nil {
		return err
	}
	if err := unix.Mkfifo(dir+"/go", 0o600); err != nil {
		return err
	}
	for _, end := range []string{"exit 0", "exit 7", "exit 203", "kill -TERM $$", "kill -KILL $$"} {
		cmd := Command("sh", "-c", "read line <go; "+end)
		cmd.Dir, cmd.PIDFile, cmd.Via = dir, "x.pid", ViaSystemd
		p, err := cmd.Start(ctx)
		if err != nil {
			return err
		}
		k := p.keeper(ctx, p.handle)
		if k.manager == nil {
			return fmt.Errorf("nobody keeps %s", p.Record.Unit)
		}
		if err := os.WriteFile(dir+"/go", []byte("\n"), 0); err != nil {
			return err
		}
		kept := k.exit(ctx)
		exit, err := p.Wait(ctx)
		k.close()
		fmt.Println(kept, "|", exit, err)
		p.Close()
	}
	return nil
})

func TestSystemdTellsHowItEnded(t *testing.T) {
	helper := lab.HelperCommand(t, "ends")
	cmd := lab.Systemd(t, helper.Args...)
	cmd.Env, cmd.Dir = helper.Env, "/"
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, `exit status 0 | exit status 0 <nil>
exit status 7 | exit status 7 <nil>
exit status 203 | exit status 203 <nil>
killed by SIGTERM | killed by SIGTERM <nil>
killed by SIGKILL | killed by SIGKILL <nil>
`, string(out))
}
