//! STOMP and OpenWire on one port.

use std::time::Duration;

use outflow_testkit::{Options, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::stomp::Stomp;

async fn server(setting: &str) -> Server {
    let arguments = vec!["--set".into(), setting.into()];
    Server::start(&Options { arguments, ..Options::default() }).await.unwrap()
}

/// Whether OpenWire is spoken to whom begins as its clients do.
async fn greets(server: &Server) -> bool {
    let mut socket = TcpStream::connect(server.openwire()).await.unwrap();
    socket.write_all(&[0]).await.unwrap();
    let mut hello = [0; 13];
    let read = timeout(Duration::from_secs(20), socket.read_exact(&mut hello));
    read.await.expect("a greeting").unwrap();
    hello.ends_with(b"ActiveMQ")
}

#[tokio::test]
async fn one_port_speaks_both_protocols_when_it_is_set_to() {
    let shared = server("openwire.also_stomp=true").await;
    let mut client = Stomp::connect(shared.openwire()).await.expect("a connection");
    client.send("SEND\ndestination:/queue/shared\nreceipt:r\n\nx\0").await.unwrap();
    assert_eq!(client.frame().await.unwrap().command(), "RECEIPT");
    assert!(greets(&shared).await);
    let own = server("openwire.also_stomp=false").await;
    assert!(greets(&own).await);
    assert!(Stomp::connect(own.stomp()).await.is_some());
    let mut socket = TcpStream::connect(own.openwire()).await.unwrap();
    socket.write_all(b"CONNECT\naccept-version:1.2\n\n\0").await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.windows(9).any(|bytes| bytes == b"CONNECTED"));
}
