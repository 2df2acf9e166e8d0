//! An id for every request: in the log, in the answer, and in the caller's own log when it sent
//! one.
//!
//! Given by [`crate::App`]; handlers take the id from the request's extensions.

use std::fmt;

use http::{HeaderName, HeaderValue};
use outflow_model::Rng;

/// The header that carries the id both ways.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id: a random UUID, or what the caller sent in `X-Request-Id` if that is 1 to 64
/// letters, digits, `-`, `_` or `.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// A random (version 4) UUID.
    #[must_use]
    pub fn random(rng: &dyn Rng) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; 16];
        rng.fill(&mut bytes);
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in bytes.into_iter().enumerate() {
            // RFC 9562: the version, then the variant, each in the high bits of its byte.
            let byte = match index {
                6 => byte & 0x0F | 0x40,
                8 => byte & 0x3F | 0x80,
                _ => byte,
            };
            at += usize::from(matches!(index, 4 | 6 | 8 | 10));
            for nibble in [byte >> 4, byte & 0x0F] {
                if let (Some(to), Some(&digit)) = (text.get_mut(at), HEX.get(usize::from(nibble))) {
                    *to = digit;
                }
                at += 1;
            }
        }
        // Hexadecimal digits and dashes are always a valid header value.
        Self(HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-")))
    }

    /// The caller's own id, if it sent a usable one.
    #[must_use]
    pub fn sent(value: &HeaderValue) -> Option<Self> {
        let allowed =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let bytes = value.as_bytes();
        ((1..=64).contains(&bytes.len()) && bytes.iter().all(allowed)).then(|| Self(value.clone()))
    }

    /// The id as a header value.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use outflow_model::rng::SeededRng;

    use super::*;

    #[test]
    fn random_ids_are_uuids_of_version_4() {
        let rng = SeededRng::new(1);
        let (one, other) = (RequestId::random(&rng), RequestId::random(&rng));
        assert_ne!(one, other);
        let lengths: Vec<_> = one.as_str().split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{one}");
        assert_eq!(one.as_str().as_bytes()[14], b'4', "{one}");
        assert!(matches!(one.as_str().as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{one}");
        assert_eq!(RequestId::sent(&one.header()), Some(one));
    }
}
