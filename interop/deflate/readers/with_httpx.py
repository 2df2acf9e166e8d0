"""Reads with httpx, line by line."""

import json
import sys

import httpx

headers = {"Authorization": f"Bearer {sys.argv[2]}", "Accept-Encoding": "gzip"}
with httpx.stream("GET", sys.argv[1], headers=headers, timeout=30) as response:
    assert response.status_code == 200, response.read()
    assert response.headers["Content-Encoding"] == "gzip"
    for line in filter(None, response.iter_lines()):
        print(int(json.loads(line)["offset"]), flush=True)
