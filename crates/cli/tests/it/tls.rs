//! Commands against a server with TLS.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::arguments::Line;

/// Answers each connection's one request with an empty list, if its handshake succeeds.
fn serve(config: ServerConfig) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    #[expect(clippy::disallowed_methods, reason = "rustls by itself blocks")]
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut connection = ServerConnection::new(config.clone()).unwrap();
            let mut socket = socket.unwrap();
            let mut reader = BufReader::new(Stream::new(&mut connection, &mut socket));
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let body = r#"{"items":[]}"#;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
            let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = reader.get_mut().write_all(answer.as_bytes());
        }
    });
    port
}

async fn list(port: u16, rest: &str) -> ExitCode {
    let words = format!(
        "outflow stream list --project acme --server https://localhost:{port} \
         --data-dir /nowhere{rest}"
    );
    let line = Line::try_parse_from(words.split_whitespace()).unwrap();
    outflow_cli::run(line.command, Line::command()).await
}

#[tokio::test]
async fn a_server_is_trusted_by_the_authorities_of_a_file_and_not_without() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let port = serve(config);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    let trusting = format!(" --ca-file {}", file.path().display());
    assert_eq!(list(port, &trusting).await, ExitCode::SUCCESS);
    assert_eq!(list(port, "").await, ExitCode::from(5), "nobody vouches for it");
    std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    assert_eq!(list(port, &trusting).await, ExitCode::from(2), "not a certificate");
}
