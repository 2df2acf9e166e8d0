# The change and load feeds by curl, as one looks at them by hand.
# shellcheck source=../stand.sh
source stand.sh

made() { curl -sS --fail-with-body "${operator[@]}" -H 'Content-Type: application/json' -d "$2" "$project/$1"; }

stream="billing-$(cat /proc/sys/kernel/random/uuid)"
made streams "{\"name\":\"$stream\",\"entities\":[{\"name\":\"Account\",\"keys\":[[\"account_no\"]]}]}" > "$scratch/stream"
api_key="$(made api-keys '{"name":"curl","scopes":["feed:read"]}')"
token="$(curl -sS --fail-with-body "$url/oauth2/token" -d grant_type=client_credentials \
    --data-urlencode "client_id=$(jq -r .id <<< "$api_key")" --data-urlencode "client_secret=$(jq -r .secret <<< "$api_key")" | jq -r .access_token)"
reader=(-H "Authorization: Bearer $token")

change() { printf '{"type":"%s","ref":{"type":"Account","ids":{"account_no":%s}},"body":%s}' "$1" "$2" "$3"; }

publish_changes() { curl -sS --fail-with-body "${operator[@]}" --data-binary @- "$project/streams/$stream/events" > "$scratch/placed"; }

# listen SECONDS PATH CURL_ARGUMENTS...: the stream's lines in that time.
listen() { timeout "$1" curl -sS --no-buffer "${reader[@]}" "${@:3}" "$project/$2" || true; }

changes() {
    { change create 1 '{"a":1.0}'; echo; change delete 1 null; echo; } | publish_changes
    listen 2 "feed/changes?stream=$stream&from=5hours" -D "$scratch/head" > "$scratch/changes"
    same "text/event-stream; charset=utf-8" "$(tr -d '\r' < "$scratch/head" | sed -n 's/^content-type: //Ip')"
    same $'create\ndelete' "$(sed -n 's/^event: //p' "$scratch/changes")"
    same '{"a":1.0}' "$(grep '^data:' "$scratch/changes" | sed -n '2s/^data://p')"
    same Account "$(grep '^data:' "$scratch/changes" | sed -n '1s/^data://p' | jq -r .ref.type)"
    local first
    first="$(sed -n 's/^id: //p' "$scratch/changes" | head -n 1)"
    same delete "$(listen 2 "feed/changes?stream=$stream" -H "Last-Event-ID: $first" | sed -n 's/^event: //p')"
}

load() {
    change create 2 '{"b":true}' | publish_changes
    made extractions "{\"stream\":\"$stream\"}" > "$scratch/job"
    local job
    job="$(jq -r .id "$scratch/job")"
    for _ in $(seq 100); do
        [ "$(curl -sS "${operator[@]}" "$project/extractions/$job" | jq -r .state)" != "done" ] || break
        sleep 0.1
    done
    listen 2 "feed/load?stream=$stream" > "$scratch/load"
    same load "$(sed -n 's/^event: //p' "$scratch/load")"
    same '{"b":true}' "$(grep '^data:' "$scratch/load" | sed -n '2s/^data://p')"
    grep -qx ": end-of-load job=$job" "$scratch/load"
}

silence() {
    # Every fifteen seconds, and by nothing that a client could take for an event.
    same : "$(listen 20 "feed/changes?stream=$stream")"
}

refusals() {
    same 401 "$(curl -sS -o "$scratch/answer" -w '%{http_code}' "$project/feed/changes?stream=$stream")"
    same 410 "$(curl -sS -o "$scratch/answer" -w '%{http_code}' "${reader[@]}" "$project/feed/changes?stream=$stream&lastEventId=nonsense")"
    same expired "$(jq -r .code "$scratch/answer")"
}

check "feeds: changes, and on after an id" changes
check "feeds: a load to its end" load
check "feeds: silence is marked" silence
check "feeds: what is refused" refusals
