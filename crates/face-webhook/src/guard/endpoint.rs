//! A URL that requests are sent to, parsed once.
//!
//! Parsed as browsers do (WHATWG), which knows every way to write an address: `2130706433`, `0x7f.1`
//! and full-width digits are addresses here and not names. What is sent and connected to is taken from
//! what was parsed, never from the text again.

use std::fmt;
use std::net::IpAddr;

use url::Url;

/// The longest URL, in bytes.
pub const MAX_BYTES: usize = 2_048;
/// The longest name of a host, and the longest part of it between dots (RFC 1035 2.3.4).
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// Why a URL was refused; for whoever configures the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is too long, as it is written or as it is sent, with what is no ASCII in three bytes each.
    #[error("the URL may have {MAX_BYTES} bytes")]
    Length,
    /// It is none, or has what URLs do not have: spaces, controls, backslashes.
    #[error("not a URL")]
    Malformed,
    /// Its scheme.
    #[error("the URL must begin with https://")]
    Scheme,
    /// It has a user or a password: those belong into a header.
    #[error("the URL may have no user or password; send an Authorization header instead")]
    User,
    /// It has a part that is never sent.
    #[error("the URL may have no fragment")]
    Fragment,
    /// Its host is not written as it is sent: it would be read as another one.
    #[error("the URL's host must be written as it is sent, without other ways to write an address")]
    Turned,
    /// Its path is not written as it is sent: it has parts that lead elsewhere.
    #[error("the URL's path must be written as it is sent, without . and .. between slashes")]
    Dots,
    /// Its host is no name that can be looked up.
    #[error("the URL's host is not a name or an address")]
    Host,
    /// Its port is not allowed.
    #[error("port {port} is not allowed")]
    Port {
        /// Which.
        port: u16,
    },
    /// Its host is an address that may not be reached, and says so itself.
    #[error("the URL's host may not be reached")]
    Address,
}

/// The host of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name, in lower-case ASCII and without a dot at its end; always meant as a whole, never
    /// below the domains that the server's own resolver would try.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// Where requests of an endpoint go. See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    is_tls: bool,
    host: Host,
    port: u16,
    authority: String,
    target: String,
}

impl Endpoint {
    /// Parses a URL and checks its form; [`Guard::endpoint`](super::Guard::endpoint) says whether
    /// it may be sent to.
    ///
    /// # Errors
    /// [`UrlError`].
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_BYTES {
            return Err(UrlError::Length);
        }
        // The parser drops or turns these; a person would read another URL than it does.
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(UrlError::Malformed);
        }
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::EmptyHost
            | url::ParseError::IdnaError
            | url::ParseError::InvalidIpv4Address
            | url::ParseError::InvalidIpv6Address
            | url::ParseError::InvalidDomainCharacter => UrlError::Host,
            _ => UrlError::Malformed,
        })?;
        // What is kept is what is sent, and is read again.
        if url.as_str().len() > MAX_BYTES {
            return Err(UrlError::Length);
        }
        let is_tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(UrlError::Scheme),
        };
        // The parser takes any count of slashes, and none; what follows them is the host.
        written_host(text).ok_or(UrlError::Malformed)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::User);
        }
        if url.fragment().is_some() {
            return Err(UrlError::Fragment);
        }
        let host = match url.host().ok_or(UrlError::Host)? {
            url::Host::Domain(name) => Host::Name(checked(name)?.to_owned()),
            url::Host::Ipv4(address) => Host::Address(address.into()),
            url::Host::Ipv6(address) => Host::Address(address.into()),
        };
        let port = url.port_or_known_default().ok_or(UrlError::Malformed)?;
        if port == 0 {
            return Err(UrlError::Port { port });
        }
        let shown = match &host {
            Host::Name(name) => name.clone(),
            Host::Address(IpAddr::V4(address)) => address.to_string(),
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
        };
        // The default port is not written.
        let authority = url.port().map_or_else(|| shown.clone(), |port| format!("{shown}:{port}"));
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let target = format!("{}{query}", url.path());
        Ok(Self { is_tls, host, port, authority, target })
    }

    /// Whether requests are encrypted.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, 443 or 80 where none was written.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The `Host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path with its query, as requests have it.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl fmt::Display for Endpoint {
    /// The whole URL, for who configured it: the query may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.target)
    }
}

impl fmt::Debug for Endpoint {
    /// Without path and query, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.authority)
    }
}

/// The host as it is written, with its port; `None`: there are not two slashes before it.
fn written_host(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once(':')?;
    let rest = rest.strip_prefix("//")?;
    let host = rest.split(['/', '?', '#']).next()?;
    Some(host).filter(|host| !host.is_empty())
}

/// Whether a URL's host is written as it is sent: numbers that stand for an address, full-width letters
/// and what is not shown at all make another host of it than a person reads.
pub(super) fn is_as_sent(text: &str, endpoint: &Endpoint) -> bool {
    let Some(written) = written_host(text) else { return false };
    // What is in brackets is an address, and has colons.
    let port = written.rfind(':').filter(|at| *at > written.rfind(']').unwrap_or(0));
    let written = port.and_then(|at| written.get(..at)).unwrap_or(written);
    match &endpoint.host {
        Host::Name(name) => {
            let written = written.strip_suffix('.').unwrap_or(written);
            let shown = || url::quirks::domain_to_unicode(name);
            written.eq_ignore_ascii_case(name) || written.to_lowercase() == shown()
        }
        Host::Address(IpAddr::V4(address)) => written == address.to_string(),
        Host::Address(IpAddr::V6(_)) => written.starts_with('['),
    }
}

/// Whether a URL's path has parts that only lead to another: what is sent, and may be signed for or allowed by a
/// receiver, is not what a person reads.
pub(super) fn has_dots(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    // What stands before the path has no such part.
    path.split('/').any(|part| {
        let part = part.to_ascii_lowercase().replace("%2e", ".");
        part == "." || part == ".."
    })
}

/// A name without the dot at its end, if it can be looked up.
fn checked(name: &str) -> Result<&str, UrlError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let is_name = name.len() <= MAX_NAME_BYTES && name.split('.').all(is_label);
    if is_name { Ok(name) } else { Err(UrlError::Host) }
}

/// Whether a name means this host, whatever a resolver says (RFC 6761 6.3).
pub(super) fn is_local(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}
