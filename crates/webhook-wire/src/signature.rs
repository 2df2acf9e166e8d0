//! Signatures: how a receiver knows who sent a batch.
//!
//! Called once for each attempt. [`secret`] draws and reads secrets, [`standard`], [`stripe`] and
//! [`github`] are the styles of reference `trust_ux.md` 1.3, [`text`] is the key of the latter two, and
//! [`message`] is what they sign.
//!
//! While a secret is being replaced, the old one signs as well, up to a time; receivers take a message
//! that either has signed. The style of GitHub has room for one signature: there the new secret
//! counts from the moment on in which it is set.
//!
//! Invariants: what is signed are the bytes that are sent, packed if they are sent packed; no secret is
//! printed.

pub mod github;
pub mod message;
pub mod secret;
pub mod standard;
pub mod stripe;
pub mod text;

use std::fmt;

pub use outflow_auth::{Secret, SystemRng};
use outflow_model::Timestamp;

pub use message::{Message, MessageId};
pub use secret::SecretError;

use crate::header::Field;

/// The most old secrets that sign beside the present one (reference: 10 with Svix).
pub const MAX_OLD: usize = 10;

/// Whose receivers an endpoint's requests are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Standard Webhooks: HMAC or Ed25519, as the secret says.
    #[default]
    Standard,
    /// `Stripe-Signature`.
    Stripe,
    /// `X-Hub-Signature-256`.
    GitHub,
    /// Nothing but the customer's own headers, as Airship sends.
    Unsigned,
}

impl Style {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Standard, Self::Stripe, Self::GitHub, Self::Unsigned];

    /// The word for it in settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Stripe => "stripe",
            Self::GitHub => "github",
            Self::Unsigned => "none",
        }
    }

    /// The style of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|style| style.as_str() == word)
    }
}

/// A key of any style.
enum Key {
    Standard(standard::Key),
    Stripe(text::Key),
    GitHub(text::Key),
}

/// Signs the messages of one endpoint. See the module.
pub struct Signer {
    style: Style,
    /// The present one first; those after it with the time until which they sign.
    keys: Vec<(Key, Option<Timestamp>)>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({}, {} keys)", self.style.as_str(), self.keys.len())
    }
}

impl Signer {
    /// A signer with an endpoint's secret.
    ///
    /// # Errors
    /// [`SecretError`]: it is none of this style.
    pub fn new(style: Style, secret: &Secret) -> Result<Self, SecretError> {
        let mut signer = Self { style, keys: Vec::new() };
        signer.add(secret, None)?;
        Ok(signer)
    }

    /// The same, signing with an earlier secret as well until a time.
    ///
    /// # Errors
    /// [`SecretError`]: it is none of this style, or there are [`MAX_OLD`] already.
    pub fn with_old(mut self, secret: &Secret, until: Timestamp) -> Result<Self, SecretError> {
        if self.keys.len() > MAX_OLD {
            return Err(SecretError::TooMany);
        }
        self.add(secret, Some(until))?;
        Ok(self)
    }

    fn add(&mut self, secret: &Secret, until: Option<Timestamp>) -> Result<(), SecretError> {
        let key = match self.style {
            Style::Standard => Key::Standard(standard::Key::parse(secret)?),
            Style::Stripe => Key::Stripe(text::Key::parse(secret)?),
            Style::GitHub => Key::GitHub(text::Key::parse(secret)?),
            Style::Unsigned => return Ok(()),
        };
        self.keys.push((key, until));
        Ok(())
    }

    /// The headers that an attempt at `message` has.
    #[must_use]
    pub fn sign(&self, message: &Message<'_>) -> Vec<Field> {
        let lives = |until: &Option<Timestamp>| until.is_none_or(|until| message.at < until);
        let live = self.keys.iter().filter(|(_, until)| lives(until)).map(|(key, _)| key);
        match self.style {
            Style::Standard => standard::fields(live.filter_map(Key::as_standard), message),
            Style::Stripe => stripe::fields(live.filter_map(Key::as_stripe), message),
            Style::GitHub => github::fields(live.filter_map(Key::as_github).next(), message),
            Style::Unsigned => Vec::new(),
        }
    }
}

impl Key {
    const fn as_standard(&self) -> Option<&standard::Key> {
        if let Self::Standard(key) = self { Some(key) } else { None }
    }

    const fn as_stripe(&self) -> Option<&text::Key> {
        if let Self::Stripe(key) = self { Some(key) } else { None }
    }

    const fn as_github(&self) -> Option<&text::Key> {
        if let Self::GitHub(key) = self { Some(key) } else { None }
    }
}

/// Whole seconds since the Unix epoch.
fn seconds(at: Timestamp) -> i64 {
    at.millis().div_euclid(1_000)
}

/// Bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
