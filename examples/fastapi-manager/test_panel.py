"""Tests of the panel: real uvicorn, real detach, real Java server.

Environment: DETACH, the path of detach; GAMESERVER_JAR, the game server;
DETACH_TEST_REQUIRE=all turns each skipped test into a failed one.
"""

import array
import fcntl
import http.client
import importlib.util
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
DETACH = os.environ.get("DETACH", str(HERE.parents[1] / "bin/detach"))
JAR = Path(os.environ.get("GAMESERVER_JAR", HERE.parent / "gameserver/build/server.jar")).resolve()

DEADLINE = 60  # seconds that anything may take on a busy machine


def require(condition, reason):
    """Skip the test unless condition holds, or fail it where nothing may be skipped."""
    if condition:
        return
    if os.environ.get("DETACH_TEST_REQUIRE") == "all":
        pytest.fail(f"DETACH_TEST_REQUIRE=all, but: {reason}")
    pytest.skip(reason)


def eventually(condition, what):
    """Wait until condition() is true and return its value."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {DEADLINE} s: {what}"
        time.sleep(0.02)
    return value


def free_port():
    """Return a free port that the kernel gives to no connection while the panel is down."""
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10000, max(ephemeral, 20000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def has_ended(pidfd, timeout=DEADLINE):
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


@contextmanager
def pidfd_of(pid):
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd
    finally:
        os.close(pidfd)


def start_time(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def kill_all_in(directory):
    """Kill the processes that work in a directory of this test, which are this test's own."""

    def works_here(pid):
        try:
            return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(directory)
        except OSError:
            return False

    for pid in [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]:
        if works_here(pid):
            try:
                with pidfd_of(pid) as pidfd:
                    if works_here(pid):
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                        has_ended(pidfd)
            except ProcessLookupError:
                pass  # it has ended by itself


class Panel:
    """uvicorn with the panel, in a session and process group of its own."""

    def __init__(self, servers, log):
        self.port = free_port()
        self.log = log
        self.env = {**os.environ, "PANEL_SERVERS": str(servers), "PANEL_STOP_GRACE": str(DEADLINE),
                    "DETACH": str(Path(shutil.which(DETACH)).absolute())}
        self.process = None

    def start(self, **env):
        """Start uvicorn and wait until it answers."""
        self.env.update(env)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "panel:app", "--port", str(self.port)],
                cwd=HERE, env=self.env, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        eventually(self._answers, "the panel answers")

    def _answers(self):
        assert self.process.poll() is None, f"the panel has ended:\n{self.log.read_text()}"
        try:
            return self.get("/servers") is not None
        except ConnectionRefusedError:
            return False

    def kill(self):
        """Kill the whole process group of uvicorn."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def request(self, method, path, body=None):
        """Return the status and the JSON of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=4 * DEADLINE)
        try:
            connection.request(method, path, body and json.dumps(body),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def get(self, path):
        status, answer = self.request("GET", path)
        assert status == 200, answer
        return answer

    def post(self, path, body=None):
        status, answer = self.request("POST", path, body)
        assert status == 200, answer
        return answer

    def status(self, name):
        """Return the state of a server and its PID."""
        server = self.get(f"/servers/{name}")
        return server["status"], server["pid"]


class Game:
    """The directory of a game server whose owner has agreed to the EULA."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        (directory / "server.jar").symlink_to(JAR)
        (directory / "eula.txt").write_text("eula=true\n")
        (directory / "server.properties").write_text("server-port=0\n")

    def log(self):
        return (self.directory / "logs/console.log").read_text()

    def wait_for_log(self, text, times=1):
        eventually(lambda: self.log().count(text) >= times, f"{text!r} in the log")

    def saves(self):
        """Return how often the world on disk has been saved."""
        level = (self.directory / "world/level.dat").read_text()
        return int(level.partition("saves=")[2])

    def ask(self, request):
        """Return what the running server answers on its port."""
        port = int(self.log().rpartition("Starting server on *:")[2].split()[0])
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
            connection.sendall(request.encode() + b"\n")
            return json.loads(connection.makefile().readline())


@pytest.fixture
def servers(tmp_path):
    """The directory of the servers. Whatever runs there is killed after the test."""
    directory = tmp_path / "servers"
    directory.mkdir()
    yield directory
    kill_all_in(directory)


@pytest.fixture
def panel(servers, tmp_path):
    """A panel that is not running yet."""
    for module in ("fastapi", "uvicorn"):
        require(importlib.util.find_spec(module), f"the Python module {module} is not installed")
    require(shutil.which(DETACH), f"{DETACH} is missing: build it with make, or set DETACH")
    panel = Panel(servers, tmp_path / "panel.log")
    yield panel
    panel.kill()


@pytest.fixture
def game(servers):
    """A game server that is not running yet."""
    require(shutil.which("java"), "java is not installed")
    require(JAR.is_file(), f"{JAR} is missing: build it with make, or set GAMESERVER_JAR")
    return Game(servers / "lobby")


def test_server_outlives_panel(panel, game):
    panel.start()
    assert panel.get("/servers") == [{"name": "lobby", "status": "stopped", "pid": None}]
    pid = panel.post("/servers/lobby/start")["pid"]
    game.wait_for_log("Done (")
    assert game.ask("status")["pid"] == pid
    assert os.getsid(pid) != os.getsid(panel.process.pid)

    panel.kill()
    assert game.ask("status")["pid"] == pid
    game.wait_for_log("Autosave", times=game.log().count("Autosave") + 1)

    panel.start()  # on the same port, which the game server must not hold
    assert panel.status("lobby") == ("running", pid)
    panel.post("/servers/lobby/console", {"line": "say hello"})
    game.wait_for_log("[Server] hello")

    with pidfd_of(pid) as pidfd:
        assert panel.post("/servers/lobby/stop")["ended_by"] == "stop"
        assert has_ended(pidfd, timeout=0)
    assert panel.status("lobby") == ("stopped", None)
    assert "Saving worlds" in "".join(panel.get("/servers/lobby")["log"])
    assert game.saves() > 0


def test_second_start_is_refused_and_touches_nothing(panel, game):
    def files():
        names = ("server.pid", "server.pid.json", "console.in", "logs/console.log")
        return {name: (game.directory / name).stat().st_ino for name in names}

    panel.start()
    pid = panel.post("/servers/lobby/start")["pid"]
    game.wait_for_log("Done (")
    before = files()

    status, answer = panel.request("POST", "/servers/lobby/start")
    assert status == 409
    assert "already running" in answer["detail"] and str(pid) in answer["detail"]
    assert files() == before
    assert panel.status("lobby") == ("running", pid)
    assert game.ask("status")["pid"] == pid
    game.wait_for_log("Autosave")
    assert game.log().count("Starting server on") == 1
    assert "ERROR" not in game.log()


def test_simultaneous_starts_start_one_server(panel, game):
    panel.start()
    with ThreadPoolExecutor(max_workers=8) as pool:
        start = pool.map(lambda _: panel.request("POST", "/servers/lobby/start"), range(8))
        answers = sorted(start, key=lambda answer: answer[0])
    assert [status for status, _ in answers] == [200] + [409] * 7, answers
    game.wait_for_log("Done (")
    assert panel.status("lobby") == ("running", answers[0][1]["pid"])
    assert "ERROR" not in game.log()


def test_stopped_server_starts_again(panel, game):
    panel.start()
    first = panel.post("/servers/lobby/start")["pid"]
    game.wait_for_log("Done (")
    panel.post("/servers/lobby/stop")
    assert (game.directory / "server.pid").read_text() == f"{first}\n"  # stale and harmless
    status, answer = panel.request("POST", "/servers/lobby/console", {"line": "list"})
    assert status == 409, answer  # at once: nobody reads the FIFO
    saves = game.saves()

    second = panel.post("/servers/lobby/start")["pid"]
    game.wait_for_log("Done (", times=2)
    assert (game.directory / "server.pid").read_text() == f"{second}\n"
    assert panel.status("lobby") == ("running", second)

    (game.directory / "console.in").unlink()
    assert panel.post("/servers/lobby/stop")["ended_by"] == "SIGTERM"
    assert game.log().count("Saving worlds") == 2
    assert game.saves() > saves


def test_hung_server_is_killed_while_the_panel_goes_on_serving(panel, game):
    panel.start(PANEL_STOP_GRACE="3")
    pid = panel.post("/servers/lobby/start")["pid"]
    game.wait_for_log("Done (")
    console = os.open(game.directory / "console.in", os.O_RDONLY | os.O_NONBLOCK)

    def unread():
        count = array.array("i", [0])
        fcntl.ioctl(console, termios.FIONREAD, count)
        return count[0]

    with pidfd_of(pid) as pidfd, ThreadPoolExecutor() as pool:
        signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
        stop = pool.submit(panel.post, "/servers/lobby/stop")
        eventually(unread, "the stop command stands in the console")
        assert panel.status("lobby") == ("running", pid)
        assert not stop.done()
        assert stop.result()["ended_by"] == "SIGKILL"
        assert has_ended(pidfd, timeout=0)
    os.close(console)
    assert panel.status("lobby") == ("stopped", None)


def test_server_without_eula(panel, game):
    (game.directory / "eula.txt").unlink()
    panel.start()
    # detach says 422 if the server has ended before it was looked at.
    status, answer = panel.request("POST", "/servers/lobby/start")
    assert status in (200, 422), answer
    eventually(lambda: panel.status("lobby") == ("stopped", None), "the server is stopped")
    assert "You need to agree to the EULA" in panel.get("/servers/lobby")["log"][-1]


def test_server_without_jar(panel, game):
    (game.directory / "server.jar").unlink()
    panel.start()
    status, answer = panel.request("POST", "/servers/lobby/start")
    assert status in (200, 422), answer
    eventually(lambda: panel.status("lobby") == ("stopped", None), "the server is stopped")
    assert "Unable to access jarfile server.jar" in panel.get("/servers/lobby")["log"][-1]


def test_java_not_found(panel, servers, tmp_path):
    (servers / "lobby").mkdir()
    panel.start(PATH=str(tmp_path))
    status, answer = panel.request("POST", "/servers/lobby/start")
    assert (status, answer["exit_status"]) == (422, 127)
    assert answer["detail"].startswith("detach: ") and "java" in answer["detail"]
    assert panel.status("lobby") == ("stopped", None)
    assert not (servers / "lobby/server.pid").exists()


def test_log_cannot_be_opened(panel, servers):
    (servers / "lobby/logs/console.log").mkdir(parents=True)
    panel.start()
    status, answer = panel.request("POST", "/servers/lobby/start")
    assert (status, answer["exit_status"]) == (500, 125)
    assert answer["detail"].startswith("detach: ") and "logs/console.log" in answer["detail"]
    assert not (servers / "lobby/server.pid").exists()


def test_unrecorded_process_is_not_signalled(panel, game):
    """detach may be killed after the start and before it has written the record."""
    panel.start()
    pid = panel.post("/servers/lobby/start")["pid"]
    game.wait_for_log("Done (")
    (game.directory / "server.pid.json").unlink()
    assert panel.status("lobby") == ("unverified", pid)
    with pidfd_of(pid) as pidfd:
        for verb in ("stop", "start"):
            status, answer = panel.request("POST", f"/servers/lobby/{verb}")
            assert status == 409 and str(pid) in answer["detail"]
        assert game.ask("status")["pid"] == pid
        panel.post("/servers/lobby/console", {"line": "stop"})
        assert has_ended(pidfd)
    assert panel.status("lobby") == ("stopped", None)


@pytest.mark.parametrize("change", [{"start": 1}, {"boot_id": "another boot"}],
                         ids=["start", "boot_id"])
def test_recycled_pid_is_not_signalled(panel, servers, change):
    """The process that has the PID now is not the one that was recorded."""
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        record = {"pid": bystander.pid, "start": start_time(bystander.pid), "boot_id": boot_id}
        lobby = servers / "lobby"
        lobby.mkdir()
        (lobby / "server.pid").write_text(f"{bystander.pid}\n")
        panel.start()

        (lobby / "server.pid.json").write_text(json.dumps(record))
        assert panel.status("lobby") == ("running", bystander.pid)
        (lobby / "server.pid.json").write_text(json.dumps({**record, **change}))
        assert panel.status("lobby") == ("stopped", None)
        assert panel.request("POST", "/servers/lobby/stop")[0] == 409
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_zombie_is_not_running(panel, servers):
    with subprocess.Popen(["true"]) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        (servers / "lobby").mkdir()
        (servers / "lobby/server.pid").write_text(f"{zombie.pid}\n")
        panel.start()
        assert panel.status("lobby") == ("stopped", None)


def test_invalid_requests(panel, servers):
    (servers / "lobby").mkdir()
    panel.start()
    for path in ("/servers/nowhere", "/servers/..", "/servers/%2e%2e"):
        assert panel.request("GET", path)[0] == 404
    assert panel.request("POST", "/servers/lobby/stop")[0] == 409
    assert panel.request("POST", "/servers/lobby/console", {"line": "list"})[0] == 409
    assert panel.request("POST", "/servers/lobby/console", {"line": "say a\nstop"})[0] == 422
