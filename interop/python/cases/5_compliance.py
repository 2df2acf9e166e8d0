"""The compliance door: Basic with the master secret, COMPLIANCE events only."""

import uaconnect
from stand import BEARER, KEY, SECRET, TOKEN, URL, case, consumer, event, phone, publish, select, take

GENERAL = "/api/events/general"
BASIC = {"path": GENERAL, "headers": {"X-UA-Appkey": KEY}, "auth": (KEY, SECRET)}
BEFORE = publish(event())[0]
OFFSETS = publish(
    event("COMPLIANCE", device=phone(device_type="EMAIL"), body={"event_type": "bounce"}),
    event("OPEN", device=phone()),
    event("COMPLIANCE", device=phone(device_type="SMS"), body={"event_type": "opted_out"}),
)
PLACE = {"resume_offset": str(BEFORE)}


@case
def uaconnect_reads_compliance_events():
    client = consumer(uaconnect.ComplianceConsumer, SECRET)
    client.connect(resume_offset=str(BEFORE))
    found = take(client, 2)
    assert [int(one.offset) for one in found] == [OFFSETS[0], OFFSETS[2]]
    assert {one.event_type for one in found} == {"COMPLIANCE"}


@case
def device_types_narrow_it():
    assert select({**PLACE, "filters": [{"device_types": ["sms"]}]}, **BASIC) == [OFFSETS[2]]
    assert select({**PLACE, "filters": [{"device_types": ["email", "sms"], "latency": 600_000}]}, **BASIC) == [OFFSETS[0], OFFSETS[2]]


@case
def offset_updates_take_the_place_of_blank_lines():
    import json

    from stand import lines, stream

    with stream({"start": "LATEST", "enable_offset_updates": True}, **BASIC) as response:
        update = json.loads(next(lines(response)))
    assert update["type"] == "OFFSET_UPDATE" and int(update["offset"]) >= OFFSETS[2], update
    assert set(update) == {"id", "type", "offset", "occurred", "processed"}, update


def refused(status, path, **options):
    import requests

    answer = requests.post(URL + path, data="{}", timeout=20, **options)
    assert answer.status_code == status and "error" in answer.json(), f"{answer.status_code} {answer.text}"


@case
def each_door_wants_its_own_key():
    refused(401, GENERAL, headers=BEARER)
    refused(401, GENERAL, headers={"X-UA-Appkey": KEY}, auth=(KEY, "wrong"))
    refused(401, GENERAL, headers={"X-UA-Appkey": "other"}, auth=(KEY, SECRET))


@case
def other_filters_are_refused():
    import requests

    for shape in ({"types": ["OPEN"]}, {"device_types": ["ios"]}, {"predicates": []}):
        answer = requests.post(URL + GENERAL, json={"filters": [shape]}, auth=(KEY, SECRET), headers={"X-UA-Appkey": KEY}, timeout=20)
        assert answer.status_code == 400, f"{shape}: {answer.status_code}"


@case
def compliance_is_a_type_like_any_other_for_those_entitled():
    assert select({**PLACE, "filters": [{"types": ["COMPLIANCE"]}]}, headers=BEARER) == [OFFSETS[0], OFFSETS[2]], TOKEN
