//! kill -9 under load, with a ledger of acknowledgements outside the process.
//!
//! `OUTFLOW_KILL_ROUNDS` sets the number of rounds; 5 by default.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outflow_model::Rng;
use outflow_model::rng::SeededRng;
use outflow_testkit::{Options, Server, directory};
use serde_json::Value;
use tokio::time::Instant;

use crate::reader::{NAME, Reader, client};

const PUBLISHERS: u64 = 6;
const PATH: &str = "/v1/projects/sample_connection/streams/events/events";

/// Acknowledged events: id to offset.
type Ledger = HashMap<String, String>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_event_is_lost_or_moved() {
    let rounds =
        std::env::var("OUTFLOW_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let seed = std::process::id().into();
    let rng = SeededRng::new(seed);
    let dir = directory().unwrap();
    let options = Options {
        data_dir: Some(dir.path().to_owned()),
        // Small files, so that sealing and recycling are hit, too.
        arguments: ["--set", "data.journal_bytes=262144"].map(Into::into).to_vec(),
        ..Options::default()
    };
    let mut ledger = Ledger::new();
    // What was acknowledged in the last two rounds, and after which offset that begins.
    let (mut recent, mut before) = ([Ledger::new(), Ledger::new()], [None, None]);
    for round in 0..rounds {
        let began = Instant::now();
        let server = Server::start(&options).await.unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "seed {seed} round {round}: {:?} to be ready",
            began.elapsed()
        );
        let when = format!("seed {seed} round {round}");
        // All of it ever more seldom, for that takes as long as all rounds before together; what a crash
        // can still reach, each time.
        let end = if u64::is_power_of_two(round) {
            check(&server, None, &[&ledger], &when).await
        } else {
            let [older, newer] = &recent;
            check(&server, before[0].as_deref(), &[older, newer], &when).await
        };
        before = [before[1].take(), end];
        let stop = Arc::new(AtomicBool::new(false));
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|who| tokio::spawn(publish(server.url(PATH), round, who, Arc::clone(&stop))))
            .collect();
        tokio::time::sleep(Duration::from_millis(100 + rng.below(500))).await;
        server.kill().await.unwrap();
        stop.store(true, Ordering::SeqCst);
        let mut acknowledged = Ledger::new();
        for publisher in publishers {
            acknowledged.extend(publisher.await.unwrap());
        }
        ledger.extend(acknowledged.clone());
        recent = [std::mem::take(&mut recent[1]), acknowledged];
    }
    assert!(ledger.len() > rounds as usize * 20, "only {} events were acknowledged", ledger.len());
    let server = Server::start(&options).await.unwrap();
    check(&server, None, &[&ledger], &format!("seed {seed} at the end")).await;
    assert!(server.terminate(Duration::from_secs(20)).await.unwrap().success());
    let verified =
        crate::outflow::outflow(&["verify", "--data-dir", dir.path().to_str().unwrap()], &[]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

/// Publishes single events and batches until the server is gone; gives what was acknowledged.
async fn publish(url: String, round: u64, who: u64, stop: Arc<AtomicBool>) -> Ledger {
    let client = client();
    let mut ledger = Ledger::new();
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        let count = if who.is_multiple_of(2) { 1 } else { 20 };
        let ids: Vec<String> =
            (number..number + count).map(|number| format!("{round}-{who}-{number:08}")).collect();
        number += count;
        let line = |id: &String| {
            format!(
                "{{\"id\":\"{id}\",\"type\":\"CUSTOM\",\"body\":{{\"text\":\"{}\"}}}}\n",
                "y".repeat(150)
            )
        };
        let body: String = ids.iter().map(line).collect();
        let Ok(answer) = client.post(&url).bearer_auth(NAME).body(body).send().await else { break };
        if answer.status() != 200 {
            break;
        }
        // An answer that is cut is no acknowledgement.
        let Ok(answer) = answer.json::<Value>().await else { break };
        let placed = answer["events"].as_array().unwrap();
        assert_eq!(placed.len(), ids.len());
        for (id, placed) in ids.into_iter().zip(placed) {
            ledger.insert(id, placed["offset"].as_str().unwrap().to_owned());
        }
    }
    ledger
}

/// Every acknowledged event of these ledgers is there once, at its offset, in the order of its
/// publisher; of what comes after `after`. Gives the last offset there is.
async fn check(
    server: &Server,
    after: Option<&str>,
    ledgers: &[&Ledger],
    when: &str,
) -> Option<String> {
    let start = after.unwrap_or("earliest");
    let url = format!("{}?start={start}&follow=false", server.url(PATH));
    let events = Reader::of(client().get(url).bearer_auth(NAME).send().await.unwrap()).rest().await;
    let mut found = HashMap::new();
    let (mut last, mut latest) = (String::new(), HashMap::new());
    for event in &events {
        let (id, offset) = (event["id"].as_str().unwrap(), event["offset"].as_str().unwrap());
        assert!(*offset > *last, "{when}: offsets do not rise at {offset}");
        last = offset.to_owned();
        assert!(found.insert(id, offset).is_none(), "{when}: {id} is there twice");
        let (publisher, number) = id.rsplit_once('-').unwrap();
        let before = latest.insert(publisher, number);
        assert!(before.is_none_or(|before| before < number), "{when}: {id} is out of order");
    }
    for (id, offset) in ledgers.iter().copied().flatten() {
        assert_eq!(found.get(id.as_str()), Some(&offset.as_str()), "{when}: {id} is lost or moved");
    }
    if last.is_empty() { after.map(ToOwned::to_owned) } else { Some(last) }
}
