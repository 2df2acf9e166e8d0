"""What lies between client and server: pinning balancers, private CAs, dead peers."""

import os
import subprocess
import sys
import tempfile
import time

import uaconnect
from stand import INTEROP, TOKEN, URL, case, consumer, event, pinning_proxy, publish, report, take, token


@case
def a_pinning_balancer_is_followed():
    with pinning_proxy() as url:
        client = consumer(uaconnect.EventConsumer, TOKEN, url=url)
        client.connect(start="LATEST")
        offsets = publish(event(), event())
        assert [int(one.offset) for one in take(client, 2)] == offsets
        assert client.connection.cookies.get("SRVPIN"), "no cookie was kept"


@case
def tls_with_a_private_authority():
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["OUTFLOW_CA"]
    try:
        client = consumer(uaconnect.EventConsumer, TOKEN, url=os.environ["OUTFLOW_TLS_URL"])
        client.connect(start="LATEST")
        assert next(client.read()) is None
    finally:
        del os.environ["REQUESTS_CA_BUNDLE"]


def secured(version):
    """A process of its own: OpenSSL reads once which versions it may speak, for every program alike."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "import uaconnect\n"
        "from stand import TOKEN, consumer\n"
        "client = consumer(uaconnect.EventConsumer, TOKEN, url=sys.argv[1])\n"
        "client.connect(start='LATEST')\n"
        "assert next(client.read()) is None\n"
        "print(client.connection._conn.raw._connection.sock.version())\n"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as settings:
        settings.write(f"openssl_conf=all\n[all]\nssl_conf=kinds\n[kinds]\nsystem_default=versions\n[versions]\nMinProtocol={version}\nMaxProtocol={version}\n")
        settings.flush()
        ran = subprocess.run(
            [sys.executable, "-c", program, os.environ["OUTFLOW_TLS_URL"], str(INTEROP / "python")],
            env={**os.environ, "REQUESTS_CA_BUNDLE": os.environ["OUTFLOW_CA"], "OPENSSL_CONF": settings.name},
            capture_output=True, text=True, timeout=60,
        )
    assert ran.stdout.strip() == version, f"{ran.stdout} {ran.stderr[-300:]}"


for version in ("TLSv1.2", "TLSv1.3"):
    report(f"{version} with a private authority", lambda version=version: secured(version))


@case
def a_dead_reader_frees_its_place_within_thirty_seconds():
    one = token(max_connections=1)
    program = (
        "import requests,sys\n"
        "for _ in range(5):\n"
        "    r = requests.post(sys.argv[1], data='{}', headers={'X-UA-Appkey': 'sample_connection', 'Authorization': 'Bearer ' + sys.argv[2]}, stream=True)\n"
        "    open_streams = globals().setdefault('kept', []); open_streams.append(r)\n"
        "    if r.status_code == 402: break\n"
        "print(r.status_code, flush=True)\n"
        "import time; time.sleep(120)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, URL + "/api/events", one], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline().strip() == "402"
    finally:
        holder.kill()
        holder.wait()
    begun = time.monotonic()
    while time.monotonic() - begun < 30:
        try:
            client = consumer(uaconnect.EventConsumer, one)
            client.connect(start="LATEST")
            client.connection.close()
            return f"{time.monotonic() - begun:.1f} s"
        except uaconnect.consumer.AirshipFailure:
            time.sleep(0.5)
    raise AssertionError("still 402 after 30 s")
