//! Who may read, and where a read begins.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outflow_auth::{NewApiKey, Scope};
use outflow_face_sse::{Expired, Options};
use outflow_hub::{NewStream, Project, ProjectLimits};
use outflow_model::{Action, ProjectId, Timestamp};

use crate::stand::{HEARTBEAT, Stand, account, document, issue, keyed, name, project};

async fn three(stand: &Stand) -> Vec<String> {
    let events: Vec<String> = (1..=3).map(|no| account("create", no, "{}")).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    stand.publish("billing", &events).await;
    let mut reading = stand.open("feed/changes?from=earliest", "").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(reading.event().await.0);
    }
    ids
}

#[tokio::test]
async fn a_read_goes_on_after_an_id_wherever_it_stands() {
    let stand = Stand::new().await;
    let ids = three(&stand).await;
    let header = |id: &str| format!("Last-Event-ID: {id}\r\n");
    for (query, header) in [
        (String::new(), header(&ids[0])),
        (format!("?lastEventId={}", ids[0]), String::new()),
        (format!("?last_id={}&from=earliest", ids[0]), String::new()),
        // A browser connects again to the same URL: its header is newer.
        (format!("?lastEventId={}", ids[1]), header(&ids[0])),
    ] {
        let mut reading = stand.open(&format!("feed/changes{query}"), &header).await;
        assert_eq!(reading.event().await.0, ids[1], "{query} {header}");
        assert_eq!(reading.event().await.0, ids[2]);
    }
    // Nothing said: what comes from now on.
    let mut reading = stand.open("feed/changes", "").await;
    stand.publish("billing", &[&account("delete", 9, "{}")]).await;
    assert!(reading.event().await.1[0].contains("\"no\":9"));
}

#[tokio::test]
async fn a_time_or_a_duration_says_where_to_begin() {
    let stand = Stand::new().await;
    let ids = three(&stand).await;
    for from in ["5hours", "PT5H", "2019-01-15T14:30:45.4321-05:00", "2019-01-15T14:30:45+01:00"] {
        let mut reading = stand.open(&format!("feed/changes?from={from}"), "").await;
        let first = reading.next().await;
        if from.starts_with("2019") {
            assert_eq!(first, ": began at the oldest event that is kept\n");
            assert_eq!(reading.event().await.0, ids[0]);
        } else {
            assert!(first.contains(&ids[0]), "{first}");
        }
    }
    let (status, problem) = stand.refused("feed/changes?from=yesterday", "").await;
    assert_eq!((status, problem["code"].as_str()), (400, Some("malformed")));
}

#[tokio::test]
async fn what_is_unknown_or_retired_is_gone_or_by_choice_the_oldest() {
    let stand = Stand::new().await;
    let ids = three(&stand).await;
    let foreign = format!("fff-{}", ids[0].split('-').nth(1).unwrap());
    let beyond = ids[2].replace("0002", "0003");
    for id in ["nonsense", &foreign, &beyond] {
        let (status, problem) = stand.refused(&format!("feed/changes?lastEventId={id}"), "").await;
        assert_eq!((status, problem["code"].as_str()), (410, Some("expired")), "{id}");
    }
    // Bytes that are no text were given by nobody, either.
    let (status, _) = stand.refused("feed/changes", "Last-Event-ID: caf\u{e9}\r\n").await;
    assert_eq!(status, 410);
    let retire = |stand: &Stand| {
        let later = stand.hub.clock().now().millis() + 49 * 3_600_000;
        stand.engine.retain(Timestamp::from_millis(later));
    };
    retire(&stand);
    stand.publish("billing", &[&account("create", 4, "{}")]).await;
    let (status, _) =
        stand.refused("feed/changes", &format!("Last-Event-ID: {}\r\n", ids[0])).await;
    assert_eq!(status, 410);
    // The last one that was retired: nothing is missing after it.
    let mut reading = stand.open(&format!("feed/changes?lastEventId={}", ids[2]), "").await;
    assert!(reading.event().await.1[0].contains("\"no\":4"));

    let options = Options { heartbeat: HEARTBEAT, expired: Expired::Oldest, ..Options::default() };
    let stand = Stand::with(options).await;
    let ids = three(&stand).await;
    retire(&stand);
    stand.publish("billing", &[&account("create", 4, "{}")]).await;
    for id in ["nonsense", &ids[0]] {
        let mut reading = stand.open(&format!("feed/changes?lastEventId={id}"), "").await;
        assert_eq!(reading.next().await, ": began at the oldest event that is kept\n");
        assert!(reading.event().await.1[0].contains("\"no\":4"));
    }
}

#[tokio::test]
async fn every_connection_needs_a_token_that_reaches() {
    let stand = Stand::new().await;
    let other = ProjectId::new("other").unwrap();
    stand
        .hub
        .create_project(Project {
            id: other.clone(),
            name: "Other".to_owned(),
            created: Timestamp::default(),
            basic_auth: false,
            default_stream: name("events"),
            limits: ProjectLimits::default(),
        })
        .await
        .unwrap();
    let foreign = issue(&stand.auth, &other, &[Action::Read]).await.1;
    let publisher = issue(&stand.auth, &project(), &[Action::Publish]).await.1;
    let long = format!("x.{}.y", URL_SAFE_NO_PAD.encode(r#"{"exp":99999999999}"#));
    let get = |query: &str, header: &str| {
        format!("GET /v1/projects/app/feed/changes{query} HTTP/1.1\r\nHost: x\r\n{header}\r\n")
    };
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let own = &stand.token.1;
    for (request, expected) in [
        (get("", ""), 401),
        (get("", &bearer("wrong")), 401),
        (get("", &bearer(&foreign)), 404),
        (get("", &bearer(&publisher)), 404),
        (get("?stream=billing", &bearer(&publisher)), 403),
        (get("?stream=none", &bearer(own)), 404),
        (get("?stream=events", &bearer(own)), 404),
        // What lasts is not taken from a URL, even if it holds.
        (get(&format!("?access_token={own}"), ""), 401),
        (get(&format!("?access_token={long}"), ""), 401),
    ] {
        let (head, player) = stand.send(&request).await;
        assert_eq!(head.field("access-control-allow-origin"), Some("*"));
        let (status, problem) = document(head, player).await;
        assert_eq!(status, expected, "{request} {problem}");
    }
    let new = NewStream { name: name("second"), settings: keyed() };
    stand.hub.create_stream(&project(), new).await.unwrap();
    assert_eq!(stand.refused("feed/changes", "").await.0, 400, "several: it must be said which");
    stand.open("feed/changes?stream=second", "").await;
}

#[tokio::test]
async fn a_token_for_feeds_reads_feeds_alone_and_may_stand_in_a_url_while_it_is_short() {
    let stand = Stand::new().await;
    three(&stand).await;
    let key = NewApiKey {
        project: project(),
        name: "feeds".to_owned(),
        scopes: BTreeSet::from([Scope::FeedRead]),
        streams: None,
    };
    let key = stand.auth.create_api_key(key).await.unwrap().key.id;
    let token = |seconds| {
        let issued =
            stand.auth.issue_access_token(&project(), &key, Duration::from_secs(seconds), None);
        issued.unwrap().token.expose().to_owned()
    };
    let status = async |path: &str, header: &str| {
        let request = format!("GET /v1/projects/app/{path} HTTP/1.1\r\nHost: x\r\n{header}\r\n");
        let (head, player) = stand.send(&request).await;
        (head.status.split(' ').nth(1).unwrap().to_owned(), player)
    };
    let short = token(600);
    let bearer = format!("Authorization: Bearer {short}\r\n");
    assert_eq!(status("feed/changes?from=earliest", &bearer).await.0, "200");
    assert_eq!(status("streams/events/sse", &bearer).await.0, "403", "no other stream");
    let in_url = |token: &str| format!("feed/changes?from=earliest&access_token={token}");
    let (answered, player) = status(&in_url(&short), "").await;
    assert_eq!(answered, "200");
    assert_eq!(status(&in_url(&token(86_400)), "").await.0, "401", "it lasts too long");
    // Its live streams end with the key.
    let mut reading = crate::stand::Reading(player);
    for _ in 0..3 {
        reading.event().await;
    }
    stand.auth.delete_api_key(&project(), &key).await.unwrap();
    assert_eq!(reading.next().await, "");
}

#[tokio::test]
async fn a_browser_may_ask_from_any_origin() {
    let stand = Stand::new().await;
    let request = "OPTIONS /v1/projects/app/feed/changes HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n\
                   Access-Control-Request-Method: GET\r\n\r\n";
    let (head, _) = stand.send(request).await;
    assert_eq!(head.field("access-control-allow-origin"), Some("*"));
    let allowed = head.field("access-control-allow-headers").unwrap();
    assert!(allowed.contains("authorization") && allowed.contains("last-event-id"));
}
