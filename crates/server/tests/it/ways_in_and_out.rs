//! Ingest streams, queues and webhooks, by the client commands.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::desk::{Desk, lines, text};
use crate::reader::client;
use crate::stomp::Stomp;

/// Longest wait for what happens in the background.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ingest_stream_takes_payloads_and_gives_files() {
    let mut desk = Desk::open(0).await;
    desk.enter("acme").await;
    let made =
        desk.json("outflow ingest-stream create --name orders --description 'from the shop'").await;
    let id = text(&made, "id").to_owned();
    assert_eq!((&made["format"], &made["mode"]), (&json!("json"), &json!("active")));
    let xml = desk.json("outflow ingest create --format xml").await;
    assert_eq!(xml["format"], "xml");
    assert_eq!(desk.json("outflow ingest list").await.as_array().unwrap().len(), 2);

    let key = desk.json("outflow api-key create --scope streaming-ingest:write").await;
    let token = desk.done(&format!("outflow api-key token {}", text(&key, "id"))).await;
    let send = async |body: &'static str| {
        let request =
            client().post(desk.server().url(text(&made, "path"))).bearer_auth(token.trim());
        let request = request.header("X-Amperity-Tenant", "acme").body(body);
        request.header("Content-Type", "application/json").send().await.unwrap().status().as_u16()
    };
    let first = r#"{"order":1,"price":1.10}"#;
    assert_eq!(send(first).await, 202);
    desk.json(&format!("outflow ingest update {id} --mode drop")).await;
    assert_eq!(send(r#"{"order":2}"#).await, 204);
    let refusing =
        desk.json(&format!("outflow ingest update {id} --mode reject --name closed")).await;
    assert_eq!((&refusing["mode"], &refusing["name"]), (&json!("reject"), &json!("closed")));
    assert_eq!(send(r#"{"order":3}"#).await, 409);
    let shown = desk.done(&format!("outflow ingest-stream show {id}")).await;
    assert!(shown.contains("description  from the shop\n"), "{shown}");

    let files = format!("outflow ingest files {id}");
    let landed = async {
        loop {
            let files = desk.json(&files).await;
            if let Some(file) = files.get(0) {
                return file.clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let file = timeout(PATIENCE, landed).await.expect("it lands");
    let path = text(&file, "path");
    let fetch = format!("outflow ingest fetch {id} --all --to landed");
    for said in ["1 file(s) fetched, 0 there already", "0 file(s) fetched, 1 there already"] {
        let fetched = desk.run(&fetch).await;
        assert_eq!((fetched.code, fetched.stdout.as_str()), (0, ""), "{}", fetched.stderr);
        assert!(fetched.stderr.contains(said), "{}", fetched.stderr);
    }
    let text = desk.read(&format!("landed/{path}"));
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains(first.trim_start_matches('{')), "{text}");
    desk.done(&format!("outflow ingest fetch {id} {path} --to one")).await;
    assert_eq!(desk.read(&format!("one/{path}")), text);
    let none =
        desk.refused(&format!("outflow ingest fetch {id} 2020-01-01/x.ndjson --to one"), 4).await;
    assert!(none.contains("there is no file `2020-01-01/x.ndjson`"), "{none}");
    desk.deleted("ingest", &id).await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_are_looked_into_purged_and_their_dead_letters_moved() {
    let mut desk = Desk::open(0).await;
    desk.enter("acme").await;
    let user = desk.json("outflow user create --can read,publish").await;
    let (login, password) = (text(&user, "user"), text(&user, "secret"));
    let mut stomp = Stomp::log_in(desk.server().stomp(), login, password).await.unwrap();
    for (queue, body) in
        [("orders", "one"), ("orders", "two"), ("ActiveMQ.DLQ", "dead"), ("ActiveMQ.DLQ", "dying")]
    {
        let send =
            format!("SEND\ndestination:/queue/{queue}\npersistent:true\nreceipt:r\n\n{body}\0");
        stomp.send(&send).await.unwrap();
        assert_eq!(stomp.frame().await.unwrap().command(), "RECEIPT");
    }
    let listed = desk.json("outflow subscription list").await;
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|one| text(one, "name")).collect();
    assert_eq!(names, ["queue:ActiveMQ.DLQ", "queue:orders"]);
    assert_eq!(desk.json("outflow subscription list --abandoned").await, json!([]));
    let look = "outflow tail --subscription queue:orders --no-follow";
    for _ in 0..2 {
        let bodies: Vec<_> =
            lines(&desk.done(look).await).iter().map(|event| event["body"].clone()).collect();
        assert_eq!(bodies, ["one", "two"], "a look takes nothing");
    }
    let moved = desk.run("outflow subscription move-dead --to queue:orders --limit 1").await;
    assert_eq!((moved.code, moved.stderr.as_str()), (0, "moved 1 events\n"));
    let backlog = async |name: &str| {
        desk.json(&format!("outflow subscription show {name}")).await["backlog"].as_u64().unwrap()
    };
    assert_eq!((backlog("queue:orders").await, backlog("queue:ActiveMQ.DLQ").await), (3, 1));
    assert_eq!(desk.json("outflow subscription purge queue:orders").await, json!({ "events": 3 }));
    assert_eq!(backlog("queue:orders").await, 0);
    let named = desk.refused("outflow subscription show orders", 4).await;
    assert!(named.contains("`queue:orders`"), "{named}");
    desk.done("outflow subscription delete queue:orders").await;
    desk.refused("outflow subscription show queue:orders", 4).await;
    desk.refused("outflow tail --subscription queue:orders", 4).await;
    assert_eq!(desk.json("outflow transaction list").await, json!([]));
    desk.close().await;
}

/// Takes every request and answers 200, one connection at a time.
async fn endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut room = [0; 64 << 10];
                while socket.read(&mut room).await.is_ok_and(|read| read > 0) {
                    if socket
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_tried_paused_and_its_attempts_are_listed() {
    let mut desk = Desk::open(0).await;
    desk.enter("acme").await;
    desk.done("outflow integration create warehouse").await;
    let url = endpoint().await;
    let create =
        format!("outflow webhook create warehouse {url} --header 'Authorization: Bearer hidden'");
    let made = desk.json(&create).await;
    let secret = text(&made, "secret").to_owned();
    assert!(secret.starts_with("whsec_"), "{made}");
    assert!(!made.to_string().contains("hidden"), "of headers only the names are shown");
    let tried = desk.json("outflow webhook test warehouse").await;
    assert_eq!(
        (&tried["taken"], &tried["status"], &tried["response"]),
        (&json!(true), &json!(200), &json!("fine"))
    );
    let listed = desk.done("outflow webhook list").await;
    assert!(
        listed.contains("warehouse") && listed.contains(&url) && !listed.contains(&secret),
        "{listed}"
    );

    desk.done("echo '{\"id\":\"a\",\"type\":\"CUSTOM\",\"body\":1}' | outflow publish").await;
    let attempts = async {
        loop {
            let attempts = desk.json("outflow webhook attempts warehouse --status taken").await;
            if let Some(one) = attempts.get(0) {
                return one.clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let attempt = timeout(PATIENCE, attempts).await.expect("it is sent");
    let again = format!("outflow webhook resend warehouse {}", text(&attempt, "message"));
    assert_eq!(desk.json(&again).await["taken"], true);
    assert_eq!(desk.json("outflow webhook attempts warehouse --status 503").await, json!([]));

    assert_eq!(desk.json("outflow webhook pause warehouse").await["paused"], true);
    assert_eq!(desk.json("outflow webhook resume warehouse").await["paused"], false);
    let rotated = desk.json("outflow webhook rotate-secret warehouse --overlap-s 60").await;
    assert_ne!(text(&rotated, "secret"), secret);
    desk.json("outflow webhook replay warehouse --from earliest").await;
    desk.refused("outflow webhook create nobody http://127.0.0.1:9/", 4).await;
    // An endpoint that cannot be reached is a failure of the command, and says why.
    desk.done("outflow webhook create warehouse http://127.0.0.1:1/").await;
    let failed = desk.run("outflow webhook test warehouse --json").await;
    assert_eq!(failed.code, 1);
    let outcome: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
    assert!(outcome["failure"].is_string(), "{outcome}");
    assert!(failed.stderr.contains("did not take it"), "{}", failed.stderr);
    desk.deleted("webhook", "warehouse").await;
    desk.close().await;
}
