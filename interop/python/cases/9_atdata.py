"""AtData's table of behaviours (seed 000), each with a consumer process as its page describes it."""

import hashlib
import itertools
import json
import queue
import subprocess
import sys
import threading
import time
import uuid

import requests
import stomp
from broker import HOST, NAMESPACE, PASSWORD, PORT, USER, Client, publish_addresses, until
from stand import INTEROP, OPERATOR, PROJECT, case, order

_numbers = itertools.count()


class Consumer:
    """A consumer process: its messages as they were printed."""

    def __init__(self, destination_id, connection_id, spelling="/queue/{}", login=(USER, PASSWORD), namespace=NAMESPACE):
        script = INTEROP / "python" / "atdata_consumer.py"
        line = [sys.executable, script, HOST, PORT, *login, namespace, destination_id, connection_id, spelling]
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines, self.said = queue.Queue(), []
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._listen, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def _listen(self):
        for line in self.process.stderr:
            self.said.append(line.strip())

    def take(self, count, within=30):
        end = time.monotonic() + within
        found = []
        while len(found) < count:
            try:
                found.append(self.lines.get(timeout=max(0.01, end - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"{len(found)} of {count} messages within {within} s; {self.said}") from None
        return found

    def rest(self, seconds=0.7):
        """What else comes within a while."""
        time.sleep(seconds)
        return [self.lines.get() for _ in range(self.lines.qsize())]

    def ready(self):
        until("the consumer is ready", lambda: "ready" in self.said or self.process.poll() is not None)
        assert self.process.poll() is None, self.said
        # The subscription follows the word: a message to another id of ours comes behind it.
        time.sleep(0.3)
        return self

    def stop(self, hard=False):
        (self.process.kill if hard else self.process.terminate)()
        self.process.wait()

    def __enter__(self):
        return self.ready()

    def __exit__(self, *_):
        self.stop(hard=True)


def addresses(count):
    return [{"md5": hashlib.md5(f"{next(_numbers)}-{uuid.uuid4()}".encode()).hexdigest()} for _ in range(count)]


def ids():
    """A destination id and two connection ids that nobody else has."""
    one = uuid.uuid4().hex[:8]
    return f"destination-{one}", f"connection-{one}-1", f"connection-{one}-2"


@case
def one_consumer_gets_every_message_in_order():
    destination, connection, _ = ids()
    sent = addresses(50)
    sent[7]["label"] = hashlib.sha1(b"label").hexdigest()
    with Consumer(destination, connection) as consumer:
        publish_addresses(*sent)
        assert consumer.take(50) == sent
        assert consumer.rest() == []


@case
def a_restart_with_the_same_ids_loses_nothing():
    destination, connection, _ = ids()
    sent = addresses(60)
    with Consumer(destination, connection) as consumer:
        publish_addresses(*sent[:20])
        found = consumer.take(20)
        consumer.rest(0.3)
        consumer.stop()
        publish_addresses(*sent[20:40])
    with Consumer(destination, connection) as consumer:
        publish_addresses(*sent[40:])
        found += consumer.take(40)
        assert found == sent
        assert consumer.rest() == []


@case
def a_killed_consumer_comes_back_under_its_connection_id_at_once():
    destination, connection, _ = ids()
    sent = addresses(30)
    with Consumer(destination, connection) as consumer:
        publish_addresses(*sent[:10])
        found = consumer.take(10)
        consumer.stop(hard=True)
        begun = time.monotonic()
    publish_addresses(*sent[10:])
    with Consumer(destination, connection) as consumer:
        took = time.monotonic() - begun
        # What it had not acked when it died comes again; nothing is missing and the order is kept.
        while any(one not in found for one in sent):
            found += consumer.take(1)
        assert [one for at, one in enumerate(found) if one not in found[:at]] == sent
        return f"back after {took:.1f} s, {len(found) - len(sent)} doubled"


@case
def a_restart_of_the_server_loses_nothing():
    destination, connection, _ = ids()
    sent = addresses(40)
    with Consumer(destination, connection) as consumer:
        publish_addresses(*sent[:10])
        found = consumer.take(10)
        consumer.rest(0.3)
    publish_addresses(*sent[10:20])
    order("kill")
    publish_addresses(*sent[20:])
    with Consumer(destination, connection) as consumer:
        found += consumer.take(30)
        assert found == sent
        assert consumer.rest() == []


@case
def distinct_destination_ids_mirror():
    one, two, sent = ids(), ids(), addresses(40)
    with Consumer(one[0], one[1]) as first, Consumer(two[0], two[1]) as second:
        publish_addresses(*sent)
        assert first.take(40) == sent
        assert second.take(40) == sent
        assert first.rest() == second.rest(0) == []


@case
def one_destination_id_and_distinct_connection_ids_balance():
    destination, one, two = ids()
    sent = addresses(100)
    with Consumer(destination, one) as first, Consumer(destination, two) as second:
        for message in sent:
            publish_addresses(message)
        until("all were taken", lambda: first.lines.qsize() + second.lines.qsize() >= 100)
        shares = first.rest(), second.rest(0)
        distinct = [message["md5"] for share in shares for message in share]
        assert sorted(distinct) == sorted(message["md5"] for message in sent), "each goes to one of the two"
        assert min(map(len, shares)) >= 25, [len(share) for share in shares]
        return f"{len(shares[0])} and {len(shares[1])} of 100"


@case
def a_connection_id_belongs_to_one_live_process():
    destination, connection, _ = ids()
    with Consumer(destination, connection) as first:
        second = Consumer(destination, connection)
        until("the second gives up", lambda: second.process.poll() is not None or second.said)
        time.sleep(0.5)
        assert "ready" not in second.said, second.said
        second.stop(hard=True)
        sent = addresses(5)
        publish_addresses(*sent)
        assert first.take(5) == sent


@case
def a_new_destination_id_begins_with_what_comes_then():
    destination, connection, _ = ids()
    publish_addresses(*addresses(5))
    sent = addresses(5)
    with Consumer(destination, connection) as consumer:
        publish_addresses(*sent)
        assert consumer.take(5) == sent
        assert consumer.rest() == []


@case
def the_spellings_that_examples_use_mean_the_same_queue():
    destination, one, two = ids()
    with Consumer(destination, one, spelling="{}") as consumer:
        sent = addresses(3)
        publish_addresses(*sent)
        assert consumer.take(3) == sent
    with Consumer(destination, two, spelling="/queue/{}?consumer.prefetchSize=10") as consumer:
        sent = addresses(3)
        publish_addresses(*sent)
        assert consumer.take(3) == sent


@case
def a_customer_reaches_its_own_namespace_only():
    with Client("1.1", login=(USER, PASSWORD)) as client:
        client.connection.subscribe("/queue/mine.RTO.othercompany", "1")
        assert client.error().headers["message"]
    with Client("1.1", login=(USER, PASSWORD)) as client:
        client.connection.send(f"/topic/RTO.{NAMESPACE}", "{}", receipt="no")
        assert client.error().headers["message"]
    for login in ((USER, "f" * 32), ("54321", PASSWORD)):
        try:
            Client("1.1", login=login).close()
        except stomp.exception.ConnectFailedException:
            continue
        raise AssertionError(f"let in: {login[0]}")


def the_abandoned_one_is_listed(destination, used):
    name, alive = f"queue:{destination}.RTO.{NAMESPACE}", f"queue:{used}.RTO.{NAMESPACE}"

    def listed(**query):
        answer = requests.get(f"{PROJECT}/subscriptions", params={"limit": 1000, **query}, headers=OPERATOR, timeout=30)
        assert answer.status_code == 200, answer.text
        return {one["name"]: one for one in answer.json()["items"]}

    # The server of these drivers counts as abandoned what nobody used for two seconds.
    until("it is listed as abandoned", lambda: name in listed(abandoned="true"))
    one = listed()[name]
    assert (one["backlog"], one["consumers"], one["abandoned"]) == (5, 0, True), one
    assert alive not in listed(abandoned="true")
    assert listed()[alive]["abandoned"] is False


@case
def an_abandoned_destination_id_is_seen_by_the_operator():
    destination, connection, _ = ids()
    with Consumer(destination, connection):
        pass
    used, connection, _ = ids()
    with Consumer(used, connection):
        publish_addresses(*addresses(5))
        the_abandoned_one_is_listed(destination, used)
