//! No document breaks the reader of XML, and what it takes is well formed: written anew from the
//! tree, text and names hold only what a document may have. Input: a charset, a newline, a document.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outflow_landing::xml::{MAX_DEPTH, Value, parse};

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let charset = parts.next().and_then(|charset| std::str::from_utf8(charset).ok());
    let document = parts.next().unwrap_or_default();
    let charset = charset.filter(|charset| !charset.is_empty());
    if let Ok(tree) = parse(document, charset) {
        assert!(matches!(&tree, Value::Map(members) if members.len() == 1));
        check(&tree, 0);
    }
});

fn check(value: &Value, depth: usize) {
    // An element in a list in an element.
    assert!(depth <= 2 * MAX_DEPTH + 2);
    match value {
        Value::Text(text) => assert!(is_sound(text)),
        Value::List(items) => items.iter().for_each(|item| check(item, depth + 1)),
        Value::Map(members) => {
            assert!(members.is_sorted_by(|one, next| one.0 < next.0), "names are unique");
            for (name, value) in members {
                assert!(is_sound(name) && !name.contains([' ', '<', '=', '/']) && !name.is_empty());
                check(value, depth + 1);
            }
        }
    }
}

fn is_sound(text: &str) -> bool {
    text.chars().all(|c| (c >= ' ' || "\t\n\r".contains(c)) && c != '\u{fffe}' && c != '\u{ffff}')
}
