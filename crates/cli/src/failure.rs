//! Why a command failed, in the user's words, and the exit code that tells a script.
//!
//! Made by every command; shown and turned into an exit code in [`crate::run`] alone.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line or the environment asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// What the user gave to send cannot be sent.
    #[error("{0}")]
    Input(String),
    /// The server did not answer, or the connection broke. Trying again may help.
    #[error("cannot reach {server}: {reason}")]
    Unreachable {
        /// The server's address as given.
        server: String,
        /// What the connection ran into.
        reason: String,
    },
    /// The server answered with an error.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The server's answer cannot be understood.
    #[error("the server's answer cannot be understood: {0}")]
    Answer(String),
    /// Events are missing from what was printed, because they are damaged on the server.
    #[error("{places} damaged place(s) passed over: events are missing; see `outflow verify`")]
    Damaged {
        /// How many places.
        places: u64,
    },
    /// Standard output or a file failed.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// A server's error answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.text())]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, in the server's words.
    pub detail: String,
    /// Where: JSON pointers or members with their own explanation.
    pub places: Vec<String>,
    /// The 1-based line of an NDJSON body that is at fault.
    pub line: Option<u64>,
    /// What to name when asking the operator.
    pub request_id: Option<String>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Reads an `application/problem+json` body; anything else becomes the detail as it is.
    pub(crate) fn read(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let errors = problem.get("errors").and_then(Value::as_array);
        let places = errors.into_iter().flatten().filter_map(|error| {
            let pointer = error.get("pointer").and_then(Value::as_str).unwrap_or_default();
            let detail = error.get("detail").and_then(Value::as_str)?;
            Some(if pointer.is_empty() {
                detail.to_owned()
            } else {
                format!("{pointer}: {detail}")
            })
        });
        let line = errors.into_iter().flatten().find_map(|error| error.get("line")?.as_u64());
        let detail =
            text(problem.get("detail")).or_else(|| text(problem.get("title"))).unwrap_or_else(
                || String::from_utf8_lossy(body.get(..200).unwrap_or(body)).into_owned(),
            );
        let request_id = text(problem.get("request_id"));
        Self { status, detail, places: places.collect(), line, request_id, retry_after }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.status, 402 | 408 | 429 | 500 | 502..=504)
    }

    fn text(&self) -> String {
        let mut text = format!("{} (status {})", self.detail, self.status);
        for place in self.places.iter().filter(|place| **place != self.detail) {
            text.push_str("\n  ");
            text.push_str(place);
        }
        if let Some(id) = &self.request_id {
            text.push_str("\n  request ");
            text.push_str(id);
        }
        text
    }
}

impl Failure {
    /// The documented exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            // The reader went away, as in `outflow tail | head`: nothing failed.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Input(_) | Self::Answer(_) | Self::Damaged { .. } | Self::Output(_) => 1,
            Self::Usage(_) => 2,
            Self::Missing(_) => 4,
            Self::Refused(refusal) => match refusal.status {
                401 | 403 => 3,
                404 => 4,
                _ if refusal.is_retryable() => 5,
                _ => 1,
            },
            Self::Unreachable { .. } => 5,
        })
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(refusal) => refusal.is_retryable(),
            Self::Usage(_)
            | Self::Missing(_)
            | Self::Input(_)
            | Self::Answer(_)
            | Self::Damaged { .. }
            | Self::Output(_) => false,
        }
    }

    /// How long the server asked to wait, if it did.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            Self::Usage(_)
            | Self::Missing(_)
            | Self::Input(_)
            | Self::Unreachable { .. }
            | Self::Answer(_)
            | Self::Damaged { .. }
            | Self::Output(_) => None,
        }
    }
}
