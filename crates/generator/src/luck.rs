//! Draws from a seeded source: chances, picks and uuids. Called by everything here that varies.

use outflow_model::Rng;
use outflow_model::rng::SeededRng;

/// The seeded source. Not for secrets.
#[derive(Debug)]
pub(crate) struct Luck(SeededRng);

/// 128 bits in the shape of a uuid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uuid(pub(crate) u128);

impl Luck {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(SeededRng::new(seed))
    }

    /// A number in `0..bound`.
    pub(crate) fn below(&self, bound: usize) -> usize {
        self.0.below(bound as u64) as usize
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&self, low: i64, high: i64) -> i64 {
        low + self.0.below(high.abs_diff(low) + 1) as i64
    }

    /// True in `percent` of 100 draws.
    pub(crate) fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `from`; the default when it is empty.
    pub(crate) fn pick<T: Copy + Default>(&self, from: &[T]) -> T {
        from.get(self.below(from.len())).copied().unwrap_or_default()
    }

    /// One of `from` by weight, or `None` when all weights are 0.
    pub(crate) fn weighted<T: Copy>(&self, from: &[(usize, T)]) -> Option<T> {
        let mut left = self.below(from.iter().map(|(weight, _)| weight).sum());
        from.iter().find_map(|&(weight, value)| {
            if left < weight {
                return Some(value);
            }
            left -= weight;
            None
        })
    }

    /// A uuid of version 4.
    pub(crate) fn uuid(&self) -> Uuid {
        let bits = (u128::from(self.0.next_u64()) << 64) | u128::from(self.0.next_u64());
        let bits = bits & !(0xF << 76) & !(0b11 << 62);
        Uuid(bits | (0x4 << 76) | (0b10 << 62))
    }

    /// An id that begins with a time in milliseconds, as the ids of server-made events do
    /// (reference `airship.md` 2).
    pub(crate) fn timed_id(&self, millis: i64) -> Uuid {
        let random = (u128::from(self.0.next_u64()) << 16) | u128::from(self.0.next_u64() >> 48);
        Uuid((u128::from(millis.unsigned_abs() & 0xFFFF_FFFF_FFFF) << 80) | random)
    }
}

impl Uuid {
    /// Appends the 36 characters of the written form.
    pub(crate) fn write(self, out: &mut String) {
        for digit in 0..32 {
            if matches!(digit, 8 | 12 | 16 | 20) {
                out.push('-');
            }
            let nibble = (self.0 >> (124 - 4 * digit)) as u8 & 0xF;
            out.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }));
        }
    }
}
