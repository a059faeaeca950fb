"""The panel under detachtest: no death of the panel ends what it has started.

Environment: DETACHTEST and DETACH, the paths of detachtest and detach;
DETACH_TEST_REQUIRE=all turns a skipped test into a failed one.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from test_panel import DETACH, HERE, require

DETACHTEST = os.environ.get("DETACHTEST", str(HERE.parents[1] / "bin/detachtest"))

# The deaths that go along the process tree, its terminal and its signals.
DEATHS = "sigkill,sigterm-group,sigint-group,sigkill-group,ctrl-c,hangup,kill-session,kill-tree"


def test_servers_survive_the_panel():
    for program in (DETACH, DETACHTEST):
        require(shutil.which(program), f"{program} is missing: build it with make")
    for module in ("fastapi", "uvicorn"):
        require(importlib.util.find_spec(module), f"the Python module {module} is not installed")
    env = {**os.environ, "DETACH": str(Path(shutil.which(DETACH)).absolute()),
           "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [DETACHTEST, "--format", "json", "--only", DEATHS, "--manager", "--",
         sys.executable, HERE / "under_detachtest.py"],
        env=env, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stderr
    report = json.loads(run.stdout)
    assert {verdict["death"]: verdict["outcome"] for verdict in report["verdicts"]} == \
        dict.fromkeys(DEATHS.split(","), "survived"), report["verdicts"]
    assert run.returncode == 0
