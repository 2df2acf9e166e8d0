//! Publishing.

use outflow_model::Offset;

/// Where one event of a draft is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its offset; for a copy, the first one's.
    pub offset: Offset,
    /// Whether it is a copy of an event taken before, and was not stored again.
    pub duplicate: bool,
}

/// The answer to a publish: every event is durable (or queued, on a relaxed stream).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The events, in the order of the draft.
    pub events: Vec<Placed>,
}
