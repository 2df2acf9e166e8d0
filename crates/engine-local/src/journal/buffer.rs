//! A byte buffer whose contents start on a disk block, so that they can be written past the page
//! cache.

use crate::fs::ALIGN;

/// See the module. Contents grow by appending; their memory is kept for the next commit.
#[derive(Debug, Default)]
pub(crate) struct AlignedBuffer {
    /// Filled up to the first aligned byte, then with the contents.
    bytes: Vec<u8>,
    start: usize,
}

/// What a commit usually needs.
const USUAL: usize = 64 << 10;
/// What is kept between commits at most.
const KEPT: usize = 16 << 20;

impl AlignedBuffer {
    /// How many bytes it holds.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn clear(&mut self) {
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
            self.start = 0;
        }
        self.bytes.truncate(self.start);
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(self.start + len);
    }

    /// Makes room so that nothing moves, and the start stays aligned, while `more` are appended.
    fn reserve(&mut self, more: usize) {
        if self.bytes.len() + more <= self.bytes.capacity() {
            return;
        }
        let wanted = (self.len() + more).next_power_of_two().max(USUAL);
        let mut grown: Vec<u8> = Vec::with_capacity(wanted + ALIGN);
        let start = grown.as_ptr().addr().next_multiple_of(ALIGN) - grown.as_ptr().addr();
        grown.resize(start, 0);
        grown.extend_from_slice(self.contents());
        (self.bytes, self.start) = (grown, start);
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends zeros up to the next multiple of [`ALIGN`].
    pub(crate) fn pad(&mut self) {
        let padded = self.len().next_multiple_of(ALIGN);
        self.reserve(padded - self.len());
        self.bytes.resize(self.start + padded, 0);
    }

    /// Overwrites bytes that are there.
    pub(crate) fn set(&mut self, at: usize, bytes: &[u8]) {
        if let Some(to) = self.bytes.get_mut(self.start + at..self.start + at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    }

    pub(crate) fn contents(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_stay_aligned_and_whole_while_it_grows() {
        let mut buffer = AlignedBuffer::default();
        let mut plain = Vec::new();
        for i in 0..2000_usize {
            let piece = vec![i as u8; i % 300];
            buffer.extend(&piece);
            plain.extend_from_slice(&piece);
            assert!(plain.is_empty() || buffer.contents().as_ptr().addr() % ALIGN == 0);
        }
        assert_eq!(buffer.contents(), plain);
        buffer.pad();
        assert_eq!(buffer.len() % ALIGN, 0);
        buffer.clear();
        assert_eq!(buffer.len(), 0);
    }
}
