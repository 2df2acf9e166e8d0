# Every status with a JSON object for a body.
# shellcheck source=../stand.sh
source stand.sh

events="$url/api/events/"

bad_request() {
    same 400 "$(status "${bearer[@]}" -d '{' "$events")"
    same 400 "$(status "${bearer[@]}" -d '{"filters":[]}' "$events")"
    same 400 "$(status "${bearer[@]}" -d '{"subset":{"type":"SAMPLE"}}' "$events")"
    jq -r .details.error "$scratch/body"
}
unauthorised() {
    same 401 "$(status -d '{}' "$events")"
    same 401 "$(status -H "X-UA-Appkey: $key" -H 'Authorization: Bearer wrong' -d '{}' "$events")"
    same 401 "$(status -u "$key:wrong" -d '{}' "$events")"
}
payment_required() {
    local secret one
    secret="$(token '{"max_connections":1}')"
    one=(-H "X-UA-Appkey: $key" -H "Authorization: Bearer $secret" -d '{}' "$events")
    for _ in 1 2 3; do stream 6 "${one[@]}" > "$scratch/held" & done
    sleep 1.5
    same 402 "$(status "${one[@]}")"
    wait
    sleep 1
    same "" "$(stream 1 "${one[@]}" | tr -d '\n')"
}
forbidden() {
    local secret
    secret="$(token '{"event_types":["OPEN"]}')"
    same 403 "$(status -H "X-UA-Appkey: $key" -H "Authorization: Bearer $secret" -d '{"filters":[{"types":["SEND"]}]}' "$events")"
    grep -o 'not entitled [A-Z,]*' "$scratch/body"
}
unknown_key() {
    same 401 "$(status -H 'X-UA-Appkey: nobody' -H "Authorization: Bearer $key" -d '{}' "$events")"
}
without_data() {
    local gone
    gone="$(stranger)"
    same 404 "$(status -H "X-UA-Appkey: ${gone% *}" -H "Authorization: Bearer ${gone#* }" -d '{}' "$events")"
}
not_acceptable() {
    same 406 "$(status "${bearer[@]}" -H 'Accept: application/vnd.urbanairship+x-ndjson; version=2;' -d '{}' "$events")"
}
too_large() {
    head -c 3000000 /dev/zero | tr '\0' ' ' > "$scratch/large"
    same 413 "$(status "${bearer[@]}" -H 'Expect:' --data-binary "@$scratch/large" "$events")"
}
other_methods() { same 405 "$(status "${bearer[@]}" "$events")"; }

check "error 400" bad_request
check "error 401" unauthorised
check "error 402 and its end" payment_required
check "error 403" forbidden
check "error 401 for an unknown key" unknown_key
check "error 404 for a project without its data" without_data
check "error 405" other_methods
check "error 406" not_acceptable
check "error 413" too_large
