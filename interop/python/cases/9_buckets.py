"""Landed files in a bucket of a server that speaks S3 (`moto`): a server of its own is killed and started
while payloads come, and the store goes away meanwhile."""

import atexit
import collections
import json
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer
from stand import case

logging.getLogger("werkzeug").setLevel(logging.ERROR)
ROUNDS = int(os.environ.get("OUTFLOW_KILL_ROUNDS", "5"))
SENDERS = 4
# Files are closed after a second, and a failed attempt is made again within two seconds at first.
PATIENCE = 90
ACCESS, SECRET = "an-access-key", "a-secret-that-nobody-may-see"
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="outflow-buckets-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
STREAM = "is-SampleJson"


class Store:
    """The store; what is in it outlives its server."""

    def __init__(self):
        self.port = 0
        self.begin()
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.client.create_bucket(Bucket="landed")
        # A name that is put twice with other bytes would show.
        self.client.put_bucket_versioning(Bucket="landed", VersioningConfiguration={"Status": "Enabled"})

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def begin(self):
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self.server.start()
        self.port = self.server.get_host_and_port()[1]

    def end(self):
        self.server.stop()

    def versions(self):
        """The tags of all versions of every object, by key."""
        found = collections.defaultdict(set)
        for page in self.client.get_paginator("list_object_versions").paginate(Bucket="landed"):
            for one in page.get("Versions", []):
                found[one["Key"]].add(one["ETag"])
            assert not page.get("DeleteMarkers"), "nothing is deleted"
        return found

    def text(self, key):
        return self.client.get_object(Bucket="landed", Key=key)["Body"].read().decode()


class Server:
    def __init__(self, store):
        credentials = FOLDER / "credentials.toml"
        settings = {
            "aws_access_key_id": ACCESS,
            "aws_secret_access_key": SECRET,
            "aws_region": "us-east-1",
            "aws_endpoint_url": store.url,
            "aws_allow_http": "true",
        }
        credentials.write_text("".join(f'{name} = "{value}"\n' for name, value in settings.items()))
        arguments = [os.environ["OUTFLOW_BINARY"], "dev", "--json", "--rate", "0", "--data-dir", str(FOLDER / "data")]
        for option in ("--http", "--admin", "--stomp", "--openwire"):
            arguments += [option, "127.0.0.1:0"]
        for setting in (
            "landing.to=s3://landed/below/here",
            f"landing.credentials_file={credentials}",
            "landing.max_age_s=1",
            "landing.max_bytes=16384",
            "ingest.requests_per_second=1000000",
            "log.level=debug",
        ):
            arguments += ["--set", setting]
        self.log = open(FOLDER / "log", "ab")
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=self.log)
        # Also when a case fails. What has ended already is left alone.
        atexit.register(self.process.kill)
        self.ready = json.loads(self.process.stdout.readline())
        self.url = "http://" + self.ready["http"]

    def get(self, path):
        token = (FOLDER / "data" / "operator-token").read_text().strip()
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def send(self, name, stop, ledger):
        headers = {"Content-Type": "application/json", "Authorization": "Bearer " + self.ready["ingest_token"]}
        for number in range(1_000_000):
            if stop.is_set():
                return
            body = json.dumps({"id": f"{name}-{number}", "text": "y" * 150}).encode()
            request = urllib.request.Request(f"{self.url}/stream/v0/data/{STREAM}", data=body, headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    if answer.status == 202:
                        ledger.add(f"{name}-{number}")
            except OSError:
                return

    def stop(self, with_signal):
        self.process.send_signal(with_signal)
        self.process.wait(60)
        self.process.stdout.close()
        self.log.close()


store = Store()
FRONT = f"below/here/ingest/stream/sample_connection/{STREAM}/"


def found():
    """The ids in all objects; none may be there twice, and no object may have had other bytes."""
    ids = {}
    for key, tags in store.versions().items():
        assert len(tags) == 1, f"{key} was put again with other bytes"
        assert key.startswith(FRONT) and key.endswith(".ndjson"), key
        text = store.text(key)
        assert text.endswith("\n"), f"{key} is not whole"
        for line in text.splitlines():
            row = json.loads(line)["id"]
            assert row not in ids, f"{row} is in {key} and in {ids[row]}"
            ids[row] = key
    return ids


def run():
    """Kills the server while senders send, with the store away in every second round."""
    ledger = set()
    for turn in range(ROUNDS):
        server, stop = Server(store), threading.Event()
        senders = [
            threading.Thread(target=server.send, args=(f"{turn}-{who}", stop, ledger)) for who in range(SENDERS)
        ]
        for sender in senders:
            sender.start()
        time.sleep(1.5 + turn * 0.37)
        if turn % 2:
            store.end()
            time.sleep(1.5)
        server.stop(signal.SIGKILL)
        stop.set()
        for sender in senders:
            sender.join()
        if turn % 2:
            store.begin()
        found()
    return ledger


ledger = run()
last = Server(store)


@case
def every_accepted_payload_is_in_exactly_one_object():
    end = time.monotonic() + PATIENCE
    while missing := ledger - found().keys():
        assert time.monotonic() < end, f"{len(missing)} of {len(ledger)} never landed"
        time.sleep(0.5)
    assert len(ledger) > 20 * ROUNDS, f"only {len(ledger)} were accepted"
    return f"{len(ledger)} payloads in {len(store.versions())} objects, {ROUNDS} kills"


@case
def objects_are_listed_and_fetched_through_the_server():
    path = f"/v1/projects/sample_connection/ingest-streams/{STREAM}/files"
    listed, after = [], None
    while True:
        query = f"?after={urllib.parse.quote_plus(after)}" if after else ""
        page = json.loads(last.get(path + query))
        listed += page["items"]
        after = page.get("next")
        if not after:
            break
    keys = sorted(store.versions())
    assert [FRONT + one["path"] for one in listed] == keys, (len(listed), len(keys))
    for one in listed[:3] + listed[-3:]:
        content = last.get(f"{path}/{one['path']}")
        assert len(content) == one["bytes"] and content.decode() == store.text(FRONT + one["path"])


@case
def a_store_that_is_away_is_told_without_its_secrets():
    store.end()
    stop = threading.Event()
    sender = threading.Thread(target=last.send, args=("away", stop, ledger))
    sender.start()
    path = f"/v1/projects/sample_connection/ingest-streams/{STREAM}"
    end = time.monotonic() + PATIENCE
    while "landing_failure" not in (view := json.loads(last.get(path))):
        assert time.monotonic() < end, "it never said so"
        time.sleep(0.2)
    stop.set()
    sender.join()
    reason = view["landing_failure"]["reason"]
    assert "object store" in reason and "127.0.0.1" not in reason, reason
    store.begin()
    while ledger - found().keys():
        assert time.monotonic() < end + PATIENCE, "it never landed"
        time.sleep(0.5)
    last.stop(signal.SIGTERM)
    log = (FOLDER / "log").read_text()
    assert "does not land" in log and SECRET not in log
