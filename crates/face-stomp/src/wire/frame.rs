//! A frame as it came: slices of the buffer it stands in.

use std::borrow::Cow;

use super::Version;

/// Where one header stands, in bytes from the beginning of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) name: u32,
    /// The end of the name: the colon, if there is one.
    pub(super) colon: u32,
    pub(super) value: u32,
    pub(super) end: u32,
}

/// A frame, borrowed from the connection's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    pub(super) head: &'a str,
    pub(super) command: &'a str,
    pub(super) spans: &'a [Span],
    pub(super) body: &'a [u8],
    /// `None` where nothing is escaped and nothing trimmed: CONNECT and CONNECTED (rule 3).
    pub(super) version: Option<Version>,
}

impl<'a> Frame<'a> {
    /// The command, as it was written.
    #[must_use]
    pub const fn command(&self) -> &'a str {
        self.command
    }

    /// The body; empty when there is none.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The headers in order, repeated ones included.
    #[must_use]
    pub const fn headers(&self) -> Headers<'a> {
        Headers { frame: *self, next: 0 }
    }

    /// The value of header `name`: the first one's, when it is repeated (rule 5).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'a, str>> {
        let span = self.spans.iter().find(|span| {
            let raw = self.part(span.name, span.colon);
            raw == name || (raw.contains('\\') && self.unescape(raw) == name)
        })?;
        Some(self.value(span))
    }

    fn value(&self, span: &Span) -> Cow<'a, str> {
        let raw = self.part(span.value, span.end);
        match self.version {
            Some(Version::V1_0) => Cow::Borrowed(raw.trim()),
            _ => self.unescape(raw),
        }
    }

    fn part(&self, from: u32, to: u32) -> &'a str {
        self.head.get(from as usize..to as usize).unwrap_or_default()
    }

    fn unescape(&self, raw: &'a str) -> Cow<'a, str> {
        match (self.version, memchr::memchr(b'\\', raw.as_bytes())) {
            (Some(version @ (Version::V1_1 | Version::V1_2)), Some(first)) => {
                Cow::Owned(unescape(raw, first, version))
            }
            _ => Cow::Borrowed(raw),
        }
    }
}

/// What `raw`, whose first backslash stands at `first`, means. An escape that the version does not
/// know stays as it is: the specification calls it fatal, ActiveMQ does not (rule 3).
fn unescape(raw: &str, first: usize, version: Version) -> String {
    let mut out = String::with_capacity(raw.len());
    let (plain, mut rest) = raw.split_at_checked(first).unwrap_or((raw, ""));
    out.push_str(plain);
    while let Some(after) = rest.strip_prefix('\\') {
        let mut chars = after.chars();
        let meant = match chars.next() {
            Some('n') => Some('\n'),
            Some('c') => Some(':'),
            Some('\\') => Some('\\'),
            Some('r') if version == Version::V1_2 => Some('\r'),
            _ => None,
        };
        if let Some(meant) = meant {
            out.push(meant);
            rest = chars.as_str();
        } else {
            out.push('\\');
            rest = after;
        }
        let run = rest.find('\\').unwrap_or(rest.len());
        let (plain, after) = rest.split_at_checked(run).unwrap_or((rest, ""));
        out.push_str(plain);
        rest = after;
    }
    out
}

/// The headers of a frame, in order.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    frame: Frame<'a>,
    next: usize,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        let span = self.frame.spans.get(self.next)?;
        self.next += 1;
        let name = self.frame.unescape(self.frame.part(span.name, span.colon));
        Some((name, self.frame.value(span)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.frame.spans.len().saturating_sub(self.next);
        (left, Some(left))
    }
}
