//! What is sent: the frames of both feeds and of a plain stream, their order and their ends.

use std::time::Duration;

use outflow_face::Phase;
use outflow_hub::{NewStream, StreamSettings};
use outflow_model::{Action, Timestamp};
use serde_json::Value;

use crate::stand::{Stand, account, issue_within, keyed, name, project};

#[tokio::test]
async fn a_change_is_one_block_of_an_id_its_kind_and_two_lines() {
    let stand = Stand::new().await;
    let (head, player) = stand.ask("feed/changes", "").await;
    assert_eq!(head.field("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(head.field("cache-control"), Some("no-store, no-transform"));
    assert_eq!(head.field("x-accel-buffering"), Some("no"));
    assert_eq!(head.field("content-encoding"), None, "whatever the client accepts");
    // No chunks: `sseclient` would read their lines, too. The body ends with the connection.
    assert_eq!(head.field("transfer-encoding"), None);
    assert_eq!(head.field("connection"), Some("close"));
    let mut reading = crate::stand::Reading(player);
    assert_eq!(reading.frame().await, ":\n");
    let create = r#"{"id":"x","type":"create","ref":{"type":"Account", "ids":{"no":1.0}},"body":{"b":1.10,"ä":null}}"#;
    stand.publish("billing", &[create, &account("delete", 2, "null")]).await;
    let first = reading.next().await;
    let (retry, first) = first.split_once('\n').unwrap();
    assert_eq!(retry, "retry: 3000", "inside the first event only");
    let lines: Vec<&str> = first.split('\n').collect();
    assert_eq!(lines.len(), 6, "{first}");
    assert!(lines[0].starts_with("id: ") && lines[0].ends_with("-1000000000000000"), "{first}");
    assert_eq!(lines[1], "event: create");
    let header = lines[2].strip_prefix("data:").unwrap();
    assert!(header.starts_with(r#"{"ref":{"type":"Account", "ids":{"no":1.0}},"tstamp":"20"#));
    assert!(header.ends_with(r#"Z","tick":1000000000000000}"#), "{header}");
    assert_eq!(lines[3], r#"data:{"b":1.10,"ä":null}"#);
    assert_eq!((lines[4], lines[5]), ("", ""));
    let second = reading.next().await;
    assert!(second.starts_with("id: ") && second.contains("\nevent: delete\n"), "{second}");
    assert!(second.ends_with("\"tick\":1000000000000001}\ndata:{}\n\n"), "{second}");
}

#[tokio::test]
async fn silence_is_marked_by_a_comment_without_a_blank_line() {
    let stand = Stand::new().await;
    let mut reading = stand.open("feed/changes", "").await;
    for _ in 0..3 {
        assert_eq!(reading.frame().await, ":\n");
    }
}

#[tokio::test]
async fn a_load_begins_at_the_newest_extraction_and_its_end_is_a_comment() {
    let stand = Stand::new().await;
    let (status, problem) = stand.refused("feed/load", "").await;
    assert_eq!((status, problem["code"].as_str()), (404, Some("not_found")));
    stand.publish("billing", &[&account("create", 1, r#"{"n":1}"#)]).await;
    stand.extract("billing").await;
    stand.publish("billing", &[&account("update", 1, r#"{"n":2}"#)]).await;
    stand.extract("billing").await;
    let mut newest = stand.open("feed/load", "").await;
    let (id, data) = newest.event().await;
    let header: Value = serde_json::from_str(&data[0]).unwrap();
    assert_eq!((&header["tick"], &*data[1]), (&1_000_000_000_000_001_u64.into(), r#"{"n":2}"#));
    assert_eq!(newest.next().await, ": end-of-load job=2\n");
    // The change that made this version says the same time and tick.
    let mut changes = stand.open("feed/changes?from=earliest", "").await;
    changes.event().await;
    let change: Value = serde_json::from_str(&changes.event().await.1[0]).unwrap();
    assert_eq!(change, header);
    // Both loads again, the same as before.
    let mut all = stand.open("feed/load?from=5hours", "").await;
    assert_eq!(all.event().await.1[1], r#"{"n":1}"#);
    assert_eq!(all.next().await, ": end-of-load job=1\n");
    assert_eq!(all.event().await, (id, data));
}

#[tokio::test]
async fn loads_of_several_keyed_streams_are_told_apart() {
    let stand = Stand::new().await;
    let new = NewStream { name: name("other"), settings: keyed() };
    stand.hub.create_stream(&project(), new).await.unwrap();
    for (stream, n) in [("billing", r#"{"n":1}"#), ("other", r#"{"n":2}"#)] {
        stand.publish(stream, &[&account("create", 1, n)]).await;
        stand.extract(stream).await;
    }
    let (status, problem) = stand.refused("feed/load", "").await;
    assert_eq!(status, 400, "{problem}");
    for (stream, n, job) in [("billing", r#"{"n":1}"#, 1), ("other", r#"{"n":2}"#, 2)] {
        for from in ["", "&from=earliest"] {
            let mut load = stand.open(&format!("feed/load?stream={stream}{from}"), "").await;
            assert_eq!(load.event().await.1[1], n);
            assert_eq!(load.next().await, format!(": end-of-load job={job}\n"));
        }
    }
    for none in ["none", "events", "feed:load"] {
        assert_eq!(stand.refused(&format!("feed/load?stream={none}"), "").await.0, 404, "{none}");
    }
}

#[tokio::test]
async fn the_loads_of_a_stream_are_for_who_may_read_the_stream() {
    let mut stand = Stand::new().await;
    let new = NewStream { name: name("other"), settings: keyed() };
    stand.hub.create_stream(&project(), new).await.unwrap();
    for (stream, n) in [("other", r#"{"n":2}"#), ("billing", r#"{"n":1}"#)] {
        stand.publish(stream, &[&account("create", 1, n)]).await;
        stand.extract(stream).await;
    }
    for only in [&["billing"][..], &["billing", "feed:load"]] {
        stand.token = issue_within(&stand.auth, &project(), &[Action::Read], Some(only)).await;
        for query in ["?from=earliest", "?from=earliest&stream=billing"] {
            let mut load = stand.open(&format!("feed/load{query}"), "").await;
            assert_eq!(load.event().await.1[1], r#"{"n":1}"#);
        }
        assert_eq!(stand.refused("feed/load?stream=other", "").await.0, 404);
        // By its own name it shows the loads of all.
        let (status, problem) = stand.refused("streams/feed:load/sse?from=earliest", "").await;
        assert_eq!(status, 403, "{problem}");
    }
    let only: &[&str] = &["feed:load"];
    stand.token = issue_within(&stand.auth, &project(), &[Action::Read], Some(only)).await;
    assert_eq!(stand.refused("feed/load?from=earliest", "").await.0, 404);
}

#[tokio::test]
async fn a_stream_made_anew_shows_no_loads_of_the_one_before() {
    let stand = Stand::new().await;
    stand.publish("billing", &[&account("create", 1, r#"{"n":1}"#)]).await;
    stand.extract("billing").await;
    let mut former = stand.open("feed/load", "").await;
    let (place, _) = former.event().await;
    stand.hub.delete_stream(&project(), &name("billing")).await.unwrap();
    let new = NewStream { name: name("billing"), settings: keyed() };
    stand.hub.create_stream(&project(), new).await.unwrap();
    let mut early = stand.open("feed/load", "").await;
    stand.publish("billing", &[&account("create", 2, r#"{"n":2}"#)]).await;
    stand.extract("billing").await;
    assert_eq!(early.event().await.1[1], r#"{"n":2}"#);
    for from in ["", "?from=earliest", &format!("?last_id={place}")] {
        let mut load = stand.open(&format!("feed/load{from}"), "").await;
        assert_eq!(load.event().await.1[1], r#"{"n":2}"#, "{from}");
        assert_eq!(load.next().await, ": end-of-load job=2\n");
    }
}

#[tokio::test]
async fn any_stream_is_sent_as_lines_with_or_without_names() {
    let stand = Stand::new().await;
    stand.publish("events", &[r#"{"id":"a","type":"OPEN","body":{"n":1.0}}"#]).await;
    let mut reading = stand.open("streams/events/sse?from=earliest", "").await;
    let frame = reading.next().await;
    assert!(frame.contains("\nevent: OPEN\ndata: {\"id\":\"a\",\"type\":\"OPEN\","), "{frame}");
    assert!(frame.ends_with("\"body\":{\"n\":1.0}}\n\n"), "{frame}");
    let mut reading = stand.open("streams/events/sse?from=earliest&named=false", "").await;
    assert!(!reading.next().await.contains("event:"));
    stand.publish("events", &[r#"{"type":"CLOSE"}"#]).await;
    let mut reading = stand.open("streams/events/sse?from=earliest&limit=1", "").await;
    assert!(reading.next().await.contains("OPEN"));
    assert_eq!(reading.next().await, "", "it ends after so many");
}

#[tokio::test]
async fn the_change_feed_sends_the_chosen_types_at_once_with_what_they_need() {
    let stand = Stand::new().await;
    let mut reading = stand.open("feed/changes", "").await;
    let of =
        |entity_type: &str, no: u32| account("create", no, "{}").replace("Account", entity_type);
    stand.publish("billing", &[&of("Plan", 1)]).await;
    assert!(reading.event().await.1[0].contains("Plan"));
    let chosen = Some(["Invoice".to_owned()].into());
    let settings = StreamSettings { feed_types: chosen, ..keyed() };
    stand.hub.update_stream(&project(), &name("billing"), settings).await.unwrap();
    stand.publish("billing", &[&of("Plan", 2), &of("Account", 3), &of("Invoice", 4)]).await;
    assert!(reading.event().await.1[0].contains("Account"));
    assert!(reading.event().await.1[0].contains("Invoice"));
}

#[tokio::test]
async fn a_feed_without_matches_has_its_heartbeats_and_nothing_else() {
    let stand = Stand::new().await;
    let settings = StreamSettings { feed_types: Some(["Plan".to_owned()].into()), ..keyed() };
    stand.hub.update_stream(&project(), &name("billing"), settings).await.unwrap();
    let mut reading = stand.open("feed/changes", "").await;
    let publishing = async {
        // More often than silence is marked, for as long as it takes.
        for no in 0.. {
            stand.publish("billing", &[&account("create", no, "{}")]).await;
            tokio::task::yield_now().await;
        }
    };
    let listening = async {
        for _ in 0..5 {
            assert_eq!(reading.frame().await, ":\n");
        }
    };
    tokio::select! {
        () = listening => {}
        () = publishing => panic!("it publishes for ever"),
    }
}

#[tokio::test]
async fn an_id_that_is_no_longer_kept_is_taken_when_nothing_was_missed() {
    let stand = Stand::new().await;
    let plan = |no| account("create", no, "{}").replace("Account", "Plan");
    let chosen = Some(["Plan".to_owned()].into());
    let settings = StreamSettings { feed_types: chosen, ..keyed() };
    stand.hub.update_stream(&project(), &name("billing"), settings.clone()).await.unwrap();
    stand.publish("billing", &[&plan(1), &plan(2)]).await;
    let mut reading = stand.open("feed/changes?from=earliest", "").await;
    let (first, second) = (reading.event().await.0, reading.event().await.0);
    for no in 0..10 {
        stand.publish("billing", &[&account("create", no, "{}")]).await;
    }
    let now = stand.hub.clock().now().millis();
    stand.engine.retain(Timestamp::from_millis(now + 49 * 3_600_000));
    let place = |id: &str| format!("Last-Event-ID: {id}\r\n");
    assert_eq!(stand.refused("feed/changes", &place(&first)).await.0, 410, "a plan was missed");
    let mut again = stand.open("feed/changes", &place(&second)).await;
    stand.publish("billing", &[&plan(3)]).await;
    assert!(again.event().await.1[0].contains("\"no\":3"));
    // Of all types the accounts were missed.
    let all = StreamSettings { feed_types: None, ..settings };
    stand.hub.update_stream(&project(), &name("billing"), all).await.unwrap();
    assert_eq!(stand.refused("feed/changes", &place(&second)).await.0, 410);
}

#[tokio::test]
async fn every_end_is_between_two_events() {
    for end in 0..3 {
        let stand = Stand::new().await;
        let mut reading = stand.open("feed/changes", "").await;
        stand.publish("billing", &[&account("create", 1, "{}")]).await;
        reading.event().await;
        match end {
            0 => stand.hub.close_credential(&stand.token.0, u32::MAX),
            1 => stand.hub.delete_stream(&project(), &name("billing")).await.unwrap(),
            _ => stand.hub.drain(Duration::from_millis(1)),
        }
        assert_eq!(reading.next().await, "", "end {end}");
    }
    let fresh = Stand::new().await;
    let mut reading = fresh.open("feed/changes", "").await;
    fresh.hub.drain(Duration::from_millis(1));
    assert_eq!(reading.next().await, "");
}

#[tokio::test]
async fn a_draining_server_holds_who_comes_and_lets_go_when_it_stops() {
    let stand = Stand::new().await;
    stand.publish("billing", &[&account("create", 1, "{}")]).await;
    let stream = stand.stream("billing");
    stand.hub.start_extraction(&stream, &[], &[]).await.unwrap();
    stand.drain.advance(Phase::Draining);
    stand.hub.drain(Duration::from_millis(1));
    for path in ["feed/changes?from=earliest", "feed/load", "streams/billing/sse?from=earliest"] {
        // No refusal and no event: after its end the client has the place that it had.
        let mut held = stand.open(path, "").await;
        for _ in 0..3 {
            assert_eq!(held.frame().await, ":\n", "{path}");
        }
    }
    // What is wrong with a request is still said.
    assert_eq!(stand.refused("feed/changes", "Last-Event-ID: x\r\n").await.0, 410);
    assert_eq!(stand.refused("streams/none/sse", "").await.0, 404);
    let mut held = stand.open("feed/changes", "").await;
    stand.drain.advance(Phase::Stopping);
    assert_eq!(held.next().await, "", "it ends with the listener");
}
