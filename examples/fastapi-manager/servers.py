"""Game servers that outlive the panel.

A server is a directory with a server.jar. All that is known about a running one
stands in files there, which ``detach`` wrote, so a panel that was restarted, or
a second one, has nothing to restore:

    server.pid        the PID and a newline
    server.pid.json   the record: PID, boot id, start time, command, ...
    console.in        the FIFO that the server reads its commands from
    logs/console.log  what it prints
"""

import enum
import errno
import json
import os
import select
import shlex
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DETACH = os.environ.get("DETACH", "detach")
PID_FILE = "server.pid"
RECORD = "server.pid.json"
CONSOLE = "console.in"
LOG = "logs/console.log"
COMMAND = shlex.split(os.environ.get("PANEL_COMMAND", "java -jar server.jar nogui"))

LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 16 * 1024


class Conflict(Exception):
    """The server is not in a state in which this can be done."""


class StartFailed(Exception):
    """detach could not start the server; the text is what it printed."""

    def __init__(self, exit_status: int, text: str):
        super().__init__(text)
        self.exit_status = exit_status


class State(str, enum.Enum):
    """What the PID file and the record say about a server."""

    RUNNING = "running"
    STOPPED = "stopped"
    # The process of the PID file is alive, but there is no record of it: detach
    # was killed right after the start. Nothing proves that the PID has not been
    # recycled, so such a process is never signalled.
    UNVERIFIED = "unverified"


@dataclass(frozen=True)
class Server:
    """One game server, named by its directory."""

    directory: Path

    @property
    def name(self) -> str:
        """The name of the directory."""
        return self.directory.name

    def start(self) -> int:
        """Start the server and return its PID. detach refuses to start it twice."""
        (self.directory / LOG).parent.mkdir(exist_ok=True)
        try:
            detach = subprocess.run(
                [DETACH, "--json", "-C", self.directory, "-o", LOG, "--console", CONSOLE,
                 "-p", PID_FILE, "--", *COMMAND],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise StartFailed(125, f"{DETACH}: {error.strerror}") from error
        if detach.returncode != 0:
            text = detach.stderr.strip()
            if detach.returncode == 125 and self.status()[0] is not State.STOPPED:
                raise Conflict(text)
            raise StartFailed(detach.returncode, text)
        return json.loads(detach.stdout)["pid"]

    def status(self) -> tuple[State, int | None]:
        """Return the state, and the PID unless the server is stopped."""
        pid = self._pid()
        state = State.STOPPED if pid is None else self._state_of(pid)
        return state, None if state is State.STOPPED else pid

    def log_tail(self) -> list[str]:
        """Return the last lines of the log."""
        try:
            with (self.directory / LOG).open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(0, size - LOG_TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return []
        return text.splitlines()[-LOG_TAIL_LINES:]

    def command(self, line: str) -> None:
        """Type one line on the console of the server."""
        data = line.encode() + b"\n"
        if "\n" in line or len(data) > select.PIPE_BUF:
            raise ValueError(f"a command is one line of at most {select.PIPE_BUF} bytes")
        try:
            # Nobody reads the FIFO of a stopped server; without O_NONBLOCK this
            # would wait until somebody does.
            console = os.open(self.directory / CONSOLE, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENOENT):
                raise Conflict(f"{self.name} does not read its console") from error
            raise
        try:
            # At most PIPE_BUF bytes are written as a whole or not at all.
            os.write(console, data)
        except (BlockingIOError, BrokenPipeError) as error:
            raise Conflict(f"{self.name} has stopped reading its console") from error
        finally:
            os.close(console)

    def stop(self, grace: float) -> str:
        """Stop the server and return what ended it.

        It is asked on its console first, then by SIGTERM, each time with grace
        seconds to save its world; what SIGKILL ends loses what was not saved.

        The files stay: a PID file whose process is gone is harmless, detach
        replaces it, and to remove it here might hit that of a newer start.
        """
        with self._process() as pidfd:
            try:
                self.command("stop")
                if _has_ended(pidfd, grace):
                    return "stop"
            except Conflict:
                pass  # no console: a signal has to do
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    signal.pidfd_send_signal(pidfd, number)
                except ProcessLookupError:
                    pass  # it has just ended
                if _has_ended(pidfd, grace):
                    return number.name
        raise Conflict(f"{self.name} did not end within {grace} s of SIGKILL")

    @contextmanager
    def _process(self):
        """Open a pidfd of the running server.

        The pidfd is opened first and the identity is checked afterwards. If
        the check succeeds, the pidfd refers to the recorded process, whatever
        happens to its PID later.
        """
        pid = self._pid()
        if pid is None:
            raise Conflict(f"{self.name} is not running")
        try:
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            text = f"{self.name} is not running: process {pid}: {error.strerror}"
            raise Conflict(text) from error
        try:
            state = self._state_of(pid)
            if state is not State.RUNNING:
                raise Conflict(f"{self.name} is {state.value}: process {pid} is left alone")
            yield pidfd
        finally:
            os.close(pidfd)

    def _pid(self) -> int | None:
        try:
            return int((self.directory / PID_FILE).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _state_of(self, pid: int) -> State:
        start = _start_time(pid)
        if start is None:
            return State.STOPPED
        try:
            record = json.loads((self.directory / RECORD).read_text())
        except (FileNotFoundError, ValueError):
            return State.UNVERIFIED
        if record["pid"] != pid:
            return State.UNVERIFIED
        if (record["boot_id"], record["start"]) != (_boot_id(), start):
            return State.STOPPED
        return State.RUNNING


def all_servers(directory: Path) -> dict[str, Server]:
    """Return the servers in a directory by name."""
    return {
        entry.name: Server(entry)
        for entry in sorted(directory.iterdir())
        if entry.is_dir()
    }


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the name in parentheses, which may itself hold both
    # spaces and parentheses; the third one, the state, comes after the last ")".
    fields = stat.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _has_ended(pidfd: int, timeout: float) -> bool:
    """Wait until a process ends; report whether it did so within timeout seconds."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout * 1000))
