//! kill -9 while upstream systems send and files land, with a ledger of 202 outside the process:
//! JSON, XML, and XML that does not parse, whose bytes land apart.
//!
//! `OUTFLOW_KILL_ROUNDS` sets the number of rounds; 5 by default.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outflow_model::Rng;
use outflow_model::rng::SeededRng;
use outflow_testkit::{Options, Server, directory};
use serde_json::Value;
use tokio::time::Instant;

use crate::reader::{NAME, client};

const SENDERS: u64 = 6;
const JSON: &str = "/stream/v0/data/is-SampleJson";
const XML: &str = "/stream/v0/data/is-SampleXml";
/// How long the next of the last files may take: their age is a second. All of them take as long as they
/// are many.
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
            .map(|who| tokio::spawn(send(server.url(""), round, who, Arc::clone(&stop))))
            .collect();
        tokio::time::sleep(Duration::from_millis(200 + rng.below(2_000))).await;
        server.kill().await.unwrap();
        stop.store(true, Ordering::SeqCst);
        for sender in senders {
            ledger.extend(sender.await.unwrap());
        }
        landed(dir.path(), &format!("seed {seed} round {round}"));
    }
    for kind in ["json", "xml", "failed"] {
        let of_kind = ledger.iter().filter(|id| id.starts_with(kind)).count();
        assert!(of_kind > rounds as usize * 5, "only {of_kind} of {kind} were accepted");
    }
    let server = Server::start(&options).await.unwrap();
    let when = format!("seed {seed} at the end");
    let (mut end, mut least) = (Instant::now() + LANDED_WITHIN, usize::MAX);
    loop {
        let found = landed(dir.path(), &when);
        let missing = ledger.iter().filter(|id| !found.contains_key(*id)).count();
        if missing == 0 {
            break;
        }
        if missing < least {
            (end, least) = (Instant::now() + LANDED_WITHIN, missing);
        }
        assert!(Instant::now() < end, "{when}: {missing} of {} never landed", ledger.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(server.terminate(Duration::from_secs(20)).await.unwrap().success());
}

/// What a sender sends: its kind, where to, and as what.
fn kind(who: u64) -> (&'static str, &'static str, &'static str) {
    match who % 3 {
        0 => ("json", JSON, "application/json"),
        1 => ("xml", XML, "application/xml"),
        _ => ("failed", XML, "application/xml"),
    }
}

fn payload(kind: &str, id: &str) -> String {
    let text = "y".repeat(150);
    match kind {
        "json" => format!("{{\"id\":\"{id}\",\n\"text\":\"{text}\"}}"),
        "xml" => format!("<record id='{id}'>\n<text>{text}</text></record>"),
        // It never ends.
        _ => format!("<record id='{id}'><text>{text}</text>"),
    }
}

/// Sends until the server is gone; gives what was accepted.
async fn send(server: String, round: u64, who: u64, stop: Arc<AtomicBool>) -> Vec<String> {
    let client = client();
    let mut accepted = Vec::new();
    let mut number = 0;
    let (kind, path, content_type) = kind(who);
    while !stop.load(Ordering::SeqCst) {
        let id = format!("{kind}-{round}-{who}-{number:08}");
        number += 1;
        let request = client.post(format!("{server}{path}")).bearer_auth(NAME);
        let request = request.header("content-type", content_type).body(payload(kind, &id));
        let Ok(answer) = request.send().await else { break };
        if answer.status() != 202 {
            break;
        }
        accepted.push(id);
    }
    accepted
}

/// The ids in all files that have their names, with their files; none may be there twice.
fn landed(dir: &Path, when: &str) -> HashMap<String, PathBuf> {
    let mut found = HashMap::new();
    let mut folders = vec![dir.join("landing")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_some_and(|ending| ending == "part") {
                continue;
            }
            for id in ids(&path, when) {
                let before = found.insert(id.clone(), path.clone());
                assert_eq!(before, None, "{when}: {id} is in {} as well", path.display());
            }
        }
    }
    found
}

/// The ids in one whole file: of rows, or of what could not be one.
fn ids(path: &Path, when: &str) -> Vec<String> {
    let (name, bytes) = (path.display(), std::fs::read(path).unwrap());
    if path.extension().is_some_and(|ending| ending == "cbor") {
        let mut texts = texts(&bytes).unwrap_or_else(|| panic!("{when}: {name} is not whole"));
        texts.retain(|text| text.starts_with("xml-"));
        return texts;
    }
    let is_failed = path.parent().unwrap().ends_with("_failed");
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.ends_with('\n'), "{when}: {name} is not whole");
    let id = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        if !is_failed {
            return row["id"].as_str().unwrap().to_owned();
        }
        // With its bytes and why.
        let sent = STANDARD.decode(row["payload_base64"].as_str().unwrap()).unwrap();
        let sent = String::from_utf8(sent).unwrap();
        let id = sent.split('\'').nth(1).unwrap();
        assert_eq!(sent, payload("failed", id), "{when}: {name}");
        assert_ne!(row["reason"].as_str().unwrap(), "", "{when}: {name}");
        id.to_owned()
    };
    text.lines().map(id).collect()
}

/// All texts in a landed CBOR file, an array of unknown length of maps, lists and texts (RFC 8949
/// 3.2.2); `None` when it is not whole.
fn texts(file: &[u8]) -> Option<Vec<String>> {
    let mut rest = file.strip_prefix(&[0x9F])?;
    let mut found = Vec::new();
    while rest != [0xFF] {
        let (&first, after) = rest.split_first()?;
        let (bytes, after) = match first & 0x1F {
            short @ 0..=23 => (vec![short], after),
            24 => (after.get(..1)?.to_vec(), after.get(1..)?),
            25 => (after.get(..2)?.to_vec(), after.get(2..)?),
            _ => return None,
        };
        let length = bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
        // What is within maps and lists follows and is taken as it comes.
        rest = match first >> 5 {
            3 => {
                found.push(String::from_utf8(after.get(..length)?.to_vec()).ok()?);
                after.get(length..)?
            }
            4 | 5 => after,
            _ => return None,
        };
    }
    Some(found)
}
