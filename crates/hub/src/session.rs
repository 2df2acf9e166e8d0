//! A read session.

use std::sync::Arc;
use std::time::Duration;

use outflow_model::{Filter, Offset, Subset, Timestamp};
use outflow_store::Block;

use crate::Stream;

/// Where a read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first event still retained.
    Earliest,
    /// After the last event there is now.
    Latest,
    /// After this offset: exclusive, as clients resume. Older than what is retained: begins at the
    /// earliest and [`Started::trimmed`] says so. At or beyond the end: waits at the end.
    After(Offset),
    /// At the first event taken at or after this time.
    At(Timestamp),
}

/// What a reader asks for.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// The stream.
    pub stream: Arc<Stream>,
    /// Where to begin.
    pub start: Start,
    /// Which events.
    pub filter: Arc<Filter>,
    /// Which part of them.
    pub subset: Option<Subset>,
    /// This type only: `Some("COMPLIANCE")` needs [`Action::Compliance`](outflow_model::Action)
    /// instead of `Read`.
    pub only_type: Option<&'static str>,
    /// After how much silence [`ReadSession::next`] yields a heartbeat; at least 10 ms.
    pub heartbeat: Duration,
    /// The client's address, for logs.
    pub peer: String,
    /// Lets one reader more than the integration's limit in: for a client that asks again on a
    /// connection whose former read is about to end.
    pub slack: bool,
}

/// Where a session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The first offset it may yield.
    pub from: Offset,
    /// The place asked for was older than what is retained, so events may be missing.
    pub trimmed: bool,
}

/// What a session yields.
#[derive(Debug, Clone)]
pub enum ReadEvent {
    /// Events, in order.
    Batch(Arc<Block>),
    /// Nothing was yielded for the heartbeat interval.
    Heartbeat {
        /// The last offset sent or filtered out.
        considered: Offset,
    },
    /// The session is over; end the connection cleanly. Yielded again on every further call.
    Closed(CloseReason),
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The credential or its integration was revoked.
    Revoked,
    /// The stream, project or integration was deleted.
    Deleted,
    /// The server is going away; connect again.
    Draining,
    /// Retention overtook this slow reader. Resuming says so explicitly, by [`Started::trimmed`].
    Trimmed,
    /// Stored events are damaged here. A session that begins at the damage goes on past it.
    Damaged(String),
    /// The storage cannot be read; connect again later. The text is for the log.
    Failed(String),
}

/// A stateless pass over a stream.
#[derive(Debug)]
pub struct ReadSession;

#[allow(unused_variables, missing_docs, clippy::all)]
impl ReadSession {
    pub async fn next(&mut self) -> ReadEvent { todo!() }
    pub fn start(&self) -> Started { todo!() }
    pub fn considered(&self) -> Offset { todo!() }
    pub fn id(&self) -> u64 { todo!() }
}
