//! Hashed addresses, as the test data of a feed like AtData's: `{"md5":…}` and, for some services,
//! a `label` beside it (seed 000).

use crate::json::Json;
use crate::luck::Luck;

/// An endless source of bodies. A hash of a made-up address looks like any draw of 128 bits, so
/// that is what it is.
#[derive(Debug)]
pub struct HashedAddresses {
    luck: Luck,
    json: Json,
}

impl HashedAddresses {
    /// A source that draws from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { luck: Luck::new(seed), json: Json::default() }
    }

    /// The next body, one JSON object. It stands until the next call.
    pub fn next_body(&mut self) -> &str {
        let Self { luck, json } = self;
        json.root(|json| {
            json.text("md5", &digits(luck, 32));
            if luck.chance(25) {
                json.text("label", &digits(luck, 40));
            }
        });
        json.as_str()
    }
}

/// So many hexadecimal digits.
fn digits(luck: &Luck, count: usize) -> String {
    let digit = |_| char::from_digit(luck.below(16) as u32, 16).unwrap_or('0');
    (0..count).map(digit).collect()
}
