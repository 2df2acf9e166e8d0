# The command line of the documentation, and what else curl can ask for.
# shellcheck source=../stand.sh
source stand.sh

seed_command() {
    stream 4 "${seed[@]}" -d '{}' "$url/api/events/" > "$scratch/seed" &
    sleep 1
    local published
    published="$(event | publish)"
    wait
    same "$published" "$(offsets < "$scratch/seed")"
}

identity() {
    local before expected
    before="$(event | publish)"
    expected="$(for _ in 1 2 3; do event; done | publish)"
    timeout 2 curl -sS -N -H 'Accept-Encoding: identity' "${seed[@]}" -d "{\"resume_offset\":\"$before\"}" \
        "$url/api/events/" > "$scratch/plain" || true
    same "$expected" "$(offsets < "$scratch/plain")"
}

no_accept_encoding_is_gzip() {
    local before expected
    before="$(event | publish)"
    expected="$(event | publish)"
    # Under another name: curl itself, which does not decode unasked, is spared gzip.
    timeout 2 curl -sS -N -A client "${seed[@]}" -d "{\"resume_offset\":\"$before\"}" "$url/api/events/" > "$scratch/gz" || true
    same "1f8b" "$(head -c 2 "$scratch/gz" | od -An -tx1 | tr -d ' \n')"
    # Cut off in the middle of the stream, so the trailer is missing; what came must be whole.
    same "$expected" "$(gzip -dc "$scratch/gz" 2> "$scratch/complaint" | offsets)"
}

zstd() {
    local before expected
    before="$(event | publish)"
    expected="$(event | publish)"
    stream 2 -H 'Accept-Encoding: zstd' "${bearer[@]}" -d "{\"resume_offset\":\"$before\"}" "$url/api/events" > "$scratch/zstd"
    same "$expected" "$(offsets < "$scratch/zstd")"
}

heartbeats() {
    stream 31 "${seed[@]}" -d '{}' "$url/api/events/" > "$scratch/idle"
    local count
    count="$(wc -c < "$scratch/idle")"
    same "" "$(tr -d '\n' < "$scratch/idle")"
    [ "$count" -ge 8 ] || { echo "only $count heartbeats in 30 s"; return 1; }
    echo "$count heartbeats"
}

missing_content_type() {
    local before expected
    before="$(event | publish)"
    expected="$(event | publish)"
    same "$expected" "$(stream 2 -H 'Content-Type:' "${seed[@]}" -d "{\"resume_offset\":$before}" "$url/api/events" | offsets)"
}

start_and_resume() {
    local before expected start
    before="$(event | publish)"
    expected="$(for _ in 1 2; do event; done | publish)"
    for start in LATEST EARLIEST; do
        same "$expected" "$(stream 2 "${seed[@]}" -d "{\"start\":\"$start\",\"resume_offset\":\"$before\"}" "$url/api/events/" | offsets)"
    done
}

offset_updates() {
    local last
    last="$(event | publish)"
    stream 3 "${bearer[@]}" -d '{"start":"LATEST","enable_offset_updates":true}' "$url/api/events/" | grep . > "$scratch/updates"
    same "OFFSET_UPDATE $last" "$(jq -r '"\(.type) \(.offset)"' "$scratch/updates" | sort -u)"
}

http2() {
    local before expected
    before="$(event | publish)"
    expected="$(event | publish)"
    same "$expected" "$(stream 2 --http2-prior-knowledge "${seed[@]}" -d "{\"resume_offset\":\"$before\"}" "$url/api/events/" | offsets)"
}

partitions() {
    local before expected parts
    before="$(event | publish)"
    expected="$(for type in OPEN CLOSE OPEN CLOSE SEND OPEN CLOSE SEND; do event $type; done | publish)"
    parts="$(for k in 0 1; do
        stream 2 "${seed[@]}" -d "{\"resume_offset\":\"$before\",\"subset\":{\"type\":\"PARTITION\",\"count\":2,\"selection\":$k}}" "$url/api/events/"
    done | offsets | sort -n)"
    same "$expected" "$parts"
}

# Every shape of the table that the drivers of all clients share.
every_filter() {
    local table before offsets name count expected found at
    table="$(cat ../filters.json)"
    for name in channel contact named push group other; do
        table="${table//\{$name\}/$(cat /proc/sys/kernel/random/uuid)}"
    done
    table="${table//\{hour_ago\}/$(date -u -d '1 hour ago' +%FT%T.000Z)}"
    before="$(event | publish)"
    offsets="$(jq -c '.events[]' <<< "$table" | publish | jq -s .)"
    count="$(jq '.shapes | length' <<< "$table")"
    for at in $(seq 0 $((count - 1))); do
        jq -c --arg before "$before" --argjson at "$at" '{resume_offset: $before, filters: .shapes[$at].filters}' <<< "$table" > "$scratch/query$at"
        stream 5 "${seed[@]}" -d "@$scratch/query$at" "$url/api/events/" > "$scratch/picked$at" &
    done
    wait
    for at in $(seq 0 $((count - 1))); do
        expected="$(jq -r --argjson at "$at" --argjson offsets "$offsets" \
            '(.events | keys_unsorted) as $names | .shapes[$at].picks[] | . as $pick | $offsets[$names | index($pick)]' <<< "$table" | sort -n)"
        found="$(offsets < "$scratch/picked$at" || true)"
        [ "$expected" = "$found" ] || { jq -r --argjson at "$at" '.shapes[$at].name' <<< "$table"; same "$expected" "$found"; }
    done
    echo "$count shapes"
}

compliance() {
    local before expected
    before="$(event | publish)"
    expected="$(event COMPLIANCE | publish)"
    event OPEN | publish > "$scratch/other"
    same "$expected" "$(stream 2 -H "X-UA-Appkey: $key" -u "$key:$key" -d "{\"resume_offset\":\"$before\"}" "$url/api/events/general/" | offsets)"
}

slow_reader() {
    local before
    before="$(event | publish)"
    for _ in $(seq 10); do for _ in $(seq 100); do event; done | publish; done > "$scratch/published"
    timeout 20 curl -sS -N --compressed --limit-rate 20k "${seed[@]}" -d "{\"resume_offset\":\"$before\"}" "$url/api/events/" \
        > "$scratch/slow" || true
    same "$(cat "$scratch/published")" "$(offsets < "$scratch/slow")"
}

check "the documented command" seed_command
check "identity" identity
check "no Accept-Encoding gives gzip" no_accept_encoding_is_gzip
if curl -V | grep -q zstd; then
    check "zstd" zstd
else
    # A case that did not run is none that passed.
    echo "the curl of this machine knows no zstd: its case is left out" >&2
fi
check "HTTP/2" http2
check "thirty idle seconds have heartbeats" heartbeats
check "missing Content-Type and a numeric offset" missing_content_type
check "start and resume together resume" start_and_resume
check "offset updates come while idle" offset_updates
check "every shape of filters" every_filter
check "partitions are disjoint and complete" partitions
check "compliance" compliance
check "a slow reader loses nothing" slow_reader
