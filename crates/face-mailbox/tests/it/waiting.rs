//! Long polls: woken by the publish, ended in time, bounded, and let go when the server goes.

use std::time::Duration;

use outflow_face::Phase;
use outflow_face_mailbox::Options;
use outflow_testkit::transcript::Player;
use serde_json::json;
use tokio::time::Instant;

use crate::stand::Stand;

/// Sends a Peek without reading its answer.
async fn park(stand: &Stand, id: &str, seconds: u32) -> Player {
    let mut player = Player::connect(stand.addr).await.unwrap();
    let token = &stand.token;
    let target = format!("/Events/Peek?subscriberId={id}&timeout={seconds}");
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    player.send(request).await.unwrap();
    player
}

async fn parked(stand: &Stand, count: u64) {
    let end = Instant::now() + Duration::from_secs(20);
    while stand.metric("mailbox_peeks_parked") != count {
        assert!(Instant::now() < end, "{} parked", stand.metric("mailbox_peeks_parked"));
        tokio::task::yield_now().await;
    }
}

async fn answer(player: &mut Player) -> serde_json::Value {
    let head = player.head().await.unwrap();
    assert_eq!(head.status, "HTTP/1.1 200 OK");
    let len = head.field("content-length").unwrap().parse().unwrap();
    serde_json::from_slice(&player.exactly(len).await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_publish_wakes_those_who_wait() {
    let stand = Stand::new().await;
    let id = stand.subscriber("waiting", &["INVOICES"]).await;
    let mut players = Vec::new();
    for _ in 0..50 {
        players.push(park(&stand, &id, 90).await);
    }
    parked(&stand, 50).await;
    let message = stand.publish("INVOICES", "1").await;
    for player in &mut players {
        assert_eq!(answer(player).await["NextMessageId"], message);
    }
    parked(&stand, 0).await;
}

#[tokio::test]
async fn nothing_in_time_is_an_answer() {
    let stand =
        Stand::with(Options { max_peek: Duration::from_millis(1500), ..Options::default() }).await;
    let id = stand.subscriber("patient", &["INVOICES"]).await;
    let begun = Instant::now();
    let said = answer(&mut park(&stand, &id, 1).await).await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(said["MessageCount"], 0);
    assert_eq!(said["NextMessageId"], json!(null));
    assert_eq!(said["ServiceResult"]["Code"], "Timeout");
    // More than the longest is cut to it, and says so.
    let begun = Instant::now();
    let said = answer(&mut park(&stand, &id, 3600).await).await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(said["ServiceResult"]["Message"].as_str().unwrap().contains("3600"), "{said}");
}

#[tokio::test]
async fn a_time_that_is_cut_is_noted_beside_what_came() {
    let stand = Stand::new().await;
    let id = stand.subscriber("hasty", &["INVOICES"]).await;
    let message = stand.publish("INVOICES", "1").await;
    let noted = |said: &serde_json::Value, cut: &str| {
        assert_eq!(said["ServiceResult"]["Code"], "Limited", "{said}");
        let told = said["ServiceResult"]["Message"].as_str().unwrap();
        assert_eq!(told, format!("the {cut}, the longest that may be"));
    };
    let said = stand.call("GET", "Peek", &id, "&timeout=91").await.good();
    assert_eq!(said["NextMessageId"], message);
    noted(&said, "timeout of 91 s was cut to 90 s");
    let said = stand.call("GET", "Peek", &id, "&timeout=90").await.good();
    assert_eq!(said["ServiceResult"], json!(null));
    let said = stand.ask("GET", &format!("/Messages/{id}?timeout=91")).await.good();
    noted(&said, "timeout of 91 s was cut to 90 s");
    // Longer than can be counted, and both times of one call.
    let said = stand.call("GET", "Peek", &id, "&timeout=99999999999").await.good();
    noted(&said, "timeout of more than 4294967294 s was cut to 90 s");
    let other = stand.publish("INVOICES", "2").await;
    let said = stand.receive(&id, &message, 3601).await.good();
    noted(&said, "lockTimeout of 3601 s was cut to 3600 s");
    assert_eq!(said["LockedUntil"], "2026-01-01T01:00:00.000Z");
    let lock = format!("&messageId={message}&lockId={}", said["LockId"].as_str().unwrap());
    for (seconds, is_cut) in [(3600, false), (9000, true)] {
        let renew = format!("{lock}&lockTimeout={seconds}");
        let said = stand.call("POST", "Renew", &id, &renew).await.good();
        assert_eq!(said["ServiceResult"].is_object(), is_cut, "{said}");
        assert_eq!(said["LockedUntil"], "2026-01-01T01:00:00.000Z");
    }
    let both = format!("/Messages/{id}?timeout=100&lockTimeout=7200");
    let said = stand.ask("GET", &both).await.good();
    assert_eq!(said["MessageId"], other);
    let longest = "the longest that may be";
    let cuts = format!(
        "timeout of 100 s was cut to 90 s, {longest}; the lockTimeout of 7200 s was cut to 3600 s"
    );
    noted(&said, &cuts);
}

#[tokio::test]
async fn so_many_may_wait_and_one_that_leaves_makes_room() {
    let stand = Stand::with(Options { max_parked: 2, ..Options::default() }).await;
    let id = stand.subscriber("crowd", &["INVOICES"]).await;
    let first = park(&stand, &id, 90).await;
    let _second = park(&stand, &id, 90).await;
    parked(&stand, 2).await;
    let refused = stand.call("GET", "Peek", &id, "&timeout=90").await;
    assert_eq!(refused.fault(), (503, "Unavailable"));
    assert_eq!(refused.head.field("retry-after"), Some("1"));
    assert_eq!(stand.next(&id).await, None, "who does not wait needs no room");
    drop(first);
    parked(&stand, 1).await;
    let _third = park(&stand, &id, 90).await;
    parked(&stand, 2).await;
}

#[tokio::test]
async fn a_drain_answers_those_who_wait() {
    let stand = Stand::with(Options { drain_pause: Duration::ZERO, ..Options::default() }).await;
    let id = stand.subscriber("guest", &["INVOICES"]).await;
    let mut player = park(&stand, &id, 90).await;
    parked(&stand, 1).await;
    stand.drain.advance(Phase::Draining);
    assert_eq!(answer(&mut player).await["NextMessageId"], json!(null));
    // Those who come then are not held, but get what is there.
    assert_eq!(answer(&mut park(&stand, &id, 90).await).await["NextMessageId"], json!(null));
    let message = stand.publish("INVOICES", "1").await;
    assert_eq!(answer(&mut park(&stand, &id, 90).await).await["NextMessageId"], message);
}
