//! What is signed: a message, and what it is called.
//!
//! Made by whoever sends a batch. A message is called after the events in it, so that a batch that is
//! sent again has the id that it had, after a restart or a replay as well.

use std::fmt;

use outflow_model::{Offset, ProjectId, StreamId, Timestamp};
use ring::digest::{SHA256, digest};

use super::hex;

/// How many bytes the place of an event has in what is digested.
const PLACE_BYTES: usize = 20;
/// How many bytes of the digest an id shows.
const ID_BYTES: usize = 16;

/// The id of a message: `msg_` and 32 hexadecimal digits, so that no `.` can be in it, which would
/// make what is signed ambiguous.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// The id of the message of these events: each by the number of its stream, when that was made,
    /// and its place there. Two messages have the same id only if they have the same events.
    #[must_use]
    pub fn of(
        project: &ProjectId,
        events: impl IntoIterator<Item = (StreamId, Timestamp, Offset)>,
    ) -> Self {
        let events = events.into_iter();
        let mut named = Vec::with_capacity(64 + events.size_hint().0 * PLACE_BYTES);
        named.extend_from_slice(project.as_str().as_bytes());
        // No project's id has it.
        named.push(b'/');
        for (stream, created, offset) in events {
            named.extend_from_slice(&stream.0.to_be_bytes());
            named.extend_from_slice(&created.millis().to_be_bytes());
            named.extend_from_slice(&offset.get().to_be_bytes());
        }
        let digest = digest(&SHA256, &named);
        let short = digest.as_ref().get(..ID_BYTES).unwrap_or_default();
        Self(format!("msg_{}", hex(short)))
    }

    /// The id of a message that was called so before, or elsewhere; `None`: a message cannot be.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let is_id = (1..=64).contains(&text.len()) && text.bytes().all(is_plain);
        is_id.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An attempt at a message, as it is signed.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The same at each attempt.
    pub id: &'a MessageId,
    /// When this attempt is made.
    pub at: Timestamp,
    /// The type of its events, where they have the same.
    pub event: Option<&'a str>,
    /// The endpoint's own id.
    pub endpoint: &'a str,
    /// The bytes that are sent.
    pub body: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(project: &str, events: &[(u32, u64)]) -> String {
        let project = ProjectId::new(project).unwrap();
        let created = Timestamp::from_millis(7);
        let events =
            events.iter().map(|(stream, at)| (StreamId(*stream), created, Offset::new(*at)));
        MessageId::of(&project, events).to_string()
    }

    #[test]
    fn the_same_events_have_the_same_id_and_others_another() {
        let one = id("a", &[(1, 5), (1, 6)]);
        // Receivers remember ids: this one must not change from version to version.
        assert_eq!(one, "msg_fc106cbcb88583c1d1252ce63fb98114");
        for other in [
            id("b", &[(1, 5), (1, 6)]),
            id("a", &[(1, 5)]),
            id("a", &[(1, 5), (2, 6)]),
            id("a", &[(1, 6), (1, 5)]),
            id("a", &[]),
        ] {
            assert_ne!(one, other);
        }
        assert!(MessageId::parse(&one).is_some());
    }

    #[test]
    fn an_id_cannot_have_what_parts_the_signed_text() {
        for bad in ["", "a.b", "a b", "a,b", "a\n", "é", &"a".repeat(65)] {
            assert_eq!(MessageId::parse(bad), None, "{bad:?}");
        }
        let svix = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        assert_eq!(MessageId::parse(svix).unwrap().as_str(), svix);
    }
}
