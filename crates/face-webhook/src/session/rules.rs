//! What an endpoint's settings say of its session, and why one is over.
//!
//! Made of the settings by the post.

use std::time::Duration;

use crate::schedule::Schedule;
use crate::wire::BatchSize;

/// What an endpoint's settings say of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How many events a request has at most.
    pub size: BatchSize,
    /// How many bytes of lines, but for one event.
    pub max_bytes: usize,
    /// How many requests may be under way; above 1 only with lanes by key.
    pub lanes: usize,
    /// Whether each key is a lane.
    pub by_key: bool,
    /// How many events wait at most behind those of their key, with lanes by key.
    pub max_apart: usize,
    /// About how many bytes of events are in memory before no more are taken: two batches at least.
    pub max_held_bytes: usize,
    /// When to try again.
    pub schedule: Schedule,
    /// After how long of failure only the endpoint is disabled.
    pub disable_after: Duration,
    /// Whether nothing is sent for now.
    pub is_paused: bool,
}

/// Why nothing is sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disabled {
    /// The endpoint said so (410).
    Gone,
    /// It has failed for as long as is allowed.
    Failing,
}

impl Disabled {
    /// The word for it in what is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    /// The reason of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Gone, Self::Failing].into_iter().find(|one| one.as_str() == word)
    }
}
