//! Stripe's style: `Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]`.
//!
//! Signed is `{seconds}.{body}` by HMAC-SHA256; the key is the whole text of the secret, prefix and all
//! (reference `trust_ux.md` 1.3).

use super::text::Key;
use super::{Message, seconds};
use crate::header::Field;

/// The header of a message, signed with each of the keys.
pub(super) fn fields<'a>(keys: impl Iterator<Item = &'a Key>, message: &Message<'_>) -> Vec<Field> {
    let mut value = format!("t={}", seconds(message.at));
    let before = format!("{}.", seconds(message.at));
    for key in keys {
        value.push_str(",v1=");
        value.push_str(&key.sign(&[before.as_bytes(), message.body]));
    }
    vec![Field::new("Stripe-Signature", &value)]
}
