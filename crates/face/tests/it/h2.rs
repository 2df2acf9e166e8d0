//! HTTP/2 abuse, written frame by frame (RFC 9113 4.1).

use std::time::Duration;

use outflow_face::HttpLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::start;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const DATA: u8 = 0;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// `GET http://x/` in HPACK: three indexed fields and a literal authority.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'x'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn connect(addr: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream
}

/// Reads until the connection ends; gives the error code of the last GOAWAY, if one came.
async fn goaway(stream: &mut TcpStream) -> Option<u32> {
    let mut code = None;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return code;
        }
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; len as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            return code;
        }
        if head[3] == GOAWAY {
            code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
    }
}

/// `GET http://x/flood`: as [`GET`], with a literal path.
const GET_FLOOD: &[u8] = &[0x82, 0x86, 0x44, 6, b'/', b'f', b'l', b'o', b'o', b'd', 0x41, 1, b'x'];

/// The next frame of `kind`, on any stream: the stream and the payload.
async fn next(stream: &mut TcpStream, kind: u8) -> (u32, Vec<u8>) {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; len as usize];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == kind {
            return (u32::from_be_bytes(head[5..].try_into().unwrap()), payload);
        }
    }
}

#[tokio::test]
async fn a_stream_whose_reader_gives_no_room_is_reset_and_its_connection_stays() {
    let limits = HttpLimits { write_stall: Duration::from_millis(50), ..HttpLimits::default() };
    let server = start(limits, None);
    let mut stream = connect(server.addr).await;
    // Room on the connection, but no more on the stream than it has from the start.
    stream.write_all(&frame(WINDOW_UPDATE, 0, 0, &(1u32 << 20).to_be_bytes())).await.unwrap();
    stream.write_all(&frame(HEADERS, 0x5, 1, GET_FLOOD)).await.unwrap();
    let reset = tokio::time::timeout(Duration::from_secs(20), next(&mut stream, RST_STREAM));
    assert_eq!(reset.await.expect("it keeps its place"), (1, CANCEL.to_be_bytes().to_vec()));
    assert_eq!((server.counters.stalled_writes.get(), server.counters.open.get()), (1, 1));
    stream.write_all(&frame(HEADERS, 0x5, 3, GET)).await.unwrap();
    assert_eq!(next(&mut stream, DATA).await, (3, b"hi".to_vec()));
}

#[tokio::test]
async fn a_bad_request_by_head_is_answered_without_a_body() {
    let server = start(HttpLimits::default(), None);
    let mut stream = connect(server.addr).await;
    // Literals under the static table's names: `:method: HEAD`, and `authorization: a` twice.
    let authorization: &[u8] = &[0x0f, 0x08, 1, b'a'];
    let method: &[u8] = &[0x02, 4, b'H', b'E', b'A', b'D'];
    let head = [method, &GET[1..], authorization, authorization].concat();
    stream.write_all(&frame(HEADERS, 0x5, 1, &head)).await.unwrap();
    let (of, answer) = next(&mut stream, HEADERS).await;
    // `:status: 400` of the static table.
    assert_eq!((of, answer[0]), (1, 0x8c));
    stream.write_all(&frame(HEADERS, 0x5, 3, GET)).await.unwrap();
    assert_eq!(next(&mut stream, DATA).await, (3, b"hi".to_vec()));
}

#[tokio::test]
async fn rapid_resets_are_told_to_calm_down() {
    let server = start(HttpLimits::default(), None);
    let mut stream = connect(server.addr).await;
    let mut flood = Vec::new();
    for n in 0..2_000u32 {
        flood.extend(frame(HEADERS, 0x5, n * 2 + 1, GET));
        flood.extend(frame(RST_STREAM, 0, n * 2 + 1, &8u32.to_be_bytes()));
    }
    // The server may hang up while the flood is still being written.
    let _ = stream.write_all(&flood).await;
    assert_eq!(goaway(&mut stream).await, Some(ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn endless_header_blocks_end_the_connection() {
    let server = start(HttpLimits::default(), None);
    let mut stream = connect(server.addr).await;
    stream.write_all(&frame(HEADERS, 0x1, 1, GET)).await.unwrap();
    // A field of its own in each, never the end of the block.
    let field = [&[0x40, 1, b'a', 0x7f, 0x81, 0x7f], &[b'y'; 16_000][..]].concat();
    for _ in 0..1_000 {
        if stream.write_all(&frame(CONTINUATION, 0, 1, &field)).await.is_err() {
            return;
        }
    }
    assert!(goaway(&mut stream).await.is_some());
}
