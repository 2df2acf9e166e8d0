"""Requests are verified by the libraries that receivers use, in Python and in Node."""

import base64
import contextlib
import json
import os
import pathlib
import subprocess
import threading

import flask
import standardwebhooks
import stripe
import svix
from hooks import Receiver, hook
from stand import case, report
from werkzeug.serving import make_server

EXPRESS = pathlib.Path(__file__).resolve().parent.parent / "express.js"
MODULES = pathlib.Path(os.environ["OUTFLOW_INSTALLED"]) / "webhook" / "node_modules"
# RFC 8032 7.1, test 1: the seed, and the public key behind it.
ED25519 = "whsk_" + base64.b64encode(
    bytes.fromhex(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )
).decode()


def event(n):
    return {"type": "CUSTOM", "body": {"n": n, "text": "héllo \u2603", "number": 1.10}}


@contextlib.contextmanager
def express(secret, library):
    """A receiver in Express; yields its URL and its lines."""
    process = subprocess.Popen(
        ["node", EXPRESS, secret, library],
        env={**os.environ, "NODE_PATH": str(MODULES)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/", process.stdout
    finally:
        process.kill()
        process.wait()


def by_express(library, secret):
    def run():
        with express(secret, library) as (url, lines), hook(url, secret=secret) as made:
            for n in range(3):
                made.publish(event(n))
                said = lines.readline().strip()
                assert said.startswith("ok ") and json.loads(said[3:])["n"] == n, said

    return run


SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
report("npm standardwebhooks in Express", by_express("standardwebhooks", SECRET))
report("npm svix in Express", by_express("svix", SECRET))
report("v1a by Node's own Ed25519", by_express("ed25519", ED25519))


@case
def a_pair_that_the_server_draws_verifies_by_its_public_half_alone():
    with hook(Receiver().url, key_type="ed25519") as made:
        public = made.state()["public_key"]
        assert public.startswith("whpk_") and made.secret.startswith("whsk_"), public
        with express(public, "ed25519") as (url, lines):
            made.move(url)
            made.publish(event(1))
            said = lines.readline().strip()
            assert said.startswith("ok "), said


def by_python(library):
    def run():
        receiver = Receiver()
        with hook(receiver.url) as made:
            for n in range(3):
                made.publish(event(n))
                [request] = receiver.take()
                found = library(made.secret).verify(request.body, request.headers)
                assert (found or json.loads(request.body))["body"]["n"] == n, found
            tampered = request.body.replace(b"2", b"3", 1)
            try:
                library(made.secret).verify(tampered, request.headers)
            except Exception:
                return
            raise AssertionError("what was changed was verified")

    return run


report("PyPI standardwebhooks", by_python(standardwebhooks.Webhook))
report("PyPI svix", by_python(svix.Webhook))


@case
def pypi_stripe():
    receiver = Receiver()
    with hook(receiver.url, style="stripe") as made:
        made.publish(event(1))
        [request] = receiver.take()
        header = request.headers["Stripe-Signature"]
        assert stripe.WebhookSignature.verify_header(request.body.decode(), header, made.secret, 300)


@case
def flask_sees_a_batch_as_an_array():
    app, seen = flask.Flask("receiver"), []

    @app.post("/hook")
    def receive():
        standardwebhooks.Webhook(secret[0]).verify(flask.request.get_data(), dict(flask.request.headers))
        seen.append(flask.request.get_json())
        done.set()
        return "", 204

    server, secret, done = make_server("127.0.0.1", 0, app, threaded=True), [], threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with hook(f"http://127.0.0.1:{server.port}/hook?a=b", batch=5) as made:
        secret.append(made.secret)
        made.publish(*(event(n) for n in range(5)))
        assert done.wait(20)
    server.shutdown()
    assert [one["body"]["n"] for one in seen[0]] == list(range(5)), seen


@case
def both_secrets_verify_while_one_replaces_the_other():
    receiver = Receiver()
    with hook(receiver.url) as made:
        new = made.rotate(overlap_s=3600)
        made.publish(event(1))
        [request] = receiver.take()
        assert len(request.headers["webhook-signature"].split(" ")) == 2
        for secret in (made.secret, new):
            standardwebhooks.Webhook(secret).verify(request.body, request.headers)
            svix.Webhook(secret).verify(request.body, request.headers)
        last = made.rotate(overlap_s=0)
        made.publish(event(2))
        [request] = receiver.take()
        standardwebhooks.Webhook(last).verify(request.body, request.headers)
