//! Streams, publishing, reading and cursors, by the client commands.

use serde_json::{Value, json};

use crate::desk::{Desk, lines, text};

const EVENTS: &str = r#"{"id":"a","type":"CUSTOM","body":{"price":1.10,"price":1.1e1}}
{"id":"b","type":"OPEN","body":"text"}
{"id":"c","type":"CUSTOM","body":[3]}
"#;

fn ids(printed: &str) -> Vec<String> {
    lines(printed).iter().map(|event| text(event, "id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_made_changed_listed_and_removed() {
    let mut desk = Desk::open(0).await;
    desk.enter("acme").await;
    let made = desk.json("outflow stream create orders --retention 30d --dedup 10m").await;
    assert_eq!(made["retention"]["age_ms"], 30_u64 * 86_400_000);
    let changes = "--max-bytes 10G --durability relaxed --dedup none";
    let changed = desk.changed("stream", "orders", changes).await;
    assert_eq!(
        changed["retention"],
        json!({"age_ms": 30_u64 * 86_400_000, "max_bytes": 10_000_000_000_u64})
    );
    assert_eq!((&changed["durability"], &changed["dedup"]), (&json!("relaxed"), &Value::Null));
    let table = desk.done("outflow stream list").await;
    let rows: Vec<_> = table.lines().map(|row| row.split_whitespace().next().unwrap()).collect();
    assert_eq!(rows, ["NAME", "events", "orders"]);
    let again = desk.refused("outflow stream create orders", 1).await;
    assert!(again.contains("(status 409)") && again.contains("request "), "{again}");
    let name = desk.refused("outflow stream create 'two words'", 1).await;
    assert!(name.contains("/name"), "{name}");
    let span = desk.refused("outflow stream create x --retention soon", 2).await;
    assert!(span.contains("`soon` is not a span"), "{span}");
    desk.deleted("stream", "orders").await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_in_and_come_out_as_they_were() {
    let mut desk = Desk::open(0).await;
    desk.enter("acme").await;
    desk.write("events.ndjson", EVENTS);
    let sum = desk.json("outflow publish events.ndjson").await;
    assert_eq!((&sum["count"], &sum["duplicates"]), (&json!(3), &json!(0)));
    let again = desk.json("outflow publish events.ndjson").await;
    assert_eq!((&again["count"], &again["duplicates"]), (&json!(3), &json!(3)), "by their ids");
    let all = desk.done("outflow tail --from earliest --no-follow").await;
    assert_eq!(ids(&all), ["a", "b", "c"]);
    assert!(all.contains(r#""body":{"price":1.10,"price":1.1e1}}"#), "{all}");
    let (first, last) = (text(&sum, "first"), text(&sum, "last"));
    assert_eq!(text(&lines(&all)[2], "offset"), last);

    for (which, expected) in [
        ("--from earliest --types OPEN", ["b"].as_slice()),
        ("--from earliest --filter '{\"types\":[\"CUSTOM\"]}'", &["a", "c"]),
        ("--since 1h --count 2", &["a", "b"]),
        (&format!("--from {first}"), &["b", "c"]),
        ("--from latest", &[]),
    ] {
        let printed = desk.done(&format!("outflow tail --no-follow {which}")).await;
        assert_eq!(ids(&printed), expected, "{which}");
    }
    let pretty = desk.done("outflow tail --from earliest --count 1 --format pretty").await;
    assert!(pretty.contains(" CUSTOM ") && !pretty.contains('\u{1b}'), "{pretty}");

    let bad = desk.refused("printf '{\"body\":1}\\nnonsense\\n' | outflow publish", 1).await;
    assert!(
        bad.contains("standard input, line 2: ") && bad.contains("0 events were published"),
        "{bad}"
    );
    desk.refused("outflow publish events.ndjson --stream nothing", 4).await;
    desk.refused("outflow tail nothing", 4).await;
    desk.refused("outflow tail --from yesterday", 2).await;
    let away = desk.refused("outflow stream list --server http://127.0.0.1:1", 5).await;
    assert!(away.contains("cannot reach http://127.0.0.1:1"), "{away}");
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_keeps_the_place_of_what_was_printed() {
    let mut desk = Desk::open(0).await;
    desk.enter("acme").await;
    desk.write("events.ndjson", EVENTS);
    desk.done("outflow publish events.ndjson").await;
    let two = desk.done("outflow tail --cursor loader --from earliest --count 2").await;
    let place = desk.json("outflow cursor get loader").await;
    assert_eq!(place["offset"], lines(&two)[1]["offset"]);
    let rest = desk.done("outflow tail --cursor loader --no-follow").await;
    assert_eq!(ids(&rest), ["c"]);
    let back = text(&lines(&two)[0], "offset").to_owned();
    desk.done(&format!("outflow cursor set loader {back}")).await;
    let listed = desk.json("outflow cursor list").await;
    assert_eq!((&listed[0]["name"], &listed[0]["offset"]), (&json!("loader"), &json!(back)));
    let rest = desk.done("outflow tail --cursor loader --no-follow").await;
    assert_eq!(ids(&rest), ["b", "c"]);
    desk.done("outflow cursor delete loader").await;
    desk.refused("outflow cursor get loader", 4).await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyed_stream_is_extracted() {
    let mut desk = Desk::open(0).await;
    desk.enter("acme").await;
    let types = json!([
        { "name": "Account", "keys": [["no"]], "group": "People" },
        { "name": "Invoice", "keys": [["no"]], "group": "Financial", "depends_on": ["Account"] },
    ]);
    desk.write("types.json", &types.to_string());
    let made = "outflow stream create billing --entities types.json --retention 48h";
    assert_eq!(desk.json(made).await["entities"][1]["name"], "Invoice");
    let change = |kind: &str, entity: &str, no: u32| json!({ "type": kind, "ref": { "type": entity, "ids": { "no": no } }, "body": { "no": no } });
    let changes = [
        change("create", "Account", 1),
        change("create", "Invoice", 7),
        change("update", "Account", 1),
    ];
    desk.write("changes.ndjson", &changes.map(|change| format!("{change}\n")).concat());
    assert_eq!(desk.json("outflow publish changes.ndjson -s billing").await["count"], 3);
    let job = desk.json("outflow extraction start --wait").await;
    assert_eq!((&job["state"], &job["entities"]), (&json!("done"), &json!(2)));
    let some = desk.json("outflow extraction start -s billing --groups People --wait").await;
    assert_eq!((&some["types"], &some["entities"]), (&json!(["Account"]), &json!(1)));
    let listed = desk.json("outflow extraction list").await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(desk.json(&format!("outflow extraction show {}", text(&some, "id"))).await, some);
    let unknown = desk.refused("outflow extraction start --types Plan", 1).await;
    assert!(unknown.contains("Plan"), "{unknown}");
    desk.refused("outflow extraction show 99", 4).await;
    desk.done(&format!("outflow extraction cancel {}", text(&job, "id"))).await;
    let feed = desk.json("outflow stream update billing --feed-types Invoice").await;
    assert_eq!(feed["feed_types"], json!(["Account", "Invoice"]));
    let broken = desk.refused("outflow stream create bad --entities nowhere.json", 2).await;
    assert!(broken.contains("--entities nowhere.json"), "{broken}");
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completions_know_the_servers_and_the_clients_commands() {
    let desk = Desk::open(0).await;
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.done(&format!("outflow completions {shell}")).await;
        for word in ["serve", "ingest-stream", "api-key"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let bash = desk.run("outflow completions bash > script && bash -n script").await;
    assert_eq!(bash.code, 0, "{}", bash.stderr);
    desk.refused("outflow completions cobol", 2).await;
    desk.close().await;
}
