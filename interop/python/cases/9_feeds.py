"""The load and change feeds through `sseclient` 0.0.27 as Aria's sample uses it, and through `httpx-sse`."""

import json
import random
import threading
import time

import httpx
from feed import Coordinator, Feed, call, change, keyed, publish, reader
from httpx_sse import connect_sse
from stand import PROJECT, case, order


@case
def changes_arrive_as_header_and_fields_and_go_on_after_the_last_id():
    stream, auth = keyed(), reader()
    changes = Feed("/feed/changes", auth, stream=stream, **{"from": "earliest"})
    publish(stream, change("create", "Account", {"account_no": 1}, name="Zoë Müller", balance=1.5, note=None))
    kind, header, fields = changes.until(lambda found: found)[0]
    assert kind == "create" and header["ref"] == {"type": "Account", "ids": {"account_no": 1}}
    assert fields == {"name": "Zoë Müller", "balance": 1.5, "note": None}, fields
    order("restart")
    publish(stream, change("delete", "Account", {"account_no": 1}))
    found = changes.until(lambda found: len(found) == 2)
    assert found[1][0] == "delete" and found[1][2] == {} and found[1][1]["tick"] > header["tick"]
    assert auth.asked > 1, "each connection gets a token of its own"


@case
def a_large_event_is_whole():
    stream = keyed()
    changes = Feed("/feed/changes", reader(), stream=stream, **{"from": "earliest"})
    # As it is sent, six bytes a letter: just below the 256 KiB that an entity may have.
    text = "ä" * 40_000
    publish(stream, change("create", "Account", {"account_no": 1}, text=text))
    assert changes.until(lambda found: found)[0][2] == {"text": text}


@case
def silence_is_no_event():
    stream = keyed()
    changes = Feed("/feed/changes", reader(), stream=stream, **{"from": "earliest"})
    time.sleep(35)
    publish(stream, change("create", "Account", {"account_no": 1}))
    assert len(changes.until(lambda found: found)) == 1 and changes.connections == 1


@case
def a_client_that_was_silent_for_longer_than_events_are_kept_goes_on():
    stream = keyed(retention={"age_ms": 1000}, feed_types=["Account"])
    changes = Feed("/feed/changes", reader(), stream=stream, **{"from": "earliest"})
    placed = publish(stream, change("create", "Account", {"account_no": 1}))["events"][0]["offset"]
    changes.until(lambda found: found)
    begun = time.monotonic()
    # Longer than any silence goes unmarked, and until the account's event is gone.
    while time.monotonic() < begun + 18 or int(call("GET", f"/streams/{stream}")["start"]) <= int(placed) + 1:
        assert time.monotonic() < begun + 90, "its event is kept for ever"
        publish(stream, change("create", "Invoice", {"account_no": 1, "invoice_no": int(time.monotonic() * 1000)}))
        time.sleep(0.5)
    order("kill")
    publish(stream, change("create", "Account", {"account_no": 2}))
    found = changes.until(lambda found: len(found) == 2)
    assert found[1][1]["ref"]["ids"] == {"account_no": 2} and changes.connections == 1, "nothing but events came"


@case
def a_draining_server_refuses_nobody():
    stream, auth = keyed(), reader()
    # Without an event they come again a tenth of a second after their end, while the rest is still served.
    feeds = [Feed("/feed/changes", auth, stream=stream, **{"from": "earliest"}) for _ in range(12)]
    end = time.monotonic() + 30
    while auth.asked < len(feeds):
        assert time.monotonic() < end, auth.asked
        time.sleep(0.02)
    order("restart")
    publish(stream, change("create", "Account", {"account_no": 1}))
    # `until` fails of whoever was answered with anything but a stream.
    assert all(len(feed.until(lambda found: found)) == 1 for feed in feeds)
    return f"{auth.asked} connections"


@case
def httpx_sse_reads_the_same():
    stream, auth = keyed(), reader()
    publish(stream, *(change("create", "Account", {"account_no": n}) for n in range(3)))
    headers = {"Authorization": auth.header()}
    with httpx.Client(headers=headers, timeout=30) as client:
        url, query = f"{PROJECT}/feed/changes", {"stream": stream, "from": "5hours"}
        with connect_sse(client, "GET", url, params=query) as source:
            found = [event for _, event in zip(range(3), source.iter_sse())]
    numbers = [json.loads(event.data.split("\n")[0])["ref"]["ids"]["account_no"] for event in found]
    assert numbers == [0, 1, 2] and found[0].retry == 3000 and found[1].retry is None
    again = httpx.get(url, params={"stream": stream, "lastEventId": "nonsense"}, headers=headers)
    assert again.status_code == 410 and again.json()["code"] == "expired", again.text


class Writer(threading.Thread):
    """Changes accounts and invoices, and knows what becomes of them."""

    def __init__(self, stream, seed, accounts):
        super().__init__(daemon=True)
        self.stream, self.rng, self.accounts = stream, random.Random(seed), accounts
        self.source, self.done = {}, threading.Event()
        for first in range(0, accounts, 1000):
            self.write([("Account", {"account_no": number}) for number in range(first, first + 1000)])

    def write(self, entities):
        events = []
        for entity, ids in entities:
            key = json.dumps(ids | {"type": entity}, sort_keys=True)
            kind = self.rng.choice(["update", "update", "update", "delete"]) if key in self.source else "create"
            fields = {self.rng.choice("abc"): self.rng.randrange(1000)}
            events.append(change(kind, entity, ids, **fields))
            if kind == "delete":
                self.source.pop(key)
            else:
                self.source.setdefault(key, {}).update(fields)
        publish(self.stream, *events)

    def any(self):
        number = self.rng.randrange(self.accounts)
        if self.rng.random() < 0.7:
            return "Account", {"account_no": number}
        return "Invoice", {"account_no": number, "invoice_no": number % 7}

    def run(self):
        while not self.done.wait(0.01):
            self.write([self.any() for _ in range(5)])


@case
def a_program_that_folds_load_and_changes_ends_as_the_source_though_it_and_the_server_are_killed():
    # What the project's load feed is made by; the program opens it before the load that it is to read.
    first = call("POST", "/extractions", {"stream": keyed()})
    seed, accounts = random.randrange(1 << 32), 12_000
    writer = Writer(stream := keyed(), seed, accounts)
    program, killed = Coordinator(stream), []

    def loads():
        return program.progress("events").get("load", 0)

    program.until(lambda: sorted(program.progress("connections").values()) == [1, 1], "both feeds are open")
    writer.start()
    job = call("POST", "/extractions", {"stream": stream})
    assert job["id"] != first["id"]
    # Read so far, of a thousand: whom to kill. The first finds the extraction itself at work.
    for share, whom in ((0, "server"), (100, "client"), (250, "server"), (400, "client"), (550, "both"), (700, "client")):
        program.until(lambda share=share: loads() > accounts * share // 1000, f"{share} in a thousand are read")
        if whom != "server":
            program.kill()
        killed.append((whom, loads()))
        if whom != "client":
            order("kill")
        if whom != "server":
            program.start()

    def shown():
        return call("GET", f"/extractions/{job['id']}")

    program.until(lambda: shown()["state"] not in ("queued", "running"), "the extraction ends")
    assert (over := shown())["state"] == "done", over
    # All kills were within the load.
    assert all(read < over["entities"] for _, read in killed), (killed, over)
    writer.done.set()
    writer.join()
    publish(stream, change("create", "Account", {"account_no": -1}, last=True))
    writer.source[json.dumps({"account_no": -1, "type": "Account"}, sort_keys=True)] = {"last": True}
    program.until(lambda: loads() >= over["entities"], "the load is read")
    program.until(lambda: program.copy() == writer.source, f"the copy is the source (seed {seed})")
    # Nothing came twice, and nothing waits for an entity that never came.
    assert loads() == over["entities"], (loads(), over)
    assert program.ask("SELECT * FROM waiting") == []
    changes = program.progress("events")["changes"]
    program.kill()
    # Read again, the load is the same.
    enough = lambda found: len(found) >= over["entities"]
    again, anew = (Feed("/feed/load", reader(), stream=stream).until(enough) for _ in range(2))
    assert again == anew and len(again) == over["entities"]
    return f"{len(again)} loads, {changes} changes, killed at {killed}"
