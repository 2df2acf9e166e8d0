//! The form of a secret: `ofl_<id>_<43 base62>_<crc32 in 6 base62>`.
//!
//! The prefix lets secret scanners find leaked ones, the checksum lets them be sure without asking
//! the server, and without `-` a double click selects the whole. The middle holds 256 random bits.

use outflow_model::Rng;
use ring::digest::{SHA256, digest};

use crate::Secret;

/// What every secret starts with.
pub const PREFIX: &str = "ofl_";

/// No secret is longer; what is longer was not issued here.
pub const MAX_SECRET_BYTES: usize = 8 << 10;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Base-62 digits of a credential's id: 71 bits.
const ID_DIGITS: usize = 12;
/// Base-62 digits that hold 256 bits.
const SECRET_DIGITS: usize = 43;
/// Base-62 digits that hold a CRC-32.
const CHECK_DIGITS: usize = 6;

/// A new credential's id and secret.
pub(crate) fn draw(rng: &dyn Rng) -> (String, Secret) {
    let id = random_digits(rng, ID_DIGITS);
    let mut text = format!("{PREFIX}{id}_{}_", random_digits(rng, SECRET_DIGITS));
    let check = checksum(&text);
    text.push_str(&check);
    (id, Secret::new(text))
}

/// Whether `text` has the form of a secret, checksum included. Says nothing about whether it
/// opens anything: meant for clients and scanners, before they send it.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    let Some(cut) = text.len().checked_sub(CHECK_DIGITS) else { return false };
    let Some((body, check)) = text.split_at_checked(cut) else { return false };
    let mut parts = body.strip_prefix(PREFIX).unwrap_or_default().split('_');
    let mut part = |len| {
        let is_digit = |byte: u8| byte.is_ascii_alphanumeric();
        parts.next().is_some_and(|part| part.len() == len && part.bytes().all(is_digit))
    };
    part(ID_DIGITS)
        && part(SECRET_DIGITS)
        && part(0)
        && parts.next().is_none()
        && check == checksum(body)
}

/// A new password of a user: 128 random bits in 32 hexadecimal digits.
pub(crate) fn draw_password(rng: &dyn Rng) -> Secret {
    let mut bytes = [0; 16];
    rng.fill(&mut bytes);
    let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.fill(0);
    Secret::new(text)
}

/// A new user's name: five digits, the first of them not 0.
pub(crate) fn draw_user(rng: &dyn Rng) -> String {
    (10_000 + rng.below(90_000)).to_string()
}

/// The SHA-256 of a secret: what is stored. Secrets are random, so a slow hash adds nothing.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    out
}

/// The last four characters, for people to tell secrets apart.
pub(crate) fn last4(secret: &str) -> String {
    let count = secret.chars().count();
    if count < 16 { String::new() } else { secret.chars().skip(count - 4).collect() }
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECK_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS.get((rest % 62) as usize).copied().unwrap_or_default();
        rest /= 62;
    }
    digits.iter().map(|&digit| char::from(digit)).collect()
}

/// Even over the 62 digits: bytes of 248 and above are drawn again.
fn random_digits(rng: &dyn Rng, count: usize) -> String {
    let mut out = String::with_capacity(count);
    let mut bytes = [0; 64];
    while out.len() < count {
        rng.fill(&mut bytes);
        let fair = bytes.iter().filter(|&&byte| byte < 248);
        let digits = fair.filter_map(|&byte| DIGITS.get(usize::from(byte % 62)));
        out.extend(digits.take(count - out.len()).map(|&digit| char::from(digit)));
    }
    bytes.fill(0);
    out
}

#[cfg(test)]
mod tests {
    use outflow_model::rng::SeededRng;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn drawn_secrets_are_well_formed_and_changed_ones_are_not(seed: u64, at in 0usize..68) {
            let (id, secret) = draw(&SeededRng::new(seed));
            let text = secret.expose();
            prop_assert_eq!(text.len(), 4 + 12 + 1 + 43 + 1 + 6);
            prop_assert!(is_well_formed(text) && text.contains(&id));
            let mut changed = text.as_bytes().to_vec();
            let at = at % changed.len();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            prop_assert!(!is_well_formed(std::str::from_utf8(&changed).unwrap()));
        }

        #[test]
        fn any_text_is_judged_without_a_fault(text: String) {
            prop_assert!(!is_well_formed(&text));
        }
    }

    #[test]
    fn only_long_secrets_show_their_end() {
        assert_eq!(last4("fifteen-letters"), "");
        assert_eq!(last4("sixteen-letters!"), "ers!");
    }
}
