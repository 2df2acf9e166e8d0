//! How frames of a connection are written, and how two sides agree on that.
//!
//! Called by the session, which opens with an [`Offer`] and goes on in the [`WireFormat`] that comes
//! of both sides' offers; by `codec`. Reference `activemq.md`, (c1).

/// The newest version spoken.
pub const VERSION_MAX: u8 = 12;
/// The cache's size when neither side names one.
const CACHE_SIZE: u16 = 16_383;

/// How frames of a connection are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireFormat {
    /// From 1 to [`VERSION_MAX`].
    pub version: u8,
    /// Whether yes and no are bits.
    pub tight: bool,
    /// Whether repeated values are named by an index.
    pub cache: bool,
    /// How many values each direction caches.
    pub cache_size: u16,
    /// Whether exceptions come with their stack trace and cause.
    pub stack_traces: bool,
    /// Whether each frame has its size before it.
    pub size_prefix: bool,
    /// The largest frame, in bytes, its size left out.
    pub max_frame_size: u64,
}

impl WireFormat {
    /// What every connection begins with: loose, nothing cached, sizes before frames.
    #[must_use]
    pub const fn initial(max_frame_size: u64) -> Self {
        Self {
            version: 1,
            tight: false,
            cache: false,
            cache_size: CACHE_SIZE,
            stack_traces: false,
            size_prefix: true,
            max_frame_size,
        }
    }
}
