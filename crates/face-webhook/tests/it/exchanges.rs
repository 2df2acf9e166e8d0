//! Requests and answers on real connections: what is sent, which connections are used again, what
//! becomes of those that ended meanwhile.

use std::sync::Arc;
use std::time::Duration;

use outflow_face_webhook::attempt::Transport as _;
use outflow_face_webhook::client::Client;
use outflow_face_webhook::outcome::{Failure, Outcome};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::stand::{
    LOOPBACK, Receiver, UNWRITABLE, as_request, client, come_through, in_no_time, names, options,
    post, request,
};

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_request_is_sent_to_the_letter_and_its_connection_is_used_again() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let receiver = Receiver::start(move |mut stream, _| {
        let kept = Arc::clone(&kept);
        async move {
            loop {
                let bytes = request(&mut stream).await;
                if bytes.is_empty() {
                    return;
                }
                kept.lock().push(String::from_utf8(bytes).unwrap());
                stream.write_all(FINE).await.unwrap();
            }
        }
    })
    .await;
    let client = client();
    for body in ["{\"n\":1}", "[{\"n\":2}]", "{}"] {
        let answer = post(&client, &receiver.url("/hook?a=b"), body).await.unwrap();
        assert_eq!((answer.status, &answer.excerpt[..]), (200, &b"ok"[..]));
    }
    assert_eq!((receiver.accepted(), client.idle()), (1, 1));
    let seen = seen.lock();
    let expected = format!(
        "POST /hook?a=b HTTP/1.1\r\nHost: receiver.test:{}\r\nContent-Length: 7\r\n\
         Content-Type: application/json; charset=UTF-8\r\nUser-Agent: Outflow/{}\r\n\r\n{{\"n\":1}}",
        receiver.at.port(),
        env!("CARGO_PKG_VERSION"),
    );
    assert_eq!((seen.len(), &seen[0]), (3, &expected));
    assert!(seen[1].ends_with("\r\n\r\n[{\"n\":2}]"), "{}", seen[1]);
}

#[tokio::test]
async fn a_kept_connection_that_ends_at_the_next_request_is_replaced_once() {
    // The first connection answers once and ends when it is used again, before a byte of an
    // answer; so does every other, which then counts.
    let receiver = Receiver::start(|mut stream, number| async move {
        request(&mut stream).await;
        stream.write_all(FINE).await.unwrap();
        if number == 1 {
            request(&mut stream).await;
            stream.write_all(FINE).await.unwrap();
        }
        let mut byte = [0];
        stream.read_exact(&mut byte).await.ok();
    })
    .await;
    let client = client();
    for _ in 0..3 {
        assert_eq!(post(&client, &receiver.url("/"), "{}").await.unwrap().status, 200);
    }
    assert_eq!(receiver.accepted(), 2);
}

#[tokio::test]
async fn a_new_connection_that_ends_without_an_answer_is_a_failure() {
    let receiver = Receiver::start(|mut stream, _| async move {
        request(&mut stream).await;
    })
    .await;
    let client = client();
    assert_eq!(post(&client, &receiver.url("/"), "{}").await, Err(Failure::Broken));
    assert_eq!((receiver.accepted(), client.idle()), (1, 0));
}

#[tokio::test]
async fn a_kept_connection_that_is_silent_is_not_asked_a_second_time_elsewhere() {
    let asked = Arc::new(Notify::new());
    let hears = Arc::clone(&asked);
    let receiver = Receiver::start(move |mut stream, _| {
        let hears = Arc::clone(&hears);
        async move {
            request(&mut stream).await;
            stream.write_all(FINE).await.unwrap();
            request(&mut stream).await;
            hears.notify_one();
            std::future::pending::<()>().await;
        }
    })
    .await;
    let client = client();
    assert!(post(&client, &receiver.url("/"), "{}").await.is_ok());
    let url = receiver.url("/");
    let silence = in_no_time(&asked, post(&client, &url, "{}")).await;
    assert_eq!(silence, Err(Failure::Silence));
    assert_eq!(receiver.accepted(), 1, "it may be at work on it");
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_no_answer_to_the_next_request() {
    // Both at once, and the second one later, when the connection is idle.
    for is_late in [false, true] {
        let said = Arc::new(Notify::new());
        let says = Arc::clone(&said);
        let receiver = Receiver::start(move |mut stream, number| {
            let says = Arc::clone(&says);
            async move {
                request(&mut stream).await;
                if number > 0 {
                    stream
                        .write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
                        .await
                        .unwrap();
                } else if is_late {
                    stream.write_all(FINE).await.unwrap();
                    says.notified().await;
                    stream.write_all(FINE).await.unwrap();
                    says.notify_one();
                } else {
                    stream.write_all(&[FINE, FINE].concat()).await.unwrap();
                }
                stream.read_u8().await.ok();
            }
        })
        .await;
        let client = client();
        assert_eq!(post(&client, &receiver.url("/"), "{}").await.unwrap().status, 200);
        if is_late {
            assert_eq!(client.idle(), 1);
            said.notify_one();
            // Until it was said, and has come through.
            said.notified().await;
            come_through().await;
        }
        let second = post(&client, &receiver.url("/"), "{}").await.unwrap();
        assert_eq!((second.status, receiver.accepted()), (500, 2), "{is_late}");
    }
}

#[tokio::test]
async fn an_answer_before_the_request_was_read_counts() {
    let receiver = Receiver::start(|mut stream, _| async move {
        stream.read_u8().await.unwrap();
        stream.write_all(b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        // What is not read makes this end a reset.
        stream.shutdown().await.ok();
    })
    .await;
    let client = client();
    let answer = post(&client, &receiver.url("/"), &"a".repeat(8 << 20)).await.unwrap();
    assert_eq!((answer.status, client.idle()), (413, 0), "half a request is on that connection");
}

/// Reads so many bytes.
async fn read_out(stream: &mut (impl AsyncRead + Unpin), mut bytes: usize) {
    let mut buffer = vec![0; 64 << 10];
    while bytes > 0 {
        let room = buffer.len().min(bytes);
        bytes -= stream.read_exact(&mut buffer[..room]).await.unwrap();
    }
}

#[tokio::test]
async fn an_endpoint_that_answers_first_and_reads_then_is_sent_all() {
    const BYTES: usize = 8 << 20;
    // Also one whose answer is never over, and one that sends back what it reads.
    let answers = [FINE, b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\nok"];
    for (number, answer) in answers.into_iter().enumerate() {
        let read = Arc::new(Notify::new());
        let tells = Arc::clone(&read);
        let receiver = Receiver::start(move |mut stream, _| {
            let tells = Arc::clone(&tells);
            async move {
                stream.read_u8().await.unwrap();
                stream.write_all(answer).await.unwrap();
                if number == 1 {
                    stream.write_all(&vec![b'x'; 6 << 20]).await.unwrap();
                }
                read_out(&mut stream, BYTES).await;
                tells.notify_one();
                stream.read_u8().await.ok();
            }
        })
        .await;
        let client = client();
        let answer = post(&client, &receiver.url("/"), &"a".repeat(BYTES)).await.unwrap();
        assert_eq!(answer.status, 200);
        tokio::time::timeout(Duration::from_secs(20), read.notified())
            .await
            .expect("all of it came");
        assert_eq!(client.idle(), usize::from(number == 0));
    }
}

#[tokio::test]
async fn an_endpoint_that_answers_well_and_does_not_read_the_rest_has_not_taken_it() {
    for closes in [true, false] {
        let answered = Arc::new(Notify::new());
        let tells = Arc::clone(&answered);
        let receiver = Receiver::start_narrow(move |mut stream, _| {
            let tells = Arc::clone(&tells);
            async move {
                stream.read_u8().await.unwrap();
                stream.write_all(FINE).await.unwrap();
                come_through().await;
                tells.notify_one();
                if !closes {
                    std::future::pending::<()>().await;
                }
            }
        });
        let client = client();
        let body = "a".repeat(UNWRITABLE);
        let url = receiver.url("/");
        // The answer has come before its time passes, however busy the machine is.
        let done = in_no_time(&answered, post(&client, &url, &body)).await;
        assert!(matches!(done, Err(Failure::Unread(200) | Failure::Broken)), "{closes}: {done:?}");
        assert_eq!((receiver.accepted(), client.idle()), (1, 0));
    }
}

/// People read it with what was parked.
#[tokio::test]
async fn an_attempt_that_is_refused_says_how_the_answer_begins() {
    let receiver = Receiver::start(|mut stream, _| async move {
        request(&mut stream).await;
        let text = "no such field `a`".repeat(1_000);
        let head = format!("HTTP/1.1 422 Odd\r\nContent-Length: {}\r\n\r\n", text.len());
        stream.write_all((head + &text).as_bytes()).await.unwrap();
        stream.read_u8().await.ok();
    })
    .await;
    let request = as_request(&receiver.url("/"), "{}", Duration::from_secs(20));
    let attempt = client().attempt(request).await;
    let refused = Outcome::Refused { status: 422 };
    assert_eq!((attempt.outcome, attempt.status), (refused, Some(422)));
    assert!(attempt.excerpt.starts_with(b"no such field `a`no such"), "{:?}", attempt.excerpt);
    assert!(attempt.excerpt.len() <= 2_000);
}

#[tokio::test]
async fn redirects_are_answers_and_nothing_is_asked_where_they_point() {
    let canary = Receiver::start(|_, _| async {}).await;
    let targets = [
        format!("http://127.0.0.1:{}/", canary.at.port()),
        format!("//127.0.0.1:{}/", canary.at.port()),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "gopher://127.0.0.1:70/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ];
    for (status, target) in [301, 302, 303, 307, 308].into_iter().zip(targets) {
        let receiver = Receiver::start(move |mut stream, _| {
            let target = target.clone();
            async move {
                request(&mut stream).await;
                let head = format!(
                    "HTTP/1.1 {status} Go\r\nLocation: {target}\r\nRefresh: 0; url={target}\r\n\
                     Content-Length: 0\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.read_u8().await.ok();
            }
        })
        .await;
        let answer = post(&client(), &receiver.url("/"), "{}").await.unwrap();
        assert_eq!((answer.status, receiver.accepted()), (status, 1));
    }
    assert_eq!(canary.accepted(), 0);
}

#[tokio::test]
async fn one_address_that_leads_nowhere_does_not_keep_the_others_from_being_tried() {
    let receiver = Receiver::start(|mut stream, _| async move {
        request(&mut stream).await;
        stream.write_all(FINE).await.unwrap();
    })
    .await;
    // Nobody listens at the first two.
    let found = ["127.0.0.3", "127.0.0.2", "127.0.0.1"].map(|text| text.parse().unwrap());
    let mut options = options();
    options.resolve = names(move |_, _| found.to_vec());
    assert!(post(&Client::new(options), &receiver.url("/"), "{}").await.is_ok());
    let nobody = names(|_, _| vec!["127.0.0.2".parse().unwrap()]);
    let mut options = crate::stand::options();
    options.resolve = nobody;
    let failed = post(&Client::new(options), &receiver.url("/"), "{}").await;
    assert_eq!(failed, Err(Failure::Connect));
}

#[tokio::test]
async fn idle_connections_are_few_and_end() {
    let receiver = Receiver::start(|mut stream, _| async move {
        while !request(&mut stream).await.is_empty() {
            stream.write_all(FINE).await.unwrap();
        }
    })
    .await;
    let mut options = options();
    options.max_idle = 3;
    options.idle_timeout = Duration::from_millis(200);
    options.resolve = names(|_, _| vec![LOOPBACK]);
    let client = Client::new(options);
    for host in ["a", "b", "c", "d", "e"] {
        let url = format!("http://{host}.test:{}/", receiver.at.port());
        post(&client, &url, "{}").await.unwrap();
    }
    assert_eq!((receiver.accepted(), client.idle()), (5, 3));
    // From here on only time passes: they are looked at as often as they may grow old.
    tokio::time::pause();
    tokio::time::sleep(Duration::from_millis(401)).await;
    assert_eq!(client.idle(), 0);
}
