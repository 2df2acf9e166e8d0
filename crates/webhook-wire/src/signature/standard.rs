//! Standard Webhooks 1.0.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
//!
//! Signed is `{id}.{timestamp}.{body}`, by HMAC-SHA256 (`v1`) or Ed25519 (`v1a`); the header lists a
//! signature for each secret, with a space between (reference `trust_ux.md` 1.3).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outflow_auth::Secret;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::secret::{
    ED25519_PREFIX, HMAC_PREFIX, MAX_TEXT_BYTES, MIN_BYTES, PUBLIC_PREFIX, SecretError,
};
use super::{Message, seconds};
use crate::header::Field;

/// How long the seed of an Ed25519 key is, in bytes.
const SEED_BYTES: usize = 32;

/// What one secret signs with.
pub enum Key {
    /// `v1`.
    Hmac(hmac::Key),
    /// `v1a`.
    Ed25519(Box<Ed25519KeyPair>),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version())
    }
}

impl Key {
    /// The key of a secret.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn parse(secret: &Secret) -> Result<Self, SecretError> {
        let text = secret.expose();
        if text.len() > MAX_TEXT_BYTES {
            return Err(SecretError::Length);
        }
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| SecretError::Base64);
        if let Some(text) = text.strip_prefix(HMAC_PREFIX) {
            let bytes = decode(text)?;
            let is_long = bytes.len() >= MIN_BYTES;
            let key = is_long.then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes));
            return key.map(Self::Hmac).ok_or(SecretError::Length);
        }
        let text = text.strip_prefix(ED25519_PREFIX).ok_or(SecretError::Prefix)?;
        let bytes = decode(text)?;
        let (seed, public) = bytes.split_at_checked(SEED_BYTES).ok_or(SecretError::Ed25519)?;
        let pair = if public.is_empty() {
            Ed25519KeyPair::from_seed_unchecked(seed)
        } else {
            Ed25519KeyPair::from_seed_and_public_key(seed, public)
        };
        pair.map(|pair| Self::Ed25519(Box::new(pair))).map_err(|_| SecretError::Ed25519)
    }

    /// What receivers verify with, where that is no secret.
    #[must_use]
    pub fn public(&self) -> Option<String> {
        match self {
            Self::Hmac(_) => None,
            Self::Ed25519(pair) => {
                Some(format!("{PUBLIC_PREFIX}{}", STANDARD.encode(pair.public_key())))
            }
        }
    }

    const fn version(&self) -> &'static str {
        match self {
            Self::Hmac(_) => "v1",
            Self::Ed25519(_) => "v1a",
        }
    }

    fn sign(&self, message: &Message<'_>) -> String {
        let before = format!("{}.{}.", message.id, seconds(message.at));
        let signature = match self {
            Self::Hmac(key) => {
                let mut context = hmac::Context::with_key(key);
                context.update(before.as_bytes());
                context.update(message.body);
                STANDARD.encode(context.sign())
            }
            Self::Ed25519(pair) => {
                STANDARD.encode(pair.sign(&[before.as_bytes(), message.body].concat()))
            }
        };
        format!("{},{signature}", self.version())
    }
}

/// The headers of a message, signed with each of the keys.
pub(super) fn fields<'a>(keys: impl Iterator<Item = &'a Key>, message: &Message<'_>) -> Vec<Field> {
    let signatures: Vec<String> = keys.map(|key| key.sign(message)).collect();
    vec![
        Field::new("webhook-id", message.id.as_str()),
        Field::new("webhook-timestamp", &seconds(message.at).to_string()),
        Field::new("webhook-signature", &signatures.join(" ")),
    ]
}
