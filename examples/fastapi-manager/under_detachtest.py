"""The panel as detachtest wants a manager: started, it starts a server and stays.

    detachtest --manager -- python3 under_detachtest.py

The server is the program that DETACHTEST_PROBE names. It is started as any other
is, by a request to the panel, which then lives on until detachtest ends it.
"""

import http.client
import os
import threading
import time
from pathlib import Path

PROBE = os.environ["DETACHTEST_PROBE"]

# Beside the probe, in the directory that detachtest removes when it is through:
# a manager that is killed removes nothing.
SERVERS = Path(PROBE).parent / "servers"
(SERVERS / "probe").mkdir(parents=True)
os.environ.update(PANEL_SERVERS=str(SERVERS), PANEL_COMMAND=PROBE)

import uvicorn  # noqa: E402

from panel import app  # noqa: E402


def start_probe(panel: uvicorn.Server) -> None:
    """Ask the panel to start the server, once it answers."""
    while not panel.started:
        time.sleep(0.01)
    port = panel.servers[0].sockets[0].getsockname()[1]
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/servers/probe/start")
    answer = connection.getresponse()
    if answer.status != 200:
        print(answer.read().decode(), flush=True)  # detachtest shows it
        os._exit(1)


if __name__ == "__main__":
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    threading.Thread(target=start_probe, args=[server], daemon=True).start()
    server.run()
