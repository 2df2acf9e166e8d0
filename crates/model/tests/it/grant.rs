//! Which destinations a grant reaches.

use outflow_model::destination::{PatternError, covers};
use outflow_model::{DestinationGrant, DestinationKind, DestinationPattern};
use proptest::prelude::*;

const QUEUE: DestinationKind = DestinationKind::Queue;
const TOPIC: DestinationKind = DestinationKind::Topic;

#[test]
fn a_customer_reaches_its_namespace_and_nothing_else() {
    let pattern = |text| DestinationPattern::parse(text).unwrap();
    let grant = DestinationGrant {
        consume: vec![pattern("*.RTO.acme"), pattern("topic://RTO.acme")],
        send: Vec::new(),
    };
    for (kind, name) in
        [(QUEUE, "destination1.RTO.acme"), (QUEUE, "*.RTO.acme"), (TOPIC, "RTO.acme")]
    {
        assert!(grant.consumes(kind, name), "{name}");
        assert!(!grant.sends(kind, name), "{name}");
    }
    for (kind, name) in [
        (QUEUE, "destination1.RTO.rival"),
        (QUEUE, "*.RTO.*"),
        (QUEUE, "*.RTO.>"),
        (QUEUE, "*.>"),
        (QUEUE, ">"),
        (QUEUE, "RTO.acme"),
        (QUEUE, "a.b.RTO.acme"),
        (QUEUE, "a.RTO.acme.b"),
        (QUEUE, "a.RTO.acme.>"),
        (TOPIC, "destination1.RTO.acme"),
        (TOPIC, "RTO.>"),
    ] {
        assert!(!grant.consumes(kind, name), "{name}");
    }
}

#[test]
fn wildcards_cover_what_they_stand_for() {
    for (pattern, wanted, expected) in [
        ("a.>", "a", true),
        ("a.>", "a.b.c", true),
        ("a.>", "a.*.>", true),
        ("a.>", "*", false),
        ("a.*", "a", false),
        ("a.*", "a.b", true),
        ("a.*", "a.*", true),
        ("a.*", "a.>", false),
        ("a.*.c", "a.>", false),
        (">", "a.>", true),
        (">", ">", true),
        ("a", "a", true),
        ("a", "*", false),
        ("a", "A", false),
    ] {
        assert_eq!(covers(pattern, wanted), expected, "{pattern} {wanted}");
    }
}

#[test]
fn patterns_are_checked() {
    let refused = |text: &str| DestinationPattern::parse(text).unwrap_err();
    for text in ["", "topic://", &"x".repeat(256)] {
        assert_eq!(refused(text), PatternError::Length, "{text}");
    }
    for text in [".", "a..b", "a.", ".a", "a.>.b", ">.a"] {
        assert_eq!(refused(text), PatternError::Element, "{text}");
    }
    for text in ["a b", "a,b", "a?x=1", "a\n"] {
        assert_eq!(refused(text), PatternError::Character, "{text}");
    }
    let shown = |text: &str| DestinationPattern::parse(text).unwrap().to_string();
    assert_eq!(shown("*.RTO.x"), "queue://*.RTO.x");
    assert_eq!(shown("topic://a.>"), "topic://a.>");
}

proptest! {
    /// What a pattern covers, it accepts name by name.
    #[test]
    fn covering_is_no_wider_than_accepting(
        pattern in "[ab*]([.][ab*]){0,2}([.]>)?",
        wanted in "[ab*]([.][ab*]){0,2}([.]>)?",
        name in "[ab]([.][ab]){0,4}",
    ) {
        if covers(&pattern, &wanted) && covers(&wanted, &name) {
            prop_assert!(covers(&pattern, &name), "{} {} {}", pattern, wanted, name);
        }
    }
}
