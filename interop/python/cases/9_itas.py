"""Seed 003: the call order of its table and its five questions, by a client loop in `requests`."""

import concurrent.futures
import datetime
import os
import pathlib
import re
import socket
import threading
import time
import uuid

import requests
from broker import until
from itas import COMPANY, LOGIN, Mailbox, notice, publish, topic
from stand import KEY, OPERATOR, PROJECT, TOKEN, URL, case, order

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def subscribed(*topics, **more):
    mailbox = Mailbox()
    for name in topics:
        mailbox.subscribe(name, **more)
    return mailbox


def counted(name, wanted):
    """Waits until a metric has a value."""
    end = time.monotonic() + 30
    while True:
        text = requests.get(os.environ["OUTFLOW_ADMIN_URL"] + "/metrics", timeout=30).text
        value = next(int(float(line.split()[1])) for line in text.splitlines() if line.startswith(name + " "))
        if value == wanted:
            return value
        assert time.monotonic() < end, f"{name} is {value}, not {wanted}"
        time.sleep(0.1)


def threads():
    """How many threads the server has: the one process that runs on this stand's data."""
    data = f"{os.environ['OUTFLOW_INSTALLED']}/stand/python/data".encode()
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if data in (folder / "cmdline").read_bytes():
                return len(list((folder / "task").iterdir()))
        except OSError:
            continue
    raise AssertionError("the server's process is not found")


@case
def the_five_calls_in_their_order():
    mailbox = Mailbox()
    assert GUID.fullmatch(mailbox.id)
    said = mailbox.subscribe("INVOICES")
    assert said == {"SubscriberId": mailbox.id, "Topic": "INVOICES", "CompanyCode": COMPANY, "ServiceResult": None}
    assert mailbox.peek(timeout=0)["NextMessageId"] is None
    publish("INVOICES", 1)
    peeked = mailbox.peek()
    assert peeked["MessageCount"] == 1 and GUID.fullmatch(peeked["NextMessageId"]), peeked
    got = mailbox.receive(peeked["NextMessageId"])
    assert got["MessageBody"] == notice(1)
    assert (got["Topic"], got["CompanyCode"], got["DeliveryCount"]) == ("INVOICES", COMPANY, 1)
    datetime.datetime.fromisoformat(got["EnqueueTime"].replace("Z", "+00:00"))
    assert mailbox.confirm(got["MessageId"], got["LockId"]) == {"MessageId": got["MessageId"], "ServiceResult": None}
    assert mailbox.peek(timeout=0)["MessageCount"] == 0


@case
def q1_a_long_poll_is_woken_as_soon_as_it_happens():
    name = topic()
    mailbox = subscribed(name)
    waits = []
    for number in range(5):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = pool.submit(lambda: (mailbox.peek(timeout=60), time.monotonic()))
            time.sleep(0.5)
            assert not waiting.done()
            publish(name, number)
            published = time.monotonic()
            peeked, answered = waiting.result(timeout=20)
        assert peeked["NextMessageId"], peeked
        waits.append(answered - published)
        mailbox.one()
    assert min(waits) < 0.1, waits
    return f"{max(0.0, sorted(waits)[2]) * 1000:.0f} ms after the publish was answered, median"


@case
def q2_events_come_in_the_order_in_which_they_happened():
    names = [topic() for _ in range(3)]
    mailbox = subscribed(*names)
    sent = []
    for number in range(60):
        sent += publish(names[number % 3], number)
    assert mailbox.all() == sent


@case
def q2_two_threads_share_a_mailbox_without_loss():
    name = topic()
    mailbox = subscribed(name)
    sent, found, lock = publish(name, *range(80)), [], threading.Lock()

    def work():
        twin = Mailbox(mailbox.name)
        assert twin.id == mailbox.id
        while (message := twin.peek(timeout=0)["NextMessageId"]) is not None:
            answer = twin.ask("POST", "Receive", subscriberId=twin.id, messageId=message, lockTimeout=30)
            if answer.status_code in (404, 409):
                continue
            got = answer.json()
            twin.confirm(message, got["LockId"])
            with lock:
                found.append(got["MessageBody"])

    threads = [threading.Thread(target=work) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    assert len(found) == 80 and all(one in found for one in sent), f"{len(found)} of 80"


@case
def q3_a_message_stays_until_it_is_confirmed():
    name = topic()
    mailbox = subscribed(name)
    publish(name, 1)
    message = mailbox.peek()["NextMessageId"]
    first = mailbox.receive(message, lock=1)
    busy = mailbox.ask("POST", "Receive", subscriberId=mailbox.id, messageId=message, lockTimeout=30)
    assert busy.status_code == 409 and int(busy.headers["Retry-After"]) >= 1, busy.text
    # Not confirmed in time: it is there again, and the old lock opens nothing.
    assert mailbox.peek(timeout=20)["NextMessageId"] == message
    second = mailbox.receive(message)
    assert (second["MessageBody"], second["DeliveryCount"]) == (notice(1), 2)
    stale = mailbox.ask("DELETE", "Confirm", subscriberId=mailbox.id, messageId=message, lockId=first["LockId"])
    assert stale.status_code == 409, stale.text
    # A client that lost the answer asks again and gets the same.
    assert mailbox.confirm(message, second["LockId"]) == mailbox.confirm(message, second["LockId"])
    assert mailbox.all() == []


@case
def q3_a_confirm_outlives_a_kill_and_so_does_what_is_not_confirmed():
    name = topic()
    mailbox = subscribed(name)
    sent = publish(name, *range(10))
    found = [mailbox.one() for _ in range(4)]
    held = mailbox.receive(mailbox.peek()["NextMessageId"])
    confirmed = mailbox.peek()["NextMessageId"]
    order("kill")
    again = Mailbox(mailbox.name)
    assert again.id == mailbox.id
    # Locks end with the server: what was held is next again, in its old place.
    assert again.peek()["NextMessageId"] == held["MessageId"] != confirmed
    stale = again.ask("DELETE", "Confirm", subscriberId=again.id, messageId=held["MessageId"], lockId=held["LockId"])
    assert stale.status_code == 409, stale.text
    assert found + again.all() == sent


@case
def q3_a_clean_restart_loses_and_doubles_nothing():
    name = topic()
    mailbox = subscribed(name)
    sent = publish(name, *range(10))
    found = [mailbox.one() for _ in range(5)]
    order("restart")
    sent += publish(name, *range(10, 15))
    assert found + mailbox.all() == sent


@case
def q4_every_topic_is_an_event_type_of_its_own():
    listed = requests.get(f"{URL}/Events/ViewTopics", auth=LOGIN, timeout=30).json()
    topics = {(one["CompanyCode"], one["Topic"]) for one in listed["Topics"]}
    assert {(COMPANY, "INVOICES"), (COMPANY, "PAYMENTS"), (COMPANY, "2-220"), (COMPANY, "6-21")} <= topics
    one, other = topic(), topic()
    mailbox = subscribed(one)
    publish(other, 1)
    sent = publish(one, 2)
    assert mailbox.all() == sent


@case
def q5_what_is_not_read_stays():
    name = topic()
    mailbox = subscribed(name)
    sent = publish(name, *range(20))
    message = mailbox.peek()["NextMessageId"]
    for _ in range(3):
        assert mailbox.peek()["NextMessageId"] == message, "a Peek takes nothing"
    seen = mailbox.call("GET", "ViewSubscriptions", subscriberId=mailbox.id)
    assert seen["MessageCount"] == 20 and seen["OldestEnqueueTime"], seen
    assert [(row["CompanyCode"], row["Topic"]) for row in seen["Subscriptions"]] == [(COMPANY, name)]
    order("restart")
    assert mailbox.all() == sent


@case
def q5_an_unsubscribed_mailbox_is_gone_with_its_messages():
    one, other = topic(), topic()
    mailbox = subscribed(one, other)
    publish(one, 1)
    kept = publish(other, 2)
    mailbox.unsubscribe(one)
    assert mailbox.all() == kept
    mailbox.unsubscribe(other)
    gone = mailbox.ask("GET", "Peek", subscriberId=mailbox.id, timeout=1)
    assert gone.status_code == 404 and gone.json()["ServiceResult"]["Code"] == "NotFound"
    mailbox.subscribe(one)
    assert mailbox.all() == [], "it begins with what comes then"


@case
def q5_a_mailbox_that_nobody_uses_goes_in_its_time_with_its_messages():
    name = topic()
    mailbox, other = subscribed(name), subscribed(name)
    publish(name, 1)
    place = f"{PROJECT}/subscriptions/mailbox:{mailbox.id}"
    # The ten days are a setting; this one has a minute.
    begun = time.monotonic()
    changed = requests.patch(place, json={"idle_expiry_ms": 60_000}, headers=OPERATOR, timeout=30)
    assert changed.status_code == 200, changed.text
    gone = lambda: requests.get(place, headers=OPERATOR, timeout=30).status_code == 404
    until("the mailbox is gone", gone, within=80)
    took = time.monotonic() - begun
    assert took > 50, f"gone after {took:.0f} s"
    mailbox.subscribe(name)
    assert mailbox.peek(timeout=0)["NextMessageId"] is None
    assert other.all() == [notice(1)]
    return f"gone after {took:.0f} s"


@case
def a_poll_without_a_message_answers_in_its_time():
    mailbox = subscribed(topic())
    begun = time.monotonic()
    said = mailbox.peek(timeout=2)
    took = time.monotonic() - begun
    assert (said["MessageCount"], said["NextMessageId"]) == (0, None)
    assert said["ServiceResult"]["Code"] == "Timeout", said
    assert 1.9 <= took < 4, took


@case
def a_thousand_parked_peeks_cost_no_threads():
    name = topic()
    mailbox = subscribed(name)
    before = threads()
    host, port = URL.removeprefix("http://").rsplit(":", 1)
    headers = f"Host: x\r\nAuthorization: {requests.auth._basic_auth_str(*LOGIN)}\r\n\r\n"
    ask = f"GET /Events/Peek?subscriberId={mailbox.id}&timeout=80 HTTP/1.1\r\n{headers}".encode()
    sockets = []
    for _ in range(1000):
        sockets.append(socket.create_connection((host, int(port)), timeout=60))
        sockets[-1].sendall(ask)
    counted("outflow_mailbox_peeks_parked", 1000)
    # The look-ups of a thousand requests at once borrow threads for a moment; waiting keeps none.
    until("the threads are back", lambda: threads() <= before + 2, within=40)
    publish(name, 1)
    begun = time.monotonic()
    for one in sockets:
        head = one.recv(4096)
        assert head.startswith(b"HTTP/1.1 200"), head[:80]
        one.close()
    took = time.monotonic() - begun
    assert mailbox.one() == notice(1)
    counted("outflow_mailbox_peeks_parked", 0)
    return f"all answered within {took:.2f} s of the publish"


@case
def names_count_in_any_case_and_the_later_grammar_leads_to_the_same_mailbox():
    name, who = topic(), f"Later-{uuid.uuid4()}"
    answer = requests.post(f"{URL}/EVENTS/REGISTER?%20SUBSCRIBERNAME={who}", auth=LOGIN, timeout=30)
    assert answer.status_code == 200, answer.text
    id = answer.json()["SubscriberId"]
    again = requests.post(f"{URL}/subscribers/{who}", auth=LOGIN, timeout=30)
    assert (again.status_code, again.json()["SubscriberId"]) == (200, id), again.text
    made = requests.put(f"{URL}/Subscriptions/{id}/{name}", auth=LOGIN, timeout=30)
    assert made.status_code == 201, made.text
    empty = requests.get(f"{URL}/Messages/{id}?timeout=0", auth=LOGIN, timeout=30)
    assert (empty.status_code, empty.content) == (204, b"")
    put = requests.put(f"{URL}/Messages/{name}", json=notice(5), auth=LOGIN, timeout=30)
    assert put.status_code == 201, put.text
    got = requests.get(f"{URL}/Messages/{id}?timeout=20", auth=LOGIN, timeout=30).json()
    assert got["MessageBody"] == notice(5) and got["LockId"] is None, got
    assert got["MessageId"] == put.json()["MessageId"]
    for _ in range(2):
        done = requests.delete(f"{URL}/Messages/{id}/{got['MessageId']}", auth=LOGIN, timeout=30)
        assert done.status_code == 200, done.text
    assert requests.get(f"{URL}/Messages/{id}?timeout=0", auth=LOGIN, timeout=30).status_code == 204


@case
def bearer_basic_and_the_vendors_headers_open_the_same():
    ask = f"{URL}/Events/ViewTopics"
    for headers in (
        {"Authorization": f"Bearer {TOKEN}"},
        {"ClientKey": KEY, "HMAC": TOKEN},
        {"clientkey": TOKEN},
    ):
        assert requests.get(ask, headers=headers, timeout=30).status_code == 200, headers
    for headers in ({}, {"ClientKey": KEY, "HMAC": "wrong"}, {"Authorization": "Bearer wrong"}):
        refused = requests.get(ask, headers=headers, timeout=30)
        assert refused.status_code == 401, headers
        assert refused.json()["ServiceResult"]["Code"] == "Unauthorized"
        refused = requests.get(ask, headers={**headers, "Accept": "application/problem+json"}, timeout=30)
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.json()["status"] == 401


@case
def another_clients_mailbox_does_not_exist():
    mailbox = subscribed(topic())
    made = requests.post(f"{PROJECT}/keys", json={"name": "other", "actions": ["read"]}, headers=OPERATOR, timeout=30)
    other = {"Authorization": f"Bearer {made.json()['secret']}"}
    for method, call in (("GET", "Peek"), ("GET", "ViewSubscriptions")):
        seen = requests.request(method, f"{URL}/Events/{call}?subscriberId={mailbox.id}&timeout=0", headers=other, timeout=30)
        assert seen.status_code == 404, seen.text
    taken = requests.post(f"{URL}/Events/Register?subscriberName={mailbox.name}", headers=other, timeout=30)
    assert taken.status_code == 409, taken.text


@case
def a_drain_answers_parked_peeks_at_once():
    mailbox = subscribed(topic())
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(mailbox.peek, timeout=80)
        time.sleep(0.5)
        begun = time.monotonic()
        order("restart")
        assert waiting.result(timeout=20)["NextMessageId"] is None
        return f"the server was back after {time.monotonic() - begun:.1f} s"
