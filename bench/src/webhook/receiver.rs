//! An endpoint that counts what it is sent, and one that never answers.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use crate::wire::content_length;
use crate::{BenchError, During as _};

const FINE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
/// How much is read at once.
const READ_BYTES: usize = 64 << 10;
/// What stands between two events of an array, before each: the server writes their members in this order.
const BETWEEN: &[u8] = b",{\"id\":\"";

/// What it was sent so far.
#[derive(Debug, Default)]
struct Seen {
    requests: Cell<u64>,
    changed: Notify,
}

/// See the module. Gone with its connections when it is dropped.
#[derive(Debug)]
pub(super) struct Receiver {
    address: SocketAddr,
    seen: Rc<Seen>,
    task: AbortHandle,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// One that takes everything, and says to `take` how many events each request had: 1 unless they
    /// are arrays.
    pub(super) async fn start(
        is_array: bool,
        take: impl Fn(u64) + 'static,
    ) -> Result<Self, BenchError> {
        let take: Rc<dyn Fn(u64)> = Rc::new(take);
        Self::serve(move |stream, seen| {
            let take = Rc::clone(&take);
            async move {
                // A server that goes away in the middle ends this connection, and the run by its time.
                let _ = answer(stream, &seen, is_array, &*take).await;
            }
        })
        .await
    }

    /// One that reads and never answers.
    pub(super) async fn stalled() -> Result<Self, BenchError> {
        Self::serve(|mut stream, _| async move {
            let mut some = [0; 1_024];
            while stream.read(&mut some).await.is_ok_and(|read| read > 0) {}
        })
        .await
    }

    async fn serve<F>(does: impl Fn(TcpStream, Rc<Seen>) -> F + 'static) -> Result<Self, BenchError>
    where
        F: Future<Output = ()> + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.during("opening a receiver")?;
        let address = listener.local_addr().during("opening a receiver")?;
        let seen = Rc::new(Seen::default());
        let shared = Rc::clone(&seen);
        let task = tokio::task::spawn_local(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                if stream.set_nodelay(true).is_ok() {
                    connections.spawn_local(does(stream, Rc::clone(&shared)));
                }
            }
        });
        Ok(Self { address, seen, task: task.abort_handle() })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How many requests have come.
    pub(super) fn requests(&self) -> u64 {
        self.seen.requests.get()
    }

    /// Waits for the next request.
    pub(super) async fn changed(&self) {
        self.seen.changed.notified().await;
    }
}

/// Answers the requests of a connection.
async fn answer(
    mut stream: TcpStream,
    seen: &Seen,
    is_array: bool,
    take: &dyn Fn(u64),
) -> Result<(), BenchError> {
    let mut bytes = Vec::with_capacity(READ_BYTES);
    loop {
        let head = loop {
            if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
                break end + 4;
            }
            if read(&mut stream, &mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let whole = head + content_length(bytes.get(..head).unwrap_or_default())?;
        while bytes.len() < whole {
            if read(&mut stream, &mut bytes).await? == 0 {
                return Ok(());
            }
        }
        let body = bytes.get(head..whole).unwrap_or_default();
        let more = if is_array { memchr::memmem::find_iter(body, BETWEEN).count() } else { 0 };
        take(1 + more as u64);
        seen.requests.set(seen.requests.get() + 1);
        seen.changed.notify_one();
        bytes.drain(..whole);
        stream.write_all(FINE).await.during("answering")?;
    }
}

async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<usize, BenchError> {
    bytes.reserve(READ_BYTES);
    stream.read_buf(bytes).await.during("reading a request")
}
