//! The checker accepts exactly what serde_json accepts, and what it accepts is read alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outflow_model::json::{self, Kind, MAX_DEPTH, Pattern, Value};

fuzz_target!(|text: &[u8]| {
    // On text that was not checked the walker may answer anything, but it must end.
    walk(Value::new(text), 0);
    let ours = json::check(text, MAX_DEPTH);
    let theirs = serde_json::from_slice::<serde_json::Value>(text);
    match (&ours, &theirs) {
        (Ok(value), Ok(tree)) => {
            same(*value, tree);
            assert!(Pattern::of(*value).equals(*value, false));
            assert!(Pattern::of(*value).equals(*value, true));
            let mut line = Vec::new();
            json::append_one_line(value.text(), &mut line);
            assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&line).unwrap(), *tree);
        }
        (Err(error), Err(_)) => assert!(error.at <= text.len()),
        // serde_json refuses numbers beyond a double, and counts depth one lower.
        (Ok(_), Err(error)) => {
            let reason = error.to_string();
            assert!(reason.contains("out of range") || reason.contains("recursion"), "{reason}");
        }
        (Err(error), Ok(_)) => panic!("refused at {}: {error}", error.at),
    }
});

fn walk(value: Value<'_>, depth: usize) {
    if depth < 8 {
        value.members().take(64).for_each(|(name, value)| {
            let _ = name.to_text();
            walk(value, depth + 1);
        });
        value.elements().take(64).for_each(|value| walk(value, depth + 1));
    }
}

fn same(value: Value<'_>, tree: &serde_json::Value) {
    match (value.kind(), tree) {
        (Kind::Null, serde_json::Value::Null) => {}
        (Kind::Bool(ours), serde_json::Value::Bool(theirs)) => assert_eq!(ours, *theirs),
        (Kind::Number(ours), serde_json::Value::Number(theirs)) => {
            let reread: serde_json::Value = serde_json::from_slice(ours.as_written()).unwrap();
            assert_eq!(reread, serde_json::Value::Number(theirs.clone()));
        }
        (Kind::String(ours), serde_json::Value::String(theirs)) => {
            assert_eq!(ours.to_text(), *theirs);
            assert!(ours.is(theirs.as_bytes()) && ours.is_ignoring_case(theirs));
        }
        (Kind::Array, serde_json::Value::Array(theirs)) => {
            assert_eq!(value.elements().count(), theirs.len());
            value.elements().zip(theirs).for_each(|(ours, theirs)| same(ours, theirs));
        }
        (Kind::Object, serde_json::Value::Object(theirs)) => {
            for (name, theirs) in theirs {
                same(value.get(name.as_bytes()).unwrap(), theirs);
            }
            value.members().for_each(|(name, _)| assert!(theirs.contains_key(&*name.to_text())));
        }
        (ours, theirs) => panic!("{ours:?} is not {theirs}"),
    }
}
