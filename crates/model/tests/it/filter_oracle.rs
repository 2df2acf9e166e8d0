//! The filter against the same language in its plainest form, over serde_json trees.

use outflow_model::{Filter, Subset};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::filter::{NOW, store};

/// The language in its plainest form.
fn naive(predicate: &Value, root: &Value) -> bool {
    let all = |name: &str| {
        predicate[name]
            .as_array()
            .map(|all| all.iter().map(|each| naive(each, root)).collect::<Vec<_>>())
    };
    if let Some(all) = all("and") {
        return all.iter().all(|&holds| holds);
    }
    if let Some(any) = all("or") {
        return any.iter().any(|&holds| holds);
    }
    if let Some(not) = predicate.get("not") {
        return !naive(not.get(0).unwrap_or(not), root);
    }
    let mut value = root;
    if let Some(scope) = predicate["scope"].as_array() {
        value = scope.iter().fold(value, |value, name| &value[name.as_str().unwrap()]);
    }
    if let Some(key) = predicate["key"].as_str() {
        value = &value[key];
    }
    let test = &predicate["value"];
    if let Some(wanted) = test.get("equals") {
        return equal(wanted, value, predicate["ignore_case"] == true);
    }
    if let Some(wanted) = test.get("is_present") {
        return value.is_null() != wanted.as_bool().unwrap();
    }
    if let Some(inner) = test.get("array_contains") {
        let elements = value.as_array().map_or(&[][..], Vec::as_slice);
        return match test.get("index") {
            Some(index) => elements
                .get(index.as_u64().unwrap() as usize)
                .is_some_and(|element| naive(inner, element)),
            None => elements.iter().any(|element| naive(inner, element)),
        };
    }
    let Some(number) = value.as_f64() else { return false };
    test["at_least"].as_f64().is_none_or(|least| number >= least)
        && test["at_most"].as_f64().is_none_or(|most| number <= most)
}

fn equal(left: &Value, right: &Value, ignore_case: bool) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::String(left), Value::String(right)) if ignore_case => {
            left.to_lowercase() == right.to_lowercase()
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| equal(left, right, ignore_case))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, left)| {
                    right.get(name).is_some_and(|right| equal(left, right, ignore_case))
                })
        }
        _ => left == right,
    }
}

/// Small values over few names, so that predicates often meet what they look for.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..3_i64).prop_map(Value::from),
        prop_oneof![Just(0.5), Just(1.0), Just(-2.0)].prop_map(Value::from),
        "[abA\"é]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[ab\"é]", inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn any_predicate() -> impl Strategy<Value = Value> {
    let name = || prop::sample::select(&["a", "b", "\"", "é", "body", "device"][..]);
    let test = prop_oneof![
        3 => any_value().prop_map(|value| json!({"equals": value})),
        1 => any::<bool>().prop_map(|value| json!({"is_present": value})),
        1 => (-2..1_i64, 0..3_i64).prop_map(|(least, most)| json!({"at_least": least, "at_most": most})),
        1 => (-2..3_i64).prop_map(|most| json!({"at_most": most})),
    ];
    let matcher = move |test: BoxedStrategy<Value>| {
        (prop::collection::vec(name(), 0..3), prop::option::of(name()), test, any::<bool>())
            .prop_map(|(scope, key, test, ignore_case)| {
                let mut matcher = json!({"value": test, "ignore_case": ignore_case});
                if !scope.is_empty() {
                    matcher["scope"] = json!(scope);
                }
                if let Some(key) = key {
                    matcher["key"] = json!(key);
                }
                matcher
            })
    };
    matcher(test.boxed()).prop_recursive(3, 16, 3, move |inner| {
        let contains =
            (inner.clone(), prop::option::of(0..3_u64)).prop_map(|(inner, index)| match index {
                Some(index) => json!({"array_contains": inner, "index": index}),
                None => json!({"array_contains": inner}),
            });
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|all| json!({"and": all})),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|any| json!({"or": any})),
            inner.clone().prop_map(|not| json!({"not": not})),
            inner.prop_map(|not| json!({"not": [not]})),
            matcher(contains.boxed()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn agrees_with_the_naive_evaluator(predicate in any_predicate(), a in any_value(), b in any_value(),
        device in any_value(), body in prop::option::of(any_value()))
    {
        let mut event = json!({"a": a, "b": b, "device": device});
        if let Some(body) = body {
            event["body"] = body;
        }
        let filter = Filter::parse(json!({"predicates": [predicate]}).to_string().as_bytes()).unwrap();
        let (meta, line) = store(&event);
        let stored: Value = serde_json::from_slice(&line).unwrap();
        prop_assert_eq!(filter.passes(&meta, &line, NOW), naive(&predicate, &stored), "{}", predicate);
    }

    #[test]
    fn no_text_breaks_the_compiler(text in "[\\[\\]{}:,\"a-z_0-9 ]{0,80}") {
        let _ = Filter::parse(text.as_bytes());
        let _ = Subset::parse(text.as_bytes());
    }
}
