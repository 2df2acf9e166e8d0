//! Through an operator's proxy: it is told the name, nothing is looked up here, and what it refuses
//! says nothing to the endpoint's owner.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use outflow_face_webhook::client::proxy::ProxyError;
use outflow_face_webhook::client::{Client, ClientOptions, Proxy};
use outflow_face_webhook::guard::Guard;
use outflow_face_webhook::outcome::Failure;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use crate::certificates::Authority;
use crate::stand::{LOOPBACK, Receiver, names, options, post, request};

async fn receiver() -> Receiver {
    Receiver::start(|mut stream, _| async move {
        while !request(&mut stream).await.is_empty() {
            stream.write_all(b"HTTP/1.1 204 None\r\n\r\n").await.unwrap();
        }
    })
    .await
}

/// A client whose every request goes through a proxy, and whose guard lets no address through; only the
/// proxy's name is one.
fn through(proxy: &str) -> Client {
    through_with(proxy, options())
}

fn through_with(proxy: &str, options: ClientOptions) -> Client {
    let resolve = names(|name, _| {
        assert_eq!(name, "proxy.test");
        vec![LOOPBACK]
    });
    let guard = Arc::new(Guard { plain: true, ..Guard::default() });
    let proxy = Some(Proxy::parse(proxy).unwrap());
    Client::new(ClientOptions { guard, resolve, proxy, ..options })
}

async fn join(mut from: impl AsyncRead + AsyncWrite + Unpin, to: SocketAddr) {
    let mut to = TcpStream::connect(to).await.unwrap();
    copy_bidirectional(&mut from, &mut to).await.ok();
}

/// The head of a CONNECT.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn connect_is_asked_for_by_name_and_the_way_is_kept() {
    let receiver = receiver().await;
    let (to, seen) = (receiver.at, Arc::new(Mutex::new(String::new())));
    let kept = Arc::clone(&seen);
    let proxy = Receiver::start(move |mut stream, _| {
        let kept = Arc::clone(&kept);
        async move {
            *kept.lock() = head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 Established\r\nVia: me\r\n\r\n").await.unwrap();
            join(stream, to).await;
        }
    })
    .await;
    let client = through(&format!("http://ann:se%3Acret@proxy.test:{}", proxy.at.port()));
    for _ in 0..2 {
        assert_eq!(post(&client, "http://endpoint.test:8080/", "{}").await.unwrap().status, 204);
    }
    assert_eq!(proxy.accepted(), 1);
    let expected = "CONNECT endpoint.test:8080 HTTP/1.1\r\nHost: endpoint.test:8080\r\n\
        Proxy-Authorization: Basic YW5uOnNlOmNyZXQ=\r\n\r\n";
    assert_eq!(*seen.lock(), expected);
}

/// The proxy itself is spoken to in TLS: by its own name, which its certificate must be for.
#[tokio::test]
async fn a_proxy_behind_tls_is_asked_once_it_has_proved_its_name() {
    let receiver = receiver().await;
    let authority = Authority::new();
    for (name, is_it) in [("proxy.test", true), ("endpoint.test", false)] {
        let (to, acceptor) = (receiver.at, authority.acceptor(name));
        let seen = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&seen);
        let proxy = Receiver::start(move |stream, _| {
            let (acceptor, kept) = (acceptor.clone(), Arc::clone(&kept));
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                *kept.lock() = head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 Established\r\n\r\n").await.unwrap();
                join(stream, to).await;
            }
        })
        .await;
        let url = format!("https://ann:secret@proxy.test:{}", proxy.at.port());
        let client = through_with(&url, ClientOptions { tls: authority.trusted(), ..options() });
        let answer = post(&client, "http://endpoint.test:8080/", "{}").await;
        let expected = if is_it {
            assert_eq!(answer.unwrap().status, 204);
            "CONNECT endpoint.test:8080 HTTP/1.1\r\nHost: endpoint.test:8080\r\n\
                Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n\r\n"
        } else {
            assert_eq!(answer, Err(Failure::Connect));
            ""
        };
        assert_eq!(*seen.lock(), expected, "another hears neither the name nor the password");
    }
}

/// TLS with the endpoint, through TLS with the proxy: each has its own name to prove.
#[tokio::test]
async fn an_endpoint_behind_tls_is_reached_through_a_proxy_behind_tls() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("endpoint.test");
    let receiver = Receiver::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            while !request(&mut stream).await.is_empty() {
                stream.write_all(b"HTTP/1.1 204 None\r\n\r\n").await.unwrap();
            }
        }
    })
    .await;
    let (to, acceptor) = (receiver.at, authority.acceptor("proxy.test"));
    let proxy = Receiver::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 Established\r\n\r\n").await.unwrap();
            join(stream, to).await;
        }
    })
    .await;
    let url = format!("https://proxy.test:{}", proxy.at.port());
    let client = through_with(&url, ClientOptions { tls: authority.trusted(), ..options() });
    assert_eq!(post(&client, "https://endpoint.test/", "{}").await.unwrap().status, 204);
}

#[tokio::test]
async fn socks_is_asked_for_by_name_with_and_without_a_login() {
    let receiver = receiver().await;
    for login in [false, true] {
        let to = receiver.at;
        let proxy = Receiver::start(move |mut stream, _| async move {
            let mut hello = [0; 3];
            stream.read_exact(&mut hello).await.unwrap();
            assert_eq!(hello, [5, 1, if login { 2 } else { 0 }]);
            stream.write_all(&[5, hello[2]]).await.unwrap();
            if login {
                let mut said = vec![0; 1 + 1 + 3 + 1 + 6];
                stream.read_exact(&mut said).await.unwrap();
                assert_eq!(said, b"\x01\x03ann\x06secret");
                stream.write_all(&[1, 0]).await.unwrap();
            }
            let mut asked = vec![0; 4 + 1 + 13 + 2];
            stream.read_exact(&mut asked).await.unwrap();
            assert_eq!(asked, b"\x05\x01\x00\x03\x0dendpoint.test\x1f\x90");
            // The address it connects from is a name here, which must be read away.
            stream.write_all(b"\x05\x00\x00\x03\x04here\x00\x50").await.unwrap();
            join(stream, to).await;
        })
        .await;
        let login = if login { "ann:secret@" } else { "" };
        let client = through(&format!("socks5://{login}proxy.test:{}", proxy.at.port()));
        assert_eq!(post(&client, "http://endpoint.test:8080/", "{}").await.unwrap().status, 204);
    }
}

#[tokio::test]
async fn whatever_a_proxy_refuses_is_a_connection_that_did_not_come_about() {
    let answers: [&'static [u8]; 7] = [
        b"HTTP/1.1 403 10.0.0.1 is forbidden\r\n\r\n",
        b"HTTP/1.1 407 Login\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK",
        b"\x05\xff",
        b"\x05\x00\x05\x05\x00\x01\0\0\0\0\0\0",
    ];
    for answer in answers {
        let proxy = Receiver::start(move |mut stream, _| async move {
            let mut some = [0; 512];
            let asked = stream.read(&mut some).await;
            assert!(asked.is_ok(), "{asked:?}");
            stream.write_all(answer).await.unwrap();
        })
        .await;
        let scheme = if answer[0] == 5 { "socks5" } else { "http" };
        let client = through(&format!("{scheme}://proxy.test:{}", proxy.at.port()));
        let failed = post(&client, "http://endpoint.test:8080/", "{}").await;
        assert_eq!(failed, Err(Failure::Connect), "{answer:?}");
    }
}

#[tokio::test]
async fn a_proxys_endless_answer_is_left() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let proxy = Receiver::start(move |mut stream, _| {
        let counted = Arc::clone(&counted);
        async move {
            let line = [b'a'; 4_096];
            while stream.write_all(&line).await.is_ok() {
                counted.fetch_add(line.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    let client = through(&format!("http://proxy.test:{}", proxy.at.port()));
    let failed = post(&client, "http://endpoint.test:8080/", "{}").await;
    assert_eq!(failed, Err(Failure::Connect));
    assert!(sent.load(Ordering::SeqCst) < 32 << 20);
}

#[test]
fn only_urls_of_proxies_are_taken_and_passwords_are_not_shown() {
    for url in ["http://p", "https://p:1", "socks5://10.0.0.5:1080", "socks5h://[::1]", "http://p/"]
    {
        assert!(Proxy::parse(url).is_ok(), "{url}");
    }
    for url in ["", "p:3128", "ftp://p", "http://p/path", "http://p?q", "socks4://p", "http://"] {
        assert_eq!(Proxy::parse(url).err(), Some(ProxyError::Url), "{url}");
    }
    let long = format!("http://ann:{}@p", "a".repeat(256));
    assert_eq!(Proxy::parse(&long).err(), Some(ProxyError::Credentials));
    let proxy = Proxy::parse("http://ann:canary@p:3128").unwrap();
    let shown = format!("{proxy:?}");
    assert!(!shown.contains("canary") && shown.contains("3128"), "{shown}");
}
