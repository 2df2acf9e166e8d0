"""Receivers that fail, stall and reset: order is kept, nothing is lost, and no other receiver waits."""

import json
import time
from contextlib import contextmanager

from hooks import FINE, Receiver, hook
from stand import case, event, report

FAILING = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"


def numbers(requests):
    return [json.loads(one.body)["body"]["n"] for one in requests]


def events(count):
    return (event(type="CUSTOM", body={"n": n}) for n in range(count))


def comes_through(answer, **settings):
    """Every second attempt is answered so; all events come, each twice, in order."""

    def run():
        receiver = Receiver(lambda number: answer if number % 2 == 0 else FINE)
        with hook(receiver.url, **settings) as made:
            made.publish(*events(4))
            found = numbers(receiver.take(8, within=30))
        assert found == [0, 0, 1, 1, 2, 2, 3, 3], found

    return run


report("500 is tried again in order", comes_through(FAILING))
report("a reset is tried again in order", comes_through("reset"))
report("a redirect is tried again and not followed", comes_through(b"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"))
report("an endless head is tried again", comes_through(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000))


@case
def a_bomb_and_a_body_without_end_are_not_read():
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1073741824\r\n\r\n" + b"\0" * 100_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n" + b"x" * 100_000,
    ]
    receiver = Receiver(lambda number: answers[number % 2])
    with hook(receiver.url) as made:
        made.publish(*events(4))
        assert numbers(receiver.take(4)) == [0, 1, 2, 3]


@contextmanager
def beside(answer, count):
    """A receiver that answers so and was sent the first of some events, and the hook of a fine one with that."""
    holding, fine = Receiver(lambda _: answer), Receiver()
    with hook(holding.url) as held, hook(fine.url) as other:
        held.publish(*events(count))
        holding.take(1)
        yield holding, fine, other


@case
def a_stalled_receiver_holds_up_no_other():
    with beside("stall", 3) as (stalled, fine, other):
        begun = time.monotonic()
        for one in events(20):
            other.publish(one)
            assert numbers(fine.take(1)) == [one["body"]["n"]]
        took = time.monotonic() - begun
        assert took < 5, took
        assert stalled.is_quiet(0.5), "one attempt at a time"
    return f"{took * 1000 / 20:.1f} ms each"


@case
def a_slow_answer_is_one_and_holds_up_no_other():
    with beside("slow", 2) as (slow, fine, other):
        begun = time.monotonic()
        other.publish(*events(20))
        assert numbers(fine.take(20)) == list(range(20))
        took = time.monotonic() - begun
        assert numbers(slow.take(1)) == [1], "the first was taken, and the second came after it"
        waited = time.monotonic() - begun
        assert took < waited, (took, waited)
        assert slow.is_quiet(3), "neither is sent again"


@case
def what_is_refused_is_set_aside_and_the_next_goes_on():
    refusing = b"HTTP/1.1 400 No\r\nContent-Length: 3\r\n\r\nbad"
    receiver = Receiver(lambda number: refusing if number == 1 else FINE)
    with hook(receiver.url) as made:
        made.publish(*events(4))
        assert numbers(receiver.take(4)) == [0, 1, 2, 3]


@case
def gone_ends_it():
    receiver = Receiver(lambda _: b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
    with hook(receiver.url) as made:
        made.publish(*events(2))
        receiver.take(1)
        assert receiver.is_quiet(2)
        assert made.state()["state"] == "disabled", made.state()


@case
def attempts_are_listed_and_a_message_is_sent_again_by_its_id():
    receiver = Receiver(lambda number: FAILING if number == 0 else FINE)
    with hook(receiver.url, batch=5) as made:
        made.publish(*events(5))
        first, second = receiver.take(2)
        assert (first.id, first.body) == (second.id, second.body)
        # Attempts are told of a moment after they were made.
        deadline = time.monotonic() + 20
        while len(made.attempts()) < 2:
            assert time.monotonic() < deadline, made.attempts()
        outcomes = [(one["outcome"], one["status"], one["attempt"]) for one in made.attempts()]
        assert outcomes == [("taken", 200, 2), ("again", 500, 1)], outcomes
        [failed] = made.attempts(status="failed")
        assert (failed["message"], failed["events"]) == (first.id, 5), failed
        assert made.resend(first.id)["taken"]
        [third] = receiver.take(1)
        assert (third.id, third.body) == (first.id, first.body)
