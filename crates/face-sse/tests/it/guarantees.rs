//! What seed 004 promises of both feeds, promise by promise: they may be run again, their events are
//! ordered by time and tick, and they are kept for 48 hours.

use outflow_model::Timestamp;
use serde_json::Value;

use crate::stand::{Stand, account, project};

const HOUR_MS: i64 = 3_600_000;

/// The next events of a feed, as they came.
async fn events(stand: &Stand, query: &str, count: usize) -> Vec<String> {
    let mut reading = stand.open(query, "").await;
    let mut all = Vec::new();
    while all.len() < count {
        let frame = reading.next().await;
        if !frame.starts_with(':') {
            // The time to wait before a reconnection goes before the first event only.
            all.push(frame.replacen("retry: 3000\n", "", 1));
        }
    }
    all
}

/// The order that an event's header says, and what it is about.
fn place(frame: &str) -> ((String, u64), Value) {
    let header = frame.lines().find_map(|line| line.strip_prefix("data:")).unwrap();
    let header: Value = serde_json::from_str(header).unwrap();
    let time = header["tstamp"].as_str().unwrap().to_owned();
    ((time, header["tick"].as_u64().unwrap()), header["ref"].clone())
}

async fn extract(stand: &Stand) {
    let job = stand.hub.start_extraction(&stand.stream("billing"), &[], &[]).await.unwrap();
    let is_over = || {
        stand.hub.extractions(&project()).iter().any(|one| one.id == job.id && one.state.is_over())
    };
    while !is_over() {
        tokio::task::yield_now().await;
    }
}

/// Ten accounts, each changed once after the first extraction of two.
async fn filled() -> Stand {
    let stand = Stand::new().await;
    for no in 0..10 {
        stand.publish("billing", &[&account("create", no, r#"{"n":1.0}"#)]).await;
    }
    extract(&stand).await;
    for no in 0..10 {
        stand.publish("billing", &[&account("update", no, r#"{"m":[1, 2]}"#)]).await;
    }
    extract(&stand).await;
    stand
}

#[tokio::test]
async fn a_stream_that_is_run_again_has_the_same_events_with_the_same_data() {
    let stand = filled().await;
    for (feed, count) in [("feed/changes?from=earliest", 20), ("feed/load?from=earliest", 20)] {
        let first = events(&stand, feed, count).await;
        // Whatever comes meanwhile.
        stand.publish("billing", &[&account("update", 3, r#"{"n":2}"#)]).await;
        assert_eq!(events(&stand, feed, count).await, first, "{feed}");
        // From any place in it, too.
        let id = first[6].lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
        let from = format!("{}?lastEventId={id}", feed.split('?').next().unwrap());
        assert_eq!(events(&stand, &from, count - 7).await, first[7..], "{from}");
    }
}

#[tokio::test]
async fn events_of_both_feeds_are_ordered_by_time_and_tick() {
    let stand = filled().await;
    let changes = events(&stand, "feed/changes?from=earliest", 20).await;
    let places: Vec<_> = changes.iter().map(|frame| place(frame).0).collect();
    assert!(places.is_sorted_by(|one, next| one < next), "{places:?}");
    // A load says of every entity at which of its changes it was read.
    let loads = events(&stand, "feed/load?from=earliest", 20).await;
    for (at, load) in loads.iter().enumerate() {
        let (when, entity) = place(load);
        let of_entity = changes.iter().map(|frame| place(frame)).filter(|(_, of)| *of == entity);
        let of_entity: Vec<_> = of_entity.map(|(when, _)| when).collect();
        assert_eq!(of_entity.len(), 2, "{load}");
        assert_eq!(when, of_entity[at / 10], "the first extraction, then the second: {load}");
    }
}

#[tokio::test]
async fn events_are_kept_for_48_hours() {
    let stand = filled().await;
    let all = events(&stand, "feed/changes?from=earliest", 20).await;
    let later =
        |hours: i64| Timestamp::from_millis(stand.hub.clock().now().millis() + hours * HOUR_MS);
    stand.engine.retain(later(47));
    assert_eq!(events(&stand, "feed/changes?from=earliest", 20).await, all);
    stand.engine.retain(later(49));
    let id = all[0].lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let (status, _) = stand.refused(&format!("feed/changes?lastEventId={id}"), "").await;
    assert_eq!(status, 410, "what is gone is not passed over in silence");
}

#[tokio::test]
async fn loads_are_kept_for_48_hours() {
    let stand = filled().await;
    let all = events(&stand, "feed/load?from=earliest", 20).await;
    let later =
        |hours: i64| Timestamp::from_millis(stand.hub.clock().now().millis() + hours * HOUR_MS);
    stand.engine.retain(later(47));
    assert_eq!(events(&stand, "feed/load?from=earliest", 20).await, all);
    stand.engine.retain(later(49));
    let id =
        |event: &str| event.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    for missed in [&all[0], &all[9], &all[18]] {
        let (status, _) = stand.refused(&format!("feed/load?lastEventId={}", id(missed)), "").await;
        assert_eq!(status, 410, "what is gone is not passed over in silence");
    }
    // Who has read it all has missed nothing: only the mark of its end came behind.
    let mut reading = stand.open(&format!("feed/load?lastEventId={}", id(&all[19])), "").await;
    extract(&stand).await;
    assert!(reading.event().await.1[0].contains("\"no\":0"));
}
