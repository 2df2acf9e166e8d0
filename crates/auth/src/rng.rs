//! The random numbers that secrets are drawn from.

use outflow_model::Rng;
use ring::rand::SecureRandom;

/// The operating system's generator, by ring.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemRng;

impl Rng for SystemRng {
    /// # Panics
    /// When the system has no randomness to give: going on would mean guessable secrets.
    #[expect(clippy::panic, reason = "there is no safe way on without randomness")]
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    fn fill(&self, out: &mut [u8]) {
        if ring::rand::SystemRandom::new().fill(out).is_err() {
            panic!("the system's random number generator failed");
        }
    }
}
