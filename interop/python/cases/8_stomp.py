"""A message broker's clients: `stomp.py` against queues, topics, transactions and receipts.

The scenarios are those of the package's own tests that need a broker, and what its users rely on
beside them.
"""

import json
import os
import time
import uuid

import certifi
import requests
import stomp
from broker import HOST, NAMESPACE, PASSWORD, PORT, USER, VERSIONS, Client, fresh, key, secured, until
from stand import URL, case, order, report


def every_version(function):
    """Reports a scenario once for each version of the protocol."""
    for version in VERSIONS:
        report(f"{function.__name__.replace('_', ' ')} in {version}", lambda version=version: function(version))


@every_version
def connecting_agrees_on_the_version(version):
    with Client(version) as client:
        assert client.frames.connected.headers.get("version", "1.0") == version
        return client.frames.connected.headers.get("server", "")


@every_version
def what_is_sent_is_received(version):
    queue = fresh()
    with Client(version) as client:
        client.subscribe(queue)
        client.send(queue, "hello", colour="green")
        frame = client.next()
        assert (frame.body, frame.headers["colour"]) == ("hello", "green")
        assert frame.headers["destination"] == queue
        client.quiet()


@every_version
def an_acked_message_is_gone_and_another_comes_back(version):
    queue = fresh()
    with Client(version) as sender:
        for body in ("one", "two"):
            sender.send(queue, body, persistent="true")
    with Client(version) as first:
        first.subscribe(queue, ack="client")
        one, two = first.next(), first.next()
        assert (one.body, two.body) == ("one", "two")
        first.settled(one)
    with Client(version) as second:
        second.subscribe(queue, ack="client")
        back = second.next()
        assert back.body == "two"
        assert back.headers.get("redelivered") == "true"
        second.settled(back)
    with Client(version) as third:
        third.subscribe(queue)
        third.quiet()


@case
def a_cumulative_ack_takes_all_before_it():
    queue = fresh()
    with Client() as client:
        for number in range(5):
            client.send(queue, str(number))
        client.subscribe(queue, ack="client")
        frames = [client.next() for _ in range(5)]
        client.settled(frames[3])
    with Client() as client:
        client.subscribe(queue)
        assert client.bodies(1) == ["4"]
        client.quiet()


@case
def an_individual_ack_takes_one():
    queue = fresh()
    with Client() as client:
        for number in range(4):
            client.send(queue, str(number))
        client.subscribe(queue, ack="client-individual")
        frames = [client.next() for _ in range(4)]
        client.settled(frames[2])
        client.settled(frames[0])
    with Client() as client:
        client.subscribe(queue, ack="client-individual")
        assert client.bodies(2) == ["1", "3"]


@case
def prefetch_bounds_what_is_on_its_way():
    queue = fresh()
    with Client() as client:
        for number in range(5):
            client.send(queue, str(number))
        client.subscribe(queue, ack="client-individual", **{"activemq.prefetchSize": "2"})
        first, _ = client.next(), client.next()
        client.quiet()
        client.settled(first)
        assert client.next().body == "2"
        client.quiet()


def nacked(version):
    queue, marker = fresh(), str(uuid.uuid4())
    with Client(version) as client, Client(version) as undertaker:
        undertaker.subscribe("/queue/ActiveMQ.DLQ")
        client.subscribe(queue, ack="client-individual")
        client.send(queue, "poison", persistent="true", marker=marker)
        client.nack(client.next())
        # Dead letters of other queues may lie there already.
        while (dead := undertaker.next()).headers.get("marker") != marker:
            pass
        assert dead.body == "poison"
        client.quiet()


@case
def a_nacked_message_goes_to_the_dead_letters():
    nacked("1.2")


@case
def a_nacked_message_goes_to_the_dead_letters_in_1_1():
    nacked("1.1")


@every_version
def a_committed_transaction_is_there_at_once_and_whole(version):
    queue = fresh()
    with Client(version) as client:
        client.subscribe(queue)
        transaction = client.connection.begin()
        for body in ("one", "two", "three"):
            client.connection.send(queue, body, transaction=transaction)
        client.quiet()
        client.connection.commit(transaction)
        assert client.bodies(3) == ["one", "two", "three"]


@every_version
def an_aborted_transaction_leaves_nothing(version):
    queue = fresh()
    with Client(version) as client:
        client.subscribe(queue)
        transaction = client.connection.begin()
        client.connection.send(queue, "never", transaction=transaction)
        client.connection.abort(transaction)
        client.send(queue, "after")
        assert client.bodies(1) == ["after"]
        client.quiet()


@case
def an_ack_in_an_aborted_transaction_is_taken_back():
    queue = fresh()
    with Client() as client:
        client.send(queue, "again")
        client.subscribe(queue, ack="client-individual")
        frame = client.next()
        transaction = client.connection.begin()
        client.ack(frame, transaction=transaction)
        client.connection.abort(transaction)
        client.settled(frame)
    with Client() as client:
        client.subscribe(queue)
        client.quiet()


@case
def a_transaction_ends_with_its_connection():
    queue = fresh()
    client = Client()
    transaction = client.connection.begin()
    client.connection.send(queue, "never", transaction=transaction)
    client.vanish()
    with Client() as other:
        other.subscribe(queue)
        other.quiet()


@case
def a_receipt_of_a_persistent_send_outlives_a_kill():
    queue = fresh()
    with Client() as client:
        for number in range(20):
            client.send(queue, str(number), persistent="true")
    order("kill")
    with Client() as client:
        client.subscribe(queue, ack="client-individual")
        assert client.bodies(20) == [str(number) for number in range(20)]


@case
def an_ack_with_a_receipt_outlives_a_kill():
    queue = fresh()
    with Client() as client:
        for number in range(10):
            client.send(queue, str(number), persistent="true")
        client.subscribe(queue, ack="client-individual")
        frames = [client.next() for _ in range(10)]
        for frame in frames[::2]:
            client.settled(frame)
    order("kill")
    with Client() as client:
        client.subscribe(queue, ack="client-individual")
        assert client.bodies(5) == ["1", "3", "5", "7", "9"]
        client.quiet()


@case
def heart_beats_keep_an_idle_connection():
    with Client(heartbeats=(400, 400)) as client:
        assert client.frames.connected.headers["heart-beat"] != "0,0"
        time.sleep(5)
        # stomp.py gives up after one and a half times the interval, and so counts every drift.
        assert client.frames.late_beats == 0, f"{client.frames.late_beats} beats were late"
        assert client.connection.is_connected()
        queue = fresh()
        client.subscribe(queue)
        client.send(queue, "still here")
        assert client.bodies(1) == ["still here"]


@case
def heart_beats_come_between_messages_too():
    queue = fresh()
    with Client(heartbeats=(400, 400)) as client:
        client.subscribe(queue)
        end = time.monotonic() + 4
        while time.monotonic() < end:
            client.send(queue, "tick")
            assert client.bodies(1) == ["tick"]
            time.sleep(0.37)
        assert client.frames.late_beats == 0, f"{client.frames.late_beats} beats were late"


@case
def a_selector_chooses():
    queue = fresh()
    with Client() as client:
        client.subscribe(queue, id="few", selector="colour = 'green' AND size > 5")
        for colour, size in (("green", "3"), ("red", "9"), ("green", "10"), ("green", "6")):
            client.send(queue, f"{colour}{size}", colour=colour, size=size)
        assert client.bodies(2) == ["green10", "green6"]
        client.quiet()
    with Client() as client:
        client.subscribe(queue)
        assert client.bodies(2) == ["green3", "red9"]


@case
def a_bad_selector_is_an_error_and_the_connection_stays():
    with Client() as client:
        client.connection.subscribe(fresh(), "1", selector="colour = = 'green'")
        assert "selector" in str(client.error().headers).lower()
        queue = fresh()
        client.subscribe(queue, id="2")
        client.send(queue, "on")
        assert client.bodies(1) == ["on"]


SPECIAL = {"colon": "a:b", "newline": "a\nb", "backslash": "a\\nb", "both": "\\:\n\\", "umlaut": "für", "emoji": "📈"}


def special(version, more):
    queue = fresh()
    with Client(version) as client:
        client.subscribe(queue)
        headers = {**SPECIAL, **more}
        client.send(queue, "ünïcödé \U0001f4c8", **headers)
        frame = client.next()
        assert frame.body == "ünïcödé \U0001f4c8", ascii(frame.body)
        got = {name: frame.headers.get(name) for name in headers}
        assert got == headers, f"{got!a}"


@case
def special_characters_survive():
    special("1.2", {"return": "a\r\nb"})


@case
def special_characters_survive_in_1_1():
    special("1.1", {})


@case
def bytes_survive():
    queue, body = fresh(), bytes(range(256)) * 64
    with Client(auto_decode=False) as client:
        client.subscribe(queue)
        client.send(queue, body)
        got = client.next()
        assert got.body == body
        assert got.headers["content-length"] == str(len(body))


def took(own):
    try:
        Client(headers={"client-id": own}).close()
    except stomp.exception.ConnectFailedException:
        return False
    return True


@case
def a_client_id_belongs_to_one_live_connection():
    own = str(uuid.uuid4())
    first = Client(headers={"client-id": own})
    try:
        Client(headers={"client-id": own}).close()
    except stomp.exception.ConnectFailedException:
        pass
    else:
        raise AssertionError("a second connection got the same client id")
    assert first.connection.is_connected()
    first.vanish()
    until("the id is free", lambda: took(own), within=10)


@case
def a_wrong_password_is_refused():
    project, _ = key()
    try:
        Client(login=(project, "0" * 32)).close()
    except stomp.exception.ConnectFailedException:
        return
    raise AssertionError("let in")


@case
def a_topic_goes_to_everyone_who_listens():
    topic = fresh("topic")
    with Client() as one, Client() as two, Client() as sender:
        one.subscribe(topic)
        two.subscribe(topic)
        sender.send(topic, "news")
        assert one.bodies(1) == two.bodies(1) == ["news"]
    with Client() as late:
        late.subscribe(topic)
        late.quiet()


@case
def a_durable_subscription_keeps_what_its_owner_missed():
    topic, own = fresh("topic"), str(uuid.uuid4())
    durable = {"activemq.subscriptionName": "mine"}
    with Client(headers={"client-id": own}) as client:
        client.subscribe(topic, **durable)
    with Client() as sender:
        sender.send(topic, "while away", persistent="true")
    with Client(headers={"client-id": own}) as client:
        client.subscribe(topic, **durable)
        assert client.bodies(1) == ["while away"]


@case
def two_consumers_share_a_queue():
    queue = fresh()
    with Client() as one, Client() as two, Client() as sender:
        for client in (one, two):
            client.subscribe(queue, ack="client-individual", **{"activemq.prefetchSize": "1"})
        for number in range(40):
            sender.send(queue, str(number))
        got = {one: [], two: []}

        def drain():
            for client in (one, two):
                while not client.frames.messages.empty():
                    frame = client.next()
                    got[client].append(int(frame.body))
                    client.ack(frame)
            return sum(map(len, got.values())) == 40

        until("all forty", drain)
        assert sorted(got[one] + got[two]) == list(range(40))
        assert min(map(len, got.values())) >= 10, {len(numbers) for numbers in got.values()}


@case
def an_answer_comes_through_a_temporary_queue():
    queue = fresh()
    with Client() as server, Client() as client:
        server.subscribe(queue)
        client.subscribe("/temp-queue/answers", id="answers")
        client.send(queue, "question", **{"reply-to": "/temp-queue/answers"})
        asked = server.next()
        server.send(asked.headers["reply-to"], "answer")
        assert client.bodies(1) == ["answer"]


@case
def a_browser_looks_and_takes_nothing():
    queue = fresh()
    with Client() as client:
        for number in range(3):
            client.send(queue, str(number))
        client.subscribe(queue, id="look", browser="true")
        assert client.bodies(3) == ["0", "1", "2"]
        assert client.next().headers.get("browser") == "end"
        client.subscribe(queue, id="take")
        assert client.bodies(3) == ["0", "1", "2"]


@case
def an_expired_message_is_not_delivered():
    queue = fresh()
    with Client() as client:
        client.send(queue, "stale", expires=str(int(time.time() * 1000) - 1000))
        client.send(queue, "good")
        client.subscribe(queue)
        assert client.bodies(1) == ["good"]
        client.quiet()


@case
def a_delayed_message_waits():
    queue = fresh()
    with Client() as client:
        client.subscribe(queue)
        begun = time.monotonic()
        client.send(queue, "later", AMQ_SCHEDULED_DELAY="1500")
        assert client.bodies(1) == ["later"]
        assert time.monotonic() - begun >= 1.4


@case
def an_unsubscribed_client_gets_no_more():
    queue = fresh()
    with Client() as client:
        client.subscribe(queue)
        client.send(queue, "one")
        assert client.bodies(1) == ["one"]
        client.connection.unsubscribe("1")
        client.send(queue, "two")
        client.quiet()


@case
def over_a_websocket():
    host, port = URL.removeprefix("http://").rsplit(":", 1)
    for path in ("/stomp", "/ws", "/"):
        queue = fresh()
        client = Client(connection=stomp.WSConnection([(host, int(port))], ws_path=path))
        client.subscribe(queue)
        client.send(queue, f"through {path}")
        assert client.bodies(1) == [f"through {path}"]
        client.connection.disconnect()


@case
def the_command_line_sends_and_receives():
    import subprocess
    import sys

    queue, (project, secret) = fresh(), key()
    line = [sys.executable, "-m", "stomp", "-H", HOST, "-P", PORT, "-U", project, "-W", secret]
    script = f"subscribe {queue}\nsend {queue} hello from the command line\n"
    run = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ)
    run.stdin.write(script)
    run.stdin.flush()
    time.sleep(2)
    output, _ = run.communicate("quit\n", timeout=20)
    assert "hello from the command line" in output.split("send ")[-1], output[-300:]


@case
def messages_come_by_tls_from_a_server_that_is_who_it_says():
    queue = f"/queue/{uuid.uuid4()}.RTO.{NAMESPACE}"
    with Client(login=(USER, PASSWORD), connection=secured()) as client:
        client.subscribe(queue, ack="client-individual")
        url = f"{os.environ['OUTFLOW_TLS_URL']}/v1/projects/sample_connection/streams/RTO.{NAMESPACE}/events"
        operator = {"Authorization": "Bearer " + os.environ["OUTFLOW_TLS_OPERATOR_TOKEN"]}
        event = {"type": "ADDRESS", "body": {"md5": "x"}}
        answer = requests.post(url, json=event, headers=operator, verify=os.environ["OUTFLOW_CA"], timeout=30)
        assert answer.status_code == 200, answer.text
        frame = client.next()
        assert json.loads(frame.body) == event["body"], frame.body
        client.settled(frame)
    try:
        Client(login=(USER, PASSWORD), connection=secured(certifi.where())).close()
    except stomp.exception.ConnectFailedException:
        return
    raise AssertionError("a certificate of an unknown authority was taken")
