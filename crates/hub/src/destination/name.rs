//! Destinations' names as streams and subscriptions have them, and back.
//!
//! A byte that names here do not have is written `$XX`, and so is `$` itself; `:` where it would
//! make a topic look like a queue; and what URL paths would lose (`.`, `..` and empty parts between
//! slashes). So every name has one written form, and different names have different ones.

use outflow_model::{StreamName, SubscriptionName};

use super::{Destination, DestinationError, Kind};
use crate::subscription::StreamPattern;

/// What the streams of queues and of temporary destinations begin with.
const PREFIXES: [(&str, Kind); 3] =
    [("queue:", Kind::Queue), ("temp-queue:", Kind::TempQueue), ("temp-topic:", Kind::TempTopic)];
/// What durable subscribers' subscriptions begin with.
const DURABLE: &str = "durable:";
/// What the subscriptions that are gone with their consumer begin with.
pub(super) const PASSING: &str = "passing:";

const TOO_LONG: DestinationError = DestinationError::Name("is too long");

const fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::Queue => "queue:",
        Kind::Topic => "",
        Kind::TempQueue => "temp-queue:",
        Kind::TempTopic => "temp-topic:",
    }
}

/// The stream that holds what is sent to the destination.
pub(super) fn of_stream(destination: &Destination) -> Result<StreamName, DestinationError> {
    StreamName::new(&text(destination)).map_err(|_| TOO_LONG)
}

/// The subscription that a queue is.
pub(super) fn of_queue(destination: &Destination) -> Result<SubscriptionName, DestinationError> {
    SubscriptionName::new(&text(destination)).map_err(|_| TOO_LONG)
}

/// The subscription of a durable subscriber. `owner` keeps apart those of whom nobody knows that
/// they belong together.
pub(super) fn of_durable(
    owner: Option<&str>,
    client: &str,
    name: &str,
) -> Result<SubscriptionName, DestinationError> {
    let mut text = DURABLE.to_owned();
    for part in owner.into_iter().chain([client, name]) {
        if text.len() > DURABLE.len() {
            text.push(':');
        }
        escape(part, &mut text, |byte| matches!(byte, b':' | b'/'));
    }
    SubscriptionName::new(&text).map_err(|_| TOO_LONG)
}

/// The streams that hold what is sent to topics, of which some are paths with wildcards.
pub(super) fn of_pattern(topics: &[Destination]) -> Result<StreamPattern, DestinationError> {
    let mut all = String::new();
    for topic in topics {
        if !all.is_empty() {
            all.push(StreamPattern::BETWEEN);
        }
        if !topic.has_wildcards() {
            all.push_str(&text(topic));
            continue;
        }
        for (index, element) in topic.name.split('.').enumerate() {
            if index > 0 {
                all.push('.');
            }
            match element {
                "*" | ">" => all.push_str(element),
                exact => escape(exact, &mut all, |_| false),
            }
        }
    }
    StreamPattern::new(&all)
        .map_err(|_| DestinationError::Name("has an empty element, or is too long"))
}

fn text(destination: &Destination) -> String {
    let name = &destination.name;
    let mut text = String::with_capacity(prefix(destination.kind).len() + name.len());
    text.push_str(prefix(destination.kind));
    let is_lost = name.split('/').any(|part| matches!(part, "" | "." | ".."));
    let looks_else = destination.kind == Kind::Topic
        && PREFIXES.iter().any(|(prefix, _)| name.starts_with(prefix));
    escape(name, &mut text, |byte| match byte {
        b'/' => is_lost,
        b'.' => is_lost && !name.contains('/'),
        b':' => looks_else,
        _ => false,
    });
    text
}

fn escape(name: &str, out: &mut String, also: impl Fn(u8) -> bool) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in name.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte);
        if plain && !also(byte) {
            out.push(char::from(byte));
        } else {
            out.push('$');
            for digit in [byte >> 4, byte & 15] {
                out.push(DIGITS.get(usize::from(digit)).copied().map_or('0', char::from));
            }
        }
    }
}

fn value(digits: &[u8; 2]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u8::from_str_radix(digits, 16).ok()
}

/// Reads what [`escape`] wrote; of what others wrote, a `$` that begins no escape is itself.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, others)) = rest.split_first() {
        let escaped = if byte == b'$' { others.split_first_chunk() } else { None };
        match escaped.and_then(|(digits, after)| Some((value(digits)?, after))) {
            Some((byte, after)) => {
                out.push(byte);
                rest = after;
            }
            None => {
                out.push(byte);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The destination whose events a stream holds.
pub(super) fn destination(stream: &str) -> Destination {
    let known =
        PREFIXES.iter().find_map(|(prefix, kind)| Some((*kind, stream.strip_prefix(prefix)?)));
    let (kind, name) = known.unwrap_or((Kind::Topic, stream));
    Destination { kind, name: unescape(name) }
}

/// The queue that a subscription is.
pub(super) fn queue(subscription: &str) -> Option<Destination> {
    Some(destination(subscription)).filter(|destination| destination.kind.is_queue())
}

/// Whether a subscription is one that consumers of brokers' protocols make.
pub(super) fn is_brokers(subscription: &str) -> bool {
    ["queue:", DURABLE, PASSING].iter().any(|prefix| subscription.starts_with(prefix))
}

/// Whether a subscription is a durable subscriber's, and not of one of this owner.
pub(super) fn is_durable_of_others(subscription: &str, owner: &str) -> bool {
    let Some(parts) = subscription.strip_prefix(DURABLE) else { return false };
    let mut own = String::new();
    escape(owner, &mut own, |byte| matches!(byte, b':' | b'/'));
    let mut parts = parts.split(':');
    !(parts.next() == Some(&own) && parts.count() == 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(kind: Kind, name: &str) -> String {
        text(&Destination { kind, name: name.into() })
    }

    #[test]
    fn names_are_written_as_streams_have_them() {
        for (kind, name, expected) in [
            (Kind::Topic, "RTO.yourcompany", "RTO.yourcompany"),
            (Kind::Topic, "AA/INVOICES", "AA/INVOICES"),
            (Kind::Topic, "queue:x", "queue$3Ax"),
            (Kind::Topic, "a:b", "a:b"),
            (Kind::Topic, "a//b", "a$2F$2Fb"),
            (Kind::Topic, "..", "$2E$2E"),
            (Kind::Topic, "a b$", "a$20b$24"),
            (Kind::Topic, "ü", "$C3$BC"),
            (Kind::Queue, "d.RTO.x", "queue:d.RTO.x"),
            (Kind::TempQueue, "ID:1:2", "temp-queue:ID:1:2"),
        ] {
            assert_eq!(stream(kind, name), expected);
        }
        let durable = |owner, client, name| of_durable(owner, client, name).unwrap().to_string();
        assert_eq!(durable(None, "c:1", "news"), "durable:c$3A1:news");
        assert_eq!(durable(Some("cred"), "c", "a/b"), "durable:cred:c:a$2Fb");
        assert_eq!(destination("a$zz$").name, "a$zz$");
        assert_eq!(queue("queue:a$20b").unwrap().name, "a b");
        assert_eq!(queue("durable:c:n"), None);
    }

    #[test]
    fn a_pattern_of_several_topics_means_each_of_them_only() {
        let topic = |name: &str| Destination { kind: Kind::Topic, name: name.into() };
        let all = [topic("a.*"), topic("b,c"), topic("queue:d")];
        let pattern = of_pattern(&all).unwrap();
        assert_eq!(pattern.as_str(), "a.*,b$2Cc,queue$3Ad");
        let means = |kind, name| pattern.matches(&stream(kind, name));
        assert!(means(Kind::Topic, "a.x") && means(Kind::Topic, "b,c"));
        assert!(means(Kind::Topic, "queue:d") && !means(Kind::Queue, "d"));
        assert!(!means(Kind::Topic, "b") && !means(Kind::Topic, "c"));
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "(?s).{1,20}", other in "[./:$a]{1,6}", kind in 0..4usize) {
            let kind = [Kind::Queue, Kind::Topic, Kind::TempQueue, Kind::TempTopic][kind];
            for name in [name, other] {
                let written = stream(kind, &name);
                StreamName::new(&written).unwrap();
                prop_assert_eq!(destination(&written), Destination { kind, name });
            }
        }
    }
}
