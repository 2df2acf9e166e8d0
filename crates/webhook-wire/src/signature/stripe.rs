//! Stripe's style: `Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]`.
//!
//! Signed is `{seconds}.{body}` by HMAC-SHA256; the key is the whole text of the secret, prefix and all
//! (reference `trust_ux.md` 1.3).

use std::fmt;

use outflow_auth::Secret;
use ring::hmac;

use super::secret::{SecretError, check_text};
use super::{Message, hex, seconds};
use crate::header::Field;

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
}

/// The header of a message, signed with each of the keys.
pub(super) fn fields<'a>(keys: impl Iterator<Item = &'a Key>, message: &Message<'_>) -> Vec<Field> {
    let mut value = format!("t={}", seconds(message.at));
    let before = format!("{}.", seconds(message.at));
    for Key(key) in keys {
        let mut context = hmac::Context::with_key(key);
        context.update(before.as_bytes());
        context.update(message.body);
        value.push_str(",v1=");
        value.push_str(&hex(context.sign().as_ref()));
    }
    vec![Field::new("Stripe-Signature", &value)]
}
