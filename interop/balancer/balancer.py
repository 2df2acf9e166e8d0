"""A balancer in front of the server under test, as customers' networks have them.

`balancer.py TARGET pin` answers 307 with one cookie first, then passes the bytes on unchanged.
`balancer.py TARGET hold READYZ` passes a connection on once READYZ answers 200, and holds it until
then: what lets a client that never retries live through a restart of the server.

Prints its own address and serves until it is killed.
"""

import socket
import sys
import threading
import time
import urllib.parse
import urllib.request

TARGET = urllib.parse.urlsplit(sys.argv[1])
MODE = sys.argv[2]
REDIRECT = (
    b"HTTP/1.1 307 Temporary Redirect\r\n"
    b"Set-Cookie: SRVPIN=abc; Path=/; HttpOnly\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


def relay(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def redirected(client, head):
    """Sends a client without the cookie away to come again with it."""
    headers = head.split(b"\r\n\r\n")[0].lower()
    if b"\r\ncookie:" in headers and b"srvpin=abc" in headers:
        return False
    client.sendall(REDIRECT)
    client.shutdown(socket.SHUT_WR)
    while client.recv(65536):  # what is left of the body; closing over it would reset
        pass
    client.close()
    return True


def hold():
    """Waits until the server takes new readers."""
    while True:
        try:
            if urllib.request.urlopen(sys.argv[3], timeout=2).status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)


def serve(client):
    head = b""
    while b"\r\n\r\n" not in head:
        if not (data := client.recv(65536)):
            return
        head += data
    if MODE == "pin" and redirected(client, head):
        return
    if MODE == "hold":
        hold()
    server = socket.create_connection((TARGET.hostname, TARGET.port))
    server.sendall(head)
    threading.Thread(target=relay, args=(client, server), daemon=True).start()
    relay(server, client)


listener = socket.create_server(("127.0.0.1", 0))
print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
