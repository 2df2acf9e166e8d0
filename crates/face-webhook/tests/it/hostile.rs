//! Receivers that mean harm, or are broken: every attempt ends within its time, reads no more
//! than it must, and holds up no other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use outflow_face_webhook::outcome::Failure;
use outflow_face_webhook::wire::AnswerError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use crate::stand::{LOOPBACK, Receiver, client, in_no_time, post, post_within, request};

const SHORT: Duration = Duration::from_millis(400);
/// How much later than its time an attempt may end on a busy machine.
const SLACK: Duration = Duration::from_secs(5);

#[expect(clippy::disallowed_methods, reason = "how long an attempt takes is what is tested")]
fn now() -> Instant {
    Instant::now()
}

/// A receiver that says something after the request, and then nothing any more.
async fn saying(text: &'static [u8]) -> (Receiver, Arc<Notify>) {
    let said = Arc::new(Notify::new());
    let says = Arc::clone(&said);
    let receiver = Receiver::start(move |mut stream, _| {
        let says = Arc::clone(&says);
        async move {
            request(&mut stream).await;
            stream.write_all(text).await.ok();
            says.notify_one();
            std::future::pending::<()>().await;
        }
    })
    .await;
    (receiver, said)
}

#[tokio::test]
async fn silence_at_any_point_before_the_status_ends_with_the_time() {
    for said in [&b""[..], b"HTTP/1.1", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", b"\r\n"] {
        let (receiver, heard) = saying(said).await;
        let (client, url, time) = (client(), receiver.url("/"), Duration::from_secs(20));
        let begun = tokio::time::Instant::now();
        let failed = in_no_time(&heard, post_within(&client, &url, "{}", time)).await;
        assert_eq!(failed, Err(Failure::Silence), "{said:?}");
        assert!((time..time + SLACK).contains(&begun.elapsed()), "{said:?}");
    }
}

#[tokio::test]
async fn a_body_that_stalls_does_not_change_what_the_head_said() {
    let heads: [&'static [u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhalf",
    ];
    for said in heads {
        let (receiver, _) = saying(said).await;
        let (client, begun) = (client(), now());
        let answer = post(&client, &receiver.url("/"), "{}").await.unwrap();
        assert_eq!((answer.status, &answer.excerpt[..]), (200, &b"half"[..]));
        assert!(begun.elapsed() < Duration::from_secs(1) + SLACK, "one second more, not twenty");
        assert_eq!(client.idle(), 0);
    }
}

#[tokio::test]
async fn nobody_accepts() {
    // A queue of one that is full: the system answers no more.
    let listener = std::net::TcpListener::bind((LOOPBACK, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let _held: Vec<_> = (0..200)
        .map_while(|_| {
            let wait = Duration::from_millis(20);
            std::net::TcpStream::connect_timeout(&at, wait).ok()
        })
        .collect();
    let url = format!("http://receiver.test:{}/", at.port());
    let failed = post_within(&client(), &url, "{}", SHORT).await;
    assert_eq!(failed, Err(Failure::Connect));
    drop(listener);
}

#[tokio::test]
async fn resets_break_an_attempt_at_once() {
    for reads in [false, true] {
        let receiver = Receiver::start(move |mut stream, _| async move {
            if reads {
                request(&mut stream).await;
            } else {
                stream.read_u8().await.ok();
            }
            reset(stream);
        })
        .await;
        let begun = now();
        let failed = post(&client(), &receiver.url("/"), &"a".repeat(64 << 10)).await;
        assert_eq!(failed, Err(Failure::Broken), "{reads}");
        assert!(begun.elapsed() < SLACK);
    }
}

/// Ends a connection by RST.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

#[tokio::test]
async fn a_byte_at_a_time_brings_no_attempt_beyond_its_time() {
    let receiver = Receiver::start(|mut stream, _| async move {
        request(&mut stream).await;
        loop {
            if stream.write_all(b"H").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    })
    .await;
    let begun = now();
    let failed = post_within(&client(), &receiver.url("/"), "{}", SHORT).await;
    assert!(failed.is_err(), "{failed:?}");
    assert!(begun.elapsed() < SHORT + SLACK);
    // A body that drips: its head has decided.
    let receiver = Receiver::start(|mut stream, _| async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 1000\r\n\r\n").await.unwrap();
        while stream.write_all(b".").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let begun = now();
    let answer = post(&client(), &receiver.url("/"), "{}").await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(begun.elapsed() < Duration::from_secs(1) + SLACK);
}

/// A receiver that says one thing over and over; tells how many bytes of it went out.
async fn flooding(first: &'static [u8], then: &'static [u8]) -> (Receiver, mpsc::Receiver<usize>) {
    let (tell, told) = mpsc::channel(1);
    let receiver = Receiver::start(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            request(&mut stream).await;
            stream.write_all(first).await.ok();
            let (block, mut sent) = (then.repeat((64 << 10) / then.len()), 0);
            while sent < 1 << 30 && stream.write_all(&block).await.is_ok() {
                sent += block.len();
            }
            tell.send(sent).await.ok();
        }
    })
    .await;
    (receiver, told)
}

/// The most that went out before the connection was closed: what the system's buffers hold.
const BUFFERED: usize = 32 << 20;

#[tokio::test]
async fn endless_heads_are_left() {
    let cases = [
        (&b"HTTP/1.1 200 OK\r\n"[..], &b"X-More: and more\r\n"[..], AnswerError::TooLarge),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", AnswerError::Interims),
        (b"HTTP/1.1 200 ", b"O", AnswerError::TooLarge),
        (b"", b"\0\x01\x02\x03", AnswerError::Malformed),
    ];
    for (first, then, expected) in cases {
        let (receiver, mut told) = flooding(first, then).await;
        let failed = post(&client(), &receiver.url("/"), "{}").await;
        let is_expected = match failed {
            Err(Failure::Answer(error)) => error == expected || expected == AnswerError::Malformed,
            _ => false,
        };
        assert!(is_expected, "{expected:?}: {failed:?}");
        assert!(told.recv().await.unwrap() < BUFFERED);
    }
}

#[tokio::test]
async fn endless_bodies_are_left_and_their_status_stands() {
    let heads: [&'static [u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
    ];
    for first in heads {
        let (receiver, mut told) = flooding(first, b"spam").await;
        let client = client();
        let answer = post(&client, &receiver.url("/"), "{}").await.unwrap();
        assert_eq!((answer.status, answer.excerpt.len()), (200, 2_000));
        assert_eq!(client.idle(), 0);
        assert!(told.recv().await.unwrap() < BUFFERED);
    }
}

#[tokio::test]
async fn a_bomb_is_not_unpacked() {
    // 10 MiB of nothing, packed in 10 KiB.
    let bomb = outflow_face_webhook::wire::body::gzip(&vec![0; 10 << 20]).unwrap();
    assert!(bomb.len() < 16 << 10);
    let expected = bomb[..2_000].to_vec();
    let receiver = Receiver::start(move |mut stream, _| {
        let bomb = bomb.clone();
        async move {
            request(&mut stream).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                bomb.len()
            );
            stream.write_all(&[head.as_bytes(), &bomb].concat()).await.unwrap();
            stream.read_u8().await.ok();
        }
    })
    .await;
    let answer = post(&client(), &receiver.url("/"), "{}").await.unwrap();
    assert_eq!(answer.excerpt, expected, "as it came");
}

#[tokio::test]
async fn who_does_not_read_a_request_holds_it_for_its_time_only() {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let url = format!("http://receiver.test:{}/", listener.local_addr().unwrap().port());
    let (client, body) = (client(), "a".repeat(16 << 20));
    let begun = now();
    let posting = post_within(&client, &url, &body, SHORT);
    let (failed, held) = tokio::join!(posting, listener.accept());
    assert_eq!(failed, Err(Failure::Silence));
    assert!(begun.elapsed() < SHORT + SLACK);
    drop(held);
}

#[tokio::test]
async fn stalled_receivers_hold_up_no_other() {
    let (stalled, _) = saying(b"").await;
    let fine = Receiver::start(|mut stream, _| async move {
        while !request(&mut stream).await.is_empty() {
            let answer = b"HTTP/1.1 204 None\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let client = client();
    let waiting: Vec<_> = (0..200)
        .map(|_| {
            let (client, url) = (client.clone(), stalled.url("/"));
            tokio::spawn(async move { post(&client, &url, "{}").await })
        })
        .collect();
    let begun = now();
    for _ in 0..50 {
        assert_eq!(post(&client, &fine.url("/"), "{}").await.unwrap().status, 204);
    }
    assert!(begun.elapsed() < SLACK);
    assert!(waiting.iter().all(|one| !one.is_finished()));
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}
