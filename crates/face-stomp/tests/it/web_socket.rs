//! STOMP over WebSocket: a stream of bytes both ways, whatever the messages are cut into.

use futures_util::{SinkExt, StreamExt};
use outflow_face_stomp::Options;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
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
