//! HTTP CONNECT (RFC 9110 9.3.6).

use std::io;

use outflow_auth::Secret;
use tokio::io::AsyncReadExt as _;

use super::refused;
use crate::client::line::Stream;
use crate::guard::{Endpoint, Host};

/// The longest head of an answer, in bytes.
const MAX_HEAD_BYTES: usize = 8 << 10;
/// The most headers of it.
const MAX_HEADERS: usize = 64;

/// The request: the port is always written.
pub(super) fn request(endpoint: &Endpoint, authorization: Option<&Secret>) -> Vec<u8> {
    let port = endpoint.port();
    let to = match endpoint.host() {
        Host::Name(name) => format!("{name}:{port}"),
        Host::Address(address) => std::net::SocketAddr::new(*address, port).to_string(),
    };
    let login = authorization.map(|value| format!("Proxy-Authorization: {}\r\n", value.expose()));
    let login = login.unwrap_or_default();
    format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{login}\r\n").into_bytes()
}

/// Reads a head, byte by byte: what follows it is the endpoint's. Once for a connection.
pub(super) async fn head(stream: &mut Box<dyn Stream>) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD_BYTES {
            return Err(refused("the proxy's answer is too large"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

/// Whether the way is open.
pub(super) fn check(head: &[u8]) -> io::Result<()> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        _ => return Err(refused("the proxy's answer is not HTTP")),
    }
    match response.code {
        Some(200..300) => Ok(()),
        Some(407) => Err(refused("the proxy wants another user or password")),
        _ => Err(refused("the proxy refuses")),
    }
}
