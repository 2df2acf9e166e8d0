"""The server under test as a message broker: `stomp.py` connections whose frames can be awaited.

A driver may put another release of `stomp.py` first; see `cases/8_stomp_earlier.py`.
"""

import contextlib
import os
import queue
import time
import uuid

import requests
from stand import OPERATOR, PROJECT

import stomp

HOST, PORT = os.environ["OUTFLOW_STOMP"].rsplit(":", 1)
ADDRESS = [(HOST, int(PORT))]
VERSIONS = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}
# The demonstration's customer, as AtData names its own: a number, 32 hexadecimal digits, a word.
USER, PASSWORD, NAMESPACE = "12345", "0123456789abcdef0123456789abcdef", "yourcompany"
PATIENCE = 20
TLS_HOST, TLS_PORT = os.environ["OUTFLOW_STOMP_TLS"].rsplit(":", 1)
_key = []


def key():
    """The project and a key of it that may do everything there: a login for any destination."""
    if not _key:
        body = {"name": "interop", "actions": ["read", "publish", "manage"]}
        made = requests.post(f"{PROJECT}/keys", json=body, headers=OPERATOR, timeout=30)
        assert made.status_code in (200, 201), f"key: {made.status_code} {made.text}"
        _key.append(made.json()["secret"])
    return "sample_connection", _key[0]


class Frames(stomp.ConnectionListener):
    """Everything that a connection gets, by kind."""

    def __init__(self):
        self.messages, self.receipts, self.errors = queue.Queue(), queue.Queue(), queue.Queue()
        self.ends, self.late_beats, self.connected = queue.Queue(), 0, None

    def on_connected(self, frame):
        self.connected = frame

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)

    def on_heartbeat_timeout(self):
        self.late_beats += 1

    def on_disconnected(self):
        self.ends.put(True)


class Client:
    """A connection with what it was sent. `login` is a pair; the project's key by default."""

    def __init__(self, version="1.2", login=None, headers=None, connection=None, **options):
        options.setdefault("reconnect_attempts_max", 1)
        self.version, self.frames = version, Frames()
        self.connection = connection or VERSIONS[version](ADDRESS, **options)
        self.connection.set_listener("frames", self.frames)
        user, password = login or key()
        self.connection.connect(user, password, wait=True, headers=headers or {})

    def send(self, destination, body, **headers):
        """Sends and waits for the receipt: then it is stored."""
        receipt = str(uuid.uuid4())
        self.connection.send(destination, body, receipt=receipt, **headers)
        self.receipt(receipt)

    def receipt(self, wanted):
        found = self.frames.receipts.get(timeout=PATIENCE)
        assert found == wanted, f"receipt {found}, not {wanted}"

    def subscribe(self, destination, id="1", ack="auto", **headers):
        """Subscribes and waits until the server has done so."""
        receipt = str(uuid.uuid4())
        self.connection.subscribe(destination, id, ack=ack, receipt=receipt, **headers)
        self.receipt(receipt)

    def next(self, within=PATIENCE):
        try:
            return self.frames.messages.get(timeout=within)
        except queue.Empty:
            errors = list(self.frames.errors.queue)
            raise AssertionError(f"no message within {within} s; errors: {[e.headers for e in errors]}") from None

    def bodies(self, count):
        return [self.next().body for _ in range(count)]

    def quiet(self, seconds=0.5):
        """Nothing comes for a while."""
        with contextlib.suppress(queue.Empty):
            surplus = self.frames.messages.get(timeout=seconds)
            raise AssertionError(f"unexpected: {surplus.headers} {surplus.body!r}")

    def error(self):
        return self.frames.errors.get(timeout=PATIENCE)

    def ended(self):
        return self.frames.ends.get(timeout=PATIENCE)

    def ack(self, frame, transaction=None, receipt=None):
        """Acks as the version of the connection does."""
        self._answer(self.connection.ack, frame, transaction, receipt)

    def nack(self, frame, transaction=None, receipt=None):
        self._answer(self.connection.nack, frame, transaction, receipt)

    def settled(self, frame):
        """Acks and waits until that is stored."""
        receipt = str(uuid.uuid4())
        self.ack(frame, receipt=receipt)
        self.receipt(receipt)

    def _answer(self, call, frame, transaction, receipt):
        headers = frame.headers
        if self.version == "1.2":
            call(headers["ack"], transaction=transaction, receipt=receipt)
        elif self.version == "1.1":
            call(headers["message-id"], headers["subscription"], transaction=transaction, receipt=receipt)
        else:
            call(headers["message-id"], transaction=transaction, receipt=receipt)

    def close(self):
        """Takes its leave properly."""
        if self.connection.is_connected():
            self.connection.disconnect(str(uuid.uuid4()))

    def vanish(self):
        """Goes without a word, as a killed process does."""
        self.connection.transport.disconnect_socket()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(Exception):
            self.close()


def secured(authorities=os.environ["OUTFLOW_CA"]):
    """A connection by TLS that trusts these authorities alone, not begun yet."""
    address = [(TLS_HOST, int(TLS_PORT))]
    connection = stomp.Connection12(address, reconnect_attempts_max=1)
    connection.set_ssl(for_hosts=address, ca_certs=authorities)
    return connection


def fresh(kind="queue"):
    """A destination that nobody else uses."""
    return f"/{kind}/interop.{uuid.uuid4()}"


def publish_addresses(*bodies):
    """Publishes to the namespace's virtual topic, as the feed's owner does."""
    events = [{"type": "ADDRESS", "body": body} for body in bodies]
    path = f"{PROJECT}/streams/RTO.{NAMESPACE}/events"
    answer = requests.post(path, json=events, headers=OPERATOR, timeout=30)
    assert answer.status_code == 200, f"publish: {answer.status_code} {answer.text}"


def until(what, holds, within=PATIENCE):
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {within} s"
        time.sleep(0.02)
