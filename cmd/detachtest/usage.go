//go:build linux

package main

const usage = `Usage:
  detachtest [flags] -- LAUNCHER [ARG...]
  detachtest [flags] --shell -- 'LINE'
  detachtest [flags] --manager -- CMD [ARG...]
  detachtest [flags] --launcher NAME=COMMAND [--launcher NAME=COMMAND...]
  detachtest [flags] --compare FILE
  detachtest [flags] --compare-known

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
  -L, --launcher NAME=COMMAND  one more column; COMMAND is split at spaces;
                               shell:LINE is a line for sh, manager:CMD a
                               manager
  -c, --compare FILE           a column for each line NAME=COMMAND of FILE; # at
                               its beginning makes a line a comment
  -k, --compare-known          a column for each launcher known that is found
                               here, from a plain child to detach
  -o, --only LIST              only these deaths and checks, separated by commas;
                               hygiene stands for all checks
  -x, --skip LIST              all but these
  -r, --require                a death or check that cannot be staged here, which
                               is reported as not run, is a failure
  -S, --strict                 bad hygiene is a failure too
  -t, --timeout D              how long a launcher may take to start the probe,
                               and a manager to end (default 30s)
  -n, --repeat N               run everything N times; an outcome that is not
                               the same each time is a failure
      --stress N, --race N     instead: launch N times and kill the manager, or
                               its group, at a random moment of it; report what
                               is lost, stale or half-started
      --seed S                 of the random moments, as a report has printed it
  -f, --format FORMAT          table (default), json, tap, junit, markdown, html
                               or expect; with --stress table or json
  -O, --output FILE            write a report there too, in the format of its
                               ending: .txt, .json, .tap, .xml (junit), .md,
                               .html or .expect; may be given again
  -e, --expect FILE            write only what differs from FILE, which a run
                               with --format expect has written
  -T, --time                   say on standard error how long each death and
                               check took, and all of them side by side
  -l, --list                   say which deaths there are and who deals them,
                               and which checks and who suffers
  -V, --version                print the version
  -h, --help                   print this help

Exit status: 0 the probe survived every death that could be staged and can be
survived, or with --expect nothing differs; 1 it did not, or something that
--strict, --require, --repeat or --stress looks for was found; 125 detachtest
itself failed.

Examples:
  detachtest -- nohup
  detachtest -- setsid -f
  detachtest --shell -- 'nohup {} >/dev/null 2>&1 &'
  detachtest --manager -- python3 manager.py
  detachtest --stress 100 -- detach -p {pidfile} --
  detachtest -L nohup=nohup -L 'setsid=setsid -f'
  detachtest --compare-known -O survivors.html
  detachtest -f expect -- ./launch >known.expect
  detachtest -e known.expect -- ./launch
`
