//! The checker agrees with serde_json; the readers agree with the checker.

use std::cmp::Ordering;

use outflow_model::json::{self, Fault, Kind, Number, Pattern, Raw, Value, Values};
use proptest::prelude::*;

fn fault(text: &[u8]) -> Option<(usize, Fault)> {
    json::check(text, 4).err().map(|error| (error.at, error.fault))
}

#[test]
fn faults_name_the_byte() {
    let table: &[(&[u8], usize, Fault)] = &[
        (b"", 0, Fault::Truncated),
        (b"  ", 2, Fault::Truncated),
        (b"\xEF\xBB\xBF{}", 0, Fault::ExpectedValue),
        (b"{\"a\":1,}", 7, Fault::ExpectedName),
        (b"{\"a\" 1}", 5, Fault::ExpectedColon),
        (b"{\"a\":1 \"b\":2}", 7, Fault::ExpectedCommaOrBrace),
        (b"[1 2]", 3, Fault::ExpectedCommaOrBracket),
        (b"[1,]", 3, Fault::ExpectedValue),
        (b"[1", 2, Fault::Truncated),
        (b"{\"a\":\"\n\"}", 6, Fault::ControlCharacter),
        (b"\"0123456789\x1f\"", 11, Fault::ControlCharacter),
        (b"\"\\x\"", 2, Fault::BadEscape),
        (b"\"\\u12g4\"", 5, Fault::BadEscape),
        (b"\"ab\\ud800\"", 3, Fault::LoneSurrogate),
        (b"\"\\udc00\"", 1, Fault::LoneSurrogate),
        (b"\"\\ud800\\u0041\"", 1, Fault::LoneSurrogate),
        (b"01", 1, Fault::BadNumber),
        (b"-", 1, Fault::Truncated),
        (b"1.x", 2, Fault::BadNumber),
        (b"1e+x", 3, Fault::BadNumber),
        (b"+1", 0, Fault::ExpectedValue),
        (b"NaN", 0, Fault::ExpectedValue),
        (b"nul", 3, Fault::Truncated),
        (b"nuul", 2, Fault::ExpectedValue),
        (b"{} x", 3, Fault::Trailing),
        (b"[[[[[]]]]]", 4, Fault::TooDeep),
        (b"\"a\xff\"", 2, Fault::NotUtf8),
    ];
    for &(text, at, expected) in table {
        assert_eq!(fault(text), Some((at, expected)), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn odd_but_valid_texts_pass() {
    for text in [
        "1e400",
        "-0",
        "-0.0e-0",
        "1.10",
        "[[[[]]]]",
        "\t\r\n {} ",
        "\"\\u0000\\/\\ud83d\\ude00\"",
        "18446744073709551616",
        "{\"a\":1,\"a\":2}",
        "\"\u{7f}\u{2028}\"",
    ] {
        assert_eq!(fault(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn deep_texts_cost_no_stack() {
    let bomb = "[".repeat(1_000_000);
    assert_eq!(json::check(bomb.as_bytes(), 1_000_000).unwrap_err().at, json::MAX_DEPTH);
}

#[test]
fn numbers_compare_by_value() {
    let compare = |a: &str, b: &str| Number::new(a.as_bytes()).compare(Number::new(b.as_bytes()));
    for (a, b) in [
        ("1", "1.0"),
        ("1", "10e-1"),
        ("0", "-0.0e5"),
        ("0.001", "1e-3"),
        ("1200", "1.2E+3"),
        ("-5", "-5.000"),
        ("123456789012345678901234567890", "123456789012345678901234567890.0"),
    ] {
        assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
    }
    for (a, b) in [
        ("9007199254740992", "9007199254740993"),
        ("-2", "-1"),
        ("-1", "0"),
        ("0", "1e-400"),
        ("9", "10"),
        ("0.09", "0.1"),
        ("1e400", "1e401"),
        ("-1e3", "-999.5"),
        ("1.1", "1.10000000000000000001"),
    ] {
        assert_eq!((compare(a, b), compare(b, a)), (Ordering::Less, Ordering::Greater), "{a} {b}");
    }
}

#[test]
fn strings_compare_after_unescaping() {
    assert!(Raw::new(br"\u0041\ud83d\ude00\n").is("A😀\n".as_bytes()));
    assert!(!Raw::new(br"\n").is(br"\n"));
    assert!(Raw::new("straße Σ".as_bytes()).is_ignoring_case("STRAßE ς"));
    assert!(Raw::new(br"\u00e9T\u00e9").is_ignoring_case("Été"));
    assert!(!Raw::new(b"ab").is_ignoring_case("abc"));
}

#[test]
fn bodies_split_into_values() {
    let split = |body: &'static str| -> Vec<(usize, usize, &str)> {
        let pieces = Values::new(body.as_bytes(), 8).map(Result::unwrap);
        pieces
            .map(|piece| (piece.line, piece.index, std::str::from_utf8(piece.text).unwrap()))
            .collect()
    };
    assert_eq!(
        split("{}\n\n {\"a\":[1]}{}\n"),
        [(1, 0, "{}"), (3, 1, "{\"a\":[1]}"), (3, 2, "{}")]
    );
    assert_eq!(split("\n[ {},\n{} ]\n"), [(2, 0, "{}"), (3, 1, "{}")]);
    assert_eq!(split(" [ ] "), []);
    assert_eq!(split(" \n"), []);
    let fails = |body: &[u8]| {
        let mut values = Values::new(body, 8);
        let error = values.find_map(Result::err).unwrap();
        assert!(values.next().is_none());
        (error.at, error.fault)
    };
    assert_eq!(fails(b"{},{}"), (2, Fault::ExpectedValue));
    assert_eq!(fails(b"[{}{}]"), (3, Fault::ExpectedCommaOrBracket));
    assert_eq!(fails(b"[{},]"), (4, Fault::ExpectedValue));
    assert_eq!(fails(b"[{}] {}"), (5, Fault::Trailing));
    assert_eq!(fails(b"[{}"), (3, Fault::Truncated));
    assert_eq!(fails(b"{}\xff"), (2, Fault::NotUtf8));
}

/// A serde_json tree of what [`Value`] walks over.
fn tree(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Null => serde_json::Value::Null,
        Kind::Bool(value) => value.into(),
        Kind::Number(number) => serde_json::from_slice(number.as_written()).unwrap(),
        Kind::String(raw) => raw.to_text().into(),
        Kind::Array => value.elements().map(tree).collect(),
        Kind::Object => value
            .members()
            .map(|(name, value)| (name.to_text().into_owned(), tree(value)))
            .collect(),
    }
}

pub(crate) fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        (-3..4_i64).prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        prop_oneof![Just(0.5), Just(-1e3), Just(2.5e-7)].prop_map(serde_json::Value::from),
        "[a-cA-C\"\\\\\n\u{e9}\u{1F600}]{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::hash_map("[a-c\"\u{e9}]{0,2}", inner, 0..5)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Valid JSON in one of several spellings.
fn spelled() -> impl Strategy<Value = (serde_json::Value, String)> {
    (any_json(), any::<bool>(), any::<bool>()).prop_map(|(value, pretty, escaped)| {
        let text = if pretty {
            serde_json::to_string_pretty(&value)
        } else {
            serde_json::to_string(&value)
        };
        let text = text.unwrap();
        (value, if escaped { text.replace('c', "\\u0063").replace('é', "\\u00E9") } else { text })
    })
}

proptest! {
    #[test]
    fn what_serde_writes_is_walked_whole((value, text) in spelled()) {
        let checked = json::check(text.as_bytes(), 64).unwrap();
        prop_assert_eq!(&tree(checked), &value);
        prop_assert!(Pattern::of(checked).equals(Value::new(text.as_bytes()), false));
        let mut line = Vec::new();
        json::append_one_line(text.as_bytes(), &mut line);
        prop_assert!(!line.contains(&b'\n'));
        prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&line).unwrap(), value);
    }

    #[test]
    fn equality_is_serde_equality((left, left_text) in spelled(), (right, right_text) in spelled()) {
        let equal = Pattern::of(Value::new(left_text.as_bytes())).equals(Value::new(right_text.as_bytes()), false);
        prop_assert_eq!(equal, left == right);
    }

    #[test]
    fn accepts_what_serde_accepts((_, text) in spelled(), at in any::<prop::sample::Index>(), byte in prop_oneof![
        prop::sample::select(&b"{}[]:,\"\\ue+-.019tfn \n"[..]), any::<u8>()], cut in any::<bool>())
    {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at); } else { bytes[at] = byte; }
        let ours = json::check(&bytes, 64);
        let theirs = serde_json::from_slice::<serde_json::Value>(&bytes);
        let too_big = theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
        prop_assert!(ours.is_ok() == theirs.is_ok() || too_big, "{:?} {:?}", ours, theirs);
    }

    #[test]
    fn walking_rubbish_ends(bytes in prop::collection::vec(prop::sample::select(&b"{}[]:,\"\\u1 "[..]), 0..64)) {
        let value = Value::new(&bytes);
        let _ = value.get(b"a");
        let _ = value.elements().count();
        let _ = value.members().count();
    }
}
