//! Streams: where they begin, what they carry, how they end.

use std::time::Duration;

use outflow_hub::{Retention, StreamSettings};
use outflow_model::{Action, IntegrationId, Offset, StreamName, Timestamp};
use tokio::time::{Instant, timeout};

use crate::stand::{HEARTBEAT, Stand, event, events, project};

#[tokio::test]
async fn silence_is_marked_and_offsets_are_updated() {
    let stand = Stand::new().await;
    let offsets = stand.publish(&events("e", 3)).await;
    let mut feed = stand.open(&stand.plain("{}")).await;
    let begun = Instant::now();
    for _ in 0..3 {
        assert_eq!(feed.line().await.unwrap(), "");
    }
    assert!(begun.elapsed() >= HEARTBEAT * 2);

    // Filtered-out events move the offset all the same.
    let body = "{\"enable_offset_updates\":true,\"start\":\"EARLIEST\",\"filters\":[{\"types\":[\"SEND\"]}]}";
    for coding in ["gzip", "zstd", "identity"] {
        let request = stand.request("/api/events", &format!("Accept-Encoding: {coding}\r\n"), body);
        let mut feed = stand.open(&request).await;
        let update = feed.event().await.unwrap();
        assert_eq!(update["type"], "OFFSET_UPDATE");
        assert_eq!(update["offset"], offsets[2].to_string());
        assert_eq!(update["id"].as_str().unwrap().len(), 36);
        assert_eq!(update["occurred"], update["processed"]);
        assert!(
            Timestamp::parse_rfc3339(update["occurred"].as_str().unwrap().as_bytes()).is_some()
        );
    }
}

#[tokio::test]
async fn every_place_to_begin() {
    let stand = Stand::new().await;
    let offsets = stand.publish(&events("e", 4)).await;
    let base64url = {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(offsets[1].to_string())
    };
    let second = offsets[1];
    for (body, first) in [
        ("{\"start\":\"EARLIEST\"}".to_owned(), "e0"),
        (format!("{{\"resume_offset\":\"{second}\"}}"), "e2"),
        (format!("{{\"resume_offset\":{second}}}"), "e2"),
        (format!("{{\"resume_offset\":\"{base64url}\"}}"), "e2"),
        (format!("{{\"start\":\"LATEST\",\"resume_offset\":\"{second}\"}}"), "e2"),
        ("{\"start_time\":\"2020-01-01T00:00:00Z\"}".to_owned(), "e0"),
        ("{\"cursor\":\"unset\",\"start\":\"EARLIEST\"}".to_owned(), "e0"),
        ("{\"cursor\":\"nightly\",\"start\":\"EARLIEST\"}".to_owned(), "e3"),
        (format!("{{\"cursor\":\"nightly\",\"resume_offset\":\"{second}\"}}"), "e2"),
    ] {
        // The token's integration has its own; the shared one of the same name is not its.
        let owner = IntegrationId::new("direct").unwrap();
        let stream = stand.stream();
        stand.hub.set_cursor(&stream, Some(&owner), "nightly", offsets[2]).await.unwrap();
        stand.hub.set_cursor(&stream, None, "nightly", offsets[0]).await.unwrap();
        let mut feed = stand.open(&stand.plain(&body)).await;
        assert_eq!(feed.ids(1).await, [first], "{body}");
        assert_eq!(feed.head.field("x-outflow-resume"), None);
    }
}

#[tokio::test]
async fn a_resume_from_before_retention_says_so() {
    let stand = Stand::new().await;
    let offsets = stand.publish(&events("old", 3)).await;
    // Every place stays open for 7 days; the clock of retention is moved on instead.
    let settings = StreamSettings {
        retention: Retention { age_ms: 60_000, max_bytes: None },
        ..StreamSettings::default()
    };
    let name = StreamName::new("events").unwrap();
    stand.hub.update_stream(&project(), &name, settings).await.unwrap();
    stand.engine.retain(stand.hub.clock().now().plus_millis(3_600_000));
    stand.publish(&events("new", 1)).await;
    let body = format!("{{\"resume_offset\":\"{}\"}}", offsets[0]);
    let mut feed = stand.open(&stand.plain(&body)).await;
    let said = feed.head.field("x-outflow-resume").unwrap().to_owned();
    assert_eq!(said, format!("trimmed; start={}", offsets[2].next()));
    assert_eq!(feed.ids(1).await, ["new0"]);
    let mut text = String::new();
    prometheus_text(&stand, &mut text);
    assert!(text.contains("ndjson_streams_trimmed_total 1"), "{text}");
}

fn prometheus_text(stand: &Stand, text: &mut String) {
    prometheus_client::encoding::text::encode(text, &stand.registry).unwrap();
}

#[tokio::test]
async fn filters_and_partitions() {
    let stand = Stand::new().await;
    let mixed: Vec<_> = (0..40)
        .map(|n| {
            event(
                &format!("e{n}"),
                if n % 2 == 0 { "\"type\":\"SEND\"" } else { "\"type\":\"OPEN\"" },
            )
        })
        .collect();
    stand.publish(&mixed).await;
    let body = "{\"start\":\"EARLIEST\",\"filters\":{\"types\":[\"send\"]}}";
    let mut feed = stand.open(&stand.plain(body)).await;
    assert_eq!(feed.ids(20).await.last().unwrap(), "e38");
    drop(feed);

    let mut seen = Vec::new();
    for selection in 0..3 {
        let body = format!(
            "{{\"start\":\"EARLIEST\",\"subset\":{{\"type\":\"PARTITION\",\"count\":3,\"selection\":{selection}}}}}"
        );
        let mut feed = stand.open(&stand.plain(&body)).await;
        // The second blank line says that all there is has been sent.
        while let Some(line) = feed.line().await {
            if line.is_empty() {
                break;
            }
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            seen.push(event["id"].as_str().unwrap().to_owned());
        }
    }
    seen.sort();
    let mut all: Vec<_> = (0..40).map(|n| format!("e{n}")).collect();
    all.sort();
    assert_eq!(seen, all);
}

#[tokio::test]
async fn compliance_streams_only_its_own_type() {
    use base64::Engine as _;
    let stand = Stand::new().await;
    let compliance = event("c0", "\"type\":\"COMPLIANCE\",\"device\":{\"device_type\":\"EMAIL\"}");
    stand.publish(&[event("o0", ""), compliance, event("o1", "")]).await;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("app:{}", stand.master));
    let body = "{\"start\":\"EARLIEST\",\"enable_offset_updates\":true}";
    let request = format!(
        "POST /api/events/general/ HTTP/1.1\r\nHost: x\r\nX-UA-Appkey: app\r\nAuthorization: Basic {pair}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut feed = stand.open(&request).await;
    assert_eq!(feed.event().await.unwrap()["id"], "c0");
    assert_eq!(feed.event().await.unwrap()["type"], "OFFSET_UPDATE");
    // Nor does the other route show it to a token that is not entitled.
    let mut feed = stand.open(&stand.plain("{\"start\":\"EARLIEST\"}")).await;
    assert_eq!(feed.ids(2).await, ["o0", "o1"]);
}

#[tokio::test]
async fn a_revoked_token_ends_its_streams_cleanly() {
    for coding in ["gzip", "zstd", "identity"] {
        let stand = Stand::new().await;
        stand.publish(&events("e", 2)).await;
        let more = format!("Accept-Encoding: {coding}\r\n");
        let mut feed =
            stand.open(&stand.request("/api/events", &more, "{\"start\":\"EARLIEST\"}")).await;
        let sent = feed.head.field("content-encoding").unwrap_or("identity");
        assert_eq!(sent, coding);
        feed.ids(2).await;
        stand.auth.revoke(&stand.token.0).await.unwrap();
        // A clean end has the last chunk and, compressed, the trailer.
        let end = timeout(Duration::from_secs(2), feed.all_ids()).await.expect("within 2 s");
        assert_eq!(end, [""; 0], "{coding}");
        assert_eq!(stand.refused(&stand.plain("{}")).await.0, "HTTP/1.1 401 Unauthorized");
    }
}

#[tokio::test]
async fn draining_ends_streams_cleanly_and_a_resume_loses_nothing() {
    let stand = Stand::new().await;
    let offsets = stand.publish(&events("e", 5)).await;
    let body = "{\"start\":\"EARLIEST\"}";
    let mut feed = stand.open(&stand.request("/api/events", "", body)).await;
    feed.ids(5).await;
    stand.hub.drain(Duration::from_millis(100));
    assert_eq!(timeout(Duration::from_secs(5), feed.all_ids()).await.unwrap(), [""; 0]);
    assert_eq!(offsets.len(), 5);
}

#[tokio::test]
async fn the_limit_is_402_until_a_peer_is_gone() {
    let stand = Stand::new().await;
    let held = [stand.open(&stand.plain("{}")).await, stand.open(&stand.plain("{}")).await];
    let (status, answer) = stand.refused(&stand.plain("{}")).await;
    assert_eq!(status, "HTTP/1.1 402 Payment Required");
    assert_eq!(answer["error"], "Payment Required");
    // Node, which has no User-Agent, may open its next stream beside the last (rule 20).
    let node = stand.plain("{}").replace("User-Agent: test\r\n", "");
    let extra = stand.open(&node).await;
    drop((held, extra));
    let freed = async {
        while stand.ask(&stand.plain("{}")).await.0.status != "HTTP/1.1 200 OK" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(5), freed).await.expect("the next heartbeat finds a dead peer");
}

/// More is published than sockets and the blocks of live readers hold, and none of it is read until all
/// is published; then it is read in small steps, while more is published.
#[tokio::test]
async fn a_slow_reader_gets_everything() {
    const EVENTS: usize = 1_500;
    let stand = Stand::new().await;
    let mut feed = stand.open(&stand.plain("{}")).await;
    let large = format!(",\"body\":\"{}\"", "x".repeat(20_000));
    let batch = |from: usize, to: usize| {
        (from..to).map(|n| event(&format!("e{n}"), &large)).collect::<Vec<_>>()
    };
    for from in (0..EVENTS).step_by(100) {
        stand.publish(&batch(from, from + 100)).await;
    }
    let mut ids = feed.ids(1).await;
    let mut published = EVENTS;
    while published < EVENTS + 500 {
        ids.extend(feed.ids(100).await);
        stand.publish(&batch(published, published + 50)).await;
        published += 50;
    }
    ids.extend(feed.ids(published - ids.len()).await);
    assert!(ids.into_iter().eq((0..published).map(|n| format!("e{n}"))), "all, in order");
    let mut text = String::new();
    prometheus_text(&stand, &mut text);
    let behind = text.lines().find_map(|line| line.strip_prefix("outflow_catch_up_reads_total "));
    let behind: u64 = behind.unwrap().parse().unwrap();
    assert!(behind > 0, "it fell behind what is held for live readers: {text}");
}

#[tokio::test]
async fn the_generic_route_reads_to_the_end_or_a_count() {
    let stand = Stand::new().await;
    let offsets = stand.publish(&events("e", 5)).await;
    let key = stand.key(&[Action::Read]).await;
    let get = |query: &str| {
        format!(
            "GET /v1/projects/app/streams/events/events?{query} HTTP/1.1\r\nHost: x\r\n\
             Authorization: Bearer {key}\r\n\r\n"
        )
    };
    let before = |offset: Offset| Offset::new(offset.get() - 1).to_string();
    for (query, from, ids) in [
        ("start=earliest&follow=false", before(offsets[0]), vec!["e0", "e1", "e2", "e3", "e4"]),
        ("start=earliest&limit=2", before(offsets[0]), vec!["e0", "e1"]),
        ("start=earliest&limit=0", before(offsets[0]), vec![]),
        (&format!("start={}&follow=false", offsets[2]), offsets[2].to_string(), vec!["e3", "e4"]),
        ("start=now&follow=false", offsets[4].to_string(), vec![]),
        ("start=2020-01-01T00:00:00Z&limit=1", before(offsets[0]), vec!["e0"]),
        (
            "start=earliest&follow=false&filters=%5B%7B%22types%22%3A%5B%22MINE%22%5D%7D%5D",
            before(offsets[0]),
            vec![],
        ),
    ] {
        let mut feed = stand.open(&get(query)).await;
        assert_eq!(feed.head.field("content-type"), Some("application/x-ndjson"));
        assert_eq!(feed.head.field("outflow-from"), Some(from.as_str()), "{query}");
        assert_eq!(feed.all_ids().await, ids, "{query}");
    }
    let mut feed = stand.open(&get("start=latest")).await;
    stand.publish(&events("new", 1)).await;
    assert_eq!(feed.ids(1).await, ["new0"]);
}

#[tokio::test]
async fn what_a_stream_counts_is_given_back() {
    let stand = Stand::new().await;
    stand.publish(&events("e", 3)).await;
    let mut feed = stand.open(&stand.plain("{\"start\":\"EARLIEST\"}")).await;
    feed.ids(3).await;
    stand.hub.drain(Duration::ZERO);
    feed.all_ids().await;
    let mut text = String::new();
    let counted = async {
        loop {
            text.clear();
            prometheus_text(&stand, &mut text);
            if text.contains("ndjson_streams_ended_total{reason=\"draining\"} 1") {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), counted).await.unwrap();
    assert!(text.contains("ndjson_events_sent_total 3"), "{text}");
    assert!(text.contains("ndjson_streams_open{coding=\"identity\"} 0"), "{text}");
}

#[tokio::test]
async fn a_stream_past_damage_says_so() {
    let stand = Stand::new().await;
    let mut offsets = Vec::new();
    for event in events("e", 6) {
        offsets.extend(stand.publish(&[event]).await);
    }
    stand.engine.damage(stand.stream().id, offsets[2], offsets[4]);
    let mut feed = stand.open(&stand.plain("{\"start\":\"EARLIEST\"}")).await;
    assert_eq!(feed.head.field("x-outflow-resume"), None);
    assert_eq!(timeout(Duration::from_secs(5), feed.all_ids()).await.unwrap(), ["e0", "e1"]);
    let resume = stand.plain(&format!("{{\"resume_offset\":\"{}\"}}", offsets[1]));
    let mut feed = stand.open(&resume).await;
    let said = format!("damaged; start={}", offsets[4]);
    assert_eq!(feed.head.field("x-outflow-resume"), Some(said.as_str()));
    assert_eq!(feed.ids(2).await, ["e4", "e5"]);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &stand.registry).unwrap();
    assert!(text.contains("ndjson_streams_past_damage_total 1"), "{text}");
}
