"""A consumer of the load and change feeds in the shape of Aria's published sample: `sseclient`, a
`requests` auth object that is asked for the token anew at each connection, data split at the newline."""

import json
import threading
import time
import uuid

import requests
from requests.auth import AuthBase
from sseclient import SSEClient
from stand import OPERATOR, PROJECT

TYPES = [
    {"name": "Account", "keys": [["account_no"], ["userid"]], "group": "Customers"},
    {"name": "Invoice", "keys": [["account_no", "invoice_no"]], "group": "Financial", "depends_on": ["Account"]},
]


def call(method, path, body=None):
    answer = requests.request(method, PROJECT + path, json=body, headers=OPERATOR, timeout=30)
    assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


class Token(AuthBase):
    """Puts a token into each request; counts how often it was asked."""

    def __init__(self, secret):
        self.secret = secret
        self.asked = 0

    def __call__(self, request):
        self.asked += 1
        request.headers["Authorization"] = f"Bearer {self.secret}"
        return request


def reader():
    """A new token that reads the project."""
    return Token(call("POST", "/keys", {"name": "feeds", "actions": ["read"]})["secret"])


def keyed():
    """A new keyed stream."""
    name = f"billing-{uuid.uuid4().hex[:12]}"
    call("POST", "/streams", {"name": name, "entities": TYPES, "retention": {"age_ms": 48 * 3_600_000}})
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


def fold(events):
    """A copy of the source: every event in order of time and tick."""
    copy = {}
    for kind, header, payload in sorted(events, key=lambda event: (event[1]["tstamp"], event[1]["tick"])):
        entity = json.dumps(header["ref"]["ids"] | {"type": header["ref"]["type"]}, sort_keys=True)
        if kind == "delete":
            copy.pop(entity, None)
        elif kind == "update":
            copy.setdefault(entity, {}).update(payload)
        else:
            copy[entity] = payload
    return copy
