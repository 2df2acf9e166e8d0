//! One attempt at a batch: what goes out, and what comes of it.
//!
//! [`Transport`] is the seam between what decides (when, which events, signed how) and what has
//! sockets: the client of this crate, or a double in tests.
//!
//! Invariant: a transport decides nothing about a batch. It may make the attempt twice only where
//! not one byte of an answer came on a connection that had been idle.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outflow_model::{IntegrationId, ProjectId};

use crate::guard::Endpoint;
use crate::outcome::Outcome;
use crate::wire::{Encoding, Field, Headers};

/// Where an endpoint's requests go: what all of its attempts have in common until its settings
/// change.
#[derive(Debug)]
pub struct Target {
    /// Whose it is. Endpoints of different projects share no connection.
    pub project: ProjectId,
    /// Which of the project's.
    pub integration: IntegrationId,
    /// The URL.
    pub endpoint: Endpoint,
    /// What the customer adds.
    pub headers: Headers,
}

/// A request to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where to.
    pub target: Arc<Target>,
    /// What the server adds to the customer's headers: the signature.
    pub fields: Vec<Field>,
    /// How `body` is packed.
    pub encoding: Encoding,
    /// The body as it is sent.
    pub body: Bytes,
    /// How long the whole attempt may last, from the look-up of the name to the answer's head.
    pub timeout: Duration,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What it means for the batch.
    pub outcome: Outcome,
    /// The answer's status; `None`: there was no answer.
    pub status: Option<u16>,
    /// The beginning of the answer's body, up to
    /// [`Limits::excerpt_bytes`](crate::wire::answer::Limits::excerpt_bytes); empty without an answer.
    pub excerpt: Bytes,
    /// How long it took.
    pub took: Duration,
}

/// An attempt under way. Dropping it ends it.
pub type Attempting = Pin<Box<dyn Future<Output = Attempt> + Send>>;

/// Sends requests. See the module.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Makes one attempt, which ends by itself soon after the request's timeout. Nothing happens
    /// before it is polled.
    fn attempt(&self, request: Request) -> Attempting;
}
