//! Where randomness comes from.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

/// The one source of randomness. Secrets are drawn from an implementation backed by the operating
/// system's generator (in `auth`); tests and the simulator use [`SeededRng`].
pub trait Rng: Send + Sync + Debug + 'static {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);

    /// A random number over the whole range.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number in `0..bound`; 0 when `bound` is 0. The bias is below `bound / 2^64`.
    fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// SplitMix64: fast, repeatable, and not for secrets.
#[derive(Debug)]
pub struct SeededRng(AtomicU64);

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl SeededRng {
    /// The generator that always draws the same numbers for `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Moves on by `count` numbers and gives the state before the first.
    fn advance(&self, count: u64) -> u64 {
        self.0.fetch_add(STEP.wrapping_mul(count), Ordering::Relaxed)
    }
}

/// The number that state `z` stands for.
const fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Rng for SeededRng {
    fn fill(&self, out: &mut [u8]) {
        // At once, because threads that draw together hand the state to each other every time.
        let mut state = self.advance(out.len().div_ceil(8) as u64);
        for chunk in out.chunks_mut(8) {
            state = state.wrapping_add(STEP);
            chunk.iter_mut().zip(mixed(state).to_le_bytes()).for_each(|(to, from)| *to = from);
        }
    }

    fn next_u64(&self) -> u64 {
        mixed(self.advance(1).wrapping_add(STEP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_numbers() {
        let (bytes, numbers) = (SeededRng::new(7), SeededRng::new(7));
        let mut drawn = [0; 44];
        bytes.fill(&mut drawn);
        let expected: Vec<u8> = (0..6).flat_map(|_| numbers.next_u64().to_le_bytes()).collect();
        assert_eq!(drawn, expected[..44]);
        assert_eq!(bytes.next_u64(), numbers.next_u64(), "both have drawn six");
    }
}
