//! How much of the disk is kept free, and whether it has that much at all.
//!
//! Called by recovery, and by `server` to check a configuration before there is a data directory.

use std::io;
use std::path::Path;

use crate::fs::{Fs, RealFs};
use crate::options::Options;

/// The least that is kept free unless [`Options::reserve_bytes`] says, in bytes.
const LEAST: u64 = 256 << 20;
/// The most, in bytes; between them it is a hundredth of the disk.
const MOST: u64 = 4 << 30;

/// A disk on which no event can be stored, however empty it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "its disk has {} MiB in all, fewer than the {} MiB that have to be free so that events are taken",
    .total / MIB, .needed.div_ceil(MIB)
)]
pub struct TooSmall {
    /// What it has in all, in bytes.
    pub total: u64,
    /// What has to be free, in bytes.
    pub needed: u64,
}

const MIB: u64 = 1 << 20;

impl Options {
    /// How many bytes of a disk of `total` are kept for acks, deletes and retention.
    pub(crate) fn reserve(&self, total: u64) -> u64 {
        self.reserve_bytes.unwrap_or((total / 100).clamp(LEAST, MOST))
    }

    /// Whether a disk of `total` bytes is too small for events.
    pub(crate) fn too_small(&self, total: u64) -> Option<TooSmall> {
        let needed = self.reserve(total).saturating_add(self.journal_bytes);
        (total < needed).then_some(TooSmall { total, needed })
    }
}

/// Whether the disk that holds `dir`, or would, is too small for events.
///
/// # Errors
/// The operating system's.
pub fn check(dir: &Path, options: &Options) -> io::Result<Option<TooSmall>> {
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("."));
    Ok(options.too_small(RealFs.total_bytes(there)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundredth_is_kept_within_bounds_and_a_small_disk_is_told() {
        let options = Options::default();
        let kept = [96 << 20, 100 << 30, 10 << 40].map(|total| options.reserve(total));
        assert_eq!(kept, [LEAST, 1 << 30, MOST]);
        let told = options.too_small(96 << 20).unwrap();
        assert_eq!((told.total, told.needed), (96 << 20, LEAST + options.journal_bytes));
        assert!(told.to_string().contains("96 MiB in all, fewer than the 320 MiB"), "{told}");
        assert_eq!(options.too_small(1 << 30), None);
    }
}
