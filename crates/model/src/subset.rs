//! Stable hashes of an event's id, type and key, and the subsets that are drawn by them.
//!
//! Called by drafts (hashing), faces (reading a request's `subset`) and the hub (drawing).
//!
//! The hash is XXH3 (128 bits for ids), part of the stored form: it never changes, so the same id
//! falls into the same partition on every connection, after every restart, on every machine.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::filter::{FilterError, Place};
use crate::json::{self, Number, Value};

/// The hash of an event id that dedup windows and subsets use.
#[must_use]
pub fn id_hash(id: &[u8]) -> u128 {
    xxh3_128(id)
}

/// The hash of an event type, in any case.
#[must_use]
pub fn type_hash(event_type: &[u8]) -> u32 {
    if !event_type.iter().any(u8::is_ascii_lowercase) {
        return xxh3_64(event_type) as u32;
    }
    let mut upper = [0; crate::id::EventType::MAX_BYTES];
    match upper.get_mut(..event_type.len()) {
        Some(upper) => {
            upper.copy_from_slice(event_type);
            upper.make_ascii_uppercase();
            xxh3_64(upper) as u32
        }
        None => xxh3_64(&event_type.to_ascii_uppercase()) as u32,
    }
}

/// The hash of an event's key, never 0: 0 means that there is no key.
#[must_use]
pub fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key).max(1)
}

/// A part of a stream, chosen by event id, so that duplicates stay together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Subset {
    /// The events whose id hash modulo `count` is `selection`.
    Partition {
        /// How many partitions there are, at least 1.
        count: u32,
        /// Which one, below `count`.
        selection: u32,
    },
    /// About this share of the events, the same ones each time.
    Sample {
        /// 0 to 1.
        proportion: f64,
    },
}

impl Subset {
    /// Reads the JSON text of a request's `subset` member (reference `airship.md` 1.2):
    /// `{"type":"SAMPLE","proportion":0..1}` or
    /// `{"type":"PARTITION","count":n >= 1,"selection":0 <= k < n}`. Pointers in errors start with
    /// `/subset`.
    ///
    /// # Errors
    /// [`FilterError`] names the place: a missing or unknown attribute, a wrong type, a number out
    /// of range.
    pub fn parse(text: &[u8]) -> Result<Self, FilterError> {
        let place = Place::Root("/subset");
        let value = json::check(text, 2).map_err(|error| place.json_error(&error))?;
        let names = ["type", "proportion", "count", "selection"];
        let [kind, proportion, count, selection] = place.members(value, names)?;
        let kind = kind.and_then(Value::as_string);
        let is = |name: &[u8]| kind.is_some_and(|kind| kind.is(name));
        if is(b"SAMPLE") {
            Self::parse_sample(proportion, count.or(selection).is_some(), &place)
        } else if is(b"PARTITION") {
            Self::parse_partition(count, selection, proportion.is_some(), &place)
        } else {
            Err(Place::Member(&place, "type").error("must be `SAMPLE` or `PARTITION`"))
        }
    }

    fn parse_sample(
        proportion: Option<Value<'_>>,
        has_others: bool,
        place: &Place<'_>,
    ) -> Result<Self, FilterError> {
        if has_others {
            return Err(place.error("a `SAMPLE` has no attribute but `proportion`"));
        }
        let number = proportion.and_then(Value::as_number).and_then(Number::as_f64);
        let proportion = number.filter(|proportion| (0.0..=1.0).contains(proportion));
        let wrong = || Place::Member(place, "proportion").error("must be a number from 0 to 1");
        Ok(Self::Sample { proportion: proportion.ok_or_else(wrong)? })
    }

    fn parse_partition(
        count: Option<Value<'_>>,
        selection: Option<Value<'_>>,
        has_others: bool,
        place: &Place<'_>,
    ) -> Result<Self, FilterError> {
        if has_others {
            return Err(place.error("a `PARTITION` has no attributes but `count` and `selection`"));
        }
        let whole = |value: Option<Value<'_>>| {
            let number = value.and_then(Value::as_number).and_then(Number::as_u64)?;
            u32::try_from(number).ok()
        };
        let wrong = || Place::Member(place, "count").error("must be a whole number, 1 or more");
        let count = whole(count).filter(|&count| count > 0).ok_or_else(wrong)?;
        let wrong =
            || Place::Member(place, "selection").error("must be a whole number below `count`");
        let selection = whole(selection).filter(|&chosen| chosen < count).ok_or_else(wrong)?;
        Ok(Self::Partition { count, selection })
    }

    /// Whether an event with this id hash belongs to the subset.
    #[must_use]
    pub fn admits(&self, id_hash: u128) -> bool {
        match *self {
            Self::Partition { count, selection } => {
                (id_hash as u64) % u64::from(count.max(1)) == u64::from(selection)
            }
            Self::Sample { proportion } => {
                // The upper half salts the draw: a sample of a partition is not all or nothing.
                let draw = ((id_hash >> 64) as u64) >> 11;
                (draw as f64) < proportion * (1u64 << 53) as f64
            }
        }
    }
}
