"""Every filter shape, each against the same events; and those that `uaconnect` can write."""

import concurrent.futures
import json
import pathlib
import time
import uuid

import uaconnect
from stand import TOKEN, case, consumer, event, publish, report, select, take

OWN = {name: str(uuid.uuid4()) for name in ("channel", "contact", "named", "push", "group", "other")}
OWN["hour_ago"] = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 3600))
TABLE = (pathlib.Path(__file__).parents[2] / "filters.json").read_text()
for name, own in OWN.items():
    TABLE = TABLE.replace("{%s}" % name, own)
TABLE = json.loads(TABLE)
EVENTS = {name: event(**members) for name, members in TABLE["events"].items()}

BEFORE = publish(event())[0]
PLACES = dict(zip(publish(*EVENTS.values()), EVENTS))


def picks(filters, expected):
    found = {PLACES[offset] for offset in select({"resume_offset": str(BEFORE), "filters": filters})}
    assert found == expected, f"expected {sorted(expected)}, got {sorted(found)}"


# Side by side: each waits for the stream to come to rest.
with concurrent.futures.ThreadPoolExecutor(10) as pool:
    for shape in TABLE["shapes"]:
        pool.submit(report, f"filter: {shape['name']}", lambda shape=shape: picks(shape["filters"], set(shape["picks"])))


@case
def the_filters_that_uaconnect_writes():
    wanted = uaconnect.Filter()
    wanted.types("open", "send")
    wanted.device_types("ios")
    wanted.devices(ios_channel=OWN["channel"])
    wanted.latency(600_000)
    pushed = uaconnect.Filter()
    pushed.notifications(push_id=OWN["push"])
    client = consumer(uaconnect.EventConsumer, TOKEN)
    client.add_filter(wanted)
    client.add_filter(pushed)
    client.connect(resume_offset=str(BEFORE))
    assert {PLACES[int(one.offset)] for one in take(client, 2)} == {"open", "send"}
