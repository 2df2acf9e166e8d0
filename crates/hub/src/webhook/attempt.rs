//! What came of the requests that an endpoint was sent, as it is asked for and told.
//!
//! The face writes and reads the log of it, a stream; `admin` shows it.

use bytes::Bytes;
use outflow_model::{Offset, Timestamp};

/// Which attempts are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptQuery {
    /// What came of them; `None`: whatever.
    pub status: Option<AttemptStatus>,
    /// Those since then.
    pub since: Option<Timestamp>,
    /// Those before this place in the log: where the page before ended.
    pub before: Option<Offset>,
    /// How many at most.
    pub limit: usize,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptStatus {
    /// The endpoint took it.
    Taken,
    /// It did not.
    Failed,
    /// It did not, and is tried again.
    Again,
    /// It never will: the events were parked.
    Refused,
    /// It is gone, and was disabled.
    Gone,
    /// The answer had this status.
    Answered(u16),
}

impl AttemptStatus {
    /// The words for those that have one.
    const WORDS: [(&str, Self); 5] = [
        ("taken", Self::Taken),
        ("failed", Self::Failed),
        ("again", Self::Again),
        ("refused", Self::Refused),
        ("gone", Self::Gone),
    ];

    /// The one of this word or number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let word = Self::WORDS.into_iter().find(|(word, _)| *word == text);
        let number = || text.parse().ok().filter(|code| (100..=599).contains(code));
        word.map(|(_, status)| status).or_else(|| number().map(Self::Answered))
    }

    /// Whether an attempt is one of these: by the word of its outcome, and the answer's status.
    #[must_use]
    pub fn is_of(self, outcome: &str, answered: Option<u16>) -> bool {
        match self {
            Self::Failed => outcome != "taken",
            Self::Answered(code) => answered == Some(code),
            Self::Taken | Self::Again | Self::Refused | Self::Gone => {
                Self::WORDS.contains(&(outcome, self))
            }
        }
    }
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAttempt {
    /// Its place in the log.
    pub at: Offset,
    /// When it ended.
    pub ended: Timestamp,
    /// The message's id, the same at each attempt.
    pub message: String,
    /// The events: each the first and the last offset of a run without a gap, in the message's order.
    pub runs: Vec<(Offset, Offset)>,
    /// The first at a message is 1.
    pub number: u32,
    /// `taken`, `again`, `refused` or `gone`.
    pub outcome: String,
    /// The answer's status; `None`: there was none.
    pub status: Option<u16>,
    /// Why there was none, as a sentence.
    pub failure: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The beginning of the answer's body.
    pub excerpt: Bytes,
    /// When the next attempt was to be made.
    pub next_attempt: Option<Timestamp>,
    /// How many of its kind, taken or not, were not told of before it.
    pub left_out: u64,
}

/// Some attempts, the last one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptPage {
    /// The attempts. They may be fewer than were asked for, or none, though there are more.
    pub attempts: Vec<WebhookAttempt>,
    /// The place before which to ask for the next page; `None`: there is none.
    pub next: Option<Offset>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_chosen_by_word_and_by_status() {
        for (text, outcome, answered, is_one) in [
            ("taken", "taken", Some(200), true),
            ("taken", "again", Some(500), false),
            ("failed", "refused", Some(400), true),
            ("failed", "again", None, true),
            ("failed", "taken", Some(200), false),
            ("gone", "gone", Some(410), true),
            ("503", "again", Some(503), true),
            ("503", "again", None, false),
        ] {
            let status = AttemptStatus::parse(text).unwrap();
            assert_eq!(status.is_of(outcome, answered), is_one, "{text} of {outcome}");
        }
        for none in ["", "Taken", "99", "600", "2xx", "0503 "] {
            assert_eq!(AttemptStatus::parse(none), None, "{none}");
        }
    }
}
