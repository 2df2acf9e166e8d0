//! Destinations as STOMP spells them (reference `activemq.md` a3): `/queue/…`, `/topic/…`,
//! `/temp-queue/…`, `/temp-topic/…`, `/remote-temp-queue/…`, `/remote-temp-topic/…`; anything else
//! is the name of a queue. Several, with commas between them, are a composite. The real name of a
//! temporary one is its connection's, a colon and the alias.

use outflow_hub::destination::{Destination, Kind};
use outflow_model::ErrorCode;

use crate::error::Failure;

/// How a kind is spelt: for its own connection, and for others.
const fn prefixes(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Queue => ("/queue/", "/queue/"),
        Kind::Topic => ("/topic/", "/topic/"),
        Kind::TempQueue => ("/temp-queue/", "/remote-temp-queue/"),
        Kind::TempTopic => ("/temp-topic/", "/remote-temp-topic/"),
    }
}

/// How many a composite may name.
const MAX_PARTS: usize = 32;

/// The spellings, each with whether its name is an alias of the connection's own.
const SPELLINGS: [(&str, Kind, bool); 10] = [
    ("/queue/", Kind::Queue, false),
    ("/topic/", Kind::Topic, false),
    ("/temp-queue/", Kind::TempQueue, true),
    ("/temp-topic/", Kind::TempTopic, true),
    ("/remote-temp-queue/", Kind::TempQueue, false),
    ("/remote-temp-topic/", Kind::TempTopic, false),
    ("queue://", Kind::Queue, false),
    ("topic://", Kind::Topic, false),
    ("temp-queue://", Kind::TempQueue, false),
    ("temp-topic://", Kind::TempTopic, false),
];

/// Reads what a client of the connection called `session` wrote.
///
/// # Errors
/// [`Failure`] when a name is missing or there are too many.
pub fn parse(text: &str, session: &str) -> Result<Vec<Destination>, Failure> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    if parts.len() > MAX_PARTS {
        let most = format!("A destination may have at most {MAX_PARTS} parts");
        return Err(Failure::new(ErrorCode::TooLarge, most));
    }
    parts.into_iter().map(|part| one(part, session)).collect()
}

fn one(text: &str, session: &str) -> Result<Destination, Failure> {
    let spelling = SPELLINGS.iter().find_map(|&(prefix, kind, is_alias)| {
        text.strip_prefix(prefix).map(|name| (name, kind, is_alias))
    });
    let (name, kind, is_alias) = spelling.unwrap_or((text, Kind::Queue, false));
    if name.is_empty() {
        return Err(Failure::malformed(format!("The destination `{text}` has no name")));
    }
    let name = if is_alias { format!("{session}:{name}") } else { name.to_owned() };
    Ok(Destination::new(kind, &name)?)
}

/// As the client of the connection called `session` spells it.
#[must_use]
pub fn spell(destination: &Destination, session: &str) -> String {
    let (own, others) = prefixes(destination.kind);
    match own_alias(destination, session) {
        Some(alias) => [own, alias].concat(),
        None => [others, destination.name.as_str()].concat(),
    }
}

/// The alias, when it is a temporary destination of the connection called `session`.
#[must_use]
pub fn own_alias<'a>(destination: &'a Destination, session: &str) -> Option<&'a str> {
    if !destination.kind.is_temporary() {
        return None;
    }
    destination.name.strip_prefix(session)?.strip_prefix(':')
}

/// A `reply-to` as it is kept: an alias that only its connection understands becomes the real name.
#[must_use]
pub fn globally(reply_to: &str, session: &str) -> Option<String> {
    for kind in [Kind::TempQueue, Kind::TempTopic] {
        let (own, others) = prefixes(kind);
        if let Some(alias) = reply_to.trim().strip_prefix(own) {
            return Some([others, session, ":", alias].concat());
        }
    }
    None
}

/// The other way round: the connection's own alias, where `reply_to` is its own.
#[must_use]
pub fn locally(reply_to: &str, session: &str) -> Option<String> {
    for kind in [Kind::TempQueue, Kind::TempTopic] {
        let (own, others) = prefixes(kind);
        if let Some(name) = reply_to.strip_prefix(others) {
            let alias = name.strip_prefix(session)?.strip_prefix(':')?;
            return Some([own, alias].concat());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_understood_and_written_back() {
        let one = |text: &str| {
            let all = parse(text, "s1").unwrap();
            assert_eq!(all.len(), 1);
            (all[0].kind, all[0].name.to_string(), spell(&all[0], "s1"), spell(&all[0], "s2"))
        };
        let expect = |kind, name: &str, own: &str, others: &str| {
            (kind, name.to_owned(), own.to_owned(), others.to_owned())
        };
        assert_eq!(one("/queue/a.b"), expect(Kind::Queue, "a.b", "/queue/a.b", "/queue/a.b"));
        assert_eq!(one("/topic/t"), expect(Kind::Topic, "t", "/topic/t", "/topic/t"));
        assert_eq!(
            one("d.RTO.n"),
            expect(Kind::Queue, "d.RTO.n", "/queue/d.RTO.n", "/queue/d.RTO.n")
        );
        let temporary = expect(Kind::TempQueue, "s1:t", "/temp-queue/t", "/remote-temp-queue/s1:t");
        assert_eq!(one("/temp-queue/t"), temporary);
        assert_eq!(one("/remote-temp-queue/s1:t"), temporary);
        assert_eq!(parse("/queue/a,/topic/b, queue://c", "s").unwrap().len(), 3);
        for bad in ["", "/queue/", "a,,b", "/queue/a,"] {
            parse(bad, "s").unwrap_err();
        }
        parse(&"a,".repeat(40), "s").unwrap_err();
    }

    #[test]
    fn a_reply_reaches_its_asker_by_any_connection() {
        let sent = globally("/temp-queue/t", "s1").unwrap();
        assert_eq!(sent, "/remote-temp-queue/s1:t");
        assert_eq!(locally(&sent, "s1").as_deref(), Some("/temp-queue/t"));
        assert_eq!(locally(&sent, "s2"), None);
        assert_eq!(globally("/queue/r", "s1"), None);
    }
}
