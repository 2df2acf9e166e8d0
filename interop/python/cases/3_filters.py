"""Every filter shape, each against the same events; and those that `uaconnect` can write."""

import concurrent.futures
import time
import uuid

import uaconnect
from stand import TOKEN, case, consumer, event, phone, publish, report, select, take

PUSH, GROUP, CHANNEL, CONTACT = (str(uuid.uuid4()) for _ in range(4))
NAMED = f"user-{uuid.uuid4()}"

# Names for the events that the filters below pick from.
EVENTS = {
    "open": event("OPEN", device=phone(channel=CHANNEL, ios_channel=CHANNEL, named_user_id=NAMED)),
    "close": event("CLOSE", device=phone(device_type="ANDROID")),
    "web": event("SCREEN_VIEWED", device=phone(device_type="WEB"), user={"contact_id": CONTACT}),
    "send": event("SEND", device=phone(device_type="EMAIL"), body={"push_id": PUSH, "group_id": GROUP}),
    "body": event("PUSH_BODY", body={"push_id": str(uuid.uuid4()), "group_id": GROUP, "trimmed": False}),
    "cart": event(
        "CUSTOM",
        device=phone(device_type="SMS", attributes={"app_version": "1.2.7"}),
        body={"name": "Cart", "value": 12.5, "properties": {"tags": ["red", "blue"]}, "campaigns": {"categories": ["x"]}},
    ),
    "old": event("UNINSTALL", occurred=time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 3600)), device=phone()),
}


def where(value, key=None, scope=None, **more):
    named = {name: part for name, part in (("scope", scope), ("key", key)) if part is not None}
    return {"predicates": [{**named, "value": value, **more}]}


ALL = set(EVENTS)
SHAPES = {
    "types": ({"types": ["OPEN", "CLOSE"]}, {"open", "close"}),
    "types in lower case": ({"types": ["open"]}, {"open"}),
    "device types": ({"device_types": ["ios", "sms"]}, {"open", "cart", "old"}),
    "devices by channel": ({"devices": [{"channel": CHANNEL}]}, {"open"}),
    "devices by legacy channel": ({"devices": [{"ios_channel": CHANNEL}, {"android_channel": CHANNEL}]}, {"open"}),
    "devices by named user": ({"devices": [{"named_user_id": NAMED}]}, {"open"}),
    "users by contact": ({"users": [{"contact_id": CONTACT}]}, {"web"}),
    "notifications as array": ({"notifications": [{"push_id": PUSH}]}, {"send"}),
    "notifications as object": ({"notifications": {"group_id": GROUP}}, {"send", "body"}),
    "latency": ({"latency": 600_000}, ALL - {"old"}),
    "two attributes are both needed": ({"types": ["OPEN"], "device_types": ["android"]}, set()),
    "equals": (where({"equals": "Cart"}, "name", "body"), {"cart"}),
    "equals ignoring case": (where({"equals": "CART"}, "name", ["body"], ignore_case=True), {"cart"}),
    "equals an object": (where({"equals": {"categories": ["x"]}}, "campaigns", "body"), {"cart"}),
    "at least and at most": (where({"at_least": 12, "at_most": 13}, "value", "body"), {"cart"}),
    "is present": (where({"is_present": True}, "user"), {"web"}),
    "is absent": (where({"is_present": False}, "device"), {"body"}),
    "version matches": (where({"version_matches": "[1.2,1.3["}, "app_version", ["device", "attributes"]), {"cart"}),
    "array contains": (where({"array_contains": {"value": {"equals": "red"}}}, "tags", ["body", "properties"]), {"cart"}),
    "array contains at an index": (where({"array_contains": {"value": {"equals": "red"}}, "index": 1}, "tags", ["body", "properties"]), set()),
    "and": ({"predicates": [{"and": [{"key": "type", "value": {"equals": "CUSTOM"}}, {"key": "device", "value": {"is_present": True}}]}]}, {"cart"}),
    "or": ({"predicates": [{"or": [{"key": "type", "value": {"equals": "OPEN"}}, {"key": "type", "value": {"equals": "CLOSE"}}]}]}, {"open", "close"}),
    "not, bare": ({"predicates": [{"not": {"key": "device", "value": {"is_present": True}}}]}, {"body"}),
    "not, in an array": ({"predicates": [{"not": [{"key": "device", "value": {"is_present": True}}]}]}, {"body"}),
    "predicates as object": ({"predicates": {"key": "type", "value": {"equals": "OPEN"}}}, {"open"}),
}

BEFORE = publish(event())[0]
PLACES = dict(zip(publish(*EVENTS.values()), EVENTS))


def picks(filters, expected):
    found = {PLACES[offset] for offset in select({"resume_offset": str(BEFORE), "filters": filters})}
    assert found == expected, f"expected {sorted(expected)}, got {sorted(found)}"


# Side by side: each waits for the stream to come to rest.
with concurrent.futures.ThreadPoolExecutor(10) as pool:
    for name, (shape, expected) in SHAPES.items():
        pool.submit(report, f"filter: {name}", lambda shape=shape, expected=expected: picks([shape], expected))
    pool.submit(report, "filter: two filters, either is enough", lambda: picks([{"types": ["OPEN"]}, {"users": [{"contact_id": CONTACT}]}], {"open", "web"}))
    pool.submit(report, "filter: one object instead of an array", lambda: picks({"types": ["OPEN"]}, {"open"}))


@case
def the_filters_that_uaconnect_writes():
    wanted = uaconnect.Filter()
    wanted.types("open", "send")
    wanted.device_types("ios")
    wanted.devices(ios_channel=CHANNEL)
    wanted.latency(600_000)
    pushed = uaconnect.Filter()
    pushed.notifications(push_id=PUSH)
    client = consumer(uaconnect.EventConsumer, TOKEN)
    client.add_filter(wanted)
    client.add_filter(pushed)
    client.connect(resume_offset=str(BEFORE))
    assert {PLACES[int(one.offset)] for one in take(client, 2)} == {"open", "send"}
