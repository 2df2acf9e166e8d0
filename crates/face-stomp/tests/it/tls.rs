//! STOMP over TLS, with a client that checks the certificate.

use std::sync::Arc;

use outflow_face::{Counters, SocketLimits, Suites, Tls};
use outflow_face_stomp::{Options, Stomp};
use prometheus_client::registry::Registry;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stand::Stand;

/// Reads until the text is there.
async fn until(stream: &mut (impl AsyncReadExt + Unpin), wanted: &str) -> String {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while !text.contains(wanted) {
        let read =
            tokio::time::timeout(std::time::Duration::from_secs(30), stream.read(&mut bytes));
        let count = read.await.expect("something comes").unwrap();
        assert!(count > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    text
}

#[tokio::test]
async fn a_conversation_over_tls_is_the_same() {
    let stand = Stand::new().await;
    let dir = tempfile::TempDir::new().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
    let own = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let (cert_file, key_file) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert_file, params.signed_by(&own, &issuer).unwrap().pem()).unwrap();
    std::fs::write(&key_file, own.serialize_pem()).unwrap();

    let mut registry = Registry::default();
    let (hub, auth, drain) = (stand.hub.clone(), stand.auth.clone(), stand.drain.clone());
    let stomp = Stomp::new(hub, auth, Options::default(), drain.clone(), &mut registry);
    let listener = outflow_face::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let tls = Tls::load(&cert_file, &key_file, Suites::Default).unwrap();
    tokio::spawn(outflow_face::serve_protocol(
        listener,
        Some(tls),
        stomp,
        SocketLimits::default(),
        drain,
        Arc::<Counters>::default(),
    ));

    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    let login = stand.login();
    let hello = format!("STOMP\naccept-version:1.2\nhost:localhost\n{login}\n\0");
    stream.write_all(hello.as_bytes()).await.unwrap();
    until(&mut stream, "CONNECTED").await;
    // Larger than one record of TLS, there and back.
    let body = "x".repeat(100_000);
    let frames = format!(
        "SUBSCRIBE\nid:1\ndestination:/queue/safe\n\n\0\
         SEND\ndestination:/queue/safe\nreceipt:sent\n\n{body}\0"
    );
    stream.write_all(frames.as_bytes()).await.unwrap();
    let text = until(&mut stream, &body).await;
    assert!(text.contains("MESSAGE\ndestination:/queue/safe\n"), "{}", &text[..200]);
    stream.write_all(b"DISCONNECT\nreceipt:bye\n\n\0").await.unwrap();
    let mut rest = text;
    if !rest.contains("receipt-id:bye") {
        rest.push_str(&until(&mut stream, "receipt-id:bye").await);
    }
    assert!(rest.contains("receipt-id:sent"));
    let mut metrics = String::new();
    prometheus_client::encoding::text::encode(&mut metrics, &registry).unwrap();
    assert!(metrics.contains("transport=\"tls\""), "{metrics}");
    // Who speaks plainly to it gets nowhere.
    let mut plain = TcpStream::connect(addr).await.unwrap();
    plain.write_all(hello.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("CONNECTED"));
}
