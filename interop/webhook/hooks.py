"""Webhooks of the server under test, and receivers on this host that do what a case says.

A receiver is a plain socket, so that a case sees the bytes as they came and answers with any others.
"""

import contextlib
import queue
import socket
import struct
import threading
import time
import uuid

import requests
from stand import OPERATOR, PROJECT

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Request:
    """A request as it came."""

    def __init__(self, head, body):
        self.head, self.body = head, body
        lines = head.decode().split("\r\n")
        self.first = lines[0]
        self.headers = dict(line.split(": ", 1) for line in lines[1:] if line)

    @property
    def id(self):
        return self.headers["webhook-id"]


class Receiver:
    """Answers each request with what `answers` gives for its number: bytes, or one of the words
    `stall` (nothing more comes), `slow` (success, a byte at a time) and `reset`."""

    def __init__(self, answers=lambda number: FINE):
        self.answers, self.seen, self.count = answers, queue.Queue(), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        # Whoever has read enough of an answer hangs up.
        with contextlib.suppress(ConnectionError):
            self._answer(connection)

    def _answer(self, connection):
        incoming = connection.makefile("rb")
        while True:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = incoming.readline()
                if not line:
                    return
                head += line
            request = Request(head, b"")
            request.body = incoming.read(int(request.headers["Content-Length"]))
            number, self.count = self.count, self.count + 1
            answer = self.answers(number)
            self.seen.put(request)
            if answer == "stall":
                connection.recv(1)
                return
            if answer == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                incoming.close()
                connection.close()
                return
            if answer == "slow":
                for byte in FINE:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.05)
                continue
            connection.sendall(answer)

    def take(self, count=1, within=20):
        """The next requests."""
        return [self.seen.get(timeout=within) for _ in range(count)]

    def is_quiet(self, seconds):
        """Whether nothing comes for so long."""
        with contextlib.suppress(queue.Empty):
            self.seen.get(timeout=seconds)
            return False
        return True


class Hook:
    """A webhook on a stream of its own, gone with the case."""

    def __init__(self, url, **settings):
        name = f"hook-{uuid.uuid4()}"
        self.stream = f"{PROJECT}/streams/{name}"
        self.integration = f"{PROJECT}/integrations/{name}"
        self.path = f"{self.integration}/webhook"
        self._ask("POST", f"{PROJECT}/streams", {"name": name})
        self._ask("POST", f"{PROJECT}/integrations", {"id": name})
        settings = {"stream": name, "retry_pauses_ms": [100], "batch": 1, **settings}
        self.secret = self._ask("PUT", self.path, {"url": url, **settings})["secret"]

    @staticmethod
    def _ask(method, path, body=None):
        answer = requests.request(method, path, json=body, headers=OPERATOR, timeout=30)
        assert answer.status_code // 100 == 2, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def publish(self, *events):
        self._ask("POST", f"{self.stream}/events", list(events))

    def rotate(self, **settings):
        return self._ask("POST", f"{self.path}/rotate", settings)["secret"]

    def attempts(self, **query):
        answer = requests.get(f"{self.path}/attempts", params=query, headers=OPERATOR, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    def resend(self, message):
        return self._ask("POST", f"{self.path}/resend", {"message": message})

    def move(self, url, **settings):
        """Other settings; the secret stays."""
        self._ask("PUT", self.path, {"url": url, "batch": 1, **settings})

    def state(self):
        return self._ask("GET", self.path)

    def close(self):
        self._ask("DELETE", self.integration)
        self._ask("DELETE", self.stream)


@contextlib.contextmanager
def hook(url, **settings):
    made = Hook(url, **settings)
    try:
        yield made
    finally:
        made.close()
