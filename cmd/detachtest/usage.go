//go:build linux

package main

const usage = `Usage:
  detachtest [flags] -- LAUNCHER [ARG...]
  detachtest [flags] --shell -- 'LINE'
  detachtest [flags] --manager -- CMD [ARG...]
  detachtest [flags] --launcher NAME=COMMAND [--launcher NAME=COMMAND...]

Show which deaths of its manager a program survives that was started by
LAUNCHER. LAUNCHER is a command prefix: the probe is appended to it, or takes
the place of each argument that is {}. {pidfile} and {log} anywhere in it are
names of files, for a launcher that writes them (a manager finds the first in
$DETACHTEST_PIDFILE).

  -s, --shell                  run the launcher, one line, by sh; {} in it is
                               the probe
  -m, --manager                CMD is itself the manager that is to die: it
                               starts the executable file $DETACHTEST_PROBE by
                               its own means, and stays
  -L, --launcher NAME=COMMAND  one more column; COMMAND is split at spaces, or
                               is the line with --shell
  -o, --only LIST              only these deaths and checks, separated by commas;
                               hygiene stands for all checks
  -x, --skip LIST              all but these
  -S, --strict                 exit with 1 for bad hygiene too
      --stress N, --race N     instead: launch N times and kill the manager, or its
                               group, at a random moment of it; report what is
                               lost, stale or half-started
      --seed S                 of the random moments, as a report has printed it
  -t, --timeout D              how long a launcher may take to start the probe,
                               and a manager to end (default 30s)
  -f, --format FORMAT          table (default) or json
  -l, --list                   say which deaths there are and who deals them,
                               and which checks and who suffers
  -V, --version                print the version
  -h, --help                   print this help

Exit status: 0 the probe survived every death that could be staged, 1 it did
not, or its hygiene was bad and --strict given, 125 detachtest itself failed.

Examples:
  detachtest -- nohup
  detachtest -- setsid -f
  detachtest --shell -- 'nohup {} >/dev/null 2>&1 &'
  detachtest --manager -- python3 manager.py
  detachtest --stress 100 -- detach -p {pidfile} --
  detachtest -L nohup=nohup -L 'setsid=setsid -f'
`
