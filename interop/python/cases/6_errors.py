"""Each error as `uaconnect` shows it: an AirshipFailure with the reason, never a crash of its own."""

import requests
import uaconnect
from stand import BEARER, KEY, TOKEN, URL, case, consumer, report, stranger, stream, token


def failure(client, **connect):
    try:
        client.connect(**(connect or {"start": "LATEST"}))
    except uaconnect.consumer.AirshipFailure as failure:
        assert failure.error and failure.error_code and failure.details, failure.response.text
        return failure
    raise AssertionError("the server let it pass")


def bad_filter(shape):
    client = consumer(uaconnect.EventConsumer, TOKEN)
    client.filters.append(shape)
    return failure(client)


@case
def error_400_names_the_fault():
    assert "KNITTING" in str(bad_filter({"types": ["KNITTING"]}).response.text)
    for shape in ({"types": []}, {"nonsense": 1}, {"latency": "soon"}, {"predicates": [{"and": []}]}):
        assert bad_filter(shape).response.status_code == 400, shape


@case
def error_401_for_a_wrong_token():
    assert failure(consumer(uaconnect.EventConsumer, "wrong")).response.status_code == 401


@case
def error_402_at_the_connection_limit():
    one = token(max_connections=1)
    first = consumer(uaconnect.EventConsumer, one)
    first.connect(start="LATEST")
    status, taken = 0, []
    # One place of slack is kept for clients that open a second stream before closing the first.
    while status == 0 and len(taken) < 5:
        try:
            taken.append(consumer(uaconnect.EventConsumer, one))
            taken[-1].connect(start="LATEST")
        except uaconnect.consumer.AirshipFailure as refused:
            status = refused.response.status_code
    first.connection.close()
    [other.connection.close() for other in taken]
    assert status == 402, status
    return f"after {len(taken)} streams"


@case
def error_403_names_the_types():
    client = consumer(uaconnect.EventConsumer, token(event_types=["OPEN", "CLOSE"]))
    client.filters.append({"types": ["OPEN", "COMPLIANCE", "TAG_CHANGE"]})
    refused = failure(client)
    assert refused.response.status_code == 403
    assert "not entitled COMPLIANCE,TAG_CHANGE" in refused.response.text, refused.response.text


@case
def error_401_for_an_unknown_key():
    assert failure(consumer(uaconnect.EventConsumer, TOKEN, key="nobody")).response.status_code == 401


@case
def error_404_for_a_known_key_without_its_data():
    key, secret = stranger()
    assert failure(consumer(uaconnect.EventConsumer, secret, key=key)).response.status_code == 404


@case
def error_406_for_another_version():
    headers = {**BEARER, "Accept": "application/vnd.urbanairship+x-ndjson; version=9;"}
    answer = requests.post(URL + "/api/events", data="{}", headers=headers, timeout=20)
    assert answer.status_code == 406 and answer.json()["error"], answer.text


BODIES = {
    "malformed JSON": '{"start":',
    "not an object": "[1]",
    "a number too many": "{} {}",
    "bad start": '{"start":"YESTERDAY"}',
    "bad offset": '{"resume_offset":"!"}',
    "empty filters": '{"filters":[]}',
    "subset without a type": '{"subset":{"proportion":0.5}}',
    "subset out of range": '{"subset":{"type":"PARTITION","count":2,"selection":2}}',
    "subset with an extra key": '{"subset":{"type":"SAMPLE","proportion":0.5,"count":2}}',
    "both ids of a notification": '{"filters":[{"notifications":[{"push_id":"a","group_id":"b"}]}]}',
    "depth of ten thousand": '{"filters":' + "[" * 10_000 + "]" * 10_000 + "}",
    "cut inside a character": b'{"start":"LATEST","filters":[{"types":["\xc3',
}


def refused(body):
    answer = requests.post(URL + "/api/events", data=body, headers=BEARER, timeout=20)
    assert answer.status_code == 400, f"{answer.status_code} {answer.text[:200]}"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    shape = answer.json()
    assert shape["ok"] is False and shape["error"] and shape["operation_id"], shape
    return shape["details"]["error"][:120]


for name, body in BODIES.items():
    report(f"error 400: {name}", lambda body=body: refused(body))


@case
def other_methods_and_places_are_answered():
    assert requests.get(URL + "/api/events", headers=BEARER, timeout=20).status_code == 405
    assert requests.post(URL + "/api/nothing", headers=BEARER, timeout=20).status_code == 404


@case
def the_server_still_streams_after_all_that():
    with stream():
        pass
    assert KEY
