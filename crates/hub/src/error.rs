//! What can go wrong, whose fault it is, and whether to try again.

use outflow_model::ErrorCode;

/// Why the hub could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The engine could not give the catalog.
    #[error("the catalog cannot be read: {0}")]
    Unavailable(String),
    /// The catalog cannot be understood: damaged, or written by a newer version.
    #[error("the catalog cannot be understood: {0}")]
    Corrupt(String),
}

/// Why the catalog or a cursor was not read or changed. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// There is no such thing, or it is someone else's.
    #[error("not found")]
    NotFound,
    /// The name is taken.
    #[error("the name is taken")]
    Exists,
    /// The request breaks a rule, for the caller's eyes.
    #[error("{0}")]
    Invalid(String),
    /// There are as many as there may be.
    #[error("there may be at most {max} of these; delete one first")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// The stream holds events that have not landed in a file.
    #[error(
        "ingest stream `{stream}` holds events that have not landed: {}",
        if *.lands { "try again, or force it, which drops them" }
        else { "landing is off, so force it, which drops them" }
    )]
    NotLanded {
        /// The stream.
        stream: String,
        /// Whether streams land at all: then it is worth another try.
        lands: bool,
    },
    /// Someone changed it at the same moment: look again.
    #[error("it was changed at the same time; look again")]
    Conflict,
    /// The engine did not take the change: try again. The text is for the log.
    #[error("the catalog cannot be read or changed just now")]
    Unavailable(String),
}

impl CatalogError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::Exists
            | Self::TooMany { .. }
            | Self::Conflict
            | Self::NotLanded { lands: false, .. } => ErrorCode::Conflict,
            Self::Invalid(_) => ErrorCode::Malformed,
            Self::Unavailable(_) | Self::NotLanded { lands: true, .. } => ErrorCode::Unavailable,
        }
    }
}

/// Why a draft was not published. Unless it says so, nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no such stream, or it is someone else's.
    #[error("no such stream")]
    NotFound,
    /// The credential may not publish here.
    #[error("the credential may not publish to this stream")]
    Forbidden,
    /// The draft is larger than all that may wait at once.
    #[error("the batch is larger than {max} bytes; send it in parts")]
    TooLarge {
        /// The limit, in bytes of rendered events.
        max: usize,
    },
    /// The engine cannot store such a batch at all: send it in parts.
    #[error("the batch cannot be stored: {0}")]
    Refused(&'static str),
    /// Too much is waiting, or the disk is full: try again. The text is for the log.
    #[error("events cannot be taken just now; try again")]
    Unavailable(String),
    /// The stream has used up its offsets.
    #[error("the stream has no offsets left; create another")]
    Exhausted,
    /// An event of a keyed stream is no change of one of its entities.
    #[error("event {index} at `{place}`: {reason}")]
    Entity {
        /// Which event of the draft, from 0.
        index: usize,
        /// JSON pointer into the event.
        place: String,
        /// What is wrong there.
        reason: String,
    },
    /// An event would make an entity of a keyed stream larger than its state may be.
    #[error("event {index}: the entity would have more than {max} bytes")]
    EntityTooLarge {
        /// Which event of the draft, from 0.
        index: usize,
        /// The limit, in bytes of the state.
        max: usize,
    },
    /// The stream is keyed, and the events come by a way that does not tell changes of entities, or
    /// it was made keyed at this moment.
    #[error("the stream is keyed: events are published to it by themselves, not in a transaction")]
    Keyed,
    /// The stream is an ingest stream, which takes records by its own way only: what they are and
    /// whether they are taken is checked there.
    #[error("the stream is an ingest stream: its records come in by streaming ingest only")]
    Ingest,
    /// The engine stopped; whether the events are there is decided when it starts again. Publish
    /// again with the same ids. The text is for the log.
    #[error("whether the events were stored is not certain; publish them again with the same ids")]
    Uncertain(String),
}

impl PublishError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::Forbidden => ErrorCode::Forbidden,
            Self::TooLarge { .. } | Self::EntityTooLarge { .. } | Self::Refused(_) => {
                ErrorCode::TooLarge
            }
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::Entity { .. } => ErrorCode::Malformed,
            Self::Exhausted | Self::Keyed | Self::Ingest => ErrorCode::Conflict,
            Self::Uncertain(_) => ErrorCode::Internal,
        }
    }
}

/// Why a read was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such stream, or it is someone else's.
    #[error("no such stream")]
    NotFound,
    /// The credential may not read here.
    #[error("the credential may not read this stream")]
    Forbidden,
    /// The filter names types that the integration is not entitled to. The wording is what
    /// clients match (reference `airship.md` 1.6).
    #[error("Requested event types to which client is not entitled {}", .types.join(","))]
    NotEntitled {
        /// The types, upper case, in order.
        types: Vec<String>,
    },
    /// The integration or its project has as many readers as it may have.
    #[error(
        "there are already {max} connections, which is the limit; close one or wait 30 seconds"
    )]
    TooManyConnections {
        /// The limit.
        max: u32,
    },
    /// The server is going away; connect again.
    #[error("the server is shutting down; connect again")]
    ShuttingDown,
    /// The storage cannot be read, or the server is full: try again. The text is for the log.
    #[error("the stream cannot be read just now; try again")]
    Unavailable(String),
}

impl ReadError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::Forbidden | Self::NotEntitled { .. } => ErrorCode::Forbidden,
            Self::TooManyConnections { .. } => ErrorCode::TooManyConnections,
            Self::ShuttingDown => ErrorCode::ShuttingDown,
            Self::Unavailable(_) => ErrorCode::Unavailable,
        }
    }
}
