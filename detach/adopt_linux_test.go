package detach_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// adopted is what a manager has found after its start.
type adopted struct {
	Started bool // it had to start it
	Took    time.Duration
	True    time.Duration // what it took to run true(1) just then
	Record  detach.Record
}

// An adopter is a manager: it finds the servers in the folders that it is given
// by their PID files, starts those that are not there, says so and then does
// nothing until it is killed.
var _ = lab.Helper("adopter", func(args []string) error {
	var command []string
	if err := json.Unmarshal([]byte(args[0]), &command); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for _, dir := range args[1:] {
		begin := time.Now()
		server, err := detach.Open(filepath.Join(dir, "server.pid"))
		started := errors.Is(err, fs.ErrNotExist)
		if started {
			cmd := detach.Command(command[0], command[1:]...)
			cmd.Dir, cmd.Stdout, cmd.PIDFile, cmd.Console = dir, "log", "server.pid", "console"
			server, err = cmd.Start(context.Background())
		}
		if err != nil {
			return err
		}
		took := time.Since(begin)
		begin = time.Now()
		if err := exec.Command("true").Run(); err != nil {
			return err
		}
		if err := out.Encode(adopted{started, took, time.Since(begin), server.Record}); err != nil {
			return err
		}
	}
	time.Sleep(time.Hour) // it is killed
	return nil
})

// The manager is killed and started again, fifty times, while three servers
// run: each time it finds all of them in no time, and none notices.
func TestManagerAdoptsAgain(t *testing.T) {
	var dirs []string
	var command []string
	for i := range 3 {
		dir := filepath.Join(t.TempDir(), fmt.Sprint("server", i))
		require.NoError(t, os.Mkdir(dir, 0o700))
		command = lab.GameServer(t, dir)
		dirs = append(dirs, dir)
	}
	encoded, err := json.Marshal(command)
	require.NoError(t, err)

	var servers []adopted
	var adopting, running time.Duration
	for life := range 51 {
		found := lifeOfAdopter(t, append([]string{string(encoded)}, dirs...))
		require.Len(t, found, len(dirs))
		for i, f := range found {
			require.Equal(t, life == 0, f.Started)
			if life == 0 {
				lab.Hold(t, f.Record.PID)
				lab.Until(t, "the server is up", func() bool { return lab.Contains(filepath.Join(dirs[i], "log"), "Done (") })
				servers = append(servers, f)
				continue
			}
			require.Equal(t, servers[i].Record, f.Record)
			adopting += f.Took
			running += f.True
		}
	}
	t.Logf("to adopt a server takes %.2f of what it takes to run true", adopting.Seconds()/running.Seconds())
	require.Less(t, adopting, 3*running)

	for i, dir := range dirs {
		server, err := detach.Open(filepath.Join(dir, "server.pid"))
		require.NoError(t, err)
		defer server.Close()
		require.Equal(t, servers[i].Record.Identity, server.Identity())
		require.NotContains(t, lab.Content(t, dir, "log"), "topping") // of "Stopping the server"
		console, err := os.OpenFile(filepath.Join(dir, "console"), os.O_WRONLY, 0)
		require.NoError(t, err)
		defer console.Close()
		_, err = console.WriteString("stop\n")
		require.NoError(t, err)
		require.NoError(t, wait(t.Context(), server))
	}
}

// lifeOfAdopter starts the manager and kills it once it has found its servers.
func lifeOfAdopter(t *testing.T, args []string) (found []adopted) {
	t.Helper()
	manager := lab.HelperCommand(t, "adopter", args...)
	manager.Stderr = os.Stderr
	out, err := manager.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, manager.Start())
	lines := bufio.NewScanner(out)
	for len(found) < len(args)-1 && lines.Scan() {
		var a adopted
		require.NoError(t, json.Unmarshal(lines.Bytes(), &a))
		found = append(found, a)
	}
	require.NoError(t, manager.Process.Kill())
	_ = manager.Wait()
	return found
}
