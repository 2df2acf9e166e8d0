//! What selectors select, and what is refused.

use std::borrow::Cow;

use outflow_hub::selector::{MAX_BYTES, MAX_DEPTH, MAX_NAMES, MAX_NODES, Value};
use outflow_hub::{Dialect, Properties, Selector};

/// Properties in a list.
pub(crate) struct Sample(pub(crate) Vec<(&'static str, Value<'static>)>);

impl Properties for Sample {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }
}

pub(crate) fn text(text: &'static str) -> Value<'static> {
    Value::Text(Cow::Borrowed(text))
}

/// The message of the reference's own tests.
fn sample() -> Sample {
    Sample(vec![
        ("name", text("James")),
        ("JMSType", text("selector-test")),
        ("rank", Value::Int(123)),
        ("version", Value::Int(2)),
        ("weight", Value::Float(2.5)),
        ("trueProp", Value::Bool(true)),
        ("falseProp", Value::Bool(false)),
        ("quote", text("'In God We Trust'")),
        ("foo", text("_foo")),
        ("punctuation", text("!#$&()*+,-./:;<=>?@[\\]^`{|}~")),
        ("endingUnderScore", text("XD7xlJIQn_")),
        ("number", text("42")),
        ("fraction", text("2.50")),
        ("yes", text("true")),
        ("content-type", text("application/json")),
        ("big", Value::Int(i64::MAX)),
        ("many", text("a,b,,c,,")),
        ("umlaut", text("Grüße\n😀")),
    ])
}

fn compiled(text: &str, dialect: Dialect) -> Selector {
    Selector::parse(text, dialect).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn plain(text: &str, expected: bool) {
    assert_eq!(compiled(text, Dialect::Plain).matches(&sample()), expected, "{text}");
}

#[track_caller]
fn converting(text: &str, expected: bool) {
    assert_eq!(compiled(text, Dialect::StringsAsNumbers).matches(&sample()), expected, "{text}");
}

#[test]
fn comparisons_and_logic() {
    for (text, expected) in [
        ("(trueProp OR falseProp) AND trueProp", true),
        ("(trueProp OR falseProp) AND falseProp", false),
        ("trueProp", true),
        ("name = 'James' and rank < 200", true),
        ("name = 'James' aNd rank > 200", false),
        ("name = 'Foo' or rank < 200", true),
        ("name = 'Foo' or rank > 200", false),
        ("name <> 'Foo'", true),
        ("rank >= 123 AND rank <= 123", true),
        ("rank >= 124", false),
        ("rank = 123.0", true),
        ("weight = 2.5", true),
        ("weight > version", true),
        ("rank between 100 and 150", true),
        ("rank between 10 and 120", false),
        ("rank not between 10 and 120", true),
        ("name in ('James', 'Bob', 'Gromit')", true),
        ("name in ('Gromit', 'Bob', 'Cheddar')", false),
        ("name not in ('Gromit', 'Bob', 'Cheddar')", true),
        ("dummy is null", true),
        ("dummy is not null", false),
        ("name is not null", true),
        ("name is null", false),
        ("JMSType='1001' OR JMSType='selector-test'", true),
        ("trueProp = TRUE AND falseProp <> TRUE", true),
        ("(rank = 123) = trueProp", true),
        ("FALSE OR TRUE", true),
        ("rank = 0x7B AND rank = 0173 AND rank = 123L", true),
        ("big = 9223372036854775807", true),
        ("1.0E1 < 1.1E1 AND -1.1 < 1. AND .1 < .5 AND 4E-10 < 5E-10 AND 4E+10 < 5e+10", true),
        ("\"content-type\" = 'application/json'", true),
        ("rank = 123 -- the rest is a comment\n AND /* so * is / this **/ version = 2", true),
        ("rank = 123 -- to the end", true),
    ] {
        plain(text, expected);
    }
}

#[test]
fn not_binds_looser_than_a_comparison() {
    plain("NOT name = 'Foo'", true);
    plain("NOT name = 'James' OR TRUE", true);
    plain("NOT name = 'James' AND TRUE", false);
    plain("NOT NOT trueProp", true);
    plain("trueProp = NOT falseProp", true);
}

#[test]
fn what_is_absent_is_neither_equal_nor_different() {
    for text in [
        "unknown = 'Foo'",
        "unknown <> 'Foo'",
        "NOT unknown = 'Foo'",
        "'Foo' <> unknown",
        "unknown = other",
        "unknown",
        "NOT unknown",
        "unknown LIKE '%'",
        "unknown NOT LIKE '%'",
        "unknown IN ('a')",
        "unknown NOT IN ('a')",
        "unknown BETWEEN 1 AND 2",
        "unknown NOT BETWEEN 1 AND 2",
        "unknown + 1 = 1",
        "rank > unknown",
        "NULL",
        "unknown AND TRUE",
        "unknown OR FALSE",
    ] {
        plain(text, false);
    }
    // What decides, decides whatever the rest.
    plain("unknown = 1 OR TRUE", true);
    plain("NOT (unknown = 1 AND FALSE)", true);
    // One bound decides when the value lies outside it.
    plain("rank NOT BETWEEN 200 AND unknown", true);
    plain("NOT rank BETWEEN 200 AND unknown", true);
}

#[test]
fn arithmetic() {
    for (text, expected) in [
        ("rank + 2 = 125", true),
        ("125 = (rank + 2)", true),
        ("rank - 2 = 121", true),
        ("rank * version = 246", true),
        ("rank / version = 61.5", true),
        ("version / 2 = 1", true),
        ("rank % 10 = 3", true),
        ("rank + 2 * 3 = 129", true),
        ("(rank + 2) * 3 = 375", true),
        ("- rank = -123 AND +rank = 123", true),
        ("10 - 3 - 2 = 5", true),
        ("name + '!' = 'James!'", true),
        ("name + 1 = 'James1'", true),
        ("big + 1 > big", false),
        ("big + 1 > 9000000000000000000", true),
        ("rank / 0 > 1", true),
        ("1 + name = '1James'", false),
        ("name * 2 = 2", false),
        ("name - 1 <> 2", false),
    ] {
        plain(text, expected);
    }
}

#[test]
fn like() {
    for (text, expected) in [
        ("quote = '''In God We Trust'''", true),
        ("quote LIKE '''In G_d We Trust'''", true),
        ("quote LIKE '''In Gd_ We Trust'''", false),
        ("quote NOT LIKE '''In Gd_ We Trust'''", true),
        ("foo LIKE '%oo'", true),
        ("foo LIKE '%ar'", false),
        ("foo LIKE '!_%' ESCAPE '!'", true),
        ("quote LIKE '!_%' ESCAPE '!'", false),
        ("punctuation LIKE '!#$&()*+,-./:;<=>?@[\\]^`{|}~'", true),
        ("foo LIKE '%_%' ESCAPE '%'", true),
        ("endingUnderScore LIKE '_D7xlJIQn$_' ESCAPE '$'", true),
        ("endingUnderScore LIKE '_D7xlJIQn__' ESCAPE '_'", true),
        ("endingUnderScore LIKE '%D7xlJIQn%_' ESCAPE '%'", true),
        ("endingUnderScore LIKE '%D7xlJIQn%'  ESCAPE '%'", true),
        ("endingUnderScore LIKE '%D7xlJIQn%%'  ESCAPE '%'", false),
        ("name LIKE 'J%a_e%s'", true),
        ("name LIKE 'J%a__e%s'", false),
        ("name LIKE 'J_m_s' AND name LIKE '_____' AND name NOT LIKE '____'", true),
        ("name LIKE ''", false),
        ("name LIKE '%%'", true),
        ("name LIKE 'JamesJames'", false),
        ("name LIKE 'Jam%mes'", false),
        ("umlaut LIKE 'Gr__e%_'", true),
        ("umlaut LIKE '%\n_'", true),
        ("rank LIKE '123'", false),
        ("rank NOT LIKE '123'", true),
    ] {
        plain(text, expected);
    }
}

#[test]
fn functions() {
    for (text, expected) in [
        ("INLIST(SPLIT('Tom,Dick,George',','), name)", false),
        ("INLIST(SPLIT('Tom,James,George',','), name)", true),
        ("INLIST(MAKELIST('Tom','Dick','George'), name)", false),
        ("INLIST(MAKELIST('Tom','James','George'), name)", true),
        ("inlist(makelist(1, 123), rank)", true),
        ("INLIST(MAKELIST('123'), rank)", false),
        ("INLIST(MAKELIST('a'), unknown)", false),
        ("INLIST(SPLIT(many, ','), '')", true),
        ("INLIST(SPLIT('a,b,,', ','), '')", false),
        ("INLIST(SPLIT('a,b,,', ',', -1), '')", true),
        ("INLIST(SPLIT('a,b,c', ',', 2), 'b,c')", true),
        ("INLIST(SPLIT('a.b', '\\.'), 'b')", true),
        ("INLIST(SPLIT(',,', ','), '')", false),
        ("INLIST(SPLIT('', ','), '')", true),
        ("REPLACE(name, 'James', 'Jim') = 'Jim'", true),
        ("REPLACE('1.2.3', '\\.', '') = '123'", true),
        ("REPLACE(rank, '1', '2') = '223'", false),
    ] {
        plain(text, expected);
    }
}

#[test]
fn texts_are_numbers_where_headers_are_texts() {
    plain("number = 42", false);
    plain("number <> 42", true);
    plain("number > 41", false);
    for (text, expected) in [
        ("number = 42", true),
        ("42 = number", true),
        ("number > 41.5 AND number < 43", true),
        ("number BETWEEN 42 AND 42", true),
        ("fraction = 2.5", true),
        ("name > 1", false),
        ("name <> 1", true),
        ("number - 2 = 40 AND -number = -42", true),
        ("number + 1 = '421'", true),
        ("yes AND yes = TRUE", true),
        ("name", false),
        ("INLIST(MAKELIST(42), number)", true),
    ] {
        converting(text, expected);
    }
    plain("convert_string_expressions:number = 42", true);
    let spoken = compiled("convert_string_expressions:number = 42", Dialect::Plain);
    assert_eq!(spoken.dialect(), Dialect::StringsAsNumbers);
}

#[test]
fn what_is_no_selector_is_refused_with_the_place() {
    for (text, at) in [
        ("", 0),
        ("  ", 2),
        ("3+5", 0),
        ("True AND 3+5", 9),
        ("=TEST 'test'", 0),
        ("prop1 = prop2 foo AND string = 'Test'", 14),
        ("a = 1 AMD  b = 2", 6),
        ("a = ", 4),
        ("(a = 1", 6),
        ("a = 1)", 5),
        ("a = 'open", 4),
        ("a = 1 /* open", 6),
        ("a ! 1", 2),
        ("a = 08", 4),
        ("a = 12x", 6),
        ("a = 1e999", 4),
        ("a = 0xFFFFFFFFFFFFFFFF", 4),
        ("a = NULL", 4),
        ("a > 'b'", 4),
        ("a BETWEEN 'a' AND 'b'", 10),
        ("a < TRUE", 4),
        ("1 IN ('a')", 0),
        ("a IN ()", 6),
        ("a IN ('x', 2)", 11),
        ("a LIKE b", 7),
        ("a LIKE 'x' ESCAPE 'yy'", 18),
        ("a LIKE 'x' ESCAPE ''", 18),
        ("a NOT = 1", 6),
        ("a IS 1", 5),
        ("TRUE = 'x'", 7),
        ("TRUE + 1 = 2", 0),
        ("-TRUE", 1),
        ("XPATH '//a'", 0),
        ("a = 1 AND XQUERY 'x'", 10),
        ("REGEX('a.*', name)", 0),
        ("REPLACE(a, '[x]', '') = 'b'", 11),
        ("REPLACE(a, 'x', '$1') = 'b'", 16),
        ("INLIST(SPLIT(a, '|'), b)", 16),
        ("INLIST(SPLIT(a, ''), b)", 16),
        ("INLIST('a', b)", 7),
        ("SPLIT(a, ',') = 'b'", 0),
        ("NOSUCH(a)", 0),
        ("\"\" = 1", 0),
        ("convert_string_expressions:a = = 1", 31),
    ] {
        let error = Selector::parse(text, Dialect::Plain).err();
        let error = error.unwrap_or_else(|| panic!("taken: {text}"));
        assert_eq!(error.at, at, "{text}: {error}");
        assert!(!error.reason.ends_with('.'), "{error}");
    }
}

#[test]
fn size_depth_nodes_and_names_are_bounded() {
    let refused = |text: &str, why: &str| {
        let error = Selector::parse(text, Dialect::Plain).unwrap_err();
        assert!(error.reason.contains(why), "{error}");
    };
    refused(&format!("a = '{}'", "x".repeat(MAX_BYTES)), "bytes");
    let brackets = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    compiled(&brackets(MAX_DEPTH), Dialect::Plain);
    refused(&brackets(MAX_DEPTH + 1), "deep");
    refused(&brackets(5_000), "deep");
    refused(&format!("{}a", "NOT ".repeat(5_000)), "deep");
    refused(&format!("a = {}1", "- ".repeat(5_000)), "deep");
    refused(&format!("a = 1{}", " + 1".repeat(500)), "deep");
    refused(&format!("a{}", " IS NULL".repeat(500)), "deep");
    let texts = vec!["'x'"; MAX_NODES].join(",");
    refused(&format!("a IN ({texts})"), "operands");
    let names =
        |count: usize| (0..count).map(|index| format!("a{index}")).collect::<Vec<_>>().join(" OR ");
    compiled(&names(MAX_NAMES), Dialect::Plain);
    refused(&names(MAX_NAMES + 1), "properties");
    // A long series is no deep one.
    compiled(&vec!["JMSType = 'x'"; 600].join(" OR "), Dialect::Plain);
}

#[test]
fn no_text_makes_an_evaluation_long() {
    let bomb = Sample(vec![("a", Value::Text("a".repeat(1 << 20).into()))]);
    let matches = |text: &str| compiled(text, Dialect::Plain).matches(&bomb);
    // Cheap ones are answered even on so long a text.
    assert!(matches("a LIKE 'a%a%a%a'") && matches("a NOT LIKE '%b'"));
    // Those that would be looked at again and again are unknown.
    let gaps = format!("%a_{}b%", "a".repeat(64));
    assert!(!matches(&format!("a LIKE '{gaps}' OR a NOT LIKE '{gaps}'")));
    let many = vec![format!("a LIKE '{gaps}'"); 300].join(" OR ");
    assert!(!matches(&many));
    assert!(!matches("a + a + a + a = 'b' OR a + a <> 'b'"));
    assert!(!matches(&format!("REPLACE(a, 'a', '{}') <> 'b'", "x".repeat(1_000))));
}

#[test]
fn a_long_piece_of_a_pattern_is_found_wherever_it_stands() {
    let like = |text: &str, pattern: &str| {
        let sample = Sample(vec![("a", Value::Text(text.to_owned().into()))]);
        compiled(&format!("a LIKE '{pattern}'"), Dialect::Plain).matches(&sample)
    };
    for length in [1, 2, 31, 32, 33, 63, 64, 65, 255, 256, 300] {
        let (piece, fits) = ("é_".repeat(length), "éx".repeat(length));
        assert!(like(&format!("éé{fits}yy"), &format!("%{piece}y%")), "{length}");
        assert!(like(&format!("xéx{fits}"), &format!("%{piece}%")), "{length}");
        let short = fits.strip_suffix('x').unwrap();
        assert!(!like(&format!("x{short}"), &format!("%{piece}%")), "{length}");
        // What is found first is what the rest follows.
        assert!(like(&format!("{fits}b{fits}c"), &format!("%{piece}b%{piece}c%")), "{length}");
        assert!(!like(&format!("{fits}b{short}"), &format!("%{piece}b%{piece}%")), "{length}");
    }
}

#[test]
fn each_property_is_asked_for_once() {
    struct Counting(std::cell::Cell<u32>);
    impl Properties for Counting {
        fn get(&self, _: &str) -> Option<Value<'_>> {
            self.0.set(self.0.get() + 1);
            None
        }
    }
    let counting = Counting(std::cell::Cell::new(0));
    let selector = compiled("a = 1 OR a = 2 OR b = 3 OR a IS NOT NULL", Dialect::Plain);
    assert!(!selector.matches(&counting));
    assert_eq!(counting.0.get(), 2);
}

#[test]
fn selectors_are_equal_by_text_and_canonical_by_meaning() {
    let selector = |text: &str| compiled(text, Dialect::Plain);
    assert_eq!(selector("a = 1"), selector("a = 1"));
    assert_ne!(selector("a = 1"), selector("(a = 1)"));
    assert_ne!(selector("a = 1"), compiled("a = 1", Dialect::StringsAsNumbers));
    let written = "not a=1 and (b like 'x''%' escape '!' or\tc NOT in ('z','y')) -- x";
    let canonical = r#"((NOT (a = 1)) AND ((b LIKE 'x''%' ESCAPE '!') OR (c NOT IN ('y', 'z'))))"#;
    assert_eq!(selector(written).canonical(), canonical);
    assert_eq!(selector(written).to_string(), written);
}
