//! `outflow bench`: each scene for a moment, so that none is found broken on the day when somebody
//! wants to measure.

use serde_json::Value;

use crate::outflow::{Ended, outflow};

/// Small enough for a build without optimisations.
const BRIEFLY: &str = "--runs 1 --seconds 1 --most-events 2000 --replay-events 2000 --readers 3 \
                       --entities 1000 --idle-readers 10";

fn run(scene: &str) -> Ended {
    let line = format!("bench {scene} {BRIEFLY} --json");
    outflow(&line.split_whitespace().collect::<Vec<_>>(), &[])
}

/// Runs a scene and checks that its rows are those whose names begin so, and that each has figures.
fn measure(scene: &str, expected: &[&str]) {
    check(scene, &run(scene), expected);
}

fn check(scene: &str, ended: &Ended, expected: &[&str]) {
    assert_eq!(ended.code, 0, "{scene}: {}{}", ended.stdout, ended.stderr);
    let rows: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    let name = |row: &Value| row["scene"].as_str().unwrap().to_owned();
    for begin in expected {
        assert!(rows.iter().any(|row| name(row).starts_with(begin)), "{begin}: {}", ended.stdout);
    }
    for row in &rows {
        let known = expected.iter().any(|begin| name(row).starts_with(begin));
        assert!(known, "a new row is named here as well: {row}");
        assert_eq!(row["runs"], 1, "{row}");
        let has_rate = row["rate"].as_f64().is_some_and(|rate| rate > 0.0);
        let is_idle = name(row).contains("idle") && row["note"].is_string();
        assert!(has_rate || is_idle, "{row}");
    }
}

#[test]
fn publish_and_ingest() {
    measure("publish", &["publish, "]);
    measure("ingest", &["ingest, "]);
}

#[test]
fn replay_as_json_and_as_a_table() {
    measure("replay", &["replay, 1 reader, plain", "replay, 1 reader, gzip"]);
    let line = format!("bench replay {BRIEFLY}");
    let table = outflow(&line.split_whitespace().collect::<Vec<_>>(), &[]);
    assert_eq!(table.code, 0, "{}", table.stderr);
    let rows: Vec<_> = table.stdout.lines().collect();
    assert!(rows[0].starts_with("scene (median of runs)"), "{}", table.stdout);
    assert_eq!(rows.len(), 3, "{}", table.stdout);
}

#[test]
fn fan_out_of_lines_and_of_server_sent_events() {
    measure("fanout", &["live, 1 readers, ", "live, 3 readers, "]);
    measure("sse", &["live, 1 readers, sse", "live, 3 readers, sse"]);
}

#[test]
fn extraction() {
    let ended = run("extraction");
    // It has to be beside more changes than a build without optimisations may get through: its row
    // says so then, and has no rate.
    if ended.code == 0 && ended.stdout.contains("none counted") {
        return;
    }
    check("extraction", &ended, &["extraction of 1000 entities"]);
}

#[test]
fn latency() {
    measure("latency", &["half load, commit", "half load, publish to reader"]);
}

#[test]
fn idle_readers() {
    measure("idle", &["idle, 10 readers", "idle, 10 sse readers"]);
}

#[test]
fn mailboxes() {
    measure("mailbox", &["mailbox, peek-lock-confirm, "]);
}

#[test]
fn queues() {
    measure("stomp", &["STOMP send, ", "STOMP consume, ", "STOMP mirror, ", "STOMP idle, "]);
}

#[test]
fn webhooks() {
    measure("webhook", &["webhook, "]);
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "token").unwrap();
    let path = file.path().to_str().unwrap();
    let ended = outflow(&["bench", "replay", "--server", "127.0.0.1:1", "--token-file", path], &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("outflow: "), "{}", ended.stderr);
}
