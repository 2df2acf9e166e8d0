//! SOCKS5 (RFC 1928), with user and password (RFC 1929). Names are the proxy's to look up.

use std::io;
use std::net::IpAddr;

use outflow_auth::Secret;
use tokio::io::AsyncWriteExt as _;

use super::{read, refused};
use crate::client::line::Stream;
use crate::guard::{Endpoint, Host};

const VERSION: u8 = 5;
const LOGIN_VERSION: u8 = 1;
const NO_LOGIN: u8 = 0;
const LOGIN: u8 = 2;
const CONNECT: u8 = 1;
const RESERVED: u8 = 0;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Asks for a way to an endpoint.
pub(super) async fn open(
    stream: &mut Box<dyn Stream>,
    endpoint: &Endpoint,
    login: Option<&(String, Secret)>,
) -> io::Result<()> {
    let method = if login.is_some() { LOGIN } else { NO_LOGIN };
    stream.write_all(&[VERSION, 1, method]).await?;
    stream.flush().await?;
    if read(stream).await? != [VERSION, method] {
        return Err(refused("the proxy wants another way to log in"));
    }
    if let Some((user, password)) = login {
        let mut message = vec![LOGIN_VERSION];
        push(&mut message, user.as_bytes())?;
        push(&mut message, password.expose().as_bytes())?;
        stream.write_all(&message).await?;
        stream.flush().await?;
        let [_, status] = read(stream).await?;
        if status != 0 {
            return Err(refused("the proxy wants another user or password"));
        }
    }
    stream.write_all(&request(endpoint)?).await?;
    stream.flush().await?;
    let [version, status, _, kind] = read(stream).await?;
    if version != VERSION || status != 0 {
        return Err(refused("the proxy refuses"));
    }
    // The address that the proxy connects from, and its port: of no use here.
    let mut length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => {
            let [length] = read(stream).await?;
            usize::from(length)
        }
        _ => return Err(refused("the proxy's answer is not SOCKS5")),
    };
    length += 2;
    for _ in 0..length {
        let [_] = read(stream).await?;
    }
    Ok(())
}

/// The request for a connection.
fn request(endpoint: &Endpoint) -> io::Result<Vec<u8>> {
    let mut message = vec![VERSION, CONNECT, RESERVED];
    match endpoint.host() {
        Host::Name(name) => {
            message.push(NAME);
            push(&mut message, name.as_bytes())?;
        }
        Host::Address(IpAddr::V4(address)) => {
            message.push(IPV4);
            message.extend_from_slice(&address.octets());
        }
        Host::Address(IpAddr::V6(address)) => {
            message.push(IPV6);
            message.extend_from_slice(&address.octets());
        }
    }
    message.extend_from_slice(&endpoint.port().to_be_bytes());
    Ok(message)
}

/// Adds a text with its length before it.
fn push(message: &mut Vec<u8>, text: &[u8]) -> io::Result<()> {
    let length = u8::try_from(text.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    message.push(length);
    message.extend_from_slice(text);
    Ok(())
}
