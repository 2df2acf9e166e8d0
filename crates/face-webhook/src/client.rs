//! The outgoing client: one request to an endpoint, and its answer.
//!
//! Called for each attempt, by whoever made the batch and signed it. [`connect`] finds the way to an endpoint:
//! name, addresses, the guard, the connection, TLS; [`proxy`] the way through an operator's proxy;
//! [`exchange`] sends the request and reads the answer; [`pool`] keeps connections between requests, [`rest`] those
//! on which an endpoint may still read; [`tls`] says whom is trusted.
//!
//! HTTP/1.1 of our own over [`wire`](crate::wire): a library would fold the names of headers and read
//! what an endpoint sends for as long as it sends.
//!
//! Invariants: what is connected to is an address that the guard let through, or the operator's proxy; an
//! attempt ends within its time, whatever the endpoint does; redirects are answers and nothing is
//! unpacked; connections are shared within a project only; an idle connection has no task.

mod connect;
mod exchange;
mod line;
mod pool;
pub mod proxy;
mod rest;
pub mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outflow_model::Clock;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};

use crate::attempt::{Attempt, Attempting, Request, Transport};
use crate::guard::Guard;
use crate::outcome::{Failure, Outcome};
use crate::resolve::Resolve;
use crate::wire::answer::Limits;
use crate::wire::{Answer, Head};

use connect::Connector;
use exchange::{Broken, Left, Message};
use line::Line;
use pool::{Key, Pool};
pub use proxy::Proxy;
use rest::Rests;

/// Room for the head of most requests.
const HEAD_BYTES: usize = 1_024;

/// What a client is made of.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Whom requests may be sent to.
    pub guard: Arc<Guard>,
    /// Who looks names up.
    pub resolve: Arc<dyn Resolve>,
    /// Whom is trusted; see [`tls`].
    pub tls: Arc<ClientConfig>,
    /// What dates in answers count from.
    pub clock: Arc<dyn Clock>,
    /// What all requests go through; the guard then sees URLs only, since the proxy looks names up.
    pub proxy: Option<Proxy>,
    /// The longest time until there is a connection, the look-up of the name and TLS included.
    pub connect_timeout: Duration,
    /// How long a body may go on after its head has said what became of the batch.
    pub body_timeout: Duration,
    /// How long connections are kept without a request.
    pub idle_timeout: Duration,
    /// The most idle connections in all.
    pub max_idle: usize,
    /// How much of an answer is read.
    pub answer: Limits,
}

impl ClientOptions {
    /// Those of a server with these parts.
    #[must_use]
    pub fn new(
        guard: Arc<Guard>,
        resolve: Arc<dyn Resolve>,
        tls: Arc<ClientConfig>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            guard,
            resolve,
            tls,
            clock,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(30),
            max_idle: 1_000,
            answer: Limits::default(),
        }
    }
}

/// Sends requests. Clones share their connections. See the module.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    connector: Connector,
    pool: Arc<Pool>,
    rests: Arc<Rests>,
    clock: Arc<dyn Clock>,
    body_timeout: Duration,
    answer: Limits,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({} idle)", self.idle())
    }
}

impl Client {
    /// A client without connections.
    #[must_use]
    pub fn new(options: ClientOptions) -> Self {
        let pool = Pool::new(options.max_idle, options.idle_timeout);
        let (body_timeout, answer) = (options.body_timeout, options.answer);
        let clock = Arc::clone(&options.clock);
        let connector = Connector::new(options);
        let rests = Arc::default();
        Self(Arc::new(Inner { connector, pool, rests, clock, body_timeout, answer }))
    }

    /// How many connections are kept that nobody uses.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.0.pool.len()
    }

    /// Sends a request and gives the answer, of whatever status.
    ///
    /// A kept connection that turns out to have ended before anything came back on it is replaced
    /// once: endpoints close idle connections at any time, and that is no failure. The endpoint
    /// may then get the batch twice, as after any lost answer.
    ///
    /// # Errors
    /// [`Failure`], fit for the endpoint's owner to read: there is no answer.
    pub async fn post(&self, request: &Request) -> Result<Answer, Failure> {
        let inner = &self.0;
        let deadline = Instant::now() + request.timeout;
        let target = &*request.target;
        let key = Key::new(&target.project, &target.endpoint);
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let Request { fields, encoding, body, .. } = request;
        let (endpoint, headers) = (&target.endpoint, &target.headers);
        Head { endpoint, headers, fields, encoding: *encoding, body_bytes: body.len() }
            .write(&mut head);
        let message = Message { head: &head, body };
        if let Some(line) = inner.pool.take(&key) {
            match inner.exchange(line, &key, message, deadline).await {
                Err(Broken { failure: Failure::Broken, is_silent: true }) => {}
                done => return done.map_err(|broken| broken.failure),
            }
        }
        let connecting = timeout_at(deadline, inner.connector.connect(endpoint, deadline));
        let line = connecting.await.unwrap_or(Err(Failure::Silence))?;
        let done = inner.exchange(line, &key, message, deadline).await;
        done.map_err(|broken| broken.failure)
    }
}

impl Inner {
    /// One request on one connection, which is kept if it can be used again.
    async fn exchange(
        &self,
        line: Line,
        key: &Key,
        message: Message<'_>,
        deadline: Instant,
    ) -> Result<Answer, Broken> {
        let times = exchange::Times { deadline, body: self.body_timeout };
        let (answer, left) = exchange::exchange(line, message, self.answer, times).await?;
        match left {
            Left::Nothing => {}
            Left::Line(line) => self.pool.keep(key.clone(), line),
            Left::Rest(rest) => self.rests.keep(key.project(), rest, deadline).await,
        }
        Ok(answer)
    }
}

impl Transport for Client {
    fn attempt(&self, request: Request) -> Attempting {
        let client = self.clone();
        Box::pin(async move {
            let begun = Instant::now();
            let done = client.post(&request).await;
            let took = begun.elapsed();
            match done {
                Ok(answer) => Attempt {
                    outcome: Outcome::of(&answer, client.0.clock.now()),
                    status: Some(answer.status),
                    excerpt: answer.excerpt.into(),
                    took,
                },
                Err(failure) => Attempt {
                    outcome: Outcome::of_failure(failure),
                    status: failure.status(),
                    excerpt: Bytes::new(),
                    took,
                },
            }
        })
    }
}
