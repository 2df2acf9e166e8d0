"""A balancer that pins a client to a node: 307 with one cookie first, then the bytes unchanged.

`pin.py TARGET` prints its own address and serves until it is killed.
"""

import socket
import sys
import threading
import urllib.parse

TARGET = urllib.parse.urlsplit(sys.argv[1])
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


def serve(client):
    head = b""
    while b"\r\n\r\n" not in head:
        if not (data := client.recv(65536)):
            return
        head += data
    headers = head.split(b"\r\n\r\n")[0].lower()
    if b"\r\ncookie:" not in headers or b"srvpin=abc" not in headers:
        client.sendall(REDIRECT)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):  # what is left of the body; closing over it would reset
            pass
        client.close()
        return
    server = socket.create_connection((TARGET.hostname, TARGET.port))
    server.sendall(head)
    threading.Thread(target=relay, args=(client, server), daemon=True).start()
    relay(server, client)


listener = socket.create_server(("127.0.0.1", 0))
print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
