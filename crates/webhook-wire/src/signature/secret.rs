//! Signing secrets: drawn, read, and told from what is none.
//!
//! Standard Webhooks 1.0.0 (reference `trust_ux.md` 1.3): `whsec_` and the base64 of 24 to 64 random
//! bytes; `whsk_` and that of an Ed25519 key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outflow_auth::Secret;
use outflow_model::Rng;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// What stands before a symmetric secret.
pub const HMAC_PREFIX: &str = "whsec_";
/// What stands before the secret half of an Ed25519 key.
pub const ED25519_PREFIX: &str = "whsk_";
/// What stands before its public half.
pub const PUBLIC_PREFIX: &str = "whpk_";

/// How many bytes are drawn: as many as HMAC-SHA256 makes use of.
const DRAWN_BYTES: usize = 32;
/// The shortest secret that is taken, in bytes: secrets brought along from Svix have 18.
pub(super) const MIN_BYTES: usize = 16;
/// The longest, in bytes of its text.
pub(super) const MAX_TEXT_BYTES: usize = 512;

/// Why a text is no signing secret. None of it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It has neither of the prefixes.
    #[error("the secret must begin with `{HMAC_PREFIX}` or `{ED25519_PREFIX}`")]
    Prefix,
    /// What follows is not base64.
    #[error("the secret must be base64 after its prefix")]
    Base64,
    /// It is too short or too long.
    #[error("the secret must have {MIN_BYTES} bytes, and {MAX_TEXT_BYTES} characters at most")]
    Length,
    /// Not an Ed25519 key, or one whose halves do not belong together.
    #[error("the secret is not an Ed25519 key")]
    Ed25519,
    /// It has what cannot be typed.
    #[error("the secret must be printable ASCII")]
    Text,
    /// There are too many old ones.
    #[error("too many old secrets")]
    TooMany,
}

/// A new symmetric secret. `rng` must be one for secrets.
#[must_use]
pub fn draw_hmac(rng: &dyn Rng) -> Secret {
    let mut bytes = [0; DRAWN_BYTES];
    rng.fill(&mut bytes);
    Secret::new(format!("{HMAC_PREFIX}{}", STANDARD.encode(bytes)))
}

/// A new Ed25519 key. `rng` must be one for secrets.
///
/// # Errors
/// [`SecretError::Ed25519`], never in practice: every seed is a key.
pub fn draw_ed25519(rng: &dyn Rng) -> Result<Secret, SecretError> {
    let mut seed = [0; DRAWN_BYTES];
    rng.fill(&mut seed);
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| SecretError::Ed25519)?;
    let both = [seed.as_slice(), pair.public_key().as_ref()].concat();
    Ok(Secret::new(format!("{ED25519_PREFIX}{}", STANDARD.encode(both))))
}

/// Checks the text of a secret whose style does not say what it is made of.
pub(super) fn check_text(text: &str) -> Result<(), SecretError> {
    if !(MIN_BYTES..=MAX_TEXT_BYTES).contains(&text.len()) {
        return Err(SecretError::Length);
    }
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_plain { Ok(()) } else { Err(SecretError::Text) }
}
