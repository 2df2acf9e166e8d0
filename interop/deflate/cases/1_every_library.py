"""The shared-deflate form, one gzip member made of blocks that were compressed long before the
connection was there, read by every library people use: each block promptly, and the whole to its
trailer.

A reader is a program that opens the URL it is given, prints the offset of each event as soon as it
has it, and exits with 0 only if the stream ended as gzip and HTTP want it to end.
"""

import os
import pathlib
import queue
import subprocess
import sys
import threading
import time

from stand import INTEROP, OPERATOR, PROJECT, event, publish, report

READERS = INTEROP / "deflate" / "readers"
INSTALLED = pathlib.Path(os.environ["OUTFLOW_INSTALLED"])
COMMANDS = {
    "Python requests": [sys.executable, READERS / "with_requests.py"],
    "Python httpx": [sys.executable, READERS / "with_httpx.py"],
    "Node fetch": ["node", READERS / "with_fetch.js"],
    "Node zlib": ["node", READERS / "with_zlib.js"],
    "Java HttpURLConnection and GZIPInputStream": ["java", READERS / "WithConnection.java"],
    "Java HttpClient and GZIPInputStream": ["java", READERS / "WithHttpClient.java"],
    "curl --compressed": ["bash", READERS / "with_curl.sh"],
}
TOKEN = OPERATOR["Authorization"].removeprefix("Bearer ")
EVENTS = f"{PROJECT}/streams/events/events"
# A block is in the reader's hands within this, busy machine and interpreter included.
PROMPTLY = 1.0


class Reader:
    """A running reader and the lines it has printed."""

    def __init__(self, name, query):
        self.process = subprocess.Popen([*COMMANDS[name], f"{EVENTS}?{query}", TOKEN], stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self):
        for line in self.process.stdout:
            self.lines.put(int(line))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def promptly(name):
    before, first = publish(event(), event())
    with Reader(name, f"start={before}&follow=true") as reader:
        assert reader.lines.get(timeout=30) == first
        worst = 0
        for round in range(8):
            begun = time.monotonic()
            # Blocks of one and of many events; nothing is published after until it has arrived.
            offsets = publish(*(event(body={"n": round, "text": "x" * 100}) for _ in range(1 + round * 30)))
            for offset in offsets:
                assert reader.lines.get(timeout=10) == offset
            worst = max(worst, time.monotonic() - begun)
    assert worst < PROMPTLY, f"{worst:.2f} s"
    return f"slowest of 8 blocks {worst * 1000:.0f} ms"


def whole(name):
    before = publish(event())[0]
    offsets = [offset for _ in range(10) for offset in publish(*(event(body={"text": "y" * 200}) for _ in range(1000)))]
    with Reader(name, f"start={before}&follow=false") as reader:
        found = [reader.lines.get(timeout=30) for _ in offsets]
        assert found == offsets
        assert reader.process.wait(timeout=30) == 0, "the end was not clean"
    return f"{len(found)} events"


for name in COMMANDS:
    report(f"promptly: {name}", lambda: promptly(name))
    report(f"whole: {name}", lambda: whole(name))
