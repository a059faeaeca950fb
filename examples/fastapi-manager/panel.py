"""A web panel for game servers: ``uvicorn panel:app``.

Environment: PANEL_SERVERS, the directory of the servers (default ./servers);
PANEL_STOP_GRACE, the seconds a server gets for each way of stopping it (default
30); PANEL_COMMAND, the command that is a server, run in its directory (default:
java -jar server.jar nogui); DETACH, the path of detach (default: found in PATH).

The endpoints are plain functions, which FastAPI runs in threads: stopping a
server may take a minute, and the panel goes on serving meanwhile.
"""

import os
from pathlib import Path

from fastapi import Body, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from servers import Conflict, Server, StartFailed, all_servers

SERVERS = Path(os.environ.get("PANEL_SERVERS", "servers")).resolve(strict=True)
STOP_GRACE = float(os.environ.get("PANEL_STOP_GRACE", "30"))

# Exit statuses of detach that mean that the command is at fault, not detach: it
# ended at once, it cannot be executed, it was not found.
COMMAND_AT_FAULT = (123, 126, 127)

app = FastAPI(title="Game servers")


@app.exception_handler(Conflict)
def conflict(_: Request, error: Conflict) -> JSONResponse:
    """Answer 409, and why."""
    return JSONResponse({"detail": str(error)}, status_code=409)


@app.exception_handler(StartFailed)
def start_failed(_: Request, error: StartFailed) -> JSONResponse:
    """Answer 422 or 500, and what detach printed."""
    status = 422 if error.exit_status in COMMAND_AT_FAULT else 500
    content = {"detail": str(error), "exit_status": error.exit_status}
    return JSONResponse(content, status_code=status)


def server_of(name: str) -> Server:
    """Return the server named in the path of a request."""
    try:
        return all_servers(SERVERS)[name]
    except KeyError:
        raise HTTPException(404, f"no server is called {name}") from None


def summary(server: Server) -> dict:
    """Return the state of a server as it is now."""
    state, pid = server.status()
    return {"name": server.name, "status": state.value, "pid": pid}


@app.get("/servers")
def list_servers() -> list[dict]:
    """List the servers."""
    return [summary(server) for server in all_servers(SERVERS).values()]


@app.get("/servers/{name}")
def show(server: Server = Depends(server_of)) -> dict:
    """Show the state of a server and the end of its log."""
    return {**summary(server), "log": server.log_tail()}


@app.post("/servers/{name}/start")
def start(server: Server = Depends(server_of)) -> dict:
    """Start a server."""
    return {"name": server.name, "pid": server.start()}


@app.post("/servers/{name}/stop")
def stop(server: Server = Depends(server_of)) -> dict:
    """Stop a server and wait until it has ended."""
    return {"name": server.name, "ended_by": server.stop(STOP_GRACE)}


@app.post("/servers/{name}/console")
def console(line: str = Body(embed=True), server: Server = Depends(server_of)) -> dict:
    """Type one line on the console of a server."""
    try:
        server.command(line)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    return {"name": server.name, "line": line}
