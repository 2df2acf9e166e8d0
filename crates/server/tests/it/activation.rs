//! Sockets of a service manager: a restart refuses nobody.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::reader::client;

/// Starts a server as a service manager does: with its listeners as descriptors 3 and 4.
async fn start(admin: &TcpListener, http: &TcpListener, data: &Path) -> (Child, serde_json::Value) {
    let descriptor =
        |listener: &TcpListener| Stdio::from(OwnedFd::from(listener.try_clone().unwrap()));
    let mut command = Command::new("sh");
    command.arg("-c").arg(
        "exec 3<&0 4<&2 </dev/null 2>/dev/null; \
         LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=admin:http exec \"$0\" \"$@\"",
    );
    command.arg(outflow_testkit::binary().unwrap());
    command
        .args(["dev", "--json", "--rate", "0", "--openwire", "127.0.0.1:0", "--data-dir"])
        .arg(data);
    command.stdin(descriptor(admin)).stderr(descriptor(http));
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut line = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut line).await.unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

async fn stop(mut child: Child) {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().await.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await;
    assert!(ended.unwrap().unwrap().success());
}

#[tokio::test]
async fn a_restart_behind_handed_sockets_keeps_callers_waiting() {
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (admin, http, data) = (bind(), bind(), outflow_testkit::directory().unwrap());
    let url = |listener: &TcpListener, path: &str| {
        format!("http://{}{path}", listener.local_addr().unwrap())
    };
    let (server, ready) = start(&admin, &http, data.path()).await;
    assert_eq!(ready["http"], http.local_addr().unwrap().to_string());
    assert_eq!(ready["admin"], admin.local_addr().unwrap().to_string());
    for url in [url(&http, "/v1/openapi.json"), url(&admin, "/readyz")] {
        assert_eq!(client().get(url).send().await.unwrap().status(), 200);
    }
    stop(server).await;

    // Nobody serves now; whoever comes is let in once somebody does.
    let early = tokio::spawn(client().get(url(&http, "/v1/openapi.json")).send());
    let (server, _) = start(&admin, &http, data.path()).await;
    assert_eq!(early.await.unwrap().unwrap().status(), 200);
    stop(server).await;
}
