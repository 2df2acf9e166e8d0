//! The way to an endpoint: its name looked up, its addresses checked, a connection, TLS.
//!
//! Called by the client where no connection is kept. Addresses are tried in order, each with a head start
//! of a quarter of a second on the next (RFC 8305 5), and the first that answers is it.
//!
//! Invariants: names are never connected to, only addresses that [`Guard::choose`] let through, and the
//! one that came about is checked again; certificates are checked against the name, never the
//! address; nothing is refused before the look-up, so that a refusal takes as long as a name that does
//! not exist. An operator's proxy is not subject to the guard.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustls::ClientConfig;
use rustls::pki_types::{DnsName, ServerName};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;
use tracing::debug;

use super::ClientOptions;
use super::line::{Line, Stream};
use super::proxy::Proxy;
use crate::guard::{Endpoint, Guard, Host};
use crate::outcome::Failure;
use crate::resolve::Resolve;

/// How much earlier an address is tried than the next.
const HEAD_START: Duration = Duration::from_millis(250);
/// The most addresses of a proxy that are tried.
const MAX_PROXY_ADDRESSES: usize = 16;

/// Makes connections. See the module.
#[derive(Debug)]
pub(super) struct Connector {
    guard: Arc<Guard>,
    resolve: Arc<dyn Resolve>,
    tls: Arc<ClientConfig>,
    proxy: Option<Proxy>,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(options: ClientOptions) -> Self {
        let ClientOptions { guard, resolve, tls, proxy, connect_timeout, .. } = options;
        Self { guard, resolve, tls, proxy, timeout: connect_timeout }
    }

    /// A connection to an endpoint, at which it is its turn to be asked.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn connect(
        &self,
        endpoint: &Endpoint,
        deadline: Instant,
    ) -> Result<Line, Failure> {
        let deadline = deadline.min(Instant::now() + self.timeout);
        let reaching = timeout_at(deadline, self.reach(endpoint));
        let stream = reaching.await.unwrap_or(Err(Failure::Connect))?;
        if !endpoint.is_tls() {
            return Ok(Line::new(stream));
        }
        // Someone is there, who says nothing.
        let securing = timeout_at(deadline, self.secure(stream, endpoint.host()));
        let stream = securing.await.unwrap_or(Err(Failure::Silence))?;
        Ok(Line::new(stream))
    }

    /// Bytes to and from the endpoint.
    async fn reach(&self, endpoint: &Endpoint) -> Result<Box<dyn Stream>, Failure> {
        let Some(proxy) = &self.proxy else {
            return Ok(Box::new(self.reach_guarded(endpoint).await?));
        };
        let mut addresses = self.addresses(proxy.host()).await;
        addresses.truncate(MAX_PROXY_ADDRESSES);
        let addresses = addresses.into_iter().map(|address| (address, proxy.port()).into());
        let tcp = dial(addresses.collect()).await.map_err(|error| {
            debug!(%error, "the proxy of webhooks cannot be reached");
            Failure::Connect
        })?;
        let stream: Box<dyn Stream> = if proxy.is_tls() {
            self.secure(Box::new(tcp), proxy.host()).await.map_err(|failure| {
                debug!(%failure, "no encrypted connection to the proxy of webhooks");
                Failure::Connect
            })?
        } else {
            Box::new(tcp)
        };
        proxy.open(stream, endpoint).await.map_err(|error| {
            debug!(%error, "the proxy of webhooks opens no way");
            Failure::Connect
        })
    }

    /// A connection to an address of the endpoint that may be reached.
    async fn reach_guarded(&self, endpoint: &Endpoint) -> Result<TcpStream, Failure> {
        let found = self.addresses(endpoint.host()).await;
        let chosen = self.guard.choose(found, endpoint.port()).inspect_err(|denied| {
            debug!(?endpoint, class = ?denied.class, "no address of an endpoint may be reached");
        })?;
        let stream = dial(chosen).await.map_err(|_| Failure::Connect)?;
        let peer = stream.peer_addr().map_err(|_| Failure::Broken)?;
        self.guard.check(peer)?;
        Ok(stream)
    }

    async fn addresses(&self, host: &Host) -> Vec<IpAddr> {
        match host {
            Host::Name(name) => self.resolve.resolve(name).await,
            Host::Address(address) => vec![*address],
        }
    }

    /// TLS with a host.
    async fn secure(
        &self,
        stream: Box<dyn Stream>,
        host: &Host,
    ) -> Result<Box<dyn Stream>, Failure> {
        let name = match host {
            Host::Address(address) => ServerName::IpAddress((*address).into()),
            Host::Name(name) => {
                let name = DnsName::try_from(name.clone()).map_err(|_| Failure::Address)?;
                ServerName::DnsName(name)
            }
        };
        let connecting = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream);
        match connecting.await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(Failure::of_io(&error)),
        }
    }
}

/// Connects to the first of the addresses that answers.
async fn dial(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut left = addresses.into_iter();
    let mut trying = FuturesUnordered::new();
    let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = left.next() {
            trying.push(TcpStream::connect(address));
        }
        if trying.is_empty() {
            return Err(error);
        }
        let is_last = left.len() == 0;
        tokio::select! {
            Some(connected) = trying.next() => match connected {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(failed) => error = failed,
            },
            () = sleep(HEAD_START), if !is_last => {}
        }
    }
}
