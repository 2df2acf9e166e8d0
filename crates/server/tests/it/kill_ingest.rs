//! kill -9 while upstream systems send and files land, with a ledger of 202 outside the process.
//!
//! `OUTFLOW_KILL_ROUNDS` sets the number of rounds; 5 by default.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outflow_model::Rng;
use outflow_model::rng::SeededRng;
use outflow_testkit::{Options, Server, directory};
use serde_json::Value;
use tokio::time::Instant;

use crate::reader::{NAME, client};

const SENDERS: u64 = 6;
const PATH: &str = "/stream/v0/data/is-SampleJson";
/// How long the last files may take: their age is a second.
const LANDED_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_payload_is_in_exactly_one_file() {
    let rounds =
        std::env::var("OUTFLOW_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let seed = std::process::id().into();
    let rng = SeededRng::new(seed);
    let dir = directory().unwrap();
    let settings = [
        "data.journal_bytes=262144",
        "ingest.requests_per_second=1000000",
        "landing.max_age_s=1",
        // Small files, so that many ends are hit.
        "landing.max_bytes=16384",
    ];
    let options = Options {
        data_dir: Some(dir.path().to_owned()),
        arguments: settings.iter().flat_map(|one| ["--set", *one]).map(Into::into).collect(),
        ..Options::default()
    };
    let mut ledger = HashSet::new();
    for round in 0..rounds {
        let server = Server::start(&options).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..SENDERS)
            .map(|who| tokio::spawn(send(server.url(PATH), round, who, Arc::clone(&stop))))
            .collect();
        tokio::time::sleep(Duration::from_millis(200 + rng.below(2_000))).await;
        server.kill().await.unwrap();
        stop.store(true, Ordering::SeqCst);
        for sender in senders {
            ledger.extend(sender.await.unwrap());
        }
        landed(dir.path(), &format!("seed {seed} round {round}"));
    }
    assert!(ledger.len() > rounds as usize * 20, "only {} were accepted", ledger.len());
    let server = Server::start(&options).await.unwrap();
    let when = format!("seed {seed} at the end");
    let end = Instant::now() + LANDED_WITHIN;
    loop {
        let found = landed(dir.path(), &when);
        let missing = ledger.iter().filter(|id| !found.contains_key(*id)).count();
        if missing == 0 {
            break;
        }
        assert!(Instant::now() < end, "{when}: {missing} of {} never landed", ledger.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(server.terminate(Duration::from_secs(20)).await.unwrap().success());
}

/// Sends until the server is gone; gives what was accepted.
async fn send(url: String, round: u64, who: u64, stop: Arc<AtomicBool>) -> Vec<String> {
    let client = client();
    let mut accepted = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        let id = format!("{round}-{who}-{number:08}");
        number += 1;
        let body = format!("{{\"id\":\"{id}\",\n\"text\":\"{}\"}}", "y".repeat(150));
        let request =
            client.post(&url).bearer_auth(NAME).header("content-type", "application/json");
        let Ok(answer) = request.body(body).send().await else { break };
        if answer.status() != 202 {
            break;
        }
        accepted.push(id);
    }
    accepted
}

/// The ids in all files that have their names, with their files; none may be there twice.
fn landed(dir: &Path, when: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut folders = vec![dir.join("landing")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                assert!(!path.ends_with("_failed"), "{when}: {}", path.display());
                folders.push(path);
                continue;
            }
            let name = path.display().to_string();
            if name.ends_with(".part") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.ends_with('\n'), "{when}: {name} is not whole");
            for line in text.lines() {
                let row: Value = serde_json::from_str(line).unwrap();
                let id = row["id"].as_str().unwrap().to_owned();
                let before = found.insert(id.clone(), name.clone());
                assert_eq!(before, None, "{when}: {id} is in {name} as well");
            }
        }
    }
    found
}
