# Restarts, pinning, dead clients, private authorities, TLS versions and suites.
# shellcheck source=../stand.sh
source stand.sh

drained_whole() {
    local before
    before="$(event | publish)"
    for _ in 1 2 3; do event; done | publish > "$scratch/expected"
    # Exit status 0 only if trailer and last chunk came: curl checks both.
    curl -sS -N --compressed "${seed[@]}" -d "{\"resume_offset\":\"$before\"}" "$url/api/events/" > "$scratch/drained" &
    local reader=$!
    sleep 1.5
    order restart
    wait "$reader"
    same "$(cat "$scratch/expected")" "$(offsets < "$scratch/drained")"
}

killed() {
    local before expected
    before="$(event | publish)"
    expected="$(for _ in 1 2 3; do event; done | publish)"
    order kill
    same "$expected" "$(stream 3 "${seed[@]}" -d "{\"resume_offset\":\"$before\"}" "$url/api/events/" | offsets)"
}

pinned() {
    python3 ../balancer/balancer.py "$url" pin > "$scratch/pin" &
    local proxy=$! address=
    while [ -z "$address" ]; do sleep 0.1; address="$(head -n 1 "$scratch/pin")"; done
    local before expected found
    before="$(event | publish)"
    expected="$(event | publish)"
    # Without a Location curl stays at the first answer; with its cookie the second goes through.
    curl -sS -c "$scratch/jar" "${seed[@]}" -d '{}' "$address/api/events/"
    found="$(stream 2 -b "$scratch/jar" "${seed[@]}" -d "{\"resume_offset\":\"$before\"}" "$address/api/events/" | offsets)"
    kill "$proxy"
    same "$expected" "$found"
}

killed_client() {
    local secret one held=() head begun
    secret="$(token '{"max_connections":2}')"
    one=(-sS -N --compressed -H "X-UA-Appkey: $key" -H "Authorization: Bearer $secret" -d '{}' "$url/api/events/")
    while [ "${#held[@]}" -lt 8 ]; do
        head="$scratch/place${#held[@]}"
        # Ends by itself where a fault below leaves it.
        curl "${one[@]}" -m 60 -D "$head" > "$scratch/held" &
        for _ in $(seq 100); do [ -s "$head" ] && break; sleep 0.1; done
        grep -q '^HTTP.* 200' "$head" || break
        held+=($!)
    done
    same 2 "${#held[@]}"
    same 402 "$(head -n 1 "$head" | cut -d ' ' -f 2)"
    kill -KILL "${held[@]}"
    wait "${held[@]}" 2> "$scratch/killed" || true
    begun=$SECONDS
    # As many at once as it had.
    until [ "$(printf '200\n%.0s' "${held[@]}")" = "$(for _ in "${held[@]}"; do
        curl "${one[@]}" -m 2 -o "$scratch/probe" -w '%{http_code}\n' 2> "$scratch/timed-out" &
    done; wait)" ]; do
        [ $((SECONDS - begun)) -lt 30 ] || { echo "still 402 after 30 s"; return 1; }
        sleep 0.5
    done
    echo "${#held[@]} places in $((SECONDS - begun)) s"
}

private_authority() {
    for version in 1.2 1.3; do
        local code
        code="$(timeout 2 curl -sS -N --cacert "$OUTFLOW_CA" "--tlsv$version" --tls-max "$version" "${seed[@]}" -d '{}' \
            -o "$scratch/tls" -D "$scratch/head" "$OUTFLOW_TLS_URL/api/events/" || true)"
        grep -q '200' "$scratch/head" || { echo "TLS $version: $code"; return 1; }
    done
    ! timeout 2 curl -sS "${seed[@]}" -d '{}' "$OUTFLOW_TLS_URL/api/events/" > "$scratch/refused" 2>&1
}

documented_suites() {
    for suite in ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-CHACHA20-POLY1305; do
        timeout 2 curl -sS -N --cacert "$OUTFLOW_CA" --tls-max 1.2 --ciphers "$suite" "${seed[@]}" -d '{}' \
            -o "$scratch/tls" -D "$scratch/head" "$OUTFLOW_TLS_URL/api/events/" || true
        grep -q '200' "$scratch/head" || { echo "$suite refused"; return 1; }
    done
}

check "a drained stream is whole" drained_whole
check "a kill loses nothing" killed
check "a pinning balancer" pinned
check "a killed client frees its places within thirty seconds" killed_client
check "TLS with a private authority" private_authority
check "the documented TLS 1.2 suites" documented_suites
