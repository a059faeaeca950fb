package main

const usage = `Usage: detach [flags] -- COMMAND [ARG...]
       detach VERB [flags] TARGET...

Start COMMAND so that it outlives the caller: an orphan in a session of its
own, without the caller's descriptors, terminal and signal state. Returns when
the program has been executed and its detachment has been checked, and when it
is ready if --ready says what that takes; prints its PID.

  -C, --chdir DIR      run in DIR; every relative path given here is relative
                       to it
  -o, --stdout FILE    append standard output to FILE (created with mode 0640;
                       where systemd makes it, as with --restart after it was
                       renamed, 0666 less the umask)
  -e, --stderr FILE    append standard error to FILE; with only one of -o and -e
                       given, both go there
  -i, --stdin FILE     read standard input from FILE (default: /dev/null)
      --console FIFO   make FIFO the standard input, created with mode 0600 if
                       missing: what is written to it is typed to the program
  -p, --pidfile FILE   write the PID to FILE and a record of the daemon to
                       FILE.json; refuse to start while the process it names
                       lives
      --stop-console LINE  what detach stop writes to the console, instead of
                       sending SIGTERM
      --umask MODE     file mode creation mask, octal (default: the caller's
                       with 022 added)
  -E, --env K=V        set a variable in the environment; repeatable
      --unset K        remove a variable; repeatable
      --clean-env      start from an empty environment
      --outlive-ci     remove the variables by which CI runners find and kill
                       what a job has left
      --via WAY        how it is held, so that it outlives the caller:
                         auto      systemd where the caller's unit or login
                                   would take it along, else fork (the default)
                         fork      a double fork, in the caller's cgroup
                         systemd   a service of its own, that of the machine's
                                   systemd for root, of the user's for others
                         cgroup    a double fork into another cgroup
      --user USER[:GROUP]  run as this user, with its groups, HOME, USER and
                       LOGNAME, and no way back; the logs and the console that
                       are made are its own
      --cgroup PATH    with --via cgroup: the cgroup to enter, made if it is
                       missing (default: one made for it); a path as in
                       /proc/PID/cgroup, or below where that is mounted. detach
                       stop removes what was made, by the PID file: without -p
                       nobody knows of it
      --memory SIZE    the most memory of it and all that it starts, such as 2G;
                       when that is reached all of it is ended
      --cpus N         the most CPU time, in CPUs, such as 1.5, from 0.01 to
                       100000
      --tasks N        the most processes and threads, from 1 to 4194304
      --io-weight N    share of the disks, from 1 to 10000, where others have
                       100; one of them has to have the scheduler BFQ, or
                       io.cost.qos; these four need --via systemd or cgroup, and
                       auto takes it
      --rlimit NAME=SOFT[:HARD]  a resource limit, such as nofile=4096:65536
                       (see setrlimit(2)); repeatable
      --nice N         scheduling priority, from -20 to 19
      --oom-score-adj N  from -1000 (never) to 1000: whom the kernel ends when
                       memory runs out
      --restart WHEN   have systemd start it again, a second after it has ended:
                       on-failure or always, until detach stop. The PID file
                       and the record name the new process once a verb such as
                       status has looked for it: kill $(cat FILE) before that
                       meets a PID that has ended
      --watchdog TIME  have systemd end it when it has not sent WATCHDOG=1 to
                       $NOTIFY_SOCKET for so long (sd_watchdog_enabled(3)): 1ms
                       or more, or 0 for never
      --strict         start nothing while anything is known that could still
                       end or cripple it (detach hazards prints it)
      --ready WHAT     wait until it is ready; repeatable, and all have to hold:
                         alive=TIME        still there after TIME
                         notify            READY=1 sent to $NOTIFY_SOCKET by a
                                           process of its session (sd_notify(3))
                         fd=N              a newline written to descriptor N
                         tcp=[HOST:]PORT   accepts connections there, itself and
                                           not somebody else
                         log=REGEXP        a line written to its log since the
                                           start matches
      --fail log=REGEXP  give up when such a line is written; repeatable
      --timeout TIME   how long it may take to be ready (default: 90s)
      --keep           let it go on if it is not ready, and print its PID
      --json           print a JSON object with all that is known instead of the
                       PID
  -q, --quiet          print neither the PID nor warnings
  -V, --version        print the version
  -h, --help           print this text

Without -o and -e, standard output and error are kept if they are a regular
file or /dev/null; anything else would not outlive the caller and becomes
/dev/null.

Verbs look after what was started; detach VERB --help tells more:
  status   whether it runs, since when, and what it uses; --check for its health
  verify   each property of detachment, of any process
  unit     a unit file, for systemd to start a program like this at each boot
  hazards  how a program would be started here, and what could still end it
  stop     end it and everything in its session
  wait     until it has ended
  send     write a line to its console
  console  its log, and what is typed goes to its console
  logs     the last lines of its log, and what follows
TARGET is a PID file, a record, a PID, or an identity as --json prints it. To
start a program that has the name of a verb, put -- before it.

TIME is a number with a unit, such as 1.5s, 500ms or 2m, or of seconds.

Exit status:
  0    started and verified, and ready
  123  the program ended, or said that it failed, before that
  124  it was not ready in time
  125  detach failed, or was misused
  126  the program was found but cannot be executed
  127  the program was not found
In every case but 0 the program does not run, unless --keep says so. (What it
has put into a session of its own is not ended after status 123, nor after 124
with a double fork if it is an orphan: that cannot be found.)

Examples:
  detach -- java -jar server.jar nogui
  detach -C /srv/mc -o logs/console.log --console console.in -p server.pid -- \
      java -Xmx4G -jar server.jar nogui
  detach -C /srv/mc -o log -p server.pid --ready log='Done' \
      --ready tcp=25565 -- java -jar server.jar nogui
  detach stop /srv/mc/server.pid
`
