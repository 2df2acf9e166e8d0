//! Reading a stream as a careful client does: every law that looks at events looks through this.

use outflow_model::{Offset, StreamId, Timestamp};

use crate::Block;
use crate::engine::{Engine, ReadError};

/// An event as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its offset.
    pub offset: Offset,
    /// When it was taken.
    pub processed: Timestamp,
    /// Its line.
    pub line: Vec<u8>,
}

/// Every event of `stream` at or above `from`, read in pieces of about `max_bytes`.
///
/// # Errors
/// As [`Engine::read`].
pub async fn read_all(
    engine: &dyn Engine,
    stream: StreamId,
    from: Offset,
    max_bytes: usize,
) -> Result<Vec<Event>, ReadError> {
    let (mut events, mut from) = (Vec::new(), from);
    loop {
        let read = engine.read(stream, from, max_bytes).await?;
        for block in &read.blocks {
            check_head(block);
            if let Some(tail) = block.tail_from(from).expect("an undamaged block") {
                events.extend(events_of(&tail));
            }
        }
        assert!(events.is_sorted_by(|a: &Event, b: &Event| a.offset < b.offset), "out of order");
        assert!(events.last().is_none_or(|last| last.offset < read.next), "next is past the last");
        assert!(read.next <= read.bounds.next, "next is within the bounds");
        if read.next == read.bounds.next {
            return Ok(events);
        }
        assert!(read.next > from, "a read that is not caught up gives at least one event");
        from = read.next;
    }
}

/// The events of a block.
#[must_use]
pub fn events_of(block: &Block) -> Vec<Event> {
    let (lines, metas) = (block.lines().expect("lines"), block.metas().expect("sidecars"));
    let event = |(meta, line): (outflow_model::Meta, &[u8])| Event {
        offset: meta.offset,
        processed: meta.processed,
        line: line.to_vec(),
    };
    metas.with_lines(lines).map(event).collect()
}

/// A block is what its head says.
fn check_head(block: &Block) {
    let events = events_of(block);
    assert_eq!(events.len(), block.count as usize, "as many events as the head says");
    assert_eq!(events.first().map(|event| event.offset), Some(block.first), "first");
    assert_eq!(events.last().map(|event| event.offset), Some(block.last), "last");
    let bytes: usize = events.iter().map(|event| event.line.len()).sum();
    assert_eq!(bytes, block.plain_len(), "lines fill the block");
    assert!(block.first_at <= block.last_at, "time does not fall within a block");
}
