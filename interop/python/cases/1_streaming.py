"""Live events, idle times and slow reading, through `uaconnect` and plain requests."""

import itertools
import threading
import time

import requests
import uaconnect
from stand import BEARER, KEY, SECRET, TOKEN, URL, case, consumer, event, lines, publish, stream, take
from urllib3.util import SKIP_HEADER


@case
def live_events_arrive_through_uaconnect():
    client = consumer(uaconnect.EventConsumer, TOKEN)
    client.connect(start="LATEST")
    assert client.connection._conn.headers["Content-Encoding"] == "gzip", client.connection._conn.headers
    offsets = publish(*(event(body={"n": n}) for n in range(5)))
    found = take(client, 5)
    assert [int(one.offset) for one in found] == offsets, found
    assert all(one.occurred and one.processed and one.id for one in found)


@case
def a_live_event_takes_under_a_second():
    with stream({"start": "LATEST"}) as response:
        begun = time.monotonic()
        publish(event())
        assert next(line for line in lines(response) if line)
        took = time.monotonic() - begun
    assert took < 1, took
    return f"{took * 1000:.0f} ms"


@case
def gzip_and_identity_as_asked():
    for asked, expected in (("gzip, deflate", "gzip"), ("identity", None)):
        with stream({"start": "LATEST"}, headers={**BEARER, "Accept-Encoding": asked}) as response:
            assert response.headers.get("Content-Encoding") == expected, response.headers
            publish(event())
            assert next(line for line in lines(response) if line)


@case
def gzip_where_nothing_is_asked_for():
    # Left out altogether: without a word about it the library below would ask for identity.
    with stream({"start": "LATEST"}, headers={**BEARER, "Accept-Encoding": SKIP_HEADER}) as response:
        assert response.headers.get("Content-Encoding") == "gzip", response.headers
        (offset,) = publish(event())
        assert f'"offset":"{offset}"'.encode() in next(line for line in lines(response) if line)


@case
def an_empty_body_object_begins_at_the_end():
    publish(event())
    with stream("{}") as response:
        offsets = publish(event())
        first = next(line for line in lines(response) if line)
    assert str(offsets[0]).encode() in first, first


@case
def the_answer_has_the_promised_headers():
    with stream() as response:
        assert response.headers["Content-Type"].startswith("application/vnd.urbanairship+x-ndjson"), response.headers
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert response.headers["UA-Operation-Id"] and response.headers["X-UA-Operation-Id"]


@case
def thirty_idle_seconds_have_a_heartbeat_every_few():
    gaps, last, end = [], time.monotonic(), time.monotonic() + 30
    with stream({"start": "LATEST"}) as response:
        for chunk in response.iter_content(chunk_size=None):
            assert set(chunk) == {0x0A}, chunk
            gaps.append(time.monotonic() - last)
            last = time.monotonic()
            if last > end:
                break
    assert max(gaps) < 4, gaps
    return f"{len(gaps)} heartbeats, longest gap {max(gaps):.1f} s"


@case
def a_slow_reader_loses_nothing_and_holds_nobody_up():
    big = "x" * 2000
    with stream({"start": "LATEST"}, headers={**BEARER, "Accept-Encoding": "identity"}) as slow:
        offsets = []
        begun = time.monotonic()
        for _ in range(20):
            offsets += publish(*(event("CUSTOM", body={"name": big}) for _ in range(500)))
        published = time.monotonic() - begun
        time.sleep(3)
        found = []
        for line in lines(slow):
            if line:
                found.append(int(line.split(b'"offset":"')[1][:16]))
            if len(found) == len(offsets):
                break
    assert found == offsets
    return f"{len(found)} events, 20 MB published in {published:.1f} s before any was read"


@case
def two_readers_of_one_stream_get_the_same():
    found = {}

    def read(name, response):
        found[name] = list(itertools.islice(filter(None, lines(response)), 50))

    with stream() as one, stream(auth=(KEY, SECRET), headers={}) as other:
        threads = [threading.Thread(target=read, args=pair) for pair in (("one", one), ("other", other))]
        [thread.start() for thread in threads]
        publish(*(event() for _ in range(50)))
        [thread.join(20) for thread in threads]
    assert len(found["one"]) == 50 and found["one"] == found["other"]


@case
def trailing_slash_and_sloppy_accept_are_fine():
    for path in ("/api/events", "/api/events/"):
        for accept in ("*/*", None, "application/vnd.urbanairship+x-ndjson;version=3;"):
            with stream(path=path, headers={**BEARER, "Accept": accept}):
                pass


@case
def any_content_type_will_do():
    for kind in ("application/x-www-form-urlencoded", "text/plain", None):
        with stream("{}", headers={**BEARER, "Content-Type": kind}):
            pass

    def chunks():
        yield b'{"start":'
        yield b'"LATEST"}'

    with requests.post(URL + "/api/events", data=chunks(), headers=BEARER, stream=True, timeout=20) as response:
        assert response.status_code == 200, response.text
