//! Keys that are a text as it stands: the whole of it is what HMAC-SHA256 is keyed with, prefix and
//! all, as [`stripe`](super::stripe) and [`github`](super::github) have them (reference `trust_ux.md` 1.3).

use std::fmt;

use outflow_auth::Secret;
use ring::hmac;

use super::hex;
use super::secret::{SecretError, check_text};

/// What one secret signs with.
pub struct Key(hmac::Key);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// The key of a secret.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn parse(secret: &Secret) -> Result<Self, SecretError> {
        check_text(secret.expose())?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes())))
    }

    /// The signature of some parts, one after another, in hexadecimal digits.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        hex(context.sign().as_ref())
    }
}
