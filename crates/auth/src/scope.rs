//! Scopes: what an API key and its access tokens are for, in the words of OAuth 2.0.

use std::collections::BTreeSet;
use std::fmt;

use outflow_model::Action;

/// What an access token lets its holder do. A token has the scopes of its key, or fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Write to the project's ingest streams.
    IngestWrite,
    /// Read the project's change and load feeds.
    FeedRead,
    /// Read events of any of the key's streams.
    EventsRead,
    /// Publish events to any of the key's streams.
    EventsPublish,
}

impl Scope {
    /// All there are.
    pub const ALL: [Self; 4] =
        [Self::IngestWrite, Self::FeedRead, Self::EventsRead, Self::EventsPublish];

    /// The word for it, as stored, shown and signed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IngestWrite => "streaming-ingest:write",
            Self::FeedRead => "feed:read",
            Self::EventsRead => "events:read",
            Self::EventsPublish => "events:publish",
        }
    }

    /// Reads [`Scope::as_str`]'s word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    /// What its holder may do.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::IngestWrite => Action::Ingest,
            Self::FeedRead => Action::Feed,
            Self::EventsRead => Action::Read,
            Self::EventsPublish => Action::Publish,
        }
    }

    /// Reads words with single spaces between them (RFC 6749 3.3). `None` when there is none, or one
    /// that is not a scope.
    #[must_use]
    pub fn parse_all(text: &str) -> Option<BTreeSet<Self>> {
        text.split(' ').map(Self::parse).collect()
    }

    /// Writes what [`Scope::parse_all`] reads.
    #[must_use]
    pub fn join(scopes: &BTreeSet<Self>) -> String {
        scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        let all = BTreeSet::from(Scope::ALL);
        assert_eq!(Scope::parse_all(&Scope::join(&all)), Some(all));
        for wrong in ["", " ", "feed:read ", "feed:read  events:read", "FEED:READ", "admin"] {
            assert_eq!(Scope::parse_all(wrong), None, "{wrong:?}");
        }
    }
}
