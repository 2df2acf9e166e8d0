//! The admin listener, signals that reload, and what happens when the storage fails.

use std::time::Duration;

use outflow_testkit::{Options, Server, directory};

use crate::reader::{NAME, client};

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
