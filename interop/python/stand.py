"""The server under test as the Python drivers see it: publish, restart, provision, report.

Each driver is called with the server's address and prints one JSON line per case. The stream is
quiet but for what a driver publishes, so an idle sign means that everything was sent.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import uuid

import requests

URL = sys.argv[1].rstrip("/")
KEY = TOKEN = SECRET = "sample_connection"
OPERATOR = {"Authorization": "Bearer " + os.environ["OUTFLOW_OPERATOR_TOKEN"]}
PROJECT = f"{URL}/v1/projects/{KEY}"
ACCEPT = "application/vnd.urbanairship+x-ndjson; version=3;"
BEARER = {"X-UA-Appkey": KEY, "Authorization": f"Bearer {TOKEN}", "Accept": ACCEPT}
INTEROP = pathlib.Path(__file__).resolve().parent.parent
_lock = threading.Lock()


def case(function):
    """Runs a driver's function at once and reports it under its own name."""
    report(function.__name__.replace("_", " "), function)
    return function


def report(name, function):
    """Reports as ok what returns, as failed what raises."""
    try:
        outcome = {"case": name, "ok": True, "detail": str(function() or "")}
    except BaseException as error:  # a driver reports everything, even an interrupt
        outcome = {"case": name, "ok": False, "detail": f"{type(error).__name__}: {error}"[:400]}
    with _lock:
        print(json.dumps(outcome), flush=True)


def event(type="OPEN", **members):
    """An event with an id of its own."""
    return {"id": str(uuid.uuid4()), "type": type, **members}


def phone(**members):
    return {"channel": str(uuid.uuid4()), "device_type": "IOS", **members}


def publish(*events):
    """Publishes and returns the offsets, as numbers."""
    answer = requests.post(f"{PROJECT}/streams/events/events", json=list(events), headers=OPERATOR, timeout=30)
    assert answer.status_code == 200, f"publish: {answer.status_code} {answer.text}"
    return [int(placed["offset"]) for placed in answer.json()["events"]]


def order(word):
    """Has the server restarted, killed, drained or started, and waits until it is done."""
    host, port = os.environ["OUTFLOW_CONTROL"].split(":")
    with socket.create_connection((host, int(port)), timeout=120) as control:
        control.sendall(word.encode() + b"\n")
        answer = control.makefile().readline().strip()
    assert answer == "ok", answer


def token(**settings):
    """A token of a new integration with these settings."""
    made = requests.post(f"{PROJECT}/integrations", json={"id": f"interop-{uuid.uuid4()}", **settings}, headers=OPERATOR, timeout=30)
    assert made.status_code in (200, 201), f"integration: {made.status_code} {made.text}"
    path = f"{PROJECT}/integrations/{made.json()['id']}/tokens"
    issued = requests.post(path, json={"name": "interop"}, headers=OPERATOR, timeout=30)
    assert issued.status_code in (200, 201), f"token: {issued.status_code} {issued.text}"
    return issued.json()["secret"]


def stranger():
    """A project whose data is gone: its key, and a token of it."""
    key = f"gone-{uuid.uuid4()}"
    place = f"{URL}/v1/projects/{key}"
    for path, body in ((f"{URL}/v1/projects", {"id": key}), (f"{place}/integrations", {"id": "one"})):
        made = requests.post(path, json=body, headers=OPERATOR, timeout=30)
        assert made.status_code in (200, 201), f"{path}: {made.status_code} {made.text}"
    issued = requests.post(f"{place}/integrations/one/tokens", json={"name": "interop"}, headers=OPERATOR, timeout=30)
    gone = requests.delete(f"{place}/streams/events", headers=OPERATOR, timeout=30)
    assert gone.status_code == 204, f"deleting: {gone.status_code} {gone.text}"
    return key, issued.json()["secret"]


@contextlib.contextmanager
def stream(body=None, path="/api/events", url=URL, **options):
    """Opens a stream with plain requests; yields the response."""
    options.setdefault("headers", BEARER)
    options.setdefault("timeout", 20)
    data = body if isinstance(body, (str, bytes)) else json.dumps(body if body is not None else {})
    with requests.post(url + path, data=data, stream=True, **options) as response:
        assert response.status_code == 200, f"{response.status_code} {response.text}"
        yield response


def lines(response):
    """Whole lines as they arrive; an empty one is a heartbeat."""
    rest = b""
    for chunk in response.iter_content(chunk_size=None):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def until_idle(response, within=20):
    """All events up to the first heartbeat after one of them, or up to the second if none comes."""
    events, idle, end = [], 0, time.monotonic() + within
    for line in lines(response):
        assert time.monotonic() < end, "the stream never came to rest"
        if line:
            events.append(json.loads(line))
        else:
            idle += 1
        if idle and (events or idle > 1):
            break
    return events


def select(body, **options):
    """The offsets that a request gets from what has been published."""
    with stream(body, **options) as response:
        return [int(found["offset"]) for found in until_idle(response)]


def consumer(kind, credential, url=URL, key=KEY):
    """A client of `uaconnect` whose offsets are kept in memory."""
    import uaconnect

    class Memory(uaconnect.Recorder):
        offset = None

        def read_offset(self):
            return self.offset

        def write_offset(self, offset):
            self.offset = offset

    return kind(key, credential, Memory(), url=url + "/")


def take(client, count, found=None, within=30):
    """Adds the next events of a uaconnect consumer, each acked before the next is read."""
    found, end = [] if found is None else found, time.monotonic() + within
    wanted = len(found) + count
    for one in client.read():
        assert time.monotonic() < end, f"{count + len(found) - wanted} of {count} events in {within} s"
        if one is not None:
            client.ack(one)
            found.append(one)
        if len(found) == wanted:
            return found


@contextlib.contextmanager
def pinning_proxy(target=URL):
    """A balancer that answers 307 with a cookie first; yields its address."""
    script = INTEROP / "balancer" / "balancer.py"
    proxy = subprocess.Popen([sys.executable, script, target, "pin"], stdout=subprocess.PIPE, text=True)
    try:
        yield proxy.stdout.readline().strip()
    finally:
        proxy.kill()
        proxy.wait()
