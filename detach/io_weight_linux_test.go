package detach

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// files makes files below a folder of their own.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}

func TestFindWeighing(t *testing.T) {
	disks := map[string]string{
		"sda/queue/scheduler":   "none [mq-deadline] kyber bfq\n",
		"nvme0/queue/scheduler": "[none] mq-deadline\n",
		"loop0/queue/scheduler": "[bfq] none\n", "loop0/size": "0\n",
	}
	none := weighing{disks: []string{"nvme0: none", "sda: mq-deadline"}}
	require.Equal(t, none, findWeighing(files(t, disks), ""))
	off := files(t, map[string]string{"io.cost.qos": "8:0 enable=0 ctrl=auto\n"})
	require.Equal(t, none, findWeighing(files(t, disks), off))
	on := files(t, map[string]string{"io.cost.qos": "8:0 enable=0 ctrl=auto\n8:16 enable=1 ctrl=auto\n"})
	require.True(t, findWeighing(files(t, disks), on).cost)
	disks["sdb/queue/scheduler"] = "none [bfq]\n"
	bfq := findWeighing(files(t, disks), off)
	require.True(t, bfq.bfq && !bfq.cost)

	require.NoError(t, bfq.check(300))
	require.EqualError(t, none.check(300), "detach: limit io-weight=300: no disk has a scheduler that honours it, so it cannot be enforced (nvme0: none, sda: mq-deadline)")
	require.ErrorContains(t, weighing{}.check(300), "(no disk is seen)")
}

// A weight is that of what honours it: a file which nobody acts on says nothing.
func TestWeigh(t *testing.T) {
	for name, c := range map[string]struct {
		files     map[string]string
		w         weighing
		weight    int
		cost, bfq string
		want      int64
	}{
		"both, BFQ":     {files: map[string]string{"io.weight": "", "io.bfq.weight": ""}, w: weighing{bfq: true}, weight: 5000, cost: "default 5000", bfq: "default 545", want: 545},
		"both, cost":    {files: map[string]string{"io.weight": "", "io.bfq.weight": ""}, w: weighing{cost: true}, weight: 50, cost: "default 50", bfq: "default 50", want: 50},
		"no file of it": {files: map[string]string{"io.weight": ""}, w: weighing{bfq: true}, weight: 300, cost: "default 300", want: -1},
		"no file":       {w: weighing{bfq: true, cost: true}, weight: 300, want: -1},
		"neither":       {files: map[string]string{"io.weight": "", "io.bfq.weight": ""}, weight: 300, cost: "default 300", bfq: "default 118", want: -1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := files(t, c.files)
			require.NoError(t, weigh(dir, c.weight))
			for file, want := range map[string]string{"io.weight": c.cost, "io.bfq.weight": c.bfq} {
				if want != "" {
					require.Equal(t, want, strings.TrimSpace(lab.Content(t, dir, file)))
				} else {
					require.NoFileExists(t, filepath.Join(dir, file))
				}
			}
			require.Equal(t, c.want, controlled{dir: dir}.ioWeight(func() weighing { return c.w }))
		})
	}
	dir := files(t, map[string]string{"blkio.bfq.weight": "181\n"})
	require.EqualValues(t, 181, controlled{dir: dir, v1: true}.ioWeight(func() weighing { return weighing{bfq: true} }))
	require.EqualValues(t, -1, controlled{dir: dir, v1: true}.ioWeight(func() weighing { return weighing{cost: true} }))
}
