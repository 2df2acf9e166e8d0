"""A consumer as AtData describes it for its customers (seed 000): STOMP, a login, a namespace, a
destination id and a connection id. Prints every message it has dealt with, one JSON line each.

usage: atdata_consumer.py HOST PORT USER PASSWORD NAMESPACE DESTINATION_ID CONNECTION_ID [SPELLING]
"""

import sys
import threading

import stomp

HOST, PORT, USER, PASSWORD, NAMESPACE, DESTINATION_ID, CONNECTION_ID = sys.argv[1:8]
SPELLING = sys.argv[8] if len(sys.argv) > 8 else "/queue/{}"


class Listener(stomp.ConnectionListener):
    def __init__(self, connection, over):
        self.connection, self.over = connection, over

    def on_message(self, frame):
        print(frame.body, flush=True)
        self.connection.ack(frame.headers["message-id"], frame.headers["subscription"])

    def on_error(self, frame):
        print(frame.headers.get("message", "error"), file=sys.stderr, flush=True)

    def on_disconnected(self):
        self.over.set()


over = threading.Event()
connection = stomp.Connection11([(HOST, int(PORT))], heartbeats=(10000, 10000), reconnect_attempts_max=1)
connection.set_listener("", Listener(connection, over))
connection.connect(USER, PASSWORD, wait=True, headers={"client-id": CONNECTION_ID})
connection.subscribe(SPELLING.format(f"{DESTINATION_ID}.RTO.{NAMESPACE}"), id="1", ack="client", receipt="ready")
print("ready", file=sys.stderr, flush=True)
over.wait()
