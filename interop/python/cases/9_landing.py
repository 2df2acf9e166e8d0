"""Landed files as those who load in batches read them: NDJSON by `pyarrow`, CBOR by `cbor2`."""

import io
import json
import time

import cbor2
import pyarrow.json
import requests
from feed import call
from stand import OPERATOR, PROJECT, URL, case

# A file is closed when its first event is a minute old, or at the end of the hour.
PATIENCE = 120


def ingest(content_type, name, payloads):
    stream = call("POST", "/ingest-streams", {"name": "landing", "format": name})["id"]
    key = call("POST", "/api-keys", {"name": "landing", "scopes": ["streaming-ingest:write"]})["id"]
    token = call("POST", f"/api-keys/{key}/tokens", {"days": 1})["access_token"]
    headers = {"Content-Type": content_type, "Authorization": f"Bearer {token}"}
    for payload in payloads:
        answer = requests.post(f"{URL}/stream/v0/data/{stream}", data=payload, headers=headers, timeout=30)
        assert answer.status_code == 202, answer.text
    return stream


def landed(stream, count):
    """The contents of the stream's files by path, once there are so many."""
    end = time.monotonic() + PATIENCE
    while True:
        files = call("GET", f"/ingest-streams/{stream}/files")["items"]
        if len(files) >= count:
            break
        assert time.monotonic() < end, files
        time.sleep(1)
    found = {}
    for file in files:
        answer = requests.get(f"{PROJECT}/ingest-streams/{stream}/files/{file['path']}", headers=OPERATOR, timeout=30)
        assert answer.status_code == 200 and len(answer.content) == file["bytes"], answer.text
        found[file["path"]] = answer.content
    return found


json_stream = ingest("application/json", "json", ('{"n": %d, "text": "ü",\n"price": 1.10}' % n for n in range(500)))
xml_stream = ingest(
    "application/xml",
    "xml",
    [
        "<records><record no='1'><name>Zoë</name></record><record no='2'/></records>".encode(),
        "<?xml version='1.0' encoding='UTF-16'?><a><![CDATA[ kept ]]></a>".encode("utf-16"),
        b"<a>",
        b"<1a/>",
    ],
)


@case
def ndjson_is_read_by_pyarrow():
    files = landed(json_stream, 1)
    rows = [row for path in sorted(files) for row in pyarrow.json.read_json(io.BytesIO(files[path])).to_pylist()]
    assert [row["n"] for row in rows] == list(range(500)), len(rows)
    assert rows[0] == {"n": 0, "text": "ü", "price": 1.1}, rows[0]


@case
def cbor_is_read_by_cbor2_and_what_is_not_well_formed_stands_apart():
    files = landed(xml_stream, 2)
    good = [path for path in files if path.endswith(".cbor")]
    records = [record for path in sorted(good) for record in cbor2.loads(files[path])]
    assert records == [
        {"records": {"record": [{"_no": "1", "name": "Zoë"}, {"_no": "2"}]}},
        {"a": " kept "},
    ], records
    failed = [path for path in files if "/_failed/" in path]
    lines = [json.loads(line) for path in failed for line in files[path].splitlines()]
    assert len(lines) == 2 and all(line["reason"] for line in lines), lines
