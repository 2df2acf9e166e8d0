//! Client ids: refused while their connection lives, taken over when it is gone.

use std::time::Duration;

use outflow_broker::Limits;
use outflow_face_stomp::Options;

use crate::stand::{Client, Frame, Stand};

fn patient(wait: Duration) -> Options {
    Options { limits: Limits { client_id_wait: wait, ..Limits::default() }, ..Options::default() }
}

/// A connection that has sent CONNECT with the id `dup`.
async fn asking(stand: &Stand) -> Client {
    let mut client = stand.dial().await;
    let login = stand.login();
    client.send(&format!("CONNECT\naccept-version:1.2\nclient-id:dup\n{login}\n")).await;
    client
}

async fn is_refused(client: &mut Client) -> Frame {
    let refused = client.frame().await;
    assert_eq!(refused.command, "ERROR");
    assert!(refused.the("message").starts_with("Client: dup already connected"), "{refused:?}");
    assert_eq!(client.frame_or_end().await, None);
    refused
}

#[tokio::test]
async fn a_client_id_is_one_connections_until_that_is_gone() {
    // So long that only the holder's own sign of life can be the reason.
    let stand = Stand::with(patient(Duration::from_secs(60))).await;
    let mut first = stand.connect_with("1.2", "client-id:dup\n").await;
    let mut second = asking(&stand).await;
    // The first is written to, so that the network says whether it is there; and it says something.
    first.wait_for_beats(1).await;
    first.raw(b"\n").await;
    is_refused(&mut second).await;
    first.ask("SEND", "destination:/queue/held\n", "goes on").await;
    drop(first);
    // Before or after the server sees the end: it gets the id.
    let mut third = asking(&stand).await;
    assert_eq!(third.frame().await.command, "CONNECTED");
}

#[tokio::test]
async fn a_connection_that_ends_when_it_is_written_to_loses_its_id() {
    let stand = Stand::with(patient(Duration::from_secs(60))).await;
    let mut gone = stand.connect_with("1.2", "client-id:dup\n").await;
    let mut back = asking(&stand).await;
    gone.wait_for_beats(1).await;
    drop(gone);
    assert_eq!(back.frame().await.command, "CONNECTED");
}

#[tokio::test]
async fn a_silent_connection_keeps_its_id_when_the_network_says_it_is_there() {
    let stand = Stand::with(patient(Duration::from_millis(200))).await;
    let mut silent = stand.connect_with("1.2", "client-id:dup\n").await;
    is_refused(&mut asking(&stand).await).await;
    silent.ask("SEND", "destination:/queue/held\n", "goes on").await;
}
