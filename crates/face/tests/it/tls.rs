//! TLS: the seed's suites, each on its own; reload; what is refused.

use std::path::Path;
use std::sync::Arc;

use outflow_face::{HttpLimits, Suites, Tls};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::crypto::ring;
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::start;

/// A private certificate authority and the files of a server it certified.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        Self { issuer, dir: TempDir::new().unwrap() }
    }

    fn root(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// Writes a certificate for `localhost`, and gives it back.
    fn certify(&self, rsa: bool) -> CertificateDer<'static> {
        // Of its provider, ring, rcgen has no new RSA keys: this one opens nothing but these tests.
        let key = if rsa {
            KeyPair::from_pem(include_str!("rsa-key.pem")).unwrap()
        } else {
            KeyPair::generate().unwrap()
        };
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.cert(), cert.pem()).unwrap();
        std::fs::write(self.key(), key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    fn cert(&self) -> std::path::PathBuf {
        self.dir.path().join("cert.pem")
    }

    fn key(&self) -> std::path::PathBuf {
        self.dir.path().join("key.pem")
    }
}

/// A handshake with one suite only, and one request.
struct Reached {
    suite: CipherSuite,
    certificate: CertificateDer<'static>,
    answer: Vec<u8>,
}

async fn reach(
    addr: std::net::SocketAddr,
    root: CertificateDer<'static>,
    suite: CipherSuite,
) -> std::io::Result<Reached> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|offered| offered.suite() == suite);
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[if format!("{suite:?}").starts_with("TLS13") {
            &rustls::version::TLS13
        } else {
            &rustls::version::TLS12
        }])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(addr).await?;
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let (_, session) = stream.get_ref();
    assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    let suite = session.negotiated_cipher_suite().unwrap().suite();
    let certificate = session.peer_certificates().unwrap()[0].clone().into_owned();
    Ok(Reached { suite, certificate, answer })
}

const SEED: [CipherSuite; 6] = [
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];

#[tokio::test]
async fn each_of_the_seeds_suites_serves() {
    let authority = Authority::new();
    authority.certify(true);
    for suites in [Suites::Seed, Suites::Default] {
        let tls = Tls::load(&authority.cert(), &authority.key(), suites).unwrap();
        let server = start(HttpLimits::default(), Some(tls));
        for suite in SEED {
            let reached = reach(server.addr, authority.root(), suite).await.unwrap();
            assert_eq!(reached.suite, suite);
            assert!(reached.answer.ends_with(b"\r\n\r\nhi"), "{suite:?}");
        }
    }
}

#[tokio::test]
async fn ecdsa_twins_are_offered_by_default_only() {
    let authority = Authority::new();
    authority.certify(false);
    let twin = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    for (suites, served) in [(Suites::Default, true), (Suites::Seed, false)] {
        let tls = Tls::load(&authority.cert(), &authority.key(), suites).unwrap();
        let server = start(HttpLimits::default(), Some(tls));
        assert_eq!(reach(server.addr, authority.root(), twin).await.is_ok(), served);
    }
}

#[tokio::test]
async fn a_changed_certificate_is_taken_and_a_bad_one_is_not() {
    let authority = Authority::new();
    let first = authority.certify(false);
    let tls = Tls::load(&authority.cert(), &authority.key(), Suites::Default).unwrap();
    let server = start(HttpLimits::default(), Some(tls.clone()));
    let suite = CipherSuite::TLS13_AES_128_GCM_SHA256;
    let reached = reach(server.addr, authority.root(), suite).await.unwrap();
    assert_eq!(reached.certificate, first);
    assert!(!tls.reload_if_changed().unwrap());

    let second = authority.certify(false);
    touch(&authority.cert());
    assert!(tls.reload_if_changed().unwrap());
    let reached = reach(server.addr, authority.root(), suite).await.unwrap();
    assert_eq!(reached.certificate, second);

    std::fs::write(authority.key(), "not a key").unwrap();
    assert!(tls.reload().is_err());
    let reached = reach(server.addr, authority.root(), suite).await.unwrap();
    assert_eq!(reached.certificate, second);
}

/// Moves the file's time, however coarse the file system's clock is.
fn touch(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let later = file.metadata().unwrap().modified().unwrap() + std::time::Duration::from_secs(2);
    file.set_modified(later).unwrap();
}

#[tokio::test]
async fn a_stalled_handshake_ends() {
    let authority = Authority::new();
    authority.certify(false);
    let tls = Tls::load(&authority.cert(), &authority.key(), Suites::Default).unwrap();
    let handshake_timeout = std::time::Duration::from_millis(200);
    let server = start(HttpLimits { handshake_timeout, ..HttpLimits::default() }, Some(tls));
    for begun in [&b""[..], &[0x16, 3, 1, 0, 200, 1], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(server.counters.tls_failures.get(), 3);
}
