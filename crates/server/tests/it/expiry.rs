//! Live connections end when the credential that opened them does.

use std::time::Duration;

use outflow_model::Clock;
use outflow_model::clock::SystemClock;
use outflow_testkit::{Options, Server, directory};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::reader::{NAME, Reader, client};
use crate::stomp::Stomp;

/// From making a credential to its end.
const LIFE: Duration = Duration::from_secs(3);
/// How long after its end a connection may live.
const GRACE: Duration = Duration::from_secs(2);

/// Makes a credential that ends after [`LIFE`].
async fn issue(server: &Server, operator: &str, path: &str, mut new: Value) -> Value {
    let end = SystemClock.now().plus_millis(i64::try_from(LIFE.as_millis()).unwrap());
    new["expires"] = end.to_string().into();
    let url = server.url(&format!("/v1/projects/{NAME}/{path}"));
    let answer = client().post(url).bearer_auth(operator).json(&new).send().await.unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_brokers_clients_end_with_their_credential() {
    let dir = directory().unwrap();
    let options = Options { data_dir: Some(dir.path().to_owned()), ..Options::default() };
    let server = Server::start(&options).await.unwrap();
    let operator = std::fs::read_to_string(dir.path().join("operator-token")).unwrap();
    let operator = operator.trim();
    let began = Instant::now();
    let tokens = format!("integrations/{NAME}/tokens");
    let token = issue(&server, operator, &tokens, json!({ "name": "short" })).await;
    let user = json!({ "user": "short", "actions": ["read", "publish"] });
    let user = issue(&server, operator, "users", user).await;
    let request = client().post(server.url("/api/events/")).bearer_auth(secret(&token));
    let request = request.header("X-UA-Appkey", NAME).body("{}");
    let mut reader = Reader::of(request.send().await.unwrap());
    let own = Stomp::log_in(server.stomp(), "short", secret(&user)).await;
    let mut stomp = own.unwrap();
    // One that never consumed ends as well: it may not send any more.
    let mut sender = Stomp::log_in(server.stomp(), "short", secret(&user)).await.unwrap();
    sender.send("SEND\ndestination:/queue/q\nreceipt:1\n\nhello\0").await.unwrap();
    assert_eq!(sender.frame().await.unwrap().command(), "RECEIPT");
    stomp.send("SUBSCRIBE\nid:0\ndestination:/queue/q\n\n\0").await.unwrap();
    assert_eq!(stomp.frame().await.unwrap().command(), "MESSAGE");

    let ends = async {
        while reader.next().await.is_some() {}
        for stomp in [&mut stomp, &mut sender] {
            let error = stomp.frame().await.unwrap();
            assert_eq!(error.command(), "ERROR", "{error:?}");
            assert!(error.header("message").unwrap().contains("expired"), "{error:?}");
            assert!(stomp.frame().await.is_none());
        }
    };
    timeout(LIFE + GRACE, ends).await.expect("a connection outlived its credential");
    assert!(began.elapsed() + Duration::from_millis(100) >= LIFE, "{:?}", began.elapsed());
    server.kill().await.unwrap();
}

fn secret(issued: &Value) -> &str {
    issued["secret"].as_str().unwrap()
}
