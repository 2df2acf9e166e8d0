//! The admin listener, signals that reload, and what happens when the storage fails.

use std::time::Duration;

use outflow_testkit::{Options, Server, directory};

use serde_json::json;

use crate::reader::{NAME, client};
use crate::stomp::Stomp;

#[tokio::test]
async fn the_admin_listener_answers_what_operators_ask() {
    let server = Server::start(&Options { rate: 100, ..Options::default() }).await.unwrap();
    let get = |path: &'static str| {
        let url = server.admin_url(path);
        async move {
            let answer = client().get(url).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    assert_eq!(get("/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(get("/readyz").await, (200, "ok\n".to_owned()));
    let (code, checks) = get("/readyz?verbose").await;
    assert_eq!(code, 200);
    assert!(checks.contains("[+] engine: ok\n"), "{checks}");
    let (_, version) = get("/version").await;
    assert!(version.contains(env!("CARGO_PKG_VERSION")));
    let (code, metrics) = get("/metrics").await;
    assert_eq!(code, 200);
    assert!(metrics.ends_with("# EOF\n"));
    let bad = |line: &&str| !line.starts_with('#') && !line.starts_with("outflow_");
    assert_eq!(metrics.lines().find(bad), None, "every metric is named after the server");
    for name in ["outflow_http_connections_open ", "outflow_tasks "] {
        assert!(metrics.contains(name), "{metrics}");
    }
    assert_eq!(get("/").await.0, 404);
}

/// Whatever publishers, administrators and clients name, no series is made of it, but for the hundred
/// subscriptions with the largest backlogs: so their number is bounded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_from_outside_make_a_bounded_number_of_series() {
    const NAMES: usize = 60;
    const SHOWN: usize = 100;
    let dir = directory().unwrap();
    let options = Options { data_dir: Some(dir.path().to_owned()), ..Options::default() };
    let server = Server::start(&options).await.unwrap();
    let operator = std::fs::read_to_string(dir.path().join("operator-token")).unwrap();
    let metrics = async || {
        let answer = client().get(server.admin_url("/metrics")).send().await.unwrap();
        answer.text().await.unwrap()
    };
    let call = async |path: String, body: String, token: &str| {
        let request = client().post(server.url(&path)).bearer_auth(token.trim()).body(body);
        let request = request.header("Content-Type", "application/json");
        request.header("User-Agent", "outsider-agent").send().await.unwrap().status().as_u16()
    };
    let mut stomp = Stomp::connect(server.stomp()).await.unwrap();
    let mut series = Vec::new();
    for round in 0..2 {
        for n in 0..NAMES {
            let name = format!("outsider-{round}-{n}");
            let made = call("/v1/projects".into(), json!({ "id": name }).to_string(), &operator);
            assert_eq!(made.await, 201);
            let of = |rest: &str| format!("/v1/projects/{name}/{rest}");
            let id = json!({ "id": name }).to_string();
            assert_eq!(call(of("integrations"), id, &operator).await, 201);
            let event = json!({ "type": name, "body": 1 }).to_string();
            assert_eq!(call(of("streams/events/events"), event, &operator).await, 200);
            let ingest = call(of("ingest-streams"), json!({ "name": name }).to_string(), &operator);
            assert_eq!(ingest.await, 201);
            // What is refused is counted as well.
            assert_eq!(call(of("streams/nothing/events"), "{}".into(), &operator).await, 404);
            assert_eq!(call("/api/events".into(), "{}".into(), &name).await, 401);
            assert_eq!(call(format!("/{name}"), String::new(), &name).await, 404);
            let send = format!("SEND\ndestination:/queue/{name}\nreceipt:r\n\nx\0");
            stomp.send(&send).await.unwrap();
            assert_eq!(stomp.frame().await.unwrap().command(), "RECEIPT");
        }
        let text = metrics().await;
        let families: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .collect();
        let twice = families.iter().enumerate().find(|(at, name)| families[..*at].contains(name));
        assert_eq!(twice, None, "who reads metrics takes no family that comes twice");
        let labelled = text.lines().filter(|line| line.contains('{'));
        let (queues, others): (Vec<_>, Vec<_>) =
            labelled.partition(|line| line.starts_with("outflow_subscription_"));
        let named = others.iter().find(|line| line.contains("outsider"));
        assert_eq!(named, None);
        let backlogs = queues.iter().filter(|line| line.contains("_backlog{")).count();
        assert_eq!(backlogs, SHOWN.min((round + 1) * NAMES), "{queues:?}");
        series.push(others.len());
    }
    assert_eq!(series[0], series[1], "as many again made more series");
    server.kill().await.unwrap();
}

#[tokio::test]
async fn sighup_changes_the_level_of_the_log_and_says_what_needs_a_restart() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[log]\nlevel = \"warn\"\n").unwrap();
    let arguments = vec!["--config".into(), file.path().into()];
    let server = Server::start(&Options { arguments, ..Options::default() }).await.unwrap();
    std::fs::write(file.path(), "[log]\nlevel = \"info\"\n[limits]\nmax_depth = 32\n").unwrap();
    server.signal("HUP").await.unwrap();
    let told = async {
        while !server.log().contains("limits.max_depth") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), told).await.unwrap();
    std::fs::write(file.path(), "[lgo]\n").unwrap();
    server.signal("HUP").await.unwrap();
    let told = async {
        while !server.log().contains("did you mean `log`?") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), told).await.unwrap();
}

/// The journal's directory is taken away; the next file of it cannot be made. Nothing may be
/// acknowledged after that, and the process must say so by its exit code.
#[tokio::test]
async fn a_storage_that_fails_ends_the_process_with_6() {
    let dir = directory().unwrap();
    let options = Options {
        data_dir: Some(dir.path().to_owned()),
        arguments: ["--set", "data.journal_bytes=65536"].map(Into::into).to_vec(),
        ..Options::default()
    };
    let server = Server::start(&options).await.unwrap();
    std::fs::remove_dir_all(dir.path().join("journal")).unwrap();
    std::fs::write(dir.path().join("journal"), "in the way").unwrap();
    let url = server.url("/v1/projects/sample_connection/streams/events/events");
    let body = format!(r#"{{"type":"CUSTOM","body":{{"text":"{}"}}}}"#, "x".repeat(8000));
    let mut refused = false;
    for _ in 0..200 {
        match client().post(&url).bearer_auth(NAME).body(body.clone()).send().await {
            Ok(answer) if answer.status() == 200 => {
                assert!(!refused, "acknowledged after a failure");
            }
            _ => refused = true,
        }
        if refused {
            break;
        }
    }
    assert!(refused, "{}", server.log());
    let log = server.log();
    let status = server.ended(Duration::from_secs(20)).await.unwrap();
    assert_eq!(status.code(), Some(6), "{log}");
}
