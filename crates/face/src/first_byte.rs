//! Two protocols on one port, told apart by the first byte that the client sends.
//!
//! Called by `server`. It waits for that byte, gives the stream to whom it belongs with the byte
//! before it again, and is out of the way. Invariant: a client that sends nothing is gone after
//! [`ByFirstByte::patience`], and at the drain.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use crate::{Drain, Link, Peer, Phase, Protocol};

/// See the module.
#[derive(Debug, Clone)]
pub struct ByFirstByte<A, B> {
    /// What is spoken, but where [`ByFirstByte::is_other`] says otherwise.
    pub usual: A,
    /// The other protocol; `None`: there is none, and nothing is waited for.
    pub other: Option<B>,
    /// Whether a client that begins with this byte speaks the other one.
    pub is_other: fn(u8) -> bool,
    /// How long a client may take until its first byte.
    pub patience: Duration,
    /// When connections end that have not said anything.
    pub drain: Drain,
}

impl<A: Protocol, B: Protocol> Protocol for ByFirstByte<A, B> {
    async fn speak<S>(&self, mut stream: S, peer: Peer)
    where
        S: Link,
    {
        let Some(other) = &self.other else { return self.usual.speak(stream, peer).await };
        let first = tokio::select! {
            biased;
            () = self.drain.reached(Phase::Stopping) => return,
            first = timeout(self.patience, stream.read_u8()) => first,
        };
        let Ok(Ok(first)) = first else { return };
        let stream = Begun { first: Some(first), stream };
        if (self.is_other)(first) {
            other.speak(stream, peer).await;
        } else {
            self.usual.speak(stream, peer).await;
        }
    }
}

/// A stream whose first byte was read already, and is read again.
struct Begun<S> {
    first: Option<u8>,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() > 0
            && let Some(first) = self.first.take()
        {
            into.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: Link> Link for Begun<S> {
    fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.set_user_timeout(timeout)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    impl Link for tokio::io::DuplexStream {
        fn set_user_timeout(&self, _timeout: Duration) -> io::Result<()> {
            Ok(())
        }
    }

    /// Answers its name, then what it hears.
    struct Echo(&'static [u8]);

    impl Protocol for Echo {
        async fn speak<S>(&self, mut stream: S, _peer: Peer)
        where
            S: Link,
        {
            let mut heard = [0; 5];
            if stream.read_exact(&mut heard).await.is_ok() {
                let _ = stream.write_all(&[self.0, &heard].concat()).await;
            }
        }
    }

    async fn said(other: Option<Echo>, hello: &[u8]) -> Vec<u8> {
        let door = ByFirstByte {
            usual: Echo(b"usual "),
            other,
            is_other: |byte| byte != 0,
            patience: Duration::from_secs(5),
            drain: Drain::new(),
        };
        let (client, server) = tokio::io::duplex(64);
        let (mut hears, mut says) = tokio::io::split(client);
        let peer = Peer { addr: ([127, 0, 0, 1], 1).into(), tls: false };
        let mut answer = Vec::new();
        let talk = async {
            let _ = says.write_all(hello).await;
            let _ = hears.read_to_end(&mut answer).await;
        };
        tokio::join!(door.speak(server, peer), talk);
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_decides_and_is_not_lost() {
        assert_eq!(said(Some(Echo(b"other ")), b"hello").await, b"other hello");
        assert_eq!(said(Some(Echo(b"other ")), b"\0ello").await, b"usual \0ello");
        assert_eq!(said(None, b"hello").await, b"usual hello");
        // Who says nothing is gone in the end.
        assert_eq!(said(Some(Echo(b"other ")), b"").await, b"");
    }
}
