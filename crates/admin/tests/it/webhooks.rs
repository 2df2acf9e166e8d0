//! Webhooks as their managers see them, with a face that knows one fault.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use http::Method;
use outflow_auth::{Auth, WebhookSecrets};
use outflow_hub::webhook::attempt::{AttemptPage, AttemptQuery, AttemptStatus, WebhookAttempt};
use outflow_hub::webhook::{Asking, WebhookId};
use outflow_hub::{
    Hub, Webhook, WebhookAnswer, WebhookError, WebhookFault, WebhookKey, WebhookStatus, Webhooks,
};
use outflow_model::rng::SeededRng;
use outflow_model::{IntegrationId, Offset, ProjectId, Rng as _, Timestamp};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, mpsc};
use tokio::time::timeout;

use crate::stage::{Answer, Stage};

const PATH: &str = "/v1/projects/acme/integrations/loader/webhook";

/// Refuses URLs without TLS, and answers as an endpoint that is well. Its secrets are pairs where they
/// begin so.
#[derive(Debug)]
struct Face {
    rng: SeededRng,
    changes: Notify,
    asked: mpsc::UnboundedSender<AttemptQuery>,
    /// Locked while the first webhook's changes are held up, and told when one is.
    gate: Arc<Mutex<()>>,
    waiting: Notify,
}

impl Face {
    /// Holds up changes of the first webhook until what this gives is dropped.
    fn hold(&self) -> OwnedMutexGuard<()> {
        self.gate.clone().try_lock_owned().unwrap()
    }
}

impl Webhooks for Face {
    fn check(&self, webhook: &Webhook, _: &[(String, String)]) -> Result<(), WebhookFault> {
        let fault = || WebhookFault { pointer: "/url".into(), reason: "no".into() };
        if webhook.url.starts_with("https://") { Ok(()) } else { Err(fault()) }
    }

    fn secret(
        &self,
        _: &str,
        key: Option<WebhookKey>,
        given: Option<&str>,
    ) -> Result<String, WebhookFault> {
        let kind = if key == Some(WebhookKey::Ed25519) { "pair" } else { "drawn" };
        Ok(given.map_or_else(|| format!("{kind}{:08x}", self.rng.next_u64()), Into::into))
    }

    fn public_key(&self, _: &str, secret: &str) -> Option<String> {
        secret.strip_prefix("pair").map(|text| format!("whpk_{}", text.len()))
    }

    fn changed<'a>(&'a self, id: &'a WebhookId, _: bool) -> Asking<'a, ()> {
        self.changes.notify_one();
        Box::pin(async {
            if id.1.as_str() == "loader" && self.gate.try_lock().is_err() {
                self.waiting.notify_one();
                drop(self.gate.lock().await);
            }
            Ok(())
        })
    }

    fn prepare<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn moving<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn reopened<'a>(&'a self, _: &'a WebhookId, _: Offset) -> Asking<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn moved<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn retry<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn status<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, WebhookStatus> {
        let (failures, state) = (0, "active");
        let (failing_since, next_attempt, disabled) = (None, None, None);
        let status = WebhookStatus { state, failing_since, failures, next_attempt, disabled };
        Box::pin(async { Ok(status) })
    }

    fn attempts<'a>(&'a self, _: &'a WebhookId, query: AttemptQuery) -> Asking<'a, AttemptPage> {
        self.asked.send(query).unwrap();
        let one = WebhookAttempt {
            at: Offset::new(7),
            ended: Timestamp::from_millis(0),
            message: "msg_1".into(),
            runs: vec![(Offset::new(3), Offset::new(5)), (Offset::new(9), Offset::new(9))],
            number: 2,
            outcome: "again".into(),
            status: Some(503),
            failure: None,
            duration_ms: 4,
            excerpt: Bytes::from_static(b"\xff"),
            next_attempt: None,
            left_out: 0,
        };
        let page = AttemptPage { attempts: vec![one], next: Some(Offset::new(7)) };
        Box::pin(async { Ok(page) })
    }

    fn resend<'a>(&'a self, _: &'a WebhookId, _: &'a str) -> Asking<'a, WebhookAnswer> {
        Box::pin(async { Err(WebhookError::NoMessage) })
    }

    fn test<'a>(&'a self, _: &'a WebhookId) -> Asking<'a, WebhookAnswer> {
        Box::pin(async { Err(WebhookError::TooOften { max: 10, seconds: 42 }) })
    }
}

/// With the face, and what it is asked for of attempts.
async fn set_up() -> (Stage, Arc<Face>, mpsc::UnboundedReceiver<AttemptQuery>) {
    let stage = Stage::new().await;
    let (asked, asking) = mpsc::unbounded_channel();
    let face = Arc::new(Face {
        rng: SeededRng::new(3),
        changes: Notify::new(),
        asked,
        gate: Arc::default(),
        waiting: Notify::new(),
    });
    stage.hub.set_webhooks(face.clone());
    (stage, face, asking)
}

async fn stage() -> Stage {
    set_up().await.0
}

async fn post(stage: &Stage, verb: &str, body: Value) -> Answer {
    stage.operate(Method::POST, &format!("{PATH}/{verb}"), body).await
}

#[tokio::test]
async fn the_secret_is_shown_once_and_header_values_never() {
    let stage = stage().await;
    let new = json!({ "url": "https://h.example/a?b=c", "headers": [["Authorization", "canary"]] });
    let made = stage.operate(Method::PUT, PATH, new).await;
    assert_eq!(
        (made.status.as_u16(), &made.headers["cache-control"]),
        (201, &"no-store".parse().unwrap())
    );
    let made = made.json();
    let secret = made["secret"].as_str().unwrap();
    assert_eq!((&made["batch"], &made["state"]), (&json!(10), &json!("active")));
    let shown = stage.get(PATH).await;
    let text = String::from_utf8(shown.bytes.clone()).unwrap();
    assert!(!text.contains(secret) && !text.contains("canary"), "{text}");
    let shown = shown.json();
    assert_eq!(shown["headers"], json!(["Authorization"]));
    assert_eq!(shown["secret_last4"], secret[secret.len() - 4..]);
    // What is not said of secrets and headers stays; what else is not said is as by default.
    let change = json!({ "url": "https://h.example/", "batch": 1 });
    let changed = stage.operate(Method::PUT, PATH, change).await;
    assert_eq!(changed.status, 200);
    let changed = changed.json();
    assert_eq!((&changed["secret"], &changed["batch"]), (&Value::Null, &json!(1)));
    assert_eq!(changed["headers"], json!(["Authorization"]));
    let rotated = post(&stage, "rotate", json!({ "overlap_s": 60 })).await.json();
    assert_ne!(rotated["secret"], secret);
    let refused = post(&stage, "rotate", json!({ "overlap_s": 604_801 })).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["errors"][0]["pointer"]),
        (400, &json!("/overlap_s"))
    );
    assert_eq!(stage.operate(Method::DELETE, PATH, json!({})).await.status, 204);
    assert_eq!(stage.get(PATH).await.status, 404);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_place() {
    let stage = stage().await;
    for (new, pointer) in [
        (json!({ "url": "http://h.example/" }), "/url"),
        (json!({ "url": "https://h.example/", "start": "soon" }), "/start"),
        (json!({ "url": "https://h.example/", "stream": "a b" }), "/stream"),
        (json!({ "url": "https://h.example/", "stream": "none" }), "/stream"),
    ] {
        let refused = stage.operate(Method::PUT, PATH, new).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
        assert_eq!(stage.get(PATH).await.status, 404);
    }
    let new = json!({ "url": "https://h.example/", "start": "earliest" });
    assert_eq!(stage.operate(Method::PUT, PATH, new.clone()).await.status, 201);
    // It has begun, and its place is in its stream.
    assert_eq!(stage.operate(Method::PUT, PATH, new).await.status, 400);
    let other = json!({ "url": "https://h.example/", "stream": "other" });
    assert_eq!(stage.operate(Method::PUT, PATH, other).await.status, 400);
    for (from, status) in
        [("earliest", 200), ("7", 200), ("2026-03-01T00:00:00Z", 200), ("soon", 400)]
    {
        let answer = post(&stage, "replay", json!({ "from": from })).await;
        assert_eq!(answer.status, status, "{from}: {answer:?}");
    }
    let nowhere = post(&stage, "replay", json!({ "from": "" })).await.json()["detail"].to_string();
    assert!(nowhere.contains("`latest`, an offset, an RFC 3339 time"), "{nowhere}");
    let often = post(&stage, "test", json!({})).await;
    assert_eq!((often.status.as_u16(), often.headers["retry-after"].as_bytes()), (429, &b"42"[..]));
    for body in [json!({ "message": "msg_0" }), json!({ "message": 7 }), json!({})] {
        assert_eq!(post(&stage, "resend", body).await.status, 400);
    }
    for (query, pointer) in [
        ("status=2xx", "/status"),
        ("since=soon", "/since"),
        ("after=x", "/after"),
        ("limit=0", ""),
    ] {
        let refused = stage.get(&format!("{PATH}/attempts?{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{query}");
    }
}

#[tokio::test]
async fn pausing_and_resuming_is_kept() {
    let stage = stage().await;
    let new = json!({ "url": "https://h.example/", "retry_pauses_ms": [50], "lanes": 4 });
    let made = stage.operate(Method::PUT, PATH, new).await.json();
    assert_eq!((&made["paused"], &made["retry_pauses_ms"]), (&json!(false), &json!([50])));
    assert_eq!(post(&stage, "pause", json!({})).await.json()["paused"], true);
    assert_eq!(stage.get(PATH).await.json()["paused"], true);
    let resumed = post(&stage, "resume", json!({})).await.json();
    assert_eq!((&resumed["paused"], &resumed["lanes"]), (&json!(false), &json!(4)));
    let recovered = post(&stage, "recover", json!({ "since": "2026-03-01T00:00:00Z" })).await;
    assert_eq!(recovered.json(), json!({ "events": 0, "next_since": null }));
}

#[tokio::test]
async fn without_a_face_nothing_is_made() {
    let stage = Stage::new().await;
    let new = json!({ "url": "https://h.example/" });
    assert_eq!(stage.operate(Method::PUT, PATH, new).await.status, 503);
    assert_eq!(stage.get(PATH).await.status, 404);
}

#[tokio::test]
async fn attempts_are_asked_for_as_the_query_says() {
    let (stage, _face, mut asking) = set_up().await;
    assert_eq!(stage.get(&format!("{PATH}/attempts")).await.status, 404, "there is no webhook");
    stage.operate(Method::PUT, PATH, json!({ "url": "https://h.example/" })).await;
    let query = "status=503&since=1970-01-01T00:00:01Z&limit=5&after=12";
    let page = stage.get(&format!("{PATH}/attempts?{query}")).await.json();
    let asked = AttemptQuery {
        status: Some(AttemptStatus::Answered(503)),
        since: Some(Timestamp::from_millis(1_000)),
        before: Some(Offset::new(12)),
        limit: 5,
    };
    assert_eq!(asking.recv().await, Some(asked));
    let one = &page["items"][0];
    assert_eq!((&page["next"], &one["events"]), (&json!("7"), &json!(4)));
    assert_eq!(one["offsets"], json!([["3", "5"], ["9", "9"]]));
    assert_eq!((&one["first_offset"], &one["last_offset"]), (&json!("3"), &json!("9")));
    assert_eq!((&one["response"], &one["status"]), (&json!("/w=="), &json!(503)));
}

#[tokio::test]
async fn a_key_pair_shows_its_public_half_and_the_other_once() {
    let stage = stage().await;
    let new = json!({ "url": "https://h.example/", "key_type": "ed25519" });
    let made = stage.operate(Method::PUT, PATH, new.clone()).await.json();
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("pair"), "{secret}");
    let shown = stage.get(PATH).await;
    assert!(!String::from_utf8(shown.bytes.clone()).unwrap().contains(secret));
    assert_eq!(shown.json()["public_key"], made["public_key"]);
    assert!(made["public_key"].as_str().unwrap().starts_with("whpk_"), "{made}");
    // It stays, said again or not; and a new one is of its kind, beside which it still signs.
    let plain = json!({ "url": "https://h.example/" });
    for body in [new, plain] {
        assert_eq!(stage.operate(Method::PUT, PATH, body).await.json()["secret"], Value::Null);
    }
    let rotated = post(&stage, "rotate", json!({})).await.json();
    assert!(rotated["secret"].as_str().unwrap().starts_with("pair"), "{rotated}");
    assert_eq!(rotated["previous_public_keys"], json!([made["public_key"]]));
    let other = post(&stage, "rotate", json!({ "key_type": "hmac" })).await.json();
    assert_eq!(other["public_key"], Value::Null);
    assert_eq!(other["previous_public_keys"].as_array().unwrap().len(), 2, "{other}");
    // Another kind is another secret.
    let pair = json!({ "url": "https://h.example/", "key_type": "ed25519" });
    let changed = stage.operate(Method::PUT, PATH, pair).await.json();
    assert!(changed["secret"].as_str().unwrap().starts_with("pair"), "{changed}");
    let odd = post(&stage, "rotate", json!({ "key_type": "rsa" })).await;
    assert_eq!(odd.json()["errors"][0]["pointer"], "/key_type");
}

/// The secrets as they are stored.
async fn stored(stage: &Stage) -> WebhookSecrets {
    let (project, id) = (ProjectId::new("acme").unwrap(), IntegrationId::new("loader").unwrap());
    let rng = Arc::new(SeededRng::new(4));
    let auth = Auth::open(stage.engine.clone(), stage.clock.clone(), rng).await.unwrap();
    auth.webhook_secrets(&project, &id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_secret_that_is_replaced_with_the_settings_signs_on() {
    let stage = stage().await;
    let put = async |more: Value| {
        let mut body = json!({ "url": "https://h.example/" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        stage.operate(Method::PUT, PATH, body).await.json()
    };
    let signing_on = async || -> Vec<String> {
        let old = stored(&stage).await.old;
        old.iter().map(|(secret, _)| secret.expose().to_owned()).collect()
    };
    let pair = put(json!({ "key_type": "ed25519" })).await;
    let plain = put(json!({ "key_type": "hmac" })).await;
    assert_eq!(plain["previous_public_keys"], json!([pair["public_key"]]));
    let [pair, plain] = [pair, plain].map(|one| one["secret"].as_str().unwrap().to_owned());
    assert_eq!(signing_on().await, [pair.as_str()]);
    // Once each, however often one is set.
    for _ in 0..2 {
        put(json!({ "secret": "given" })).await;
        assert_eq!(signing_on().await, [plain.as_str(), &pair]);
    }
    // One style's secret may be none of another.
    put(json!({ "style": "stripe" })).await;
    assert!(signing_on().await.is_empty());
}

/// Who ends the one before at once may have lost it, and what it replaced is older still.
#[tokio::test]
async fn without_an_overlap_no_earlier_secret_signs_on() {
    let stage = stage().await;
    stage.operate(Method::PUT, PATH, json!({ "url": "https://h.example/" })).await;
    for _ in 0..3 {
        post(&stage, "rotate", json!({})).await;
    }
    assert_eq!(stored(&stage).await.old.len(), 3);
    let rotated = post(&stage, "rotate", json!({ "overlap_s": 0 })).await.json();
    let secrets = stored(&stage).await;
    assert!(secrets.old.is_empty());
    assert_eq!(rotated["secret"], secrets.secret.expose());
    // What a replaced one may do is said anew with each.
    post(&stage, "rotate", json!({ "overlap_s": 60 })).await;
    assert_eq!(stored(&stage).await.old.len(), 1);
}

/// A change that waits for a disk is not another customer's affair.
#[tokio::test]
async fn a_change_waits_for_none_of_another_webhook() {
    let (stage, face, _asking) = set_up().await;
    let other = "/v1/projects/acme/integrations/other";
    let made = json!({ "id": "other", "name": "other" });
    let made = stage.operate(Method::POST, "/v1/projects/acme/integrations", made).await;
    assert_eq!(made.status, 201, "{made:?}");
    let other = format!("{other}/webhook");
    for path in [PATH, &other] {
        let put = stage.operate(Method::PUT, path, json!({ "url": "https://h.example/" })).await;
        assert_eq!(put.status, 201, "{put:?}");
    }
    let slow = face.hold();
    let held = stage.operate(Method::PUT, PATH, json!({ "url": "https://slow.example/" }));
    let others = async {
        // The other is held once the face is asked.
        timeout(Duration::from_secs(20), face.waiting.notified()).await.expect("it is asked");
        let put = stage.operate(Method::PUT, &other, json!({ "url": "https://quick.example/" }));
        let put = timeout(Duration::from_secs(20), put).await.expect("it does not wait");
        assert_eq!(put.json()["url"], "https://quick.example/");
        drop(slow);
    };
    let (held, ()) = tokio::join!(held, others);
    assert_eq!(held.json()["url"], "https://slow.example/");
}

#[tokio::test]
async fn a_webhook_whose_stream_is_gone_is_not_said_to_be_served() {
    let stage = stage().await;
    let streams = "/v1/projects/acme/streams";
    let made = stage.operate(Method::POST, streams, json!({ "name": "passing" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let new = json!({ "url": "https://h.example/", "stream": "passing" });
    assert_eq!(stage.operate(Method::PUT, PATH, new).await.json()["state"], "active");
    let gone = stage.operate(Method::DELETE, &format!("{streams}/passing"), json!({})).await;
    assert_eq!(gone.status, 204, "{gone:?}");
    assert_eq!(stage.get(PATH).await.json()["state"], "unserved");
}

#[tokio::test]
async fn a_replay_skips_what_waits_where_that_is_said() {
    let stage = stage().await;
    let new = json!({ "url": "https://h.example/", "start": "earliest" });
    stage.operate(Method::PUT, PATH, new).await;
    let events = json!([{ "type": "CUSTOM" }, { "type": "CUSTOM" }, { "type": "CUSTOM" }]);
    let published = stage.publish(events.to_string()).await;
    assert!(published.status.is_success(), "{published:?}");
    let replay = async |body: Value| post(&stage, "replay", body).await.json()["backlog"].clone();
    assert_eq!(replay(json!({ "from": "earliest" })).await, 3);
    let ahead = "2100-01-01T00:00:00Z";
    assert_eq!(replay(json!({ "from": ahead })).await, 3, "what waits is not lost by it");
    assert_eq!(replay(json!({ "from": ahead, "skip": true })).await, 0);
    assert_eq!(replay(json!({ "from": "earliest" })).await, 3);
    assert_eq!(replay(json!({ "from": "latest" })).await, 0);
}

#[tokio::test]
async fn no_secret_is_lost_that_was_issued_at_the_same_time() {
    let stage = stage().await;
    let made = stage.operate(Method::PUT, PATH, json!({ "url": "https://h.example/" })).await;
    let rotating = (0..5).map(|_| post(&stage, "rotate", json!({})));
    let rotated = join_all(rotating).await;
    let issued = rotated.iter().chain([&made]).map(|answer| {
        assert!(answer.status.is_success(), "{answer:?}");
        answer.json()["secret"].as_str().unwrap().to_owned()
    });
    let issued: BTreeSet<String> = issued.collect();
    let secrets = stored(&stage).await;
    let old = secrets.old.iter().map(|(secret, _)| secret);
    let signing = old.chain([&secrets.secret]).map(|secret| secret.expose().to_owned());
    assert_eq!(signing.collect::<BTreeSet<_>>(), issued);
}

/// The server is killed after each write that a change may consist of.
#[tokio::test]
async fn no_crash_leaves_new_headers_with_the_old_url() {
    let stage = stage().await;
    let settings = |name: &str| {
        let url = format!("https://{name}.example/");
        json!({ "url": url, "headers": [["Authorization", name]] })
    };
    stage.operate(Method::PUT, PATH, settings("old")).await;
    stage.engine.hold();
    let writes = async {
        while stage.engine.held() == 0 {
            tokio::task::yield_now().await;
        }
        stage.engine.commit_next();
        // Nothing that comes after it is committed.
        Arc::new(stage.engine.restart())
    };
    let (put, engine) = tokio::join!(stage.operate(Method::PUT, PATH, settings("new")), writes);
    drop(put);
    let rng: Arc<dyn outflow_model::Rng> = Arc::new(SeededRng::new(5));
    let (options, mut registry) = (outflow_hub::Options::default(), Registry::default());
    let hub = Hub::open(engine.clone(), stage.clock.clone(), rng.clone(), options, &mut registry);
    let auth = Auth::open(engine.clone(), stage.clock.clone(), rng).await.unwrap();
    let (project, id) = (ProjectId::new("acme").unwrap(), IntegrationId::new("loader").unwrap());
    let one = hub.await.unwrap().integration(&project, &id).unwrap();
    let secrets = auth.webhook_secrets(&project, &id).await.unwrap().unwrap();
    assert_eq!(one.webhook.as_ref().unwrap().url, "https://new.example/");
    assert_eq!(secrets.headers[0].1.expose(), "new");
}

#[tokio::test]
async fn pausing_does_not_bring_back_what_was_replaced_at_the_same_time() {
    let stage = stage().await;
    stage.operate(Method::PUT, PATH, json!({ "url": "https://old.example/" })).await;
    for round in 0..8 {
        let url = format!("https://new{round}.example/");
        let put = stage.operate(Method::PUT, PATH, json!({ "url": url }));
        let pause = post(&stage, "pause", json!({}));
        // The later of two is whichever comes to its turn later; neither undoes the other.
        let (put, pause) = if round % 2 == 0 {
            tokio::join!(put, pause)
        } else {
            let (pause, put) = tokio::join!(pause, put);
            (put, pause)
        };
        assert!(put.status.is_success() && pause.status.is_success());
        let shown = stage.get(PATH).await.json();
        assert_eq!((&shown["url"], &shown["paused"]), (&json!(url), &json!(true)));
    }
}

#[tokio::test]
async fn a_change_is_made_to_its_end_though_the_caller_has_gone() {
    let (stage, face, _asking) = set_up().await;
    let put = stage.operate(Method::PUT, PATH, json!({ "url": "https://h.example/" }));
    assert!(put.now_or_never().is_none(), "it takes more than one step");
    let told = timeout(Duration::from_secs(20), face.changes.notified()).await;
    told.expect("the face is told");
    assert_eq!(stage.get(PATH).await.json()["url"], "https://h.example/");
}
