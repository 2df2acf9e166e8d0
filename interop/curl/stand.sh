# The server under test as the curl drivers see it. Sourced by each driver; $1 is the address.
#
# Each case is a function; `check NAME FUNCTION` runs it and prints one JSON line.

url="${1%/}"
key=sample_connection
project="$url/v1/projects/$key"
seed=(-H "Accept: application/vnd.urbanairship+x-ndjson; version=3;" -u "$key:$key")
bearer=(-H "X-UA-Appkey: $key" -H "Authorization: Bearer $key")
operator=(-H "Authorization: Bearer $OUTFLOW_OPERATOR_TOKEN")
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

check() {
    local ok=true detail code
    # Not inside a condition: bash ignores `set -e` there, and a case would pass over its faults.
    detail="$( (set -euo pipefail; "$2") 2>&1 )"
    code=$?
    [ "$code" = 0 ] || ok=false
    jq -cn --arg case "$1" --argjson ok "$ok" --arg detail "${detail:0:400}" '{case: $case, ok: $ok, detail: $detail}'
}

event() { jq -cn --arg id "$(cat /proc/sys/kernel/random/uuid)" --arg type "${1:-OPEN}" '{id: $id, type: $type}'; }

# publish < events: prints the offsets, one a line.
publish() {
    curl -sS --fail-with-body "${operator[@]}" --data-binary @- "$project/streams/events/events" |
        jq -r '.events[].offset | tonumber'
}

# stream SECONDS CURL_ARGUMENTS...: what arrives in that time.
stream() { timeout "$1" curl -sS --no-buffer --compressed "${@:2}" || true; }

offsets() { grep . | jq -r '.offset | tonumber'; }

# status CURL_ARGUMENTS...: the status code; the body has to be a JSON object.
status() {
    local code
    code="$(curl -sS -m 20 -o "$scratch/body" -w '%{http_code}' "$@")"
    jq -e 'type == "object" and .ok == false and .error != null' "$scratch/body" > "$scratch/shape" || cat "$scratch/body"
    echo "$code"
}

same() { [ "$1" = "$2" ] || { echo "expected: $1 got: $2"; return 1; }; }

# token SETTINGS_JSON: of a new integration.
token() {
    local integration
    integration="$(curl -sS --fail-with-body "${operator[@]}" -H 'Content-Type: application/json' \
        -d "$(jq -c --arg id "interop-$(cat /proc/sys/kernel/random/uuid)" '. + {id: $id}' <<< "$1")" "$project/integrations" | jq -r .id)"
    curl -sS --fail-with-body "${operator[@]}" -H 'Content-Type: application/json' \
        -d '{"name":"interop"}' "$project/integrations/$integration/tokens" | jq -r .secret
}

# stranger: the key of a project whose data is gone, and a token of it, in one line.
stranger() {
    local gone secret
    gone="gone-$(cat /proc/sys/kernel/random/uuid)"
    post() { curl -sS --fail-with-body "${operator[@]}" -H 'Content-Type: application/json' -d "$1" "$url/v1/projects$2"; }
    post "{\"id\":\"$gone\"}" "" > "$scratch/made"
    post '{"id":"one"}' "/$gone/integrations" > "$scratch/made"
    secret="$(post '{"name":"interop"}' "/$gone/integrations/one/tokens" | jq -r .secret)"
    curl -sS --fail-with-body "${operator[@]}" -X DELETE "$url/v1/projects/$gone/streams/events"
    echo "$gone $secret"
}

order() {
    local answer
    exec 3<> "/dev/tcp/${OUTFLOW_CONTROL%:*}/${OUTFLOW_CONTROL#*:}"
    echo "$1" >&3
    read -r answer <&3
    exec 3>&-
    same ok "$answer"
}
