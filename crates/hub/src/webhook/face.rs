//! What the webhook face does for those who configure endpoints, and what it answers.
//!
//! Implemented by the face, which puts itself where [`Webhooks`] says; called by `admin`, and by the
//! hub when an endpoint's place was moved.

use std::fmt::Debug;
use std::pin::Pin;

use bytes::Bytes;
use outflow_model::{ErrorCode, Offset, Timestamp};

use super::attempt::{AttemptPage, AttemptQuery};
use super::{Webhook, WebhookId};

/// What is wrong with a webhook, and where: a JSON pointer into its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookFault {
    /// Such as `/url`.
    pub pointer: String,
    /// In lower case.
    pub reason: String,
}

/// How an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookStatus {
    /// `active`, `failing`, `paused` or `disabled`.
    pub state: &'static str,
    /// Since when every attempt has failed.
    pub failing_since: Option<Timestamp>,
    /// How often it has failed since then.
    pub failures: u32,
    /// When the next attempt is made, while it waits for one.
    pub next_attempt: Option<Timestamp>,
    /// Why it is disabled, and since when.
    pub disabled: Option<(String, Timestamp)>,
}

/// What came of one request that an operator asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// Whether the endpoint took it.
    pub taken: bool,
    /// The answer's status; `None`: there was none.
    pub status: Option<u16>,
    /// Why there was none: a sentence for who configured the endpoint.
    pub failure: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The beginning of the answer's body.
    pub excerpt: Bytes,
}

/// Why the face did not do what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// There is no such endpoint.
    #[error("there is no such webhook")]
    NotFound,
    /// It was asked too often.
    #[error("a webhook is sent at most {max} requests a minute by hand; try again in {seconds} s")]
    TooOften {
        /// The limit.
        max: u32,
        /// After how many seconds one more may be asked for.
        seconds: u32,
    },
    /// As many requests are under way as may be, in all, of its project or at its host.
    #[error("as many requests to webhooks are under way as may be; try again in some seconds")]
    Crowded,
    /// There was no such message, or it cannot be sent again as it was: attempts are kept for a time
    /// only, and so are events; and what the endpoint may be sent may have changed.
    #[error("there is no such message, or not all of its events may be sent any more")]
    NoMessage,
    /// It is stopping, or has too much to do.
    #[error("webhooks are not served just now; try again")]
    Unavailable,
}

impl WebhookError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::NoMessage => ErrorCode::Malformed,
            Self::TooOften { .. } => ErrorCode::RateLimited,
            Self::Crowded | Self::Unavailable => ErrorCode::Unavailable,
        }
    }
}

/// What requests are signed with, in the style of Standard Webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookKey {
    /// A secret that both sides know (`v1`).
    Hmac,
    /// A pair, whose public half the receivers have (`v1a`).
    Ed25519,
}

impl WebhookKey {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Hmac, Self::Ed25519];

    /// The word for it in settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hmac => "hmac",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str() == word)
    }
}

/// An answer of the face, under way.
pub type Asking<'a, T> = Pin<Box<dyn Future<Output = Result<T, WebhookError>> + Send + 'a>>;

/// What the face does for those who configure endpoints.
pub trait Webhooks: Debug + Send + Sync + 'static {
    /// Whether it can send as these settings say, with these headers and in this style.
    ///
    /// # Errors
    /// [`WebhookFault`].
    fn check(&self, webhook: &Webhook, headers: &[(String, String)]) -> Result<(), WebhookFault>;

    /// A new secret for the style, or the given one if it can be one; of this kind, if one is named.
    /// The text is a secret.
    ///
    /// # Errors
    /// [`WebhookFault`].
    fn secret(
        &self,
        style: &str,
        key: Option<WebhookKey>,
        given: Option<&str>,
    ) -> Result<String, WebhookFault>;

    /// What receivers verify with where that is no secret: `whpk_` and the public half of an Ed25519
    /// key; `None`: it is the secret itself.
    fn public_key(&self, style: &str, secret: &str) -> Option<String>;

    /// The endpoint was made, changed or removed. `anew`: also what was disabled begins again.
    fn changed<'a>(&'a self, id: &'a WebhookId, anew: bool) -> Asking<'a, ()>;

    /// Makes what tells of an endpoint that may be made later: it is read before there is one.
    fn prepare<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, ()>;

    /// The endpoint's place is about to be moved: ready once nothing of it is taken, before
    /// [`Self::moved`] or [`Self::reopened`] is heard.
    fn moving<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, ()>;

    /// Events of the endpoint come again that it had done with: all from there on, whether it took them or
    /// not, and others.
    fn reopened<'a>(&'a self, id: &'a WebhookId, from: Offset) -> Asking<'a, ()>;

    /// The endpoint's place was moved: nothing is left of what it had.
    fn moved<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, ()>;

    /// The next attempt is now.
    fn retry<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, ()>;

    /// How it is.
    fn status<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, WebhookStatus>;

    /// What came of the requests that it was sent, the last one first.
    fn attempts<'a>(&'a self, id: &'a WebhookId, query: AttemptQuery) -> Asking<'a, AttemptPage>;

    /// Sends a message once more as it was sent, by its id, past all that waits.
    fn resend<'a>(&'a self, id: &'a WebhookId, message: &'a str) -> Asking<'a, WebhookAnswer>;

    /// Sends a made-up event, past all that waits.
    fn test<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, WebhookAnswer>;
}
