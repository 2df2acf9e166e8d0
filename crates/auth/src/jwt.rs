//! JSON Web Tokens (RFC 7519) as this server signs them: HS256 in the compact form of RFC 7515, and
//! nothing else.
//!
//! Called by [`crate::access`], and by its fuzz target. Strict by being small: one algorithm, one header, one set of claims.
//! A header with any other member is refused, whatever it is called: `crit`, which must not be
//! ignored, and `jwk`, `jku`, `x5c`, `x5u`, which must not be followed (reference `trust_ux.md` 1.4 D).
//!
//! Invariants: nothing of a token is believed before its signature held; the key is looked up by
//! name in a map, never fetched; comparing takes the same time wherever two signatures differ.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outflow_model::Timestamp;
use ring::hmac;
use serde::{Deserialize, Serialize};

/// The longest token that is looked at, in bytes.
pub const MAX_BYTES: usize = 8 << 10;
/// How many bytes a signing key has.
pub const KEY_BYTES: usize = 32;
/// The bytes of an HMAC with SHA-256.
const SIGNATURE_BYTES: usize = 32;
/// By how much the clock may have been set back since a token was signed, or may be ahead of it, in
/// seconds.
const LEEWAY_S: i64 = 30;
/// Who signs: this server.
pub const ISSUER: &str = "outflow";

/// A key that signs tokens.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// The key of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    typ: &'a str,
}

/// What a token says. Times are in whole seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who signed it.
    pub iss: String,
    /// The API key.
    pub sub: String,
    /// The project.
    pub aud: String,
    /// The scopes, with spaces between them (RFC 8693 4.2).
    pub scope: String,
    /// When it was signed.
    pub iat: i64,
    /// When it ends.
    pub exp: i64,
    /// Its own name.
    pub jti: String,
    /// When it begins; at once if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
}

impl Claims {
    /// When it ends.
    pub(crate) const fn ends(&self) -> Timestamp {
        let ends_s = self.exp.saturating_add(LEEWAY_S);
        Timestamp::from_millis(ends_s.saturating_mul(1000))
    }

    /// Whether it holds at this moment.
    #[must_use]
    pub fn hold(&self, now: Timestamp) -> bool {
        let now = now.millis().div_euclid(1000);
        let begins = self.nbf.unwrap_or(self.iat).max(self.iat);
        self.iss == ISSUER
            && !self.jti.is_empty()
            && self.exp.saturating_add(LEEWAY_S) > now
            && begins <= now.saturating_add(LEEWAY_S)
    }
}

/// Signs `claims`. `kid` says by which key.
#[must_use]
pub fn sign(kid: &str, claims: &Claims, key: &SigningKey) -> Option<String> {
    let header = Header { alg: "HS256", kid, typ: "JWT" };
    let mut text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).ok()?);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims).ok()?, &mut text);
    let signature = hmac::sign(&key.0, text.as_bytes());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Some(text)
}

/// Whether a secret has the form of a token: no other secret begins like one and has dots.
#[must_use]
pub fn is_like(text: &str) -> bool {
    text.starts_with("eyJ") && text.contains('.')
}

/// A token taken apart, not believed yet.
#[derive(Debug)]
pub struct Unverified<'a> {
    /// The key that is said to have signed it.
    pub kid: String,
    signed: &'a str,
    claims: &'a str,
    signature: [u8; SIGNATURE_BYTES],
}

impl<'a> Unverified<'a> {
    /// Takes a token apart; `None` for whatever this server does not sign.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        // A dot is no letter of base64, so a fourth part is refused with the claims.
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
        let header = URL_SAFE_NO_PAD.decode(header).ok()?;
        let Header { alg, kid, typ } = serde_json::from_slice(&header).ok()?;
        let is_ours = alg == "HS256" && typ == "JWT";
        is_ours.then(|| Self { kid: kid.to_owned(), signed, claims, signature })
    }

    /// What the token says, if `key` signed it.
    #[must_use]
    pub fn verify(&self, key: &SigningKey) -> Option<Claims> {
        hmac::verify(&key.0, self.signed.as_bytes(), &self.signature).ok()?;
        let claims = URL_SAFE_NO_PAD.decode(self.claims).ok()?;
        serde_json::from_slice(&claims).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.into(),
            sub: "key".into(),
            aud: "acme".into(),
            scope: "feed:read".into(),
            iat: 1_000,
            exp: 2_000,
            jti: "1".into(),
            nbf: None,
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_is_read_and_nothing_else(at: prop::sample::Index, bit in 0u8..7, key: [u8; 32]) {
            let (key, other) = (SigningKey::new(&key), SigningKey::new(&[7; 32]));
            let text = sign("key.1", &claims(), &key).unwrap();
            let token = Unverified::parse(&text).unwrap();
            prop_assert_eq!(token.verify(&key), Some(claims()));
            prop_assert_eq!(token.verify(&other), None);
            let mut changed = text.into_bytes();
            let at = at.index(changed.len());
            changed[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(changed) else { return Ok(()) };
            let read = Unverified::parse(&changed).and_then(|token| token.verify(&key));
            prop_assert_eq!(read, None);
        }

        #[test]
        fn any_text_is_judged_without_a_fault(text: String) {
            prop_assert!(Unverified::parse(&text).is_none());
        }
    }
}
