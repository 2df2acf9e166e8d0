"""A consumer of the load and change feeds as Aria's documents tell customers to write it ("Coordinating the
Change and Load Stream"): both are read at the same time by `sseclient`, and folded by timestamp and tick.

    coordinate.py SERVER PROJECT STREAM FILE CLIENT_ID CLIENT_SECRET

What it knows is in FILE alone: the copy, and how far each feed was read, changed in one transaction for each
event. So it may be killed at any moment and started again. It ends when a feed refuses it for good.
"""

import datetime
import json
import os
import sqlite3
import sys
import threading
import time

import requests
from client_credentials import Token
from sseclient import SSEClient

SCHEMA = """
CREATE TABLE IF NOT EXISTS place (feed TEXT PRIMARY KEY, since TEXT, id TEXT, connections INTEGER DEFAULT 0, events INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS copy (entity TEXT PRIMARY KEY, tstamp TEXT, tick INTEGER, fields TEXT);
CREATE TABLE IF NOT EXISTS waiting (entity TEXT, tstamp TEXT, tick INTEGER, fields TEXT, PRIMARY KEY (entity, tick));
"""
# What comes of asking again: a token that has ended, nothing extracted yet, a server that starts or stops.
PASSING = (401, 404, 500, 502, 503, 504)


class Copy:
    """The file. A row of `copy` without fields is an entity that was deleted."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.file = sqlite3.connect(path, check_same_thread=False)
        # What a killed process has written stays; only a crash of the machine would need more.
        self.file.execute("PRAGMA journal_mode = WAL")
        self.file.execute("PRAGMA synchronous = OFF")
        self.file.executescript(SCHEMA)

    def begin(self, feed):
        """Where to read on: the last id, and the time of the first start as long as there is none."""
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        with self.lock, self.file:
            self.file.execute("INSERT OR IGNORE INTO place (feed, since) VALUES (?, ?)", (feed, now))
            return self.file.execute("SELECT id, since FROM place WHERE feed = ?", (feed,)).fetchone()

    def connected(self, feed):
        with self.lock, self.file:
            self.file.execute("UPDATE place SET connections = connections + 1 WHERE feed = ?", (feed,))

    def take(self, feed, message):
        header, payload = (json.loads(line) for line in message.data.split("\n"))
        entity = json.dumps(header["ref"]["ids"] | {"type": header["ref"]["type"]}, sort_keys=True)
        with self.lock, self.file:
            self._apply(message.event, entity, (header["tstamp"], header["tick"]), payload)
            self.file.execute("UPDATE place SET id = ?, events = events + 1 WHERE feed = ?", (message.id, feed))

    def _apply(self, kind, entity, at, payload):
        row = self.file.execute("SELECT tstamp, tick, fields FROM copy WHERE entity = ?", (entity,)).fetchone()
        if row is not None and row[:2] >= at:
            return
        if row is None and kind == "update":
            # It has not been loaded yet: what changes it waits for what it is.
            self.file.execute("INSERT OR IGNORE INTO waiting VALUES (?, ?, ?, ?)", (entity, *at, json.dumps(payload)))
            return
        fields = payload
        if kind == "update":
            fields = json.loads(row[2] or "{}") | payload
        elif kind == "delete":
            fields = None
        if row is None:
            query = "SELECT tstamp, tick, fields FROM waiting WHERE entity = ? ORDER BY tstamp, tick"
            for tstamp, tick, changes in self.file.execute(query, (entity,)).fetchall():
                if (tstamp, tick) > at:
                    at, fields = (tstamp, tick), (fields or {}) | json.loads(changes)
            self.file.execute("DELETE FROM waiting WHERE entity = ?", (entity,))
        stored = None if fields is None else json.dumps(fields)
        self.file.execute("INSERT OR REPLACE INTO copy VALUES (?, ?, ?, ?)", (entity, *at, stored))


def read(copy, url, feed, auth, parameters):
    while True:
        last_id, since = copy.begin(feed)
        try:
            query = {**parameters, "from": since}
            client = SSEClient(f"{url}/feed/{feed}", last_id=last_id, retry=100, auth=auth, params=query, timeout=30)
            copy.connected(feed)
            for message in client:
                copy.take(feed, message)
        except requests.HTTPError as error:
            if error.response.status_code not in PASSING:
                print(f"{feed}: {error} {error.response.text}", file=sys.stderr, flush=True)
                os._exit(1)
            time.sleep(0.1)
        except requests.RequestException:
            time.sleep(0.1)


def main():
    server, project, stream, path, client_id, client_secret = sys.argv[1:]
    copy, auth, url = Copy(path), Token(server, client_id, client_secret), f"{server}/v1/projects/{project}"
    feeds = {"changes": {"stream": stream}, "load": {"stream": stream}}
    readers = [threading.Thread(target=read, args=(copy, url, feed, auth, query)) for feed, query in feeds.items()]
    for reader in readers:
        reader.start()


if __name__ == "__main__":
    main()
