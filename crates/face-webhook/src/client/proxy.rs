//! The way through an operator's proxy: HTTP CONNECT or SOCKS5.
//!
//! Set by operators whose server may not reach the outside by itself. The proxy is told the name and
//! looks it up, so it must be one that keeps to the outside: the guard sees no address.
//!
//! Invariants: what a proxy answers is bounded, and nothing behind its answer is taken for the
//! endpoint's; the password is never printed.

mod connect;
mod socks;

use std::{fmt, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outflow_auth::Secret;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use url::Url;

use super::line::Stream;
use crate::guard::{Endpoint, Host};

/// The longest user and password (RFC 1929 2).
const MAX_CREDENTIAL_BYTES: usize = 255;

/// Why a text is no proxy. None of it is shown, since it may have a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// It is no URL of a proxy.
    #[error("must be a URL: http://, https:// or socks5://, a host, a port, nothing behind")]
    Url,
    /// The user or the password is too long.
    #[error("user and password may have {MAX_CREDENTIAL_BYTES} bytes each")]
    Credentials,
}

/// What it is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Connect { is_tls: bool },
    Socks5,
}

/// A proxy. See the module.
#[derive(Clone)]
pub struct Proxy {
    kind: Kind,
    host: Host,
    port: u16,
    login: Option<(String, Secret)>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?}, {:?}:{})", self.kind, self.host, self.port)
    }
}

impl Proxy {
    /// The proxy of a URL, such as `http://user:password@proxy.internal:3128` or
    /// `socks5://10.0.0.5:1080`.
    ///
    /// # Errors
    /// [`ProxyError`].
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let url = Url::parse(text).map_err(|_| ProxyError::Url)?;
        let (kind, usual_port) = match url.scheme() {
            "http" => (Kind::Connect { is_tls: false }, 80),
            "https" => (Kind::Connect { is_tls: true }, 443),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            _ => return Err(ProxyError::Url),
        };
        let has_more = !matches!(url.path(), "" | "/");
        if has_more || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError::Url);
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(ProxyError::Url)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let host = bare.parse().map_or_else(|_| Host::Name(host.to_lowercase()), Host::Address);
        let decode = |text: &str| {
            let bytes = percent_decode_str(text).decode_utf8().map_err(|_| ProxyError::Url)?;
            let fits = bytes.len() <= MAX_CREDENTIAL_BYTES;
            fits.then(|| bytes.into_owned()).ok_or(ProxyError::Credentials)
        };
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => {
                Some((decode(user)?, Secret::new(decode(password.unwrap_or_default())?)))
            }
        };
        Ok(Self { kind, host, port: url.port().unwrap_or(usual_port), login })
    }

    /// Its host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is spoken to in TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.kind == Kind::Connect { is_tls: true }
    }

    /// Asks for a way to an endpoint on a connection to the proxy.
    pub(super) async fn open(
        &self,
        mut stream: Box<dyn Stream>,
        endpoint: &Endpoint,
    ) -> io::Result<Box<dyn Stream>> {
        match self.kind {
            Kind::Connect { .. } => {
                stream.write_all(&connect::request(endpoint, self.basic().as_ref())).await?;
                stream.flush().await?;
                connect::check(&connect::head(&mut stream).await?)?;
            }
            Kind::Socks5 => socks::open(&mut stream, endpoint, self.login.as_ref()).await?,
        }
        Ok(stream)
    }

    /// What goes into `Proxy-Authorization`.
    fn basic(&self) -> Option<Secret> {
        let (user, password) = self.login.as_ref()?;
        let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
        Some(Secret::new(format!("Basic {pair}")))
    }
}

/// The proxy's answer is none.
fn refused(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, reason)
}

/// Reads exactly as many bytes as there are in `N`.
async fn read<const N: usize>(stream: &mut Box<dyn Stream>) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
