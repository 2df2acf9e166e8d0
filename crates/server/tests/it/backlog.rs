//! What a backlog costs: disk, once, however many hold it; and no memory.
//!
//! `OUTFLOW_BACKLOG_EVENTS` sets how many events wait (soak: a million).

use std::fmt::Write as _;
use std::net::SocketAddr;

use outflow_testkit::{Options, Server, directory};
use serde_json::Value;

use crate::reader::{NAME, client};
use crate::stomp::Stomp;

const DEFAULT_EVENTS: u64 = 40_000;
/// How many destination ids mirror the feed.
const MIRRORS: usize = 64;
const FEED: &str = "RTO.yourcompany";
/// How many events are published at once.
const AT_ONCE: u64 = 10_000;
/// How many of them somebody consumes in the end.
const CONSUMED: u64 = 20_000;
/// The server's memory for events, which is small here so that it hides nothing: the cache, and what
/// is not sealed yet. As it is set for work, both are filled by a million events.
const SMALL: [&str; 4] =
    ["--set", "data.cache_bytes=8388608", "--set", "data.journal_bytes=8388608"];
/// How much more memory the server may have for all that. What is live in tails and the allocator's own
/// store are in it; each of the backlogs in memory would be more than this alone in the long run.
const MORE_BYTES: u64 = 160 << 20;

/// Publishes `count` events of about 200 bytes; gives the bytes that were sent.
async fn publish(server: &Server, from: u64, count: u64) -> u64 {
    let mut sent = 0;
    for start in (from..from + count).step_by(AT_ONCE as usize) {
        let mut lines = String::new();
        for n in start..(start + AT_ONCE).min(from + count) {
            // Something that compression does not take away.
            let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let text = format!("{noise:016x}").repeat(10);
            writeln!(lines, r#"{{"type":"ADDRESS","body":{{"n":{n},"text":"{text}"}}}}"#).unwrap();
        }
        sent += lines.len() as u64;
        let url = server.url(&format!("/v1/projects/{NAME}/streams/{FEED}/events"));
        let answer = client().post(url).bearer_auth(NAME).body(lines).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
    sent
}

/// The bytes of memory that the server has.
fn resident(server: &Server) -> u64 {
    let status = format!("/proc/{}/status", server.id().unwrap());
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

/// All that a list of the project names.
async fn listed(server: &Server, operator: &str, what: &str) -> Vec<Value> {
    let url = server.url(&format!("/v1/projects/{NAME}/{what}?limit=1000"));
    let answer = client().get(url).bearer_auth(operator).send().await.unwrap();
    let page: Value = answer.json().await.unwrap();
    page["items"].as_array().unwrap().clone()
}

/// Makes the destination ids, and leaves them.
async fn mirror(address: SocketAddr) {
    let mut stomp = Stomp::connect(address).await.unwrap();
    for id in 0..MIRRORS {
        let subscribe = format!(
            "SUBSCRIBE\nid:{id}\nack:client-individual\ndestination:/queue/d{id}.{FEED}\nreceipt:{id}\n\n\0"
        );
        stomp.send(&subscribe).await.unwrap();
        assert_eq!(stomp.frame().await.unwrap().header("receipt-id"), Some(&*id.to_string()));
    }
    stomp.send("DISCONNECT\nreceipt:bye\n\n\0").await.unwrap();
    assert_eq!(stomp.frame().await.unwrap().header("receipt-id"), Some("bye"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirrored_backlog_is_stored_once_and_costs_no_memory() {
    let asked = std::env::var("OUTFLOW_BACKLOG_EVENTS").ok().and_then(|text| text.parse().ok());
    let events = asked.unwrap_or(DEFAULT_EVENTS);
    let dir = directory().unwrap();
    let options = Options {
        data_dir: Some(dir.path().to_owned()),
        arguments: SMALL.map(Into::into).to_vec(),
        ..Options::default()
    };
    let server = Server::start(&options).await.unwrap();
    let operator = std::fs::read_to_string(dir.path().join("operator-token")).unwrap();
    let operator = operator.trim();
    mirror(server.stomp()).await;
    // What a server has that is at work, with or without a backlog.
    let mut sent = publish(&server, 0, AT_ONCE).await;
    let before = resident(&server);
    sent += publish(&server, AT_ONCE, events.saturating_sub(AT_ONCE)).await;
    let all = events.max(AT_ONCE);
    let waiting = listed(&server, operator, "subscriptions").await;
    let mirrors = waiting.iter().filter(|one| one["backlog"] == all).count();
    assert_eq!(mirrors, MIRRORS, "of {all} events");
    let streams = listed(&server, operator, "streams").await;
    let stored = |one: &Value| one["stored_bytes"].as_u64().unwrap();
    let total: u64 = streams.iter().map(stored).sum();
    assert!(total < 3 * sent, "{total} bytes are stored of {sent}");
    let mut stomp = Stomp::connect(server.stomp()).await.unwrap();
    stomp.send(&format!("SUBSCRIBE\nid:0\ndestination:/queue/d0.{FEED}\n\n\0")).await.unwrap();
    for n in 0..CONSUMED.min(all) {
        let frame = stomp.frame().await.unwrap();
        assert!(frame.body().starts_with(&format!(r#"{{"n":{n},"#)), "{frame:?}");
    }
    let more = resident(&server).saturating_sub(before);
    println!("{all} events for {MIRRORS}: {total} bytes stored of {sent}, {} KiB more", more >> 10);
    assert!(more < MORE_BYTES, "{more} bytes more of memory");
    server.kill().await.unwrap();
}
