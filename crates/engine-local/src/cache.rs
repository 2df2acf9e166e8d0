//! The blocks that were read from disk, shared by all readers.
//!
//! Called by readers only. Bounded by bytes; a block counts as if all its forms were made.

use std::sync::Arc;

use outflow_store::Block;
use quick_cache::Weighter;
use quick_cache::sync;

/// A block's place: its segment's number in this process, and its position in the file.
type Key = (u32, u32);

#[derive(Debug, Clone, Copy)]
struct Weight;

impl Weighter<Key, Arc<Block>> for Weight {
    fn weight(&self, _: &Key, block: &Arc<Block>) -> u64 {
        // Plain lines, and about as much again for sidecars and the deflated form.
        block.plain_len() as u64 * 2 + 512
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Cache(sync::Cache<Key, Arc<Block>, Weight>);

impl Cache {
    pub(crate) fn new(bytes: u64, block_bytes: usize) -> Self {
        let items = (bytes / (block_bytes as u64 * 2)).max(16) as usize;
        Self(sync::Cache::with_weighter(items, bytes, Weight))
    }

    pub(crate) fn get(&self, key: Key) -> Option<Arc<Block>> {
        self.0.get(&key)
    }

    pub(crate) fn insert(&self, key: Key, block: Arc<Block>) {
        self.0.insert(key, block);
    }
}
