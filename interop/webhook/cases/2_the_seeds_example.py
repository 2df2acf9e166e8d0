"""The request of the seed's example, by a raw socket: every byte of its head, every member of its body."""

import datetime
import json
import re

from hooks import Receiver, hook
from stand import case

# The example's is older than what is taken; now, in the same form.
NOW = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
EVENT = {
    "id": "7e7f5990-d277-4636-b22c-912cb2ca2ec9",
    "occurred": NOW,
    "device": {
        "ios_channel": "1819298f-065f-46f1-81a0-1fea91f65ce7",
        "attributes": {"locale_variant": "", "app_version": "1.2.3", "push_opt_in": "false"},
    },
    "body": {
        "name": "finished_game",
        "session_id": "e025bde1-f974-42fa-a925-aca7054218dc",
        "properties": {"game_name": "snaps", "game_score": 1000},
    },
    "type": "CUSTOM",
}
HEADERS = [
    ["Custom-Header1", "Value1"],
    ["Custom-Header2", "Value2"],
    ["Authorization", "Basic dXNhcj0wYXNzd29yZA=="],
    ["User-Agent", "mine"],
]


@case
def the_head_is_that_of_the_example():
    receiver = Receiver()
    with hook(receiver.url, style="none", headers=HEADERS) as made:
        made.publish(EVENT)
        [request] = receiver.take()
    expected = (
        "POST / HTTP/1.1\r\n"
        f"Host: {receiver.url[7:-1]}\r\n"
        f"Content-Length: {len(request.body)}\r\n"
        "Content-Type: application/json; charset=UTF-8\r\n"
        "Custom-Header1: Value1\r\n"
        "Custom-Header2: Value2\r\n"
        "Authorization: Basic dXNhcj0wYXNzd29yZA==\r\n"
        "User-Agent: mine\r\n"
        "\r\n"
    )
    assert request.head == expected.encode(), request.head
    found = json.loads(request.body)
    assert re.fullmatch(r"\d+", found.pop("offset")) and found.pop("processed")
    assert found == EVENT, found


@case
def a_batch_that_is_sent_again_has_the_same_bytes_and_id():
    failing = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
    receiver = Receiver(lambda number: failing if number < 3 else b"HTTP/1.1 204 None\r\n\r\n")
    with hook(receiver.url, batch=10) as made:
        made.publish(*({**EVENT, "id": f"e{n}"} for n in range(3)))
        requests = receiver.take(4)
    assert len({(one.id, one.body) for one in requests}) == 1, requests
    assert isinstance(json.loads(requests[0].body), list)
