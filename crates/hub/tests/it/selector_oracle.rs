//! Selectors against a slow evaluator written for plainness, on texts drawn at random.

use std::borrow::Cow;

use outflow_hub::selector::Value;
use outflow_hub::{Dialect, Selector};
use proptest::prelude::*;

use crate::selector::Sample;

const NAMES: [&str; 4] = ["a", "b", "text", "absent"];
const WORDS: [&str; 5] = ["", "x", "ax", "a_x%", "it's"];

/// What a text is drawn from.
#[derive(Debug, Clone)]
enum Tree {
    Name(usize),
    Number(i64),
    Word(usize),
    Sum(Box<Tree>, &'static str, Box<Tree>),
    Compare(Box<Tree>, &'static str, Box<Tree>),
    Not(Box<Tree>),
    Both(Box<Tree>, Box<Tree>),
    Either(Box<Tree>, Box<Tree>),
    IsNull(usize, bool),
    In(usize, Vec<usize>, bool),
    Like(usize, usize, bool),
    Between(Box<Tree>, Box<Tree>, Box<Tree>, bool),
}

fn number() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![(0..4_usize).prop_map(Tree::Name), (0..50_i64).prop_map(Tree::Number)];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let sign = prop_oneof![Just("+"), Just("-"), Just("*")];
        (inner.clone(), sign, inner)
            .prop_map(|(left, sign, right)| Tree::Sum(left.into(), sign, right.into()))
    })
}

fn truth() -> impl Strategy<Value = Tree> {
    let sign = prop_oneof![Just("="), Just("<>"), Just("<"), Just("<="), Just(">"), Just(">=")];
    let leaf = prop_oneof![
        (number(), sign, number()).prop_map(|(l, sign, r)| Tree::Compare(l.into(), sign, r.into())),
        ((0..4_usize), prop_oneof![Just("="), Just("<>")], (0..5_usize)).prop_map(
            |(name, sign, word)| {
                Tree::Compare(Tree::Name(name).into(), sign, Tree::Word(word).into())
            }
        ),
        ((0..4_usize), any::<bool>()).prop_map(|(name, negated)| Tree::IsNull(name, negated)),
        ((0..4_usize), prop::collection::vec(0..5_usize, 1..4), any::<bool>())
            .prop_map(|(name, words, negated)| Tree::In(name, words, negated)),
        ((0..4_usize), (0..5_usize), any::<bool>())
            .prop_map(|(name, word, negated)| Tree::Like(name, word, negated)),
        (number(), number(), number(), any::<bool>()).prop_map(|(v, l, h, negated)| Tree::Between(
            v.into(),
            l.into(),
            h.into(),
            negated
        )),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| Tree::Not(one.into())),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| Tree::Both(l.into(), r.into())),
            (inner.clone(), inner).prop_map(|(l, r)| Tree::Either(l.into(), r.into())),
        ]
    })
}

/// Written with brackets only where binding asks for them: `level` is how tight the place binds.
fn write(tree: &Tree, level: u8) -> String {
    let quoted = |word: &usize| format!("'{}'", WORDS[*word].replace('\'', "''"));
    let not = |negated: &bool| if *negated { "NOT " } else { "" };
    let (own, text) = match tree {
        Tree::Name(name) => (9, NAMES[*name].to_owned()),
        Tree::Number(number) => (9, number.to_string()),
        Tree::Word(word) => (9, quoted(word)),
        Tree::Sum(left, sign, right) => {
            let own = if *sign == "*" { 7 } else { 6 };
            (own, format!("{} {sign} {}", write(left, own), write(right, own + 1)))
        }
        Tree::Compare(left, sign, right) => {
            (4, format!("{} {sign} {}", write(left, 6), write(right, 6)))
        }
        Tree::Not(one) => (3, format!("NOT {}", write(one, 3))),
        Tree::Both(left, right) => (2, format!("{} and {}", write(left, 2), write(right, 3))),
        Tree::Either(left, right) => (1, format!("{} OR {}", write(left, 1), write(right, 2))),
        Tree::IsNull(name, negated) => (4, format!("{} IS {}NULL", NAMES[*name], not(negated))),
        Tree::In(name, words, negated) => {
            let words = words.iter().map(quoted).collect::<Vec<_>>().join(",");
            (4, format!("{} {}IN ({words})", NAMES[*name], not(negated)))
        }
        Tree::Like(name, word, negated) => {
            (4, format!("{} {}LIKE {}", NAMES[*name], not(negated), quoted(word)))
        }
        Tree::Between(value, low, high, negated) => {
            let (value, low, high) = (write(value, 6), write(low, 6), write(high, 6));
            (4, format!("{value} {}BETWEEN {low} AND {high}", not(negated)))
        }
    };
    if own < level { format!("({text})") } else { text }
}

#[derive(Debug, Clone, PartialEq)]
enum Plain {
    Number(i64),
    Word(String),
}

type Known = [Option<Plain>; 4];

fn value(tree: &Tree, known: &Known) -> Option<Plain> {
    match tree {
        Tree::Name(name) => known[*name].clone(),
        Tree::Number(number) => Some(Plain::Number(*number)),
        Tree::Word(word) => Some(Plain::Word(WORDS[*word].to_owned())),
        Tree::Sum(left, sign, right) => match (value(left, known)?, *sign, value(right, known)?) {
            (Plain::Word(left), "+", Plain::Word(right)) => Some(Plain::Word(left + &right)),
            (Plain::Word(left), "+", Plain::Number(right)) => {
                Some(Plain::Word(format!("{left}{right}")))
            }
            (Plain::Number(left), "+", Plain::Number(right)) => Some(Plain::Number(left + right)),
            (Plain::Number(left), "-", Plain::Number(right)) => Some(Plain::Number(left - right)),
            (Plain::Number(left), "*", Plain::Number(right)) => Some(Plain::Number(left * right)),
            _ => None,
        },
        _ => panic!("no value: {tree:?}"),
    }
}

fn compare(left: &Plain, sign: &str, right: &Plain) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = match (left, right) {
        (Plain::Number(left), Plain::Number(right)) => Some(left.cmp(right)),
        (Plain::Word(left), Plain::Word(right)) => Some(left.cmp(right)),
        _ => None,
    };
    match sign {
        "=" => order == Some(Equal),
        "<>" => order != Some(Equal),
        "<" => order == Some(Less),
        ">" => order == Some(Greater),
        "<=" => matches!(order, Some(Less | Equal)),
        _ => matches!(order, Some(Greater | Equal)),
    }
}

fn like(text: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|cut| like(&text[cut..], rest)),
        Some((&first, rest)) => text
            .split_first()
            .is_some_and(|(&one, others)| (first == '_' || first == one) && like(others, rest)),
    }
}

fn and(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn holds(tree: &Tree, known: &Known) -> Option<bool> {
    match tree {
        Tree::Compare(left, sign, right) => {
            Some(compare(&value(left, known)?, sign, &value(right, known)?))
        }
        Tree::Not(one) => holds(one, known).map(|truth| !truth),
        Tree::Both(left, right) => and(holds(left, known), holds(right, known)),
        Tree::Either(left, right) => {
            let not = |tree: &Tree| holds(tree, known).map(|truth| !truth);
            and(not(left), not(right)).map(|truth| !truth)
        }
        Tree::IsNull(name, negated) => Some(known[*name].is_none() != *negated),
        Tree::In(name, words, negated) => match known[*name].as_ref()? {
            Plain::Word(text) => Some(words.iter().any(|word| WORDS[*word] == text) != *negated),
            Plain::Number(_) => None,
        },
        Tree::Like(name, word, negated) => match known[*name].as_ref()? {
            Plain::Word(text) => {
                let (text, pattern): (Vec<char>, Vec<char>) =
                    (text.chars().collect(), WORDS[*word].chars().collect());
                Some(like(&text, &pattern) != *negated)
            }
            Plain::Number(_) => Some(*negated),
        },
        Tree::Between(one, low, high, negated) => {
            let one = value(one, known)?;
            let side = |sign, bound| value(bound, known).map(|bound| compare(&one, sign, &bound));
            if *negated {
                let within = |sign, bound| side(sign, bound).map(|truth: bool| !truth);
                and(within("<", low), within(">", high)).map(|truth| !truth)
            } else {
                and(side(">=", low), side("<=", high))
            }
        }
        _ => panic!("no truth: {tree:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn selects_what_the_plain_evaluator_does(
        tree in truth(),
        a in -5..50_i64,
        b in 0..50_i64,
        word in "[ax_%']{0,4}",
    ) {
        let text = write(&tree, 0);
        let selector = Selector::parse(&text, Dialect::Plain);
        let selector = selector.map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        let known =
            [Some(Plain::Number(a)), Some(Plain::Number(b)), Some(Plain::Word(word.clone())), None];
        let sample = Sample(vec![
            ("a", Value::Int(a)),
            ("b", Value::Int(b)),
            ("text", Value::Text(Cow::Owned(word))),
        ]);
        prop_assert_eq!(selector.matches(&sample), holds(&tree, &known) == Some(true), "{}", text);
        // What it prints means the same, and prints itself.
        let canonical = selector.canonical();
        let again = Selector::parse(&canonical, Dialect::Plain);
        let again = again.map_err(|error| TestCaseError::fail(format!("{canonical}: {error}")))?;
        prop_assert_eq!(again.canonical(), canonical);
        prop_assert_eq!(again.matches(&sample), selector.matches(&sample));
    }

    #[test]
    fn no_text_is_a_fault(text in "(?s).{0,80}") {
        if let Ok(selector) = Selector::parse(&text, Dialect::StringsAsNumbers) {
            let _ = selector.matches(&Sample(Vec::new()));
        }
    }

    #[test]
    fn no_words_are_a_fault(words in prop::collection::vec(prop_oneof![
        Just("a"), Just("'x'"), Just("1"), Just("0x"), Just("5."), Just("("), Just(")"), Just(","),
        Just("NOT"), Just("AND"), Just("OR"), Just("BETWEEN"), Just("LIKE"), Just("ESCAPE"),
        Just("IN"), Just("IS"), Just("NULL"), Just("TRUE"), Just("="), Just("<>"), Just("<"),
        Just("+"), Just("-"), Just("*"), Just("--"), Just("/*"), Just("*/"), Just("INLIST("),
        Just("SPLIT("), Just("MAKELIST("), Just("REPLACE("), Just("\""), Just("'"), Just("\\"),
    ], 0..20)) {
        let text = words.join(" ");
        if let Ok(selector) = Selector::parse(&text, Dialect::Plain) {
            let _ = selector.matches(&Sample(vec![("a", Value::Int(1))]));
            let canonical = selector.canonical();
            let again = Selector::parse(&canonical, Dialect::Plain);
            prop_assert_eq!(again.map(|one| one.canonical()), Ok(canonical), "{}", text);
        }
    }
}
