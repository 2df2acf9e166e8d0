//! The headers that a customer adds to its requests, and those that the server adds itself.
//!
//! Checked when an endpoint is configured (reference `trust_ux.md` 1.3, SSRF rule 8); written by
//! whoever sends, in the case and the order in which they were given.
//!
//! Invariant: no header ends a line or a message, or says something about the message's framing. Values
//! are credentials more often than not: none is printed.

use std::fmt;

/// The most headers that a customer may add.
pub const MAX_HEADERS: usize = 20;
/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// The longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 4_096;

/// The names that say how a message is framed or routed, or that the server writes itself.
const RESERVED: [&str; 19] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
    "stripe-signature",
    "x-hub-signature",
    "x-hub-signature-256",
    "x-github-event",
    "x-github-delivery",
    "x-github-hook-id",
    "alt-used",
];
/// What reserved names may begin with.
const RESERVED_PREFIXES: [&str; 3] = ["proxy-", "webhook-", "outflow-"];

/// Why the headers of an endpoint were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There are too many.
    #[error("there may be {MAX_HEADERS} headers")]
    TooMany,
    /// A name is empty or too long, or no token.
    #[error(
        "header {at}: the name must be 1 to {MAX_NAME_BYTES} letters, digits or any of !#$%&'*+-.^_`|~"
    )]
    Name {
        /// Which, from 0.
        at: usize,
    },
    /// The server writes it itself, or it would change what the message is.
    #[error("header {at}: `{name}` cannot be set")]
    Reserved {
        /// Which, from 0.
        at: usize,
        /// Its name as given.
        name: String,
    },
    /// It comes twice.
    #[error("header {at}: `{name}` comes twice")]
    Twice {
        /// Which, from 0.
        at: usize,
        /// Its name as given.
        name: String,
    },
    /// A value is too long, or has what a line cannot carry. The value is not shown.
    #[error(
        "header {at}: the value must be at most {MAX_VALUE_BYTES} printable ASCII characters, without spaces around them"
    )]
    Value {
        /// Which, from 0.
        at: usize,
    },
}

/// The headers of an endpoint, in order. See the module.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Checks the headers and keeps them.
    ///
    /// # Errors
    /// [`HeaderError`] says which is wrong.
    pub fn new(headers: Vec<(String, String)>) -> Result<Self, HeaderError> {
        if headers.len() > MAX_HEADERS {
            return Err(HeaderError::TooMany);
        }
        let mut known: Vec<String> = Vec::with_capacity(headers.len());
        for (at, (name, value)) in headers.iter().enumerate() {
            if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(is_token) {
                return Err(HeaderError::Name { at });
            }
            let folded = name.to_ascii_lowercase();
            if is_reserved(&folded) {
                return Err(HeaderError::Reserved { at, name: name.clone() });
            }
            if known.contains(&folded) {
                return Err(HeaderError::Twice { at, name: name.clone() });
            }
            let is_padded = value.starts_with([' ', '\t']) || value.ends_with([' ', '\t']);
            if value.len() > MAX_VALUE_BYTES || is_padded || !value.bytes().all(is_value) {
                return Err(HeaderError::Value { at });
            }
            known.push(folded);
        }
        Ok(Self(headers))
    }

    /// The headers in order: names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is one of this name, in whatever case.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

impl fmt::Debug for Headers {
    /// The names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// A header that the server adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name, in the case in which its specification writes it.
    pub name: &'static str,
    value: String,
}

impl Field {
    /// A header. What a line cannot carry becomes `_`: types of events are their publishers' words.
    #[must_use]
    pub fn new(name: &'static str, value: &str) -> Self {
        let plain = |c: char| if matches!(c, ' '..='~') { c } else { '_' };
        Self { name, value: value.chars().map(plain).collect() }
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

fn is_reserved(folded: &str) -> bool {
    RESERVED.contains(&folded) || RESERVED_PREFIXES.iter().any(|prefix| folded.starts_with(prefix))
}

/// RFC 9110 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

const fn is_value(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Headers, HeaderError> {
        Headers::new(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn the_seeds_headers_are_taken_as_they_are() {
        let given = [
            ("Custom-Header1", "Value1"),
            ("Authorization", "Basic dXNhcj0wYXNzd29yZA=="),
            ("X-Empty", ""),
            ("x_under.score", "a\tb  c"),
        ];
        let headers = of(&given).unwrap();
        assert_eq!(headers.iter().collect::<Vec<_>>(), given);
        assert!(headers.has("authorization") && !headers.has("cookie"));
    }

    #[test]
    fn names_that_frame_or_route_a_message_are_refused_in_any_case() {
        let names = [
            "Host",
            "CONTENT-LENGTH",
            "content-type",
            "Content-Encoding",
            "Transfer-Encoding",
            "TE",
            "Connection",
            "Trailer",
            "Upgrade",
            "Keep-Alive",
            "Expect",
            "Proxy-Authorization",
            "proxy-connection",
            "Webhook-Id",
            "WEBHOOK-SIGNATURE",
            "Stripe-Signature",
            "X-Hub-Signature-256",
            "X-GitHub-Delivery",
            "Outflow-Anything",
        ];
        for name in names {
            let refused = HeaderError::Reserved { at: 0, name: name.into() };
            assert_eq!(of(&[(name, "1")]), Err(refused), "{name}");
        }
    }

    #[test]
    fn nothing_ends_a_line_or_hides_in_a_name() {
        for name in ["", " A", "A ", "A:", "A\r\nHost", "Hóst", "A\0", "(a)", &"a".repeat(257)] {
            assert_eq!(of(&[(name, "1")]), Err(HeaderError::Name { at: 0 }), "{name:?}");
        }
        for value in
            ["a\r\nHost: b", "a\nb", "a\rb", "a\0b", "\u{7f}", "é", " a", "a\t", &"a".repeat(4_097)]
        {
            let error = of(&[("B", "fine"), ("A", value)]);
            assert_eq!(error, Err(HeaderError::Value { at: 1 }), "{value:?}");
        }
    }

    #[test]
    fn counts_and_repeats_are_bounded() {
        let many: Vec<_> = (0..21).map(|n| (format!("H{n}"), String::new())).collect();
        assert!(Headers::new(many[..20].to_vec()).is_ok());
        assert_eq!(Headers::new(many), Err(HeaderError::TooMany));
        let twice = HeaderError::Twice { at: 1, name: "x-a".into() };
        assert_eq!(of(&[("X-A", "1"), ("x-a", "2")]), Err(twice));
    }

    #[test]
    fn values_are_never_printed() {
        let headers = of(&[("Authorization", "Bearer canary")]).unwrap();
        assert_eq!(format!("{headers:?}"), "[\"Authorization\"]");
        let error = of(&[("Authorization", "canary\n")]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }

    #[test]
    fn what_the_server_adds_stays_on_its_line() {
        assert_eq!(Field::new("X-GitHub-Event", "a\r\nB: c\u{e9}").value(), "a__B: c_");
    }
}
