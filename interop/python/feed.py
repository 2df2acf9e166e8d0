"""A consumer of the load and change feeds in the shape of Aria's published sample: `sseclient`, a
`requests` auth object that is asked for the token anew at each connection, data split at the newline."""

import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import requests
from client_credentials import Token
from sseclient import SSEClient
from stand import KEY, OPERATOR, PROJECT, URL

TYPES = [
    {"name": "Account", "keys": [["account_no"], ["userid"]], "group": "Customers"},
    {"name": "Invoice", "keys": [["account_no", "invoice_no"]], "group": "Financial", "depends_on": ["Account"]},
]


def call(method, path, body=None):
    answer = requests.request(method, PROJECT + path, json=body, headers=OPERATOR, timeout=30)
    assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def reader():
    """What gets a token for each connection, of a new API key that reads feeds."""
    key = call("POST", "/api-keys", {"name": "feeds", "scopes": ["feed:read"]})
    return Token(URL, key["id"], key["secret"])


def keyed(**settings):
    """A new keyed stream."""
    name = f"billing-{uuid.uuid4().hex[:12]}"
    call("POST", "/streams", {"name": name, "entities": TYPES, **settings})
    return name


def change(kind, entity, ids, **fields):
    event = {"id": str(uuid.uuid4()), "type": kind, "ref": {"type": entity, "ids": ids}}
    return event if kind == "delete" else {**event, "body": fields}


def publish(stream, *events):
    """Publishes; what the server did not take because it was killed is given again, with the same ids."""
    end = time.monotonic() + 60
    while True:
        try:
            return call("POST", f"/streams/{stream}/events", list(events))
        except requests.RequestException:
            assert time.monotonic() < end, "the server never came back"
            time.sleep(0.1)


class Feed(threading.Thread):
    """Reads a feed into a list, through whatever becomes of the server."""

    def __init__(self, path, auth, **parameters):
        super().__init__(daemon=True)
        self.path, self.auth, self.parameters = path, auth, parameters
        self.last_id, self.found, self.connections, self.failure = None, [], 0, None
        self.start()

    def run(self):
        while True:
            try:
                self.connections += 1
                client = SSEClient(
                    PROJECT + self.path, last_id=self.last_id, retry=100, auth=self.auth, params=self.parameters, timeout=30
                )
                for message in client:
                    header, payload = message.data.split("\n")
                    self.found.append((message.event, json.loads(header), json.loads(payload)))
                    self.last_id = message.id
            except requests.HTTPError as error:
                self.failure = error
                return
            except requests.RequestException:
                time.sleep(0.1)

    def until(self, enough, within=60):
        end = time.monotonic() + within
        while not enough(self.found):
            assert self.failure is None, self.failure
            assert time.monotonic() < end, f"{self.path}: {len(self.found)} events after {within} s"
            time.sleep(0.02)
        return self.found


class Coordinator:
    """The program `coordinate.py`, which may be killed, and what is in its file."""

    def __init__(self, stream):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "copy")
        self.stream, self.auth, self.process = stream, reader().form, None
        self.start()

    def start(self):
        program = pathlib.Path(__file__).with_name("coordinate.py")
        arguments = [URL, KEY, self.stream, self.path, self.auth["client_id"], self.auth["client_secret"]]
        self.process = subprocess.Popen([sys.executable, program, *arguments])

    def kill(self):
        assert self.process.poll() is None, "the program has ended by itself"
        self.process.kill()
        self.process.wait()

    def ask(self, query):
        file = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10)
        try:
            return file.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            # It is only just making its tables.
            assert "no such table" in str(error), error
            return []
        finally:
            file.close()

    def progress(self, column):
        """How many connections or events each feed has had."""
        return dict(self.ask(f"SELECT feed, {column} FROM place")) if os.path.exists(self.path) else {}

    def copy(self):
        rows = self.ask("SELECT entity, fields FROM copy WHERE fields IS NOT NULL")
        return {entity: json.loads(fields) for entity, fields in rows}

    def until(self, holds, what, within=120):
        end = time.monotonic() + within
        while not holds():
            assert self.process.poll() is None, "the program has ended by itself"
            assert time.monotonic() < end, f"{what}: not within {within} s: {self.progress('events')}"
            time.sleep(0.005)
