"""Reads with requests: chunks as they come, cut at newlines."""

import json
import sys

import requests

rest = b""
headers = {"Authorization": f"Bearer {sys.argv[2]}"}
with requests.get(sys.argv[1], headers=headers, stream=True, timeout=30) as response:
    assert response.status_code == 200, response.text
    assert response.headers["Content-Encoding"] == "gzip"
    for chunk in response.iter_content(chunk_size=None):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, lines):
            print(int(json.loads(line)["offset"]), flush=True)
assert not rest
