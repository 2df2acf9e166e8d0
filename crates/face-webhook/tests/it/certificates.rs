//! TLS with endpoints: the name is what a certificate must be for, and its issuer one that is trusted.

use std::net::IpAddr;
use std::sync::Arc;

use outflow_face_webhook::client::{Client, ClientOptions, tls};
use outflow_face_webhook::outcome::{Failure, TlsFault};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::stand::{Receiver, options, post, post_within, request};

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn client(&self) -> Client {
        Client::new(ClientOptions { tls: self.trusted(), ..options() })
    }

    /// TLS that trusts it alone.
    pub(crate) fn trusted(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        tls::with_roots(roots).unwrap()
    }

    /// The other side of TLS, with a certificate for a name.
    pub(crate) fn acceptor(&self, name: &str) -> TlsAcceptor {
        accepting(self.certify(&named(name)))
    }

    fn certify(&self, params: &CertificateParams) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), key)
    }
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

fn accepting((certificate, key): (CertificateDer<'static>, KeyPair)) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A receiver with this certificate, which answers all.
async fn serving(certified: (CertificateDer<'static>, KeyPair)) -> Receiver {
    let acceptor = accepting(certified);
    Receiver::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            while !request(&mut stream).await.is_empty() {
                stream.write_all(b"HTTP/1.1 204 None\r\n\r\n").await.unwrap();
            }
        }
    })
    .await
}

fn url(receiver: &Receiver) -> String {
    receiver.url("/").replace("http:", "https:")
}

#[tokio::test]
async fn a_certificate_for_the_name_is_enough_and_connections_are_kept() {
    let authority = Authority::new();
    let receiver = serving(authority.certify(&named("receiver.test"))).await;
    let client = authority.client();
    for _ in 0..3 {
        assert_eq!(post(&client, &url(&receiver), "{}").await.unwrap().status, 204);
    }
    assert_eq!((receiver.accepted(), client.idle()), (1, 1));
}

#[tokio::test]
async fn faults_of_certificates_are_told_apart_and_nothing_is_sent() {
    let authority = Authority::new();
    let mut over = named("receiver.test");
    over.not_before = rcgen::date_time_ymd(2020, 1, 1);
    over.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let mut to_come = named("receiver.test");
    to_come.not_before = rcgen::date_time_ymd(2090, 1, 1);
    to_come.not_after = rcgen::date_time_ymd(2091, 1, 1);
    // By address and not by name.
    let mut address = CertificateParams::new(Vec::new()).unwrap();
    address.subject_alt_names = vec![rcgen::SanType::IpAddress(IpAddr::from([127, 0, 0, 1]))];
    let own_key = KeyPair::generate().unwrap();
    let own = named("receiver.test").self_signed(&own_key).unwrap().der().clone();
    // As OpenSSL makes them unless it is told otherwise.
    let mut as_authority = named("receiver.test");
    as_authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let as_authority = as_authority.self_signed(&authority_key).unwrap().der().clone();
    let cases = [
        ("another name", authority.certify(&named("other.test")), TlsFault::Name),
        ("a name below", authority.certify(&named("*.receiver.test")), TlsFault::Name),
        ("the address only", authority.certify(&address), TlsFault::Name),
        ("over", authority.certify(&over), TlsFault::Time),
        ("not begun", authority.certify(&to_come), TlsFault::Time),
        ("of itself", (own, own_key), TlsFault::Issuer),
        ("an authority's", (as_authority, authority_key), TlsFault::Certificate),
        ("a stranger's", Authority::new().certify(&named("receiver.test")), TlsFault::Issuer),
    ];
    for (what, certificate, fault) in cases {
        let receiver = serving(certificate).await;
        let failed = post(&authority.client(), &url(&receiver), "{}").await;
        assert_eq!(failed, Err(Failure::Tls(fault)), "{what}");
    }
}

#[tokio::test]
async fn an_address_needs_a_certificate_for_it() {
    let authority = Authority::new();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = vec![rcgen::SanType::IpAddress(IpAddr::from([127, 0, 0, 1]))];
    let receiver = serving(authority.certify(&params)).await;
    let url = format!("https://127.0.0.1:{}/", receiver.at.port());
    assert_eq!(post(&authority.client(), &url, "{}").await.unwrap().status, 204);
}

#[tokio::test]
async fn what_does_not_speak_tls_is_a_failure_of_tls_and_silence_is_silence() {
    let authority = Authority::new();
    let plain = Receiver::start(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        stream.read_u8().await.ok();
    })
    .await;
    let failed = post(&authority.client(), &url(&plain), "{}").await;
    assert_eq!(failed, Err(Failure::Tls(TlsFault::Handshake)));
    let silent = Receiver::start(|stream, _| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let wait = std::time::Duration::from_millis(300);
    let failed = post_within(&authority.client(), &url(&silent), "{}", wait).await;
    assert_eq!(failed, Err(Failure::Silence));
}

#[tokio::test]
async fn an_end_without_a_farewell_leaves_the_answer_as_it_is() {
    let authority = Authority::new();
    let (certificate, key) = authority.certify(&named("receiver.test"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let receiver = Receiver::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            request(&mut stream).await;
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nfine").await.unwrap();
            stream.flush().await.unwrap();
            // TCP ends, TLS does not.
            let (tcp, _) = stream.into_inner();
            drop(tcp);
        }
    })
    .await;
    let answer = post(&authority.client(), &url(&receiver), "{}").await.unwrap();
    assert_eq!((answer.status, &answer.excerpt[..]), (200, &b"fine"[..]));
}
