"""Places: resume offsets in every form, restarts clean and hard."""

import base64

import requests
import uaconnect
from stand import TOKEN, case, consumer, event, lines, order, publish, select, stream, take


@case
def resume_is_exclusive_and_takes_strings_numbers_and_base64():
    offsets = publish(event(), event(), event())
    coded = base64.urlsafe_b64encode(str(offsets[0]).encode()).decode().rstrip("=")
    for form in (str(offsets[0]), offsets[0], coded):
        assert select({"resume_offset": form}) == offsets[1:], form


@case
def resume_wins_over_start():
    offsets = publish(event(), event())
    for start in ("LATEST", "EARLIEST"):
        assert select({"start": start, "resume_offset": str(offsets[0])}) == offsets[1:]


@case
def start_earliest_has_everything():
    offsets = publish(event(), event())
    assert select({"start": "EARLIEST"}, timeout=60)[-2:] == offsets


@case
def a_place_in_the_future_waits():
    with stream({"resume_offset": str(publish(event())[0] + 1_000_000)}) as response:
        assert next(lines(response)) == b""


def survives(word):
    """Publishes on both sides of an interruption; returns the offsets published and those read."""
    client, found = consumer(uaconnect.EventConsumer, TOKEN), []
    client.connect(start="LATEST")
    offsets = publish(*(event() for _ in range(20)))
    take(client, 10, found)
    offsets += publish(*(event() for _ in range(20)))
    order(word)
    offsets += publish(*(event() for _ in range(20)))
    while len({one.offset for one in found}) < len(offsets):
        try:
            take(client, 1, found)
        except requests.exceptions.RequestException:
            # After a broken connection the client raises to its user, who connects again.
            assert word == "kill", "a clean end must not be raised"
            client.connect(resume_offset=client.recorder.read_offset())
    return offsets, [int(one.offset) for one in found]


@case
def a_clean_restart_loses_and_doubles_nothing():
    offsets, found = survives("restart")
    assert found == offsets


@case
def a_kill_loses_nothing():
    offsets, found = survives("kill")
    assert sorted(set(found)) == offsets
    return f"{len(found) - len(offsets)} doubled"
