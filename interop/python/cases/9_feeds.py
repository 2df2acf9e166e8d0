"""The load and change feeds through `sseclient` 0.0.27 as Aria's sample uses it, and through `httpx-sse`."""

import json
import random
import threading
import time

import httpx
from feed import Feed, call, change, fold, keyed, publish, reader
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
    assert auth.asked > 1, "each connection asks for the token"


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
def httpx_sse_reads_the_same():
    stream, auth = keyed(), reader()
    publish(stream, *(change("create", "Account", {"account_no": n}) for n in range(3)))
    headers = {"Authorization": f"Bearer {auth.secret}"}
    with httpx.Client(headers=headers, timeout=30) as client:
        url, query = f"{PROJECT}/feed/changes", {"stream": stream, "from": "5hours"}
        with connect_sse(client, "GET", url, params=query) as source:
            found = [event for _, event in zip(range(3), source.iter_sse())]
    numbers = [json.loads(event.data.split("\n")[0])["ref"]["ids"]["account_no"] for event in found]
    assert numbers == [0, 1, 2] and found[0].retry == 3000 and found[1].retry is None
    again = httpx.get(url, params={"stream": stream, "lastEventId": "nonsense"}, headers=headers)
    assert again.status_code == 410 and again.json()["code"] == "expired", again.text


@case
def load_and_changes_fold_to_the_source_while_the_server_is_killed():
    seed = random.randrange(1 << 32)
    rng, stream, auth = random.Random(seed), keyed(), reader()
    source, lock, done = {}, threading.Lock(), threading.Event()

    def write():
        number, entity = rng.randrange(400), rng.choice(["Account", "Invoice"])
        ids = {"account_no": number} if entity == "Account" else {"account_no": number, "invoice_no": number % 7}
        key = json.dumps(ids | {"type": entity}, sort_keys=True)
        kind = rng.choice(["update", "update", "delete"]) if key in source else "create"
        fields = {rng.choice("abc"): rng.randrange(1000)}
        publish(stream, change(kind, entity, ids, **fields))
        if kind == "delete":
            source.pop(key)
        else:
            source.setdefault(key, {}).update(fields)

    def writer():
        while not done.is_set():
            with lock:
                write()

    for _ in range(300):
        write()
    # 1: both streams are open before the load begins. What is older comes by the load alone.
    changes = Feed("/feed/changes", auth, stream=stream)
    time.sleep(1)
    thread = threading.Thread(target=writer, daemon=True)
    thread.start()
    job = call("POST", "/extractions", {"stream": stream})
    time.sleep(0.2)
    order("kill")
    time.sleep(1)
    order("kill")
    end = time.monotonic() + 60
    while (shown := call("GET", f"/extractions/{job['id']}"))["state"] in ("queued", "running"):
        assert time.monotonic() < end, shown
        time.sleep(0.1)
    assert shown["state"] == "done", shown
    done.set()
    thread.join()
    publish(stream, change("create", "Account", {"account_no": -1}))
    loads = Feed("/feed/load", auth)
    loads.until(lambda found: len(found) >= shown["entities"])
    changes.until(lambda found: any(header["ref"]["ids"]["account_no"] == -1 for _, header, _ in found))
    # Nothing of the load came twice, and read again it is the same.
    assert len(loads.found) == shown["entities"], (len(loads.found), shown)
    again = Feed("/feed/load", auth).until(lambda found: len(found) >= shown["entities"])
    assert again == loads.found
    copy = fold(loads.found + changes.found)
    copy.pop(json.dumps({"account_no": -1, "type": "Account"}, sort_keys=True))
    assert copy == source, f"seed {seed}: {len(copy)} and {len(source)} entities"
    return f"{len(loads.found)} loads, {len(changes.found)} changes, {changes.connections} connections"
