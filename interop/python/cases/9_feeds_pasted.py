"""The line with `sseclient` that `outflow dev` prints, pasted into a shell as it stands."""

import json
import os
import pathlib
import subprocess
import sys
import threading

from stand import case

LISTENERS = ("--http", "--admin", "--stomp", "--openwire")


def said_by(dev):
    """What it prints until it is ready. What it prints later is read past."""
    lines = []
    for line in dev.stderr:
        lines.append(line)
        if "stop with Ctrl-C" in line:
            threading.Thread(target=dev.stderr.read, daemon=True).start()
            return lines
    raise AssertionError(f"it did not become ready: {lines}")


@case
def the_line_that_dev_prints_shows_changes():
    binary = os.environ["OUTFLOW_BINARY"]
    arguments = [part for listener in LISTENERS for part in (listener, "127.0.0.1:0")]
    dev = subprocess.Popen([binary, "dev", "--ephemeral", *arguments], stderr=subprocess.PIPE, text=True)
    # The interpreter that has the client is what `python3` finds.
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    pasted = None
    try:
        (line,) = [line for line in said_by(dev) if line.startswith("  python3 ")]
        command = ["sh", "-c", "exec " + line.strip()]
        pasted = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PATH": path})
        watchdog = threading.Timer(60, pasted.kill)
        watchdog.daemon = True
        watchdog.start()
        # Two lines an event: the kind with the header, and the fields.
        for _ in range(2):
            kind, header = pasted.stdout.readline().split(" ", 1)
            assert kind in ("create", "update", "delete"), kind
            assert "type" in json.loads(header)["ref"], header
            assert isinstance(json.loads(pasted.stdout.readline()), dict)
    finally:
        for process in (pasted, dev):
            if process:
                process.kill()
                process.wait()
