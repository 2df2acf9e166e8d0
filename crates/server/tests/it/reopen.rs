//! How long a server that was killed with much data takes to be ready again.
//!
//! `OUTFLOW_REOPEN_MIB` sets how many MiB of lines it holds, 16 by default. When it is given, being
//! ready takes less than two seconds, or the test fails; by default, on a build without optimisations
//! and beside other tests, less than ten.

use std::time::Duration;

use outflow_model::Rng;
use outflow_model::rng::SeededRng;
use outflow_testkit::{Options, Server, directory};
use tokio::time::Instant;

use crate::reader::{NAME, client};

const PATH: &str = "/v1/projects/sample_connection/streams/events/events";
/// How often it is killed.
const KILLS: u64 = 3;
/// How many bytes of lines are published at once.
const BODY: usize = 4 << 20;
/// How many bytes are published again after each kill, so that the journal is full of them.
const AGAIN: u64 = 192 << 20;
/// What a server has to be ready in, by itself and beside other tests.
const LIMIT: Duration = Duration::from_secs(2);
const GENEROUS: Duration = Duration::from_secs(10);

/// Lines of words, which compress about as events do.
fn lines(rng: &SeededRng) -> String {
    let mut lines = String::with_capacity(BODY + 300);
    while lines.len() < BODY {
        lines.push_str("{\"type\":\"CUSTOM\",\"body\":{\"text\":\"");
        for _ in 0..20 {
            lines.push_str(&format!("word{} ", rng.below(5_000)));
        }
        lines.push_str("\"}}\n");
    }
    lines
}

/// Publishes at least `bytes` of lines.
async fn publish(server: &Server, bytes: u64, rng: &SeededRng) {
    let bodies: Vec<_> = (0..4).map(|_| lines(rng)).collect();
    let (client, mut sent) = (client(), 0);
    while sent < bytes {
        let body = bodies[rng.below(4) as usize].clone();
        sent += body.len() as u64;
        let answer = client.post(server.url(PATH)).bearer_auth(NAME).body(body).send().await;
        assert_eq!(answer.unwrap().status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_soon_ready_again() {
    let asked = std::env::var("OUTFLOW_REOPEN_MIB").ok().and_then(|text| text.parse().ok());
    let bytes = asked.unwrap_or(16_u64) << 20;
    let rng = SeededRng::new(7);
    let dir = directory().unwrap();
    let options = Options { data_dir: Some(dir.path().to_owned()), ..Options::default() };
    let mut server = Server::start(&options).await.unwrap();
    publish(&server, bytes, &rng).await;
    for kill in 1..=KILLS {
        server.kill().await.unwrap();
        let began = Instant::now();
        server = Server::start(&options).await.unwrap();
        let took = began.elapsed();
        println!("kill {kill} with {} MiB: ready after {took:?}", bytes >> 20);
        let limit = if asked.is_some() { LIMIT } else { GENEROUS };
        assert!(took < limit, "{took:?} to be ready");
        publish(&server, AGAIN.min(bytes), &rng).await;
    }
    assert!(server.terminate(Duration::from_secs(20)).await.unwrap().success());
}
