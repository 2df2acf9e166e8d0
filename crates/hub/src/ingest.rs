//! Ingest streams: those that upstream systems write single records to, through a door of its own.
//!
//! Named by [`StreamSettings::ingest`](crate::StreamSettings): a stream is one or it is not, and
//! has one kind of payload (seed 002, "A stream may only be one payload type").

/// What an ingest stream takes, and whether it does just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    /// For people, up to 128 bytes.
    pub name: String,
    /// The one kind of payload.
    pub format: IngestFormat,
    /// What happens to what comes.
    pub mode: IngestMode,
}

/// A kind of payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngestFormat {
    /// One JSON value a request; lands as NDJSON.
    Json,
    /// One XML document a request, checked when it lands; lands as CBOR.
    Xml,
}

impl IngestFormat {
    /// The word for it, as stored and shown: `json`, `xml`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Xml => "xml",
        }
    }

    /// Reads [`IngestFormat::as_str`]'s word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Json, Self::Xml].into_iter().find(|one| one.as_str() == word)
    }
}

/// What happens to what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IngestMode {
    /// It is stored.
    #[default]
    Active,
    /// It is answered well and thrown away.
    Drop,
    /// It is refused.
    Reject,
}

impl IngestMode {
    /// The word for it, as stored and shown: `active`, `drop`, `reject`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Drop => "drop",
            Self::Reject => "reject",
        }
    }

    /// Reads [`IngestMode::as_str`]'s word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Drop, Self::Reject].into_iter().find(|one| one.as_str() == word)
    }
}
