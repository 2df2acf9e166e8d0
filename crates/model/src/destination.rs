//! Patterns of destinations: queues and topics by name, as message brokers have them.
//!
//! Held by grants, checked by the hub. Elements of a name are separated by `.`; `*` stands for one
//! element, a final `>` for any number of them, none included (reference `activemq.md` a3).

use std::fmt;
use std::sync::Arc;

/// The longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 255;

/// The two kinds of destinations that outlive a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DestinationKind {
    /// Each event goes to one of its consumers.
    Queue,
    /// Each event goes to all of its subscribers.
    Topic,
}

/// Why a pattern was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is empty or too long.
    #[error("a pattern has 1 to {MAX_PATTERN_BYTES} characters")]
    Length,
    /// An element is empty, or `>` stands before the end.
    #[error("`>` may only be the last element, and no element may be empty")]
    Element,
    /// It has a character that no name has.
    #[error("a pattern has no control characters, spaces, commas or `?`")]
    Character,
}

/// Destinations by wildcard: `queue://…` or `topic://…`; without either it means queues.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationPattern {
    kind: DestinationKind,
    path: Arc<str>,
}

impl DestinationPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (kind, path) = match (text.strip_prefix("queue://"), text.strip_prefix("topic://")) {
            (Some(path), _) => (DestinationKind::Queue, path),
            (None, Some(path)) => (DestinationKind::Topic, path),
            (None, None) => (DestinationKind::Queue, text),
        };
        if path.is_empty() || path.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::Length);
        }
        let is_foreign = |c: char| c.is_control() || matches!(c, ' ' | ',' | '?');
        if path.contains(is_foreign) {
            return Err(PatternError::Character);
        }
        let mut elements = path.split('.').rev();
        if elements.next().is_none_or(str::is_empty)
            || elements.any(|element| matches!(element, "" | ">"))
        {
            return Err(PatternError::Element);
        }
        Ok(Self { kind, path: path.into() })
    }

    /// Which destinations it means.
    #[must_use]
    pub const fn kind(&self) -> DestinationKind {
        self.kind
    }

    /// Whether it accepts every destination of this kind that `name`, itself a name or a path with
    /// wildcards, stands for.
    #[must_use]
    pub fn covers(&self, kind: DestinationKind, name: &str) -> bool {
        kind == self.kind && covers(&self.path, name)
    }
}

/// Whether every name that `wanted` stands for is one that `pattern` stands for.
#[must_use]
pub fn covers(pattern: &str, wanted: &str) -> bool {
    let mut wanted = wanted.split('.');
    for element in pattern.split('.') {
        match (element, wanted.next()) {
            (">", _) => return true,
            // `a.>` stands for `a` and for `a.b.c`: only another `>` takes in all of them.
            (_, None | Some(">")) => return false,
            ("*", Some(_)) => {}
            (exact, Some(wanted)) => {
                if exact != wanted {
                    return false;
                }
            }
        }
    }
    wanted.next().is_none()
}

impl fmt::Display for DestinationPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DestinationKind::Queue => "queue",
            DestinationKind::Topic => "topic",
        };
        write!(f, "{kind}://{}", self.path)
    }
}
