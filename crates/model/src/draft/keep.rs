//! A draft as bytes: for what must outlast the server before it is published.
//!
//! Called by the hub for prepared transactions. The form: how many events (u32, little-endian), one
//! byte for each that tells whether its id is its publisher's own, the sidecars, the lines.

use super::{Draft, OWN};
use crate::meta::{META_BYTES, MetaSlice};

impl Draft {
    /// Appends its bytes to `out`; [`Draft::restore`] makes the same draft of them.
    pub fn keep(&self, out: &mut Vec<u8>) {
        let count = u32::try_from(self.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&count.to_le_bytes());
        out.extend(self.ids.iter().map(|said| said & OWN));
        out.extend_from_slice(&self.metas);
        out.extend_from_slice(&self.lines);
    }

    /// The draft that [`Draft::keep`] made the bytes of; `None`: none did.
    #[must_use]
    pub fn restore(bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (own_ids, rest) = rest.split_at_checked(count)?;
        let (metas, lines) = rest.split_at_checked(count.checked_mul(META_BYTES)?)?;
        let lengths = MetaSlice::new(metas).iter().map(|meta| u64::from(meta.line_len));
        let length: u64 = lengths.sum();
        let is_whole = u64::try_from(lines.len()).ok()? == length;
        is_whole.then(|| Self {
            lines: lines.to_vec(),
            metas: metas.to_vec(),
            ids: own_ids.iter().map(|own| u8::from(*own != 0)).collect(),
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::draft::{Draft, Rules};
    use crate::rng::SeededRng;
    use crate::{Offset, Timestamp};

    fn draft() -> Draft {
        let rules = Rules {
            now: Timestamp::from_millis(1_767_225_600_000),
            max_event_bytes: 1_000,
            max_depth: 10,
            max_age_ms: i64::MAX,
            max_ahead_ms: 0,
        };
        let mut draft = Draft::default();
        for event in [r#"{"id":"own","type":"A","body":{"n":1}}"#, r#"{"type":"B","more":[1]}"#] {
            draft.push_json(event.as_bytes(), &rules, &SeededRng::new(1)).unwrap();
        }
        draft
    }

    #[test]
    fn a_draft_that_was_kept_is_published_as_it_would_have_been() {
        let (mut first, mut bytes) = (draft(), Vec::new());
        first.keep(&mut bytes);
        let mut second = Draft::restore(&bytes).unwrap();
        assert!(second.has_own_id(0) && !second.has_own_id(1));
        for one in [&mut first, &mut second] {
            one.stamp(Offset::new(7), Timestamp::from_millis(1_767_225_600_001));
        }
        assert_eq!(first.into_parts(), second.into_parts());
    }

    #[test]
    fn bytes_that_are_no_draft_are_refused() {
        let mut bytes = Vec::new();
        draft().keep(&mut bytes);
        for length in 0..bytes.len() {
            assert!(Draft::restore(&bytes[..length]).is_none(), "{length}");
        }
        assert!(Draft::restore(&u32::MAX.to_le_bytes()).is_none());
    }
}
