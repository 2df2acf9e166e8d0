//! Going away without cutting anyone off.

use std::time::Duration;

use outflow_testkit::{Options, Server};
use tokio::time::Instant;

use crate::reader::{Reader, client};

fn options(set: &[&str]) -> Options {
    let arguments = set.iter().flat_map(|pair| ["--set".into(), (*pair).into()]).collect();
    Options { rate: 200, arguments, ..Options::default() }
}

#[tokio::test]
async fn sigterm_ends_every_stream_cleanly_and_exits_with_0() {
    let server = Server::start(&options(&["drain.within_ms=1500"])).await.unwrap();
    let mut readers = Vec::new();
    for encoding in [None, Some("gzip"), Some("identity"), None] {
        let mut reader = Reader::open(&server, encoding, "{}").await;
        reader.next().await.unwrap();
        readers.push(tokio::spawn(reader.rest()));
    }
    let admin = server.admin_url("/readyz");
    server.signal("TERM").await.unwrap();
    // The admin listener stays to say so.
    let unready = async {
        loop {
            let answer = client().get(&admin).send().await.unwrap();
            if answer.status() == 503 {
                return answer.text().await.unwrap();
            }
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(5), unready).await.unwrap();
    assert!(said.contains("shutting down"), "{said}");
    for reader in readers {
        reader.await.expect("ended cleanly");
    }
    let log = server.log();
    let status = server.ended(Duration::from_secs(10)).await.unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn an_idle_server_stops_at_once() {
    let server = Server::start(&options(&["drain.within_ms=15000"])).await.unwrap();
    let status = server.terminate(Duration::from_secs(5)).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_cuts_what_is_left() {
    let server = Server::start(&options(&["drain.within_ms=60000", "drain.deadline_ms=60000"]))
        .await
        .unwrap();
    let mut readers = Vec::new();
    for _ in 0..20 {
        readers.push(Reader::open(&server, None, "{}").await);
    }
    let began = Instant::now();
    server.signal("INT").await.unwrap();
    while client().get(server.admin_url("/readyz")).send().await.unwrap().status() != 503 {}
    server.signal("INT").await.unwrap();
    let status = server.ended(Duration::from_secs(10)).await.unwrap();
    assert_eq!(status.code(), Some(7));
    assert!(began.elapsed() < Duration::from_secs(10));
}
