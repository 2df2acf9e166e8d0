//! Endpoints that say that they take a batch while they still read it, or go on with something else then: it is theirs
//! once all of it is written, and nothing keeps it from them.

use std::sync::Arc;
use std::time::Duration;

use outflow_face_webhook::client::{Client, ClientOptions};
use outflow_face_webhook::outcome::Failure;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::certificates::Authority;
use crate::stand::{
    Receiver, UNWRITABLE, client, come_through, in_no_time, options, post, post_within, request,
};

/// What an endpoint says that answers while it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// How far it is, with each piece that it has read.
    Progress,
    /// What it reads.
    Echo,
    /// A page, longer than what is read of answers otherwise, and reads on.
    Page,
    /// A little, with the end of the connection to come.
    Close,
    /// As much as there is until the connection ends.
    Unbounded,
    /// More than it has announced.
    TooMuch,
}

const ALL: [Says; 6] =
    [Says::Progress, Says::Echo, Says::Page, Says::Close, Says::Unbounded, Says::TooMuch];

impl Says {
    fn first(self) -> Vec<u8> {
        let page = vec![b'p'; 40_000];
        match self {
            Self::Progress | Self::Echo => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()
            }
            Self::Page => [b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n", &page[..]].concat(),
            Self::Close => {
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok".to_vec()
            }
            Self::Unbounded => [b"HTTP/1.0 200 OK\r\n\r\n", &page[..]].concat(),
            Self::TooMuch => [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", &page[..]].concat(),
        }
    }

    fn then(self, read: &[u8], so_far: usize) -> Vec<u8> {
        match self {
            Self::Progress => format!("8\r\n{so_far:08}\r\n").into_bytes(),
            Self::Echo => [format!("{:x}\r\n", read.len()).as_bytes(), read, b"\r\n"].concat(),
            _ => Vec::new(),
        }
    }

    const fn is_chunked(self) -> bool {
        matches!(self, Self::Progress | Self::Echo)
    }
}

/// Reads a request in pieces, which take it a while, and answers before; gives how much of the body came.
async fn take(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), says: Says) -> usize {
    let (mut head, mut came) = (Vec::new(), 0);
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let (length, mut piece): (usize, _) = (length.parse().unwrap(), vec![0; 16 << 10]);
    stream.write_all(&says.first()).await.unwrap();
    while came < length {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let room = piece.len().min(length - came);
        let read = match stream.read(&mut piece[..room]).await {
            Ok(0) | Err(_) => return came,
            Ok(read) => read,
        };
        came += read;
        if stream.write_all(&says.then(&piece[..read], came)).await.is_err() {
            return came;
        }
    }
    if says.is_chunked() {
        stream.write_all(b"0\r\n\r\n").await.ok();
    }
    stream.flush().await.ok();
    came
}

/// Posts a body of so many bytes to an endpoint that answers so; gives how many of them came.
async fn came(says: Says, bytes: usize, authority: Option<&Authority>) -> usize {
    let acceptor = authority.map(|authority| authority.acceptor("receiver.test"));
    let (tell, mut told) = mpsc::channel(1);
    let receiver = Receiver::start(move |mut stream, _| {
        let (acceptor, tell) = (acceptor.clone(), tell.clone());
        async move {
            if let Some(acceptor) = acceptor {
                let mut stream = acceptor.accept(stream).await.unwrap();
                tell.send(take(&mut stream, says).await).await.unwrap();
                stream.shutdown().await.ok();
            } else {
                tell.send(take(&mut stream, says).await).await.unwrap();
            }
        }
    })
    .await;
    let (client, url) = match authority {
        Some(one) => {
            let client = Client::new(ClientOptions { tls: one.trusted(), ..options() });
            (client, receiver.url("/").replace("http:", "https:"))
        }
        None => (client(), receiver.url("/")),
    };
    let answer = post(&client, &url, &"a".repeat(bytes)).await.unwrap();
    assert_eq!(answer.status, 200, "{says:?}");
    assert!(answer.excerpt.len() <= 2_000, "{says:?}");
    told.recv().await.unwrap()
}

#[tokio::test]
async fn a_batch_that_is_taken_before_it_is_read_comes_whole() {
    for says in ALL {
        for bytes in [150_000, 500_000] {
            assert_eq!(came(says, bytes, None).await, bytes, "{says:?}");
        }
    }
}

#[tokio::test]
async fn a_batch_that_is_taken_before_it_is_read_comes_whole_over_tls() {
    let authority = Authority::new();
    for says in ALL {
        assert_eq!(came(says, 300_000, Some(&authority)).await, 300_000, "{says:?}");
    }
}

#[tokio::test]
async fn a_batch_that_is_taken_and_not_read_in_time_is_not_taken() {
    // The endpoint reads no more, and not all can be written; one goes on talking without end.
    for talks in [false, true] {
        let answered = Arc::new(Notify::new());
        let tells = Arc::clone(&answered);
        let receiver = Receiver::start_narrow(move |mut stream, _| {
            let tells = Arc::clone(&tells);
            async move {
                stream.read_u8().await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                come_through().await;
                tells.notify_one();
                while talks && stream.write_all(&[b'x'; 64 << 10]).await.is_ok() {}
                std::future::pending::<()>().await;
            }
        });
        let (client, body) = (client(), "a".repeat(UNWRITABLE));
        let url = receiver.url("/");
        let done = in_no_time(&answered, post(&client, &url, &body)).await;
        assert_eq!(done, Err(Failure::Unread(200)), "{talks}");
        assert_eq!((receiver.accepted(), client.idle()), (1, 0));
    }
}

/// What is a whole answer, or as much of one as its endpoint says; and whether it is over by then.
const ANSWERS: [(&str, bool); 6] = [
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true),
    ("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", true),
    ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", true),
    ("HTTP/1.0 200 OK\r\n\r\nok", false),
    ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok", false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", false),
];

/// Endpoints that read all, take it, and work then, with the connection open for longer than an attempt may last.
#[tokio::test]
async fn an_endpoint_that_has_read_a_batch_and_takes_it_has_it_whatever_it_does_then() {
    let authority = Authority::new();
    for (answer, is_over) in ANSWERS {
        for (bytes, is_tls) in [(10, false), (8_000, false), (400_000, false), (8_000, true)] {
            let acceptor = is_tls.then(|| authority.acceptor("receiver.test"));
            let receiver = Receiver::start(move |mut stream, _| {
                let acceptor = acceptor.clone();
                async move {
                    if let Some(acceptor) = acceptor {
                        let mut stream = acceptor.accept(stream).await.unwrap();
                        request(&mut stream).await;
                        stream.write_all(answer.as_bytes()).await.unwrap();
                        stream.flush().await.unwrap();
                        return std::future::pending().await;
                    }
                    request(&mut stream).await;
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    std::future::pending::<()>().await;
                }
            })
            .await;
            let client = Client::new(ClientOptions { tls: authority.trusted(), ..options() });
            let scheme = if is_tls { "https:" } else { "http:" };
            let url = receiver.url("/").replace("http:", scheme);
            let (begun, timeout) = (Instant::now(), Duration::from_secs(10));
            let done = post_within(&client, &url, &"a".repeat(bytes), timeout).await;
            let what = format!("{answer:?} {bytes} {is_tls}");
            assert!(done.is_ok_and(|one| (200..300).contains(&one.status)), "{what}");
            let longest = if is_over { 900 } else { 5_000 };
            assert!(begun.elapsed() < Duration::from_millis(longest), "{what}");
        }
    }
}

/// An answer counts that has come, whether its connection is closed then or reset.
#[tokio::test]
async fn a_batch_is_taken_by_who_ends_the_connection_after_the_answer() {
    let sizes = [(10, true), (8_000, true), (400_000, true), (8_000, false)];
    for (answer, _) in ANSWERS {
        for (bytes, reads) in sizes {
            for resets in [false, true] {
                let receiver = Receiver::start(move |mut stream, _| async move {
                    if reads {
                        request(&mut stream).await;
                    } else {
                        // The rest is there, and never read: to close is to reset then.
                        stream.read_u8().await.unwrap();
                        come_through().await;
                    }
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if resets {
                        stream.set_zero_linger().unwrap();
                    }
                })
                .await;
                let client = client();
                let done = post(&client, &receiver.url("/"), &"a".repeat(bytes)).await;
                let what = format!("{answer:?} {bytes} {reads} {resets}");
                assert!(done.is_ok_and(|one| (200..300).contains(&one.status)), "{what}");
                assert_eq!(receiver.accepted(), 1, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_connection_whose_answer_was_long_and_is_over_is_used_again() {
    let receiver = Receiver::start(|mut stream, _| async move {
        for _ in 0..2 {
            take(&mut stream, Says::Page).await;
        }
    })
    .await;
    let client = client();
    for _ in 0..2 {
        let answer = post(&client, &receiver.url("/"), &"a".repeat(50_000)).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    assert_eq!(receiver.accepted(), 1);
}
