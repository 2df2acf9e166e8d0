//! What each call does, by noun: [`subscribers`], [`subscriptions`], [`messages`] and [`topics`].
//!
//! Called by `listen` with a [`Caller`]; calls the hub. Knows nothing of HTTP but statuses.
//!
//! Invariants: a subscriber or topic that is not the caller's is answered as one that does not
//! exist; what is confirmed is durable before its answer; a Peek that waits holds a place among
//! `max_parked` and no thread.

mod confirmed;
mod messages;
mod span;
mod subscribers;
mod subscriptions;
mod topics;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use outflow_auth::Auth;
use outflow_body::Door;
use outflow_face::Drain;
use outflow_hub::Hub;
use outflow_model::{Action, ErrorCode};
use serde::Serialize;

use crate::authenticate::Caller;
use crate::config::Options;
use crate::error::Refusal;
use crate::metrics::Metrics;
use crate::wire::{Call, Grammar};
pub(crate) use confirmed::Confirmed;
pub(crate) use turns::Turns;

/// What the calls share.
#[derive(Debug)]
pub struct Face {
    pub(crate) hub: Hub,
    pub(crate) auth: Auth,
    pub(crate) options: Options,
    /// What bodies hold while they are read and stored.
    pub(crate) door: Arc<Door>,
    pub(crate) drain: Drain,
    pub(crate) metrics: Metrics,
    pub(crate) parked: AtomicUsize,
    pub(crate) turns: Turns,
    pub(crate) confirmed: Confirmed,
}

/// A good answer: a JSON object, or nothing.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// The object as text; `None` for an answer without a body.
    pub body: Option<String>,
}

impl Answer {
    fn ok(body: &impl Serialize) -> Result<Self, Refusal> {
        Self::with(StatusCode::OK, body)
    }

    fn with(status: StatusCode, body: &impl Serialize) -> Result<Self, Refusal> {
        let text = serde_json::to_string(body).map_err(|error| {
            tracing::error!(%error, "an answer could not be written");
            Refusal::new(ErrorCode::Internal, "the answer could not be written")
        })?;
        Ok(Self { status, body: Some(text) })
    }
}

impl Face {
    /// Does what is asked, but for publishing, which has a body.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn perform(
        &self,
        caller: &Caller,
        grammar: Grammar,
        call: Call,
    ) -> Result<Answer, Refusal> {
        match call {
            Call::Register { name } => self.register(caller, grammar, name).await,
            Call::Unregister { subscriber } => self.unregister(caller, subscriber).await,
            Call::Subscribe { subscriber, topic, strict } => {
                self.subscribe(caller, grammar, subscriber, &topic, strict).await
            }
            Call::Unsubscribe { subscriber, topic } => {
                self.unsubscribe(caller, subscriber, &topic).await
            }
            Call::ViewSubscriptions { subscriber } => {
                self.view_subscriptions(caller, subscriber).await
            }
            Call::ViewTopics { company } => self.view_topics(caller, company.as_deref()),
            Call::Peek { subscriber, timeout } => self.peek(caller, subscriber, timeout).await,
            Call::Take { subscriber, timeout, lock_timeout } => {
                self.take(caller, subscriber, timeout, lock_timeout).await
            }
            Call::Receive { subscriber, message, lock_timeout } => {
                self.receive(caller, subscriber, message, lock_timeout).await
            }
            Call::Confirm { subscriber, message, lock } => {
                self.confirm(caller, subscriber, message, lock).await
            }
            Call::Renew { subscriber, message, lock, lock_timeout } => {
                self.renew(caller, subscriber, message, lock, lock_timeout).await
            }
            Call::Release { subscriber, message, lock } => {
                self.release(caller, subscriber, message, lock).await
            }
            // These two do not come here: they need a body, or no caller.
            Call::Publish { .. } | Call::Describe => Err(Refusal::missing("call")),
        }
    }

    /// Takes a place among the Peeks that wait, until it is dropped.
    fn park(&self) -> Result<Parked<'_>, Refusal> {
        let parked = Parked(self);
        self.metrics.parked.inc();
        if self.parked.fetch_add(1, Ordering::Relaxed) >= self.options.max_parked {
            let detail = "as many Peeks wait as may; ask again in a while";
            return Err(Refusal::new(ErrorCode::Unavailable, detail));
        }
        Ok(parked)
    }
}

/// A place among the Peeks that wait.
struct Parked<'a>(&'a Face);

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.parked.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.parked.dec();
    }
}

fn may_read(caller: &Caller) -> Result<(), Refusal> {
    if caller.grant.allows(Action::Read, &caller.project) {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::Forbidden, "the credential does not allow reading events"))
}

const fn created(is_created: bool) -> StatusCode {
    if is_created { StatusCode::CREATED } else { StatusCode::OK }
}
