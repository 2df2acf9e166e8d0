//! What the client is tried against: names that mean what a test says, and receivers on this host
//! that do what a test says.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use outflow_face_webhook::attempt::{Request, Target};
use outflow_face_webhook::client::{Client, ClientOptions, tls};
use outflow_face_webhook::guard::Guard;
use outflow_face_webhook::outcome::Failure;
use outflow_face_webhook::resolve::{Found, Resolve};
use outflow_face_webhook::wire::{Answer, Encoding, Headers};
use outflow_model::clock::SystemClock;
use outflow_model::{IntegrationId, ProjectId};
use rustls::RootCertStore;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;

/// More than the system keeps of what is written to a [`narrow`](Receiver::start_narrow) receiver that does not read:
/// four times as much as Linux lets a sender's buffer grow to, unless it is told otherwise.
pub(crate) const UNWRITABLE: usize = 16 << 20;

pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Looks names up in a function, which is given how often it was asked before.
struct Names<F> {
    answer: F,
    asked: AtomicUsize,
}

impl<F> fmt::Debug for Names<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

impl<F: Fn(&str, usize) -> Vec<IpAddr> + Send + Sync> Resolve for Names<F> {
    fn resolve<'a>(&'a self, name: &'a str) -> Found<'a> {
        let found = (self.answer)(name, self.asked.fetch_add(1, Ordering::SeqCst));
        Box::pin(std::future::ready(found))
    }
}

pub(crate) fn names<F>(answer: F) -> Arc<dyn Resolve>
where
    F: Fn(&str, usize) -> Vec<IpAddr> + Send + Sync + 'static,
{
    Arc::new(Names { answer, asked: AtomicUsize::new(0) })
}

/// A guard that lets requests to this host through.
pub(crate) fn at_home() -> Guard {
    let allow = ["127.0.0.0/8", "::1/128"].map(|subnet| subnet.parse().unwrap()).to_vec();
    Guard { allow, plain: true, ..Guard::default() }
}

/// Options by which every name is this host, and nobody's certificate is trusted.
pub(crate) fn options() -> ClientOptions {
    let tls = tls::with_roots(RootCertStore::empty()).unwrap();
    let names = names(|_, _| vec![LOOPBACK]);
    ClientOptions::new(Arc::new(at_home()), names, tls, Arc::new(SystemClock))
}

pub(crate) fn client() -> Client {
    Client::new(options())
}

/// Waits for what only time can end: once `said` is heard, time passes as soon as there is nothing
/// else to do.
pub(crate) async fn in_no_time<T>(said: &Notify, attempt: impl Future<Output = T>) -> T {
    let hurry = async {
        said.notified().await;
        tokio::time::pause();
    };
    let (done, ()) = tokio::join!(attempt, hurry);
    tokio::time::resume();
    done
}

/// One POST, with as long to wait as tests may take.
pub(crate) async fn post(client: &Client, url: &str, body: &str) -> Result<Answer, Failure> {
    post_within(client, url, body, Duration::from_secs(20)).await
}

pub(crate) async fn post_within(
    client: &Client,
    url: &str,
    body: &str,
    timeout: Duration,
) -> Result<Answer, Failure> {
    client.post(&as_request(url, body, timeout)).await
}

pub(crate) fn as_request(url: &str, body: &str, timeout: Duration) -> Request {
    Request {
        target: Arc::new(Target {
            project: ProjectId::new("p").unwrap(),
            integration: IntegrationId::new("i").unwrap(),
            endpoint: at_home().endpoint(url).unwrap(),
            headers: Headers::default(),
        }),
        fields: Vec::new(),
        encoding: Encoding::Identity,
        body: Bytes::copy_from_slice(body.as_bytes()),
        timeout,
    }
}

/// A receiver: what it does with each of its connections, which are numbered from 0.
pub(crate) struct Receiver {
    pub(crate) at: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Receiver {
    pub(crate) async fn start<D, F>(does: D) -> Self
    where
        D: Fn(TcpStream, usize) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_at((LOOPBACK, 0).into(), does).await
    }

    pub(crate) async fn start_at<D, F>(at: SocketAddr, does: D) -> Self
    where
        D: Fn(TcpStream, usize) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::listen(TcpListener::bind(at).await.unwrap(), does)
    }

    /// One at which the system keeps little of what is not read, however much it may elsewhere.
    pub(crate) fn start_narrow<D, F>(does: D) -> Self
    where
        D: Fn(TcpStream, usize) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 << 10).unwrap();
        socket.bind((LOOPBACK, 0).into()).unwrap();
        Self::listen(socket.listen(64).unwrap(), does)
    }

    fn listen<D, F>(listener: TcpListener, does: D) -> Self
    where
        D: Fn(TcpStream, usize) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let at = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(does(stream, counted.fetch_add(1, Ordering::SeqCst)));
            }
        });
        Self { at, accepted }
    }

    /// How many connections it has had.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// A URL of it by a name.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://receiver.test:{}{path}", self.at.port())
    }
}

/// Waits until what was written to connections of this host before is known at their other ends: a byte
/// that is written after it has come.
pub(crate) async fn come_through() {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (writer, accepted) = tokio::join!(connecting, listener.accept());
    writer.unwrap().write_u8(1).await.unwrap();
    accepted.unwrap().0.read_u8().await.unwrap();
}

/// The next request of a connection, whole; empty: the connection has ended.
pub(crate) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => return Vec::new(),
        }
    }
    let head = String::from_utf8(bytes.clone()).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    bytes.extend(body);
    bytes
}
