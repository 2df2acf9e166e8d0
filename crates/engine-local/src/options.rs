//! What an operator can choose about the local engine.

use crate::fs::ALIGN;

/// The choices, with defaults for a server of a few cores and a few gigabytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The size of a journal file in bytes, and so of what is sealed at once: 64 KiB to 1 GiB,
    /// rounded down to 4 KiB. No batch may be larger. Default 64 MiB.
    pub journal_bytes: u64,
    /// How many full journal files may wait to be sealed before commits have to wait: 1 to 64.
    /// They are also held in memory. Default 4.
    pub pending_generations: usize,
    /// How many bytes of batches may wait for a commit before new ones are `Throttled`.
    /// Default 64 MiB.
    pub queue_bytes: usize,
    /// How many batches one group commit takes at most. Default 4,096.
    pub group_batches: usize,
    /// How many bytes of batches one group commit takes at most, except that it always takes one
    /// batch. Default 4 MiB.
    pub group_bytes: usize,
    /// About how many bytes of plain lines a stored block holds: 4 KiB to 1 MiB. Default 128 KiB.
    pub block_bytes: usize,
    /// How many bytes of blocks the shared cache holds, as if all were open. Default 128 MiB.
    pub cache_bytes: u64,
    /// How many segment files are kept open: 1 and more. Default 512.
    pub open_segments: usize,
    /// How many bytes a read from disk takes at once, to come ahead of a reader. Default 1 MiB.
    pub read_ahead_bytes: usize,
    /// How many bytes of the disk are kept for acks, deletes and retention: appends are refused
    /// as `Full` when less is free. `None`: the greater of 256 MiB and 1 % of the disk, at most
    /// 4 GiB.
    pub reserve_bytes: Option<u64>,
    /// How many bytes a second sealing writes while nothing waits behind it; 0: no limit. It
    /// never waits once a second journal file is full. Default 128 MiB.
    pub seal_bytes_per_second: u64,
    /// How often retention runs, in milliseconds. Default 10,000.
    pub retention_interval_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            journal_bytes: 64 << 20,
            pending_generations: 4,
            queue_bytes: 64 << 20,
            group_batches: 4096,
            group_bytes: 4 << 20,
            block_bytes: 128 << 10,
            cache_bytes: 128 << 20,
            open_segments: 512,
            read_ahead_bytes: 1 << 20,
            reserve_bytes: None,
            seal_bytes_per_second: 128 << 20,
            retention_interval_ms: 10_000,
        }
    }
}

impl Options {
    /// The same with every choice brought into its range.
    pub(crate) fn bounded(mut self) -> Self {
        let align = ALIGN as u64;
        self.journal_bytes = self.journal_bytes.clamp(64 << 10, 1 << 30) / align * align;
        self.pending_generations = self.pending_generations.clamp(1, 64);
        self.group_batches = self.group_batches.max(1);
        self.block_bytes = self.block_bytes.clamp(4 << 10, 1 << 20);
        self.open_segments = self.open_segments.max(1);
        self.read_ahead_bytes = self.read_ahead_bytes.clamp(64 << 10, 16 << 20);
        self.retention_interval_ms = self.retention_interval_ms.max(10);
        self
    }

    /// The largest batch, by [`outflow_store::Batch::bytes`], that a journal file can hold.
    #[must_use]
    pub const fn max_batch_bytes(&self) -> usize {
        self.journal_bytes as usize - 2 * ALIGN
    }
}
