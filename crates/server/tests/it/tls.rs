//! TLS on the real binary: HTTP/2 where a client offers it, and certificates that change while serving.
//!
//! Certificates are made by openssl and judged by curl, which trusts no other than the one named.

use std::path::Path;
use std::time::Duration;

use outflow_testkit::{Options, Server, directory};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::reader::NAME;

/// Longest wait until changed files are noticed, which is looked for now and then.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes a certificate and its key: `<name>.pem`, `<name>.key`.
async fn certificate(dir: &Path, name: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
        .current_dir(dir)
        .output();
    let made = made.await.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Puts a certificate where the server reads it: each file is whole at every moment.
fn install(dir: &Path, name: &str) {
    for (end, to) in [("pem", "cert"), ("key", "key")] {
        let beside = dir.join("beside");
        std::fs::copy(dir.join(format!("{name}.{end}")), &beside).unwrap();
        std::fs::rename(beside, dir.join(to)).unwrap();
    }
}

/// Serves with the certificate `one`.
async fn serve(dir: &Path) -> Server {
    for name in ["one", "two", "three"] {
        certificate(dir, name).await;
    }
    install(dir, "one");
    let file = |name: &str| dir.join(name).display().to_string();
    let settings = [
        format!("http.tls.cert_file={}", file("cert")),
        format!("http.tls.key_file={}", file("key")),
    ];
    let arguments = settings.iter().flat_map(|one| ["--set", one]).map(Into::into).collect();
    Server::start(&Options { arguments, rate: 50, ..Options::default() }).await.unwrap()
}

/// Asks for an event with curl; the HTTP version, if the server's certificate is `name`.
async fn ask(server: &Server, dir: &Path, name: &str, option: &str) -> Option<String> {
    let url = format!(
        "https://{}/v1/projects/{NAME}/streams/events/events?start=earliest&limit=1",
        server.http()
    );
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "10", option, "-o", "-", "-w", "\n%{http_version}"]);
    command.arg("--cacert").arg(dir.join(format!("{name}.pem")));
    command.args(["-H", &format!("Authorization: Bearer {NAME}"), &url]);
    let answer = command.output().await.unwrap();
    let said = String::from_utf8(answer.stdout).unwrap();
    // 60: the peer's certificate is not one that is trusted.
    if answer.status.code() == Some(60) {
        return None;
    }
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    assert!(said.starts_with("{\"id\":"), "{said}");
    said.rsplit('\n').next().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_is_agreed_on_and_http_1_stays() {
    let dir = directory().unwrap();
    let server = serve(dir.path()).await;
    for (option, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        assert_eq!(ask(&server, dir.path(), "one", option).await.as_deref(), Some(version));
    }
    assert_eq!(ask(&server, dir.path(), "two", "--http2").await, None);
    assert!(server.terminate(Duration::from_secs(20)).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_change_by_signal_and_by_themselves() {
    let dir = directory().unwrap();
    let dir = dir.path();
    let server = serve(dir).await;
    let served = async |name: &str| {
        while ask(&server, dir, name, "--http1.1").await.is_none() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(ask(&server, dir, "one", "--http1.1").await.is_some());
    install(dir, "two");
    server.signal("HUP").await.unwrap();
    timeout(Duration::from_secs(5), served("two")).await.expect("it is loaded at the signal");

    // What cannot be used is told, and what is in use stays.
    std::fs::write(dir.join("cert"), "no certificate").unwrap();
    server.signal("HUP").await.unwrap();
    let told = async {
        while !server.log().contains("certificates not loaded, the old ones stay in use") {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), told).await.expect("it says so");
    assert!(ask(&server, dir, "two", "--http1.1").await.is_some());

    install(dir, "three");
    timeout(PATIENCE, served("three")).await.expect("it looks now and then");
    assert!(server.terminate(Duration::from_secs(20)).await.unwrap().success());
}
