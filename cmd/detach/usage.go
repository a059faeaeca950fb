package main

const usage = `Usage: detach [flags] -- COMMAND [ARG...]

Start COMMAND so that it outlives the caller: an orphan in a session of its
own, without the caller's descriptors, terminal and signal state. Returns when the program has been executed
and its detachment has been checked; prints its PID.

  -C, --chdir DIR      run in DIR; every relative path given here is relative to it
  -o, --stdout FILE    append standard output to FILE (created with mode 0640)
  -e, --stderr FILE    append standard error to FILE; with only one of -o and -e
                       given, both go there
  -i, --stdin FILE     read standard input from FILE (default: /dev/null)
      --console FIFO   make FIFO the standard input, created with mode 0600 if
                       missing: what is written to it is typed to the program
  -p, --pidfile FILE   write the PID to FILE and a record of the daemon to
                       FILE.json; refuse to start while the process it names lives
      --umask MODE     file mode creation mask, octal (default: the caller's
                       with 022 added)
  -E, --env K=V        set a variable in the environment; repeatable
      --unset K        remove a variable; repeatable
      --clean-env      start from an empty environment
      --json           print a JSON object with all that is known instead of the PID
  -q, --quiet          print neither the PID nor warnings
  -V, --version        print the version
  -h, --help           print this text

Without -o and -e, standard output and error are kept if they are a regular
file or /dev/null; anything else would not outlive the caller and becomes
/dev/null.

Exit status:
  0    started and verified
  123  the program ended before it could be verified
  125  detach failed, or was misused
  126  the program was found but cannot be executed
  127  the program was not found
In every case but 0 the program does not run. (What a program that ended at
once, status 123, has put into the background is not ended.)

Examples:
  detach -- java -jar server.jar nogui
  detach -C /srv/mc -o logs/console.log --console console.in -p server.pid -- \
      java -Xmx4G -jar server.jar nogui
  kill "$(cat /srv/mc/server.pid)"
`
