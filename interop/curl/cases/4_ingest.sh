# Streaming ingest: the command lines of its documentation (seed 002), and what else they may meet.
# shellcheck source=../stand.sh
source stand.sh

made() { curl -sS --fail-with-body "${operator[@]}" -H 'Content-Type: application/json' -d "$2" "$project/$1"; }

api_key="$(made api-keys '{"name":"interop","scopes":["streaming-ingest:write"]}' | jq -r .id)"
token="$(made "api-keys/$api_key/tokens" '{"days":3}' | jq -r .access_token)"
json="$(made ingest-streams '{"name":"interop"}' | jq -r .id)"
xml="$(made ingest-streams '{"name":"interop","format":"xml"}' | jq -r .id)"
to_status=(-o "$scratch/answer" -w '%{http_code}')

stored() {
    curl -sS -N "${operator[@]}" -H 'Accept-Encoding: identity' "$project/streams/$1/events?start=earliest&follow=false"
}

seed_json_command() {
    same 202 "$(curl -sS "${to_status[@]}" -XPOST \
        -H "Content-Type: application/json" \
        -H "X-Amperity-Tenant: $key" \
        -H "Authorization: Bearer $token" \
        "$url/stream/v0/data/$json" \
        --data-binary \
        ' {"field1": "value1",
"field2": "value2"}')"
    same '{"field1":"value1","field2":"value2"}' "$(stored "$json" | grep . | jq -c .body)"
}

seed_xml_command() {
    local sent='<records>
<record>
<field1>value1</field1>
</record>
<record>
<field1>value2</field1>
</record>
</records>
'
    same 202 "$(curl -sS "${to_status[@]}" -XPOST \
        -H "Content-Type: application/xml" \
        -H "X-Amperity-Tenant: $key" \
        -H "Authorization: Bearer $token" \
        "$url/stream/v0/data/$xml" \
        --data-binary "$sent")"
    # Read as JSON on both sides: a shell drops newlines at the end.
    same "$(jq -cn --arg text "$sent" '$text')" "$(stored "$xml" | grep . | jq -c .body)"
}

gzip_and_chunked() {
    printf '{"a":1}' | gzip > "$scratch/zipped"
    same 202 "$(curl -sS "${to_status[@]}" -H 'Content-Type: application/json' -H "Authorization: Bearer $token" \
        -H 'Content-Encoding: gzip' --data-binary "@$scratch/zipped" "$url/stream/v0/data/$json")"
    same 202 "$(curl -sS "${to_status[@]}" -H 'Content-Type: application/json' -H "Authorization: Bearer $token" \
        -H 'Transfer-Encoding: chunked' --data-binary '{"a":2}' "$url/stream/v0/data/$json")"
}

refusals() {
    local send=(curl -sS "${to_status[@]}" -H "Authorization: Bearer $token" -H 'Content-Type: application/json')
    same 400 "$("${send[@]}" --data-binary $'{"a":1}\n{"a":2}' "$url/stream/v0/data/$json")"
    same 2 "$(jq .line "$scratch/answer")"
    same 401 "$(curl -sS "${to_status[@]}" -d '{}' "$url/stream/v0/data/$json")"
    same 401 "$("${send[@]}" -H 'X-Amperity-Tenant: another' -d '{}' "$url/stream/v0/data/$json")"
    same 404 "$("${send[@]}" -d '{}' "$url/stream/v0/data/is-nothing1")"
    same 415 "$(curl -sS "${to_status[@]}" -H "Authorization: Bearer $token" -d '{}' "$url/stream/v0/data/$json")"
    head -c 254001 /dev/zero | tr '\0' ' ' > "$scratch/large"
    same 413 "$("${send[@]}" --data-binary "@$scratch/large" "$url/stream/v0/data/$json")"
    same 413 "$("${send[@]}" -H 'Transfer-Encoding: chunked' --data-binary "@$scratch/large" "$url/stream/v0/data/$json")"
    # Who waits to be asked for it is told without sending any of it.
    same '413 0' "$("${send[@]}" -w '%{http_code} %{size_upload}' -H 'Expect: 100-continue' --expect100-timeout 60 \
        --data-binary "@$scratch/large" "$url/stream/v0/data/$json")"
}

check "ingest: the documented JSON command" seed_json_command
check "ingest: the documented XML command" seed_xml_command
check "ingest: gzip and chunked" gzip_and_chunked
check "ingest: what is refused" refusals
