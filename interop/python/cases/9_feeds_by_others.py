"""The feeds through `sseclient-py`, whose module has the name of another client's."""

import os
import sys

sys.path.insert(0, os.path.join(os.environ["OUTFLOW_INSTALLED"], "python", "sseclient-py"))

import json

import requests
import sseclient
from stand import OPERATOR, PROJECT, case, publish, event


@case
def sseclient_py_reads_a_stream_to_its_end():
    publish(*(event("OPEN", body={"n": n, "text": "Zoë\u2028"}) for n in range(3)))
    query = {"from": "earliest", "limit": 3}
    with requests.get(f"{PROJECT}/streams/events/sse", params=query, headers=OPERATOR, stream=True, timeout=30) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        found = list(sseclient.SSEClient(answer).events())
    assert [json.loads(one.data)["offset"] for one in found] == [one.id.split("-")[1] for one in found], found
    assert len(found) == 3 and found[0].retry == "3000", found
