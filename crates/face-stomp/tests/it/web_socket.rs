//! STOMP over WebSocket: a stream of bytes both ways, whatever the messages are cut into.

use std::pin::pin;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use outflow_broker::Limits;
use outflow_face_stomp::Options;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::stand::Stand;

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

async fn open(
    stand: &Stand,
    path: &str,
    protocols: &str,
    origin: &str,
) -> Result<(Socket, String), Error> {
    let mut request = format!("ws://{}{path}", stand.http).into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    if !origin.is_empty() {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    let (socket, response) = connect_async(request).await?;
    let agreed = response.headers().get("sec-websocket-protocol");
    Ok((socket, agreed.map_or("", |agreed| agreed.to_str().unwrap()).to_owned()))
}

async fn text(socket: &mut Socket) -> String {
    match socket.next().await.unwrap().unwrap() {
        Message::Text(text) => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn frames_cross_web_sockets_however_they_are_cut() {
    let stand = Stand::new().await;
    for path in ["/", "/ws", "/stomp"] {
        let offered = "v12.stomp, v11.stomp, v10.stomp";
        let (mut socket, agreed) =
            open(&stand, path, offered, "http://page.example").await.unwrap();
        assert_eq!(agreed, "v12.stomp");
        let connect =
            format!("CONNECT\naccept-version:1.2\nheart-beat:0,100\n{}\n\0", stand.login());
        for piece in connect.as_bytes().chunks(7) {
            socket.send(Message::Binary(piece.to_vec().into())).await.unwrap();
        }
        let connected = text(&mut socket).await;
        assert!(connected.starts_with("CONNECTED\n") && connected.ends_with('\0'), "{connected:?}");
        // A heart-beat is a message of one line end.
        assert_eq!(text(&mut socket).await, "\n");
        let topic = format!("/topic/ws{}", path.len());
        let both = format!(
            "SUBSCRIBE\nid:1\ndestination:{topic}\nreceipt:s\n\n\0\nSEND\ndestination:{topic}\n\né😀\0"
        );
        socket.send(Message::Text(both.into())).await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < 2 {
            seen.push(text(&mut socket).await);
            seen.retain(|frame| frame != "\n");
        }
        assert_eq!(seen[0], "RECEIPT\nreceipt-id:s\n\n\0");
        assert!(seen[1].starts_with("MESSAGE\n") && seen[1].ends_with("\n\né😀\0"), "{}", seen[1]);
        // What is no text is sent as it is.
        let bytes = format!("SEND\ndestination:{topic}\ncontent-length:2\n\n").into_bytes();
        let bytes = [&bytes[..], b"\xff\0\0"].concat();
        socket.send(Message::Binary(bytes.into())).await.unwrap();
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Binary(frame) => break assert!(frame.ends_with(b"\n\n\xff\0\0")),
                Message::Text(beat) => assert_eq!(beat.as_str(), "\n"),
                other => panic!("{other:?}"),
            }
        }
        socket.send(Message::Text("DISCONNECT\nreceipt:bye\n\n\0".into())).await.unwrap();
        while text(&mut socket).await == "\n" {}
        assert!(matches!(socket.next().await, None | Some(Ok(Message::Close(_)) | Err(_))));
    }
}

#[tokio::test]
async fn pages_of_other_origins_and_plain_requests_are_refused() {
    let options =
        Options { origins: vec!["https://ours.example".to_owned()], ..Options::default() };
    let stand = Stand::with(options).await;
    open(&stand, "/ws", "v12.stomp", "https://ours.example").await.unwrap();
    open(&stand, "/ws", "v12.stomp", "").await.unwrap();
    let refused = open(&stand, "/ws", "v12.stomp", "https://theirs.example").await;
    assert!(matches!(refused, Err(Error::Http(response)) if response.status() == 403));
    let mut player = outflow_testkit::transcript::Player::connect(stand.http).await.unwrap();
    player.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(player.head().await.unwrap().status, "HTTP/1.1 404 Not Found");
}

/// Sends the head of a WebSocket frame of `len` bytes, and those of them that are `begun`.
async fn begin(socket: &mut Socket, len: u64, begun: &[u8]) {
    let MaybeTlsStream::Plain(stream) = socket.get_mut() else { panic!("not plain") };
    // Binary and whole; its mask leaves it as it is.
    let frame = [&[0x82, 0xff][..], &len.to_be_bytes(), &[0; 4], begun].concat();
    stream.write_all(&frame).await.unwrap();
}

async fn connected(stand: &Stand) -> Socket {
    let (mut socket, _) = open(stand, "/ws", "v12.stomp", "").await.unwrap();
    let connect = format!("CONNECT\naccept-version:1.2\n{}\n\0", stand.login());
    socket.send(Message::Text(connect.into())).await.unwrap();
    assert!(text(&mut socket).await.starts_with("CONNECTED\n"));
    socket
}

/// The client is told `why`, and that it is over.
async fn refused(mut socket: Socket, why: &str) {
    let answer = tokio::time::timeout(Duration::from_secs(20), text(&mut socket)).await.unwrap();
    assert!(answer.starts_with("ERROR\n") && answer.contains(why), "{answer}");
    while let Some(Ok(message)) = socket.next().await {
        assert!(matches!(message, Message::Close(_)), "{message:?}");
    }
}

#[tokio::test]
async fn half_a_message_is_bounded_as_half_a_frame_is() {
    let frame_timeout = Duration::from_secs(3);
    let limits = Limits { frame_timeout, held_bytes: 4 << 20, ..Limits::default() };
    let stand = Stand::with(Options { limits, ..Options::default() }).await;
    let (mut unknown, _) = open(&stand, "/ws", "v12.stomp", "").await.unwrap();
    begin(&mut unknown, 1_000_000, &[&b"CONNECT\n\n"[..], &[b'x'; 20_000]].concat()).await;
    refused(unknown, "The maximum data length was exceeded: 1024 bytes").await;
    let send = b"SEND\ndestination:/queue/half\ncontent-length:1000000\n\n";
    let mut stuck = connected(&stand).await;
    begin(&mut stuck, u64::MAX >> 1, &[&send[..], b"half"].concat()).await;
    refused(stuck, "The rest of the frame did not come in time").await;
    let body = vec![b'x'; 900_000];
    let mut greedy = [connected(&stand).await, connected(&stand).await];
    for socket in &mut greedy {
        begin(socket, 1_100_000, &[&send[..], &body].concat()).await;
    }
    // Their login holds two that are begun, whichever of them is read first.
    let [one, two] = greedy;
    let why = "The server holds as much of unfinished frames as it may";
    let (one, two) = (pin!(refused(one, why)), pin!(refused(two, why)));
    futures_util::future::select(one, two).await;
}

#[tokio::test]
async fn large_messages_may_come_whole_or_in_pieces_with_signs_of_life_between() {
    let stand = Stand::new().await;
    let mut socket = connected(&stand).await;
    let body = "b".repeat(1_000_000);
    let send = format!("SEND\ndestination:/queue/large\nreceipt:r\n\n{body}\0");
    socket.send(Message::Text(send.clone().into())).await.unwrap();
    assert_eq!(text(&mut socket).await, "RECEIPT\nreceipt-id:r\n\n\0");
    let pieces: Vec<&[u8]> = send.as_bytes().chunks(99_999).collect();
    for (at, piece) in pieces.iter().enumerate() {
        let data = if at == 0 { Data::Text } else { Data::Continue };
        let is_last = at + 1 == pieces.len();
        let frame = Frame::message(piece.to_vec(), OpCode::Data(data), is_last);
        socket.send(Message::Frame(frame)).await.unwrap();
        if is_last {
            break;
        }
        socket.send(Message::Ping(vec![at as u8; 125].into())).await.unwrap();
        let Message::Pong(pong) = socket.next().await.unwrap().unwrap() else { panic!("no pong") };
        assert_eq!(&pong[..], [at as u8; 125]);
    }
    assert_eq!(text(&mut socket).await, "RECEIPT\nreceipt-id:r\n\n\0");
    let subscribe = "SUBSCRIBE\nid:1\ndestination:/queue/large\n\n\0";
    socket.send(Message::Text(subscribe.into())).await.unwrap();
    for _ in 0..2 {
        let message = text(&mut socket).await;
        assert!(message.ends_with(&format!("\n\n{body}\0")), "{} bytes", message.len());
    }
    socket.close(None).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn frames_that_no_client_may_send_end_the_connection() {
    let stand = Stand::new().await;
    let unmasked = &[0x82, 0x01, b'\n'][..];
    let continued = &[0x80, 0x81, 0, 0, 0, 0, b'\n'][..];
    let extended = &[0xc2, 0x81, 0, 0, 0, 0, b'\n'][..];
    let cut_control = &[0x09, 0x80, 0, 0, 0, 0][..];
    let large_control = &[0x89, 0xfe, 0, 126, 0, 0, 0, 0][..];
    for wrong in [unmasked, continued, extended, cut_control, large_control] {
        let mut socket = connected(&stand).await;
        let MaybeTlsStream::Plain(stream) = socket.get_mut() else { panic!("not plain") };
        stream.write_all(wrong).await.unwrap();
        let end = tokio::time::timeout(Duration::from_secs(20), socket.next()).await.unwrap();
        assert!(matches!(end, None | Some(Ok(Message::Close(_)) | Err(_))), "{wrong:?}: {end:?}");
    }
}

#[tokio::test]
async fn what_comes_with_the_end_is_dealt_with_before_it() {
    let stand = Stand::new().await;
    let mut socket = connected(&stand).await;
    let sends =
        b"SEND\ndestination:/queue/first\nreceipt:r\n\n1\0SEND\ndestination:/queue/last\n\n2\0";
    let end = [0x88, 0x80, 0, 0, 0, 0];
    let MaybeTlsStream::Plain(stream) = socket.get_mut() else { panic!("not plain") };
    let head = [0x82, 0x80 | u8::try_from(sends.len()).unwrap(), 0, 0, 0, 0];
    stream.write_all(&[&head[..], sends, &end].concat()).await.unwrap();
    assert_eq!(text(&mut socket).await, "RECEIPT\nreceipt-id:r\n\n\0");
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    let mut socket = connected(&stand).await;
    let subscribe = "SUBSCRIBE\nid:1\ndestination:/queue/last\n\n\0";
    socket.send(Message::Text(subscribe.into())).await.unwrap();
    let message = tokio::time::timeout(Duration::from_secs(20), text(&mut socket)).await.unwrap();
    assert!(message.ends_with("\n\n2\0"), "{message}");
}
