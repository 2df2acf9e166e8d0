//! Secrets of every kind are made, used rightly and wrongly, and then looked for: in the log at its most
//! talkative, in the metrics and on the disk.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use outflow_testkit::directory;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::desk::text;
use crate::reader::client;
use crate::stomp::Stomp;

/// A server whose whole log goes to a file.
struct Talkative {
    process: Child,
    ready: Value,
}

impl Talkative {
    fn start(data: &Path, log: &Path) -> Self {
        let mut command = Command::new(outflow_testkit::binary().unwrap());
        command.args(["dev", "--json", "--rate", "0", "--set", "log.level=trace", "--data-dir"]);
        command.arg(data);
        for listener in ["--http", "--admin", "--stomp", "--openwire"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        let log = File::create(log).unwrap();
        let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
        let mut process = process.unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, ready: serde_json::from_str(&line).unwrap() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", text(&self.ready, "http"))
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> Value {
        let request = client().post(self.url(path)).bearer_auth(token).json(body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let said = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {said}");
        serde_json::from_str(&said).unwrap_or_default()
    }
}

impl Drop for Talkative {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// All that files below `dir` hold, but for the one that is there to be read by the operator.
fn stored(dir: &Path, into: &mut Vec<u8>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            stored(&path, into);
        } else if path.file_name().is_some_and(|name| name != "operator-token") {
            File::open(&path).unwrap().read_to_end(into).unwrap();
        }
    }
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_secrets_of_every_kind_are_nowhere_to_be_found() {
    let (data, log) = (directory().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let server = Talkative::start(data.path(), log.path());
    let operator = std::fs::read_to_string(data.path().join("operator-token")).unwrap();
    let operator = operator.trim();
    server.post("/v1/projects", operator, &json!({ "id": "acme", "basic_auth": true })).await;
    let of = |rest: &str| format!("/v1/projects/acme/{rest}");
    server.post(&of("integrations"), operator, &json!({ "id": "one" })).await;
    let made = async |rest: &str, body: Value| server.post(&of(rest), operator, &body).await;
    let other = server.post("/v1/operators", operator, &json!({ "name": "night" })).await;
    let token = made("integrations/one/tokens", json!({})).await;
    let key = made("keys", json!({ "kind": "key", "actions": ["read", "publish"] })).await;
    let master = made("keys", json!({ "kind": "master" })).await;
    let api_key = made("api-keys", json!({ "scopes": ["events:read", "events:publish"] })).await;
    let jwt =
        made(&format!("api-keys/{}/tokens", text(&api_key, "id")), json!({ "days": 1 })).await;
    let user = made("users", json!({ "user": "31337", "actions": ["read", "publish"] })).await;
    let hook = json!({
        "url": "http://127.0.0.1:1/hook?planted-in-the-query",
        "headers": [["Authorization", "planted-in-a-header"]],
    });
    let hook =
        client().put(server.url(&of("integrations/one/webhook"))).bearer_auth(operator).json(&hook);
    let hook: Value = hook.send().await.unwrap().json().await.unwrap();
    let secret = |issued: &Value| text(issued, "secret").to_owned();
    let hashed = [
        secret(&other),
        secret(&token),
        secret(&key),
        secret(&master),
        secret(&api_key),
        text(&jwt, "access_token").to_owned(),
        secret(&user),
    ];

    // Each is used where it opens something, and where it does not.
    let publish = of("streams/events/events");
    for secret in hashed.iter().chain([&"planted-and-wrong".to_owned()]) {
        for request in [
            client().post(server.url(&publish)).bearer_auth(secret).body("{\"body\":1}"),
            client().get(server.url(&of("streams"))).basic_auth("acme", Some(secret)),
            client()
                .post(server.url("/api/events"))
                .bearer_auth(secret)
                .header("X-UA-Appkey", "acme")
                .body("[]"),
            client()
                .post(server.url("/api/events/general"))
                .basic_auth("acme", Some(secret))
                .body("[]"),
            client()
                .post(server.url("/oauth2/token"))
                .basic_auth(text(&api_key, "id"), Some(secret))
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body("grant_type=client_credentials"),
            client().get(server.url(&format!(
                "/v1/projects/acme/streams/events/sse?access_token={secret}&limit=0"
            ))),
        ] {
            let answer = request.send().await.unwrap();
            assert!(!answer.status().is_server_error(), "{}", answer.url());
        }
    }
    let stomp = text(&server.ready, "stomp").parse().unwrap();
    assert!(Stomp::log_in(stomp, "31337", &secret(&user)).await.is_some());
    let tried = server.post(&of("integrations/one/webhook/test"), operator, &json!({})).await;
    assert_eq!(tried["taken"], false);

    let admin = format!("http://{}/metrics", text(&server.ready, "admin"));
    let metrics = client().get(admin).send().await.unwrap().text().await.unwrap();
    drop(server);
    let mut said = std::fs::read(log.path()).unwrap();
    assert!(holds(&said, "TRACE") || holds(&said, "DEBUG"), "the log is as talkative as it can be");
    said.extend_from_slice(metrics.as_bytes());
    let mut kept = Vec::new();
    stored(data.path(), &mut kept);
    assert!(holds(&kept, "31337"), "what is stored was looked into");
    for (place, bytes) in [("said", &said), ("kept", &kept)] {
        for (at, secret) in hashed.iter().enumerate() {
            assert!(secret.len() > 8 && !holds(bytes, secret), "{at} is {place}");
        }
    }
    // The server needs these itself, so they are kept, and still never said.
    for secret in [secret(&hook).as_str(), "planted-in-a-header", "planted-and-wrong", operator] {
        assert!(!holds(&said, secret), "said: {}", &secret[..8]);
    }
}
