//! One event in a subscription's window.
//!
//! Made by `feed` as events are loaded; moved, never copied, from there to consumers and back.

use std::sync::Arc;

use outflow_model::{MetaSlice, Offset, Timestamp};
use outflow_store::Block;

use super::EventView;

/// Never.
pub(crate) const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);

/// Where an event is in memory.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) block: Arc<Block>,
    /// Where its line starts.
    pub(crate) start: u32,
    /// Which event of the block it is.
    pub(crate) index: u32,
}

/// An event that is not done. See the module.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) offset: Offset,
    /// When it was taken.
    pub(crate) at: Timestamp,
    /// When it expires.
    pub(crate) expires: Timestamp,
    /// Which group it is of, by the hash of its key; 0: none, or groups do not matter here.
    pub(crate) group: u64,
    /// Whether its group ends with it.
    pub(crate) ends_group: bool,
    /// Whether only those may have it who may see compliance events.
    pub(crate) restricted: bool,
    /// Whether its group begins with it, for the consumer that it was given to.
    pub(crate) first_of_group: bool,
    /// How often it was handed out.
    pub(crate) deliveries: u32,
    /// The length of its line.
    pub(crate) size: u32,
    /// Its content. Only what waits to be handed out has it, so that what consumers hold for long
    /// keeps no block in memory.
    pub(crate) body: Option<Body>,
}

impl Entry {
    /// The event with its content; `None` when that is not in memory, or damaged.
    pub(crate) fn view(&self) -> Option<EventView> {
        let body = self.body.as_ref()?;
        let meta = MetaSlice::new(body.block.meta_bytes().ok()?).get(body.index as usize)?;
        Some(EventView::new(body.block.clone(), body.start as usize, meta))
    }
}
