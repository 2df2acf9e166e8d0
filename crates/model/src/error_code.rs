//! What can go wrong, in one list that every face maps to its own answers.

/// The closed list of failures that a caller outside can meet. Each face turns it into its own
/// protocol's words in one exhaustive table, its `error.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request cannot be understood: syntax, wrong type, unknown attribute, range.
    Malformed,
    /// No credential, or one that does not hold. Says nothing about which.
    Unauthenticated,
    /// The credential holds but does not reach this far.
    Forbidden,
    /// No such thing, or it belongs to someone else: the two look the same from outside.
    NotFound,
    /// The name is taken, or the state does not allow it now.
    Conflict,
    /// A body, line, count or depth is over its limit.
    TooLarge,
    /// The payload's media type or encoding is not supported.
    UnsupportedMedia,
    /// The asked version or representation is not offered.
    NotAcceptable,
    /// The integration has as many live connections as it may have.
    TooManyConnections,
    /// Over the rate limit; try again later.
    RateLimited,
    /// The place asked for is older than what is retained.
    Expired,
    /// The server cannot take more just now: queue or disk is full. Try again.
    Unavailable,
    /// The server is going away; connect again.
    ShuttingDown,
    /// It took too long.
    Timeout,
    /// A fault of the server; details are in its log only.
    Internal,
}

impl ErrorCode {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::TooManyConnections
            | Self::RateLimited
            | Self::Unavailable
            | Self::ShuttingDown
            | Self::Timeout
            | Self::Internal => true,
            Self::Malformed
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::NotFound
            | Self::Conflict
            | Self::TooLarge
            | Self::UnsupportedMedia
            | Self::NotAcceptable
            | Self::Expired => false,
        }
    }

    /// Whether the failed request is certain to have changed nothing.
    #[must_use]
    pub const fn has_no_side_effects(self) -> bool {
        !matches!(self, Self::Timeout | Self::Internal)
    }
}
