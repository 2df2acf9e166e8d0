//! The filter language: what is refused and where, and what passes.

use outflow_model::draft::Rules;
use outflow_model::filter::{EVENT_TYPES, Filter, MAX_BYTES, MAX_ITEMS, MAX_MATCHERS};
use outflow_model::rng::SeededRng;
use outflow_model::{Draft, Meta, Offset, Subset, Timestamp};
use serde_json::{Value, json};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_481_232_421_125);

pub(crate) fn store(event: &Value) -> (Meta, Vec<u8>) {
    let rules = Rules {
        now: NOW,
        max_event_bytes: 1 << 20,
        max_depth: 64,
        max_age_ms: i64::MAX / 2,
        max_ahead_ms: i64::MAX / 2,
    };
    let mut draft = Draft::default();
    draft.push_json(event.to_string().as_bytes(), &rules, &SeededRng::new(1)).unwrap();
    draft.stamp(Offset::FIRST, NOW);
    (draft.metas().get(0).unwrap(), draft.lines().to_vec())
}

fn passes(filter: &Value, event: &Value) -> bool {
    let filter = Filter::parse(filter.to_string().as_bytes()).unwrap();
    let (meta, line) = store(event);
    let passes = filter.passes(&meta, &line, NOW);
    if let Some(decided) = filter.decide(&meta, NOW) {
        assert_eq!(decided, passes);
    }
    passes
}

fn open_event() -> Value {
    json!({
        "id": "0000015b-6f56-3a63-b7a1-af0a2fb8ef10", "type": "OPEN", "occurred": "2016-12-08T21:27:01.025Z",
        "device": {"channel": "c1", "device_type": "IOS", "named_user_id": "nu1", "ios_channel": "c1",
            "attributes": {"app_version": "18.5.0", "device_os": "10.1", "push_opt_in": "true"}},
        "user": {"contact_id": "k1", "named_user_id": "nu1"},
        "body": {"push_id": "p1", "group_id": "g1", "session_id": "s1", "duration": 1500, "name": "initial_open",
            "campaigns": {"categories": ["X", "Y"]}, "forms": [{"form_id": "f1", "score": 3}, {"form_id": "f2"}]},
    })
}

#[test]
fn every_attribute_in_every_shape() {
    let event = open_event();
    for (filter, expected) in [
        (json!({}), true),
        (json!([{}]), true),
        (json!({"types": ["OPEN"]}), true),
        (json!([{"types": ["close", "open"]}]), true),
        (json!([{"types": ["CLOSE"]}]), false),
        (json!([{"types": ["CLOSE"]}, {"device_types": ["ios"]}]), true),
        (json!([{"types": ["OPEN"], "device_types": ["android", "web"]}]), false),
        (json!([{"device_types": ["IOS"]}]), true),
        (json!([{"devices": [{"channel": "c1"}]}]), true),
        (json!([{"devices": [{"channel": "c2"}, {"named_user_id": "nu1"}]}]), true),
        (json!([{"devices": [{"ios_channel": "c1"}]}]), true),
        (json!([{"devices": [{"android_channel": "c1"}, {"amazon_channel": "c1"}]}]), false),
        (json!([{"users": [{"contact_id": "k1"}]}]), true),
        (json!([{"users": [{"named_user_id": "nu2"}]}]), false),
        (json!([{"notifications": {"push_id": "p1"}}]), true),
        (json!([{"notifications": [{"push_id": "p2"}, {"group_id": "g1"}]}]), true),
        (json!([{"notifications": [{"group_id": "p1"}]}]), false),
        (json!([{"latency": 100}]), true),
        (json!([{"latency": 99}]), false),
        (
            json!([{"types": ["OPEN"], "predicates": [{"key": "type", "value": {"equals": "CLOSE"}}]}]),
            false,
        ),
    ] {
        assert_eq!(passes(&filter, &event), expected, "{filter}");
    }
    let no_device = json!({"type": "PUSH_BODY", "body": {"push_id": "p1"}});
    for device in ["android", "ios", "amazon", "web", "email", "sms", "open"] {
        assert!(!passes(&json!({"device_types": [device]}), &no_device));
    }
    assert!(passes(&json!({"notifications": {"push_id": "p1"}}), &no_device));
    assert!(!passes(&json!({"users": [{"contact_id": "k1"}]}), &no_device));
}

#[test]
fn every_matcher() {
    let event = open_event();
    let body = |key: &str, value: Value| json!({"scope": "body", "key": key, "value": value});
    let attribute = |key: &str, value: Value| json!({"scope": ["device", "attributes"], "key": key, "value": value});
    for (predicate, expected) in [
        // As found in the wild.
        (
            json!({"scope": ["body", "campaigns"], "key": "categories", "value": {"array_contains": {"value": {"equals": "X"}}}}),
            true,
        ),
        (body("name", json!({"equals": "initial_open"})), true),
        (
            json!({"not": {"scope": ["device"], "key": "device_type", "value": {"equals": "WEB"}}}),
            true,
        ),
        (
            json!({"not": [{"scope": ["device"], "key": "device_type", "value": {"equals": "IOS"}}]}),
            false,
        ),
        (attribute("app_version", json!({"version_matches": "[18.4.1,19.2.3]"})), true),
        (attribute("app_version", json!({"version": "18.6.+"})), false),
        (attribute("device_os", json!({"version_matches": "10.1"})), true),
        // The rest of the grammar.
        (body("name", json!({"equals": "INITIAL_OPEN"})), false),
        (
            json!({"scope": "body", "key": "name", "value": {"equals": "INITIAL_OPEN"}, "ignore_case": true}),
            true,
        ),
        (body("duration", json!({"equals": 1500.0})), true),
        (body("duration", json!({"at_least": 1500, "at_most": 1500})), true),
        (body("duration", json!({"at_least": 1500.1})), false),
        (body("duration", json!({"at_most": 1e3})), false),
        (body("name", json!({"at_least": 0})), false),
        (body("missing", json!({"is_present": true})), false),
        (body("missing", json!({"is_present": false})), true),
        (body("missing", json!({"equals": null})), true),
        (body("name", json!({"is_present": true})), true),
        (json!({"scope": ["body", "name"], "key": "x", "value": {"is_present": true}}), false),
        (json!({"scope": ["body", "name"], "value": {"equals": "initial_open"}}), true),
        (json!({"value": {"is_present": true}}), true),
        (json!({"key": "body", "value": {"is_present": true}}), true),
        (json!({"key": "id", "value": {"equals": "0000015b-6f56-3a63-b7a1-af0a2fb8ef10"}}), true),
        (body("campaigns", json!({"equals": {"categories": ["X", "Y"]}})), true),
        (body("campaigns", json!({"equals": {"categories": ["Y", "X"]}})), false),
        (
            body("forms", json!({"array_contains": {"key": "form_id", "value": {"equals": "f2"}}})),
            true,
        ),
        (
            body(
                "forms",
                json!({"array_contains": {"key": "form_id", "value": {"equals": "f2"}}, "index": 0}),
            ),
            false,
        ),
        (
            body(
                "forms",
                json!({"array_contains": {"key": "form_id", "value": {"equals": "f2"}}, "index": 1}),
            ),
            true,
        ),
        (
            body(
                "forms",
                json!({"array_contains": {"key": "form_id", "value": {"equals": "f2"}}, "index": 9}),
            ),
            false,
        ),
        (
            body(
                "forms",
                json!({"array_contains": {"and": [{"key": "form_id", "value": {"equals": "f1"}}, {"key": "score", "value": {"at_least": 3}}]}}),
            ),
            true,
        ),
        (body("name", json!({"array_contains": {"value": {"equals": "i"}}})), false),
        (
            json!({"and": [{"key": "type", "value": {"equals": "OPEN"}}, body("duration", json!({"at_least": 1}))]}),
            true,
        ),
        (
            json!({"or": [{"key": "type", "value": {"equals": "CLOSE"}}, {"key": "user", "value": {"is_present": false}}]}),
            false,
        ),
    ] {
        assert_eq!(passes(&json!({"predicates": predicate}), &event), expected, "{predicate}");
        assert_eq!(passes(&json!([{"predicates": [predicate]}]), &event), expected, "{predicate}");
    }
}

#[test]
fn faults_name_the_place() {
    let predicate = |text: &str| format!("{{\"predicates\":[{text}]}}");
    for (filter, pointer, reason) in [
        ("", "/filters", "the text ends too early (byte 0)"),
        ("[{]", "/filters", "expected a member name in double quotes (byte 2)"),
        ("7", "/filters", "must be an array or an object"),
        ("[]", "/filters", "must not be an empty array"),
        ("[7]", "/filters/0", "must be an object"),
        ("[{},{\"a/b\":1}]", "/filters/1", "unknown attribute `a/b`"),
        (
            "{\"types\":[\"OPEN\"],\"types\":[\"OPEN\"]}",
            "/filters",
            "attribute `types` comes twice",
        ),
        ("{\"types\":\"OPEN\"}", "/filters/types", "must be an array"),
        ("{\"types\":[]}", "/filters/types", "must not be an empty array"),
        ("{\"types\":[1]}", "/filters/types/0", "must be a string"),
        ("[{\"types\":[\"OPEN\",\"OPPEN\"]}]", "/filters/0/types/1", "unknown event type `OPPEN`"),
        (
            "{\"types\":[\"OFFSET_UPDATE\"]}",
            "/filters/types/0",
            "unknown event type `OFFSET_UPDATE`",
        ),
        ("{\"device_types\":[\"tv\"]}", "/filters/device_types/0", "unknown device type `tv`"),
        ("{\"devices\":{\"channel\":\"a\"}}", "/filters/devices", "must be an array"),
        ("{\"devices\":[{}]}", "/filters/devices/0", "must be an object with one attribute"),
        ("{\"devices\":[{\"channel\":1}]}", "/filters/devices/0/channel", "must be a string"),
        ("{\"devices\":[{\"serial\":\"a\"}]}", "/filters/devices/0", "unknown attribute `serial`"),
        (
            "{\"notifications\":{\"push_id\":\"a\",\"group_id\":\"b\"}}",
            "/filters/notifications",
            "must be an object with one attribute",
        ),
        ("{\"notifications\":[]}", "/filters/notifications", "must not be an empty array"),
        ("{\"latency\":-1}", "/filters/latency", "must be a whole number of milliseconds"),
        ("{\"latency\":\"1\"}", "/filters/latency", "must be a whole number of milliseconds"),
        (&predicate("{}"), "/filters/predicates/0", "must have `and`, `or`, `not` or `value`"),
        (&predicate("{\"and\":[]}"), "/filters/predicates/0/and", "must not be an empty array"),
        (
            &predicate("{\"not\":[{\"value\":{\"equals\":1}},{\"value\":{\"equals\":1}}]}"),
            "/filters/predicates/0/not",
            "must have exactly one predicate",
        ),
        (
            &predicate("{\"and\":[{\"value\":{\"equals\":1}}],\"key\":\"a\"}"),
            "/filters/predicates/0",
            "`and`, `or` or `not` must stand alone",
        ),
        (
            &predicate("{\"value\":{\"is\":1}}"),
            "/filters/predicates/0/value",
            "unknown attribute `is`",
        ),
        (
            &predicate("{\"value\":{}}"),
            "/filters/predicates/0/value",
            "must have exactly one of `equals`, `at_least` and `at_most`, `is_present`, `version_matches`, `array_contains`",
        ),
        (
            &predicate("{\"value\":{\"at_least\":2,\"at_most\":1}}"),
            "/filters/predicates/0/value",
            "`at_least` is greater than `at_most`",
        ),
        (
            &predicate("{\"value\":{\"at_least\":\"2\"}}"),
            "/filters/predicates/0/value/at_least",
            "must be a number",
        ),
        (
            &predicate("{\"value\":{\"is_present\":1}}"),
            "/filters/predicates/0/value/is_present",
            "must be true or false",
        ),
        (
            &predicate("{\"value\":{\"version_matches\":\"(1,2]\"}}"),
            "/filters/predicates/0/value/version_matches",
            "not a version, a prefix such as `1.2.+` or a range",
        ),
        (
            &predicate("{\"value\":{\"array_contains\":{\"value\":{\"equals\":1}},\"index\":-1}}"),
            "/filters/predicates/0/value/index",
            "must be a whole number, 0 or more",
        ),
        (
            &predicate("{\"scope\":[],\"value\":{\"equals\":1}}"),
            "/filters/predicates/0/scope",
            "must not be an empty array",
        ),
        (
            &predicate("{\"scope\":[1],\"value\":{\"equals\":1}}"),
            "/filters/predicates/0/scope/0",
            "must be a string",
        ),
        (
            &predicate("{\"key\":1,\"value\":{\"equals\":1}}"),
            "/filters/predicates/0/key",
            "must be a string",
        ),
        (
            &predicate("{\"value\":{\"equals\":1},\"ignore_case\":1}"),
            "/filters/predicates/0/ignore_case",
            "must be true or false",
        ),
    ] {
        let error = Filter::parse(filter.as_bytes()).unwrap_err();
        assert_eq!((&*error.pointer, &*error.reason), (pointer, reason), "{filter}");
    }
}

#[test]
fn size_is_bounded() {
    let fails = |text: String| Filter::parse(text.as_bytes()).unwrap_err().reason;
    assert!(fails(" ".repeat(MAX_BYTES + 1)).contains("longer than"));
    let types = |n| format!("{{\"types\":[{}]}}", vec!["\"OPEN\""; n].join(","));
    assert!(Filter::parse(types(MAX_ITEMS).as_bytes()).is_ok());
    assert!(fails(types(MAX_ITEMS + 1)).contains("entries"));
    let matchers =
        |n| format!("{{\"predicates\":[{}]}}", vec!["{\"value\":{\"equals\":1}}"; n].join(","));
    assert!(Filter::parse(matchers(MAX_MATCHERS).as_bytes()).is_ok());
    assert!(fails(matchers(MAX_MATCHERS + 1)).contains("matchers"));
    assert!(
        fails(format!("{{\"predicates\":{}", "{\"not\":".repeat(40))).contains("nested too deeply")
    );
}

#[test]
fn dialects_name_other_types() {
    assert!(Filter::parse(b"{\"types\":[\"order.paid\"]}").is_err());
    let any = Filter::parse_any_types(b"{\"types\":[\"order.paid\"]}").unwrap();
    let (meta, line) = store(&json!({"type": "Order.Paid"}));
    assert!(any.passes(&meta, &line, NOW));
    assert!(Filter::parse_any_types("{\"types\":[\"é\"]}".as_bytes()).is_err());
    assert!(
        Filter::parse_compliance(b"[{\"device_types\":[\"email\",\"sms\"],\"latency\":5}]").is_ok()
    );
    for bad in [
        &b"{\"device_types\":[\"ios\"]}"[..],
        b"{\"types\":[\"COMPLIANCE\"]}",
        b"{\"predicates\":[]}",
    ] {
        assert!(Filter::parse_compliance(bad).is_err());
    }
    for name in EVENT_TYPES {
        assert!(Filter::parse(json!({"types": [name]}).to_string().as_bytes()).is_ok());
    }
    assert!(EVENT_TYPES.is_sorted());
}

#[test]
fn what_readers_share_is_known() {
    let parse = |text: &str| Filter::parse(text.as_bytes()).unwrap();
    assert!(
        Filter::all().is_all()
            && Filter::default().is_all()
            && parse("[{\"types\":[\"OPEN\"]},{}]").is_all()
    );
    assert_eq!(parse("{}").fingerprint(), Filter::all().fingerprint());
    let a = parse("[ {\"types\" : [\"OPEN\"],\n\"latency\":5} ]");
    assert_eq!(a.fingerprint(), parse("[{\"types\":[\"OPEN\"],\"latency\":5}]").fingerprint());
    assert!(a.depends_on_now() && !Filter::all().depends_on_now());
    let spaced = |key: &str| {
        parse(&format!("{{\"predicates\":{{\"key\":\"{key}\",\"value\":{{\"equals\":1}}}}}}"))
    };
    assert_ne!(spaced("a b").fingerprint(), spaced("ab").fingerprint());
    assert_ne!(spaced("\\\" ").fingerprint(), spaced("\\\"").fingerprint());
    let named =
        parse("[{\"types\":[\"open\",\"LOCATION\"]},{\"latency\":1},{\"types\":[\"Close\"]}]");
    assert_eq!(named.named_types().collect::<Vec<_>>(), ["OPEN", "LOCATION", "CLOSE"]);
}

#[test]
fn numbers_and_names_are_not_rounded_or_guessed() {
    let big = |text: &str| {
        format!(
            "{{\"predicates\":{{\"scope\":\"body\",\"key\":\"n\",\"value\":{{\"equals\":{text}}}}}}}"
        )
    };
    let mut draft = Draft::default();
    let rules =
        Rules { now: NOW, max_event_bytes: 999, max_depth: 9, max_age_ms: 1, max_ahead_ms: 1 };
    let event = br#"{"us\u0065r":1,"user":{"contact_id":"\u006b1"},"body":{"n":1,"\u006e":9007199254740993}}"#;
    draft.push_json(event, &rules, &SeededRng::new(1)).unwrap();
    let passes = |filter: &str| {
        let filter = Filter::parse(filter.as_bytes()).unwrap();
        filter.passes(&draft.metas().get(0).unwrap(), draft.lines(), NOW)
    };
    // The last of equal names counts, however it is spelled.
    assert!(passes(&big("9007199254740993")) && passes(&big("9007199254740993.0")));
    assert!(!passes(&big("9007199254740992")) && !passes(&big("1")));
    assert!(passes("{\"users\":[{\"contact_id\":\"k1\"}]}"));
}

#[test]
fn subsets_are_read_and_refused() {
    let parse = |text: &str| Subset::parse(text.as_bytes()).map_err(|error| error.to_string());
    assert_eq!(
        parse(r#"{"type":"SAMPLE","proportion":0.25}"#),
        Ok(Subset::Sample { proportion: 0.25 })
    );
    assert_eq!(
        parse(r#"{"type":"SAMPLE","proportion":1}"#),
        Ok(Subset::Sample { proportion: 1.0 })
    );
    assert_eq!(
        parse(r#"{"count":3,"selection":2,"type":"PARTITION"}"#),
        Ok(Subset::Partition { count: 3, selection: 2 })
    );
    for (text, error) in [
        ("[]", "must be an object at `/subset`"),
        ("{}", "must be `SAMPLE` or `PARTITION` at `/subset/type`"),
        (r#"{"type":"HALF"}"#, "must be `SAMPLE` or `PARTITION` at `/subset/type`"),
        (r#"{"type":"SAMPLE"}"#, "must be a number from 0 to 1 at `/subset/proportion`"),
        (
            r#"{"type":"SAMPLE","proportion":1.01}"#,
            "must be a number from 0 to 1 at `/subset/proportion`",
        ),
        (
            r#"{"type":"SAMPLE","proportion":"1"}"#,
            "must be a number from 0 to 1 at `/subset/proportion`",
        ),
        (
            r#"{"type":"SAMPLE","proportion":1,"count":1}"#,
            "a `SAMPLE` has no attribute but `proportion` at `/subset`",
        ),
        (
            r#"{"type":"PARTITION","count":0,"selection":0}"#,
            "must be a whole number, 1 or more at `/subset/count`",
        ),
        (
            r#"{"type":"PARTITION","count":2}"#,
            "must be a whole number below `count` at `/subset/selection`",
        ),
        (
            r#"{"type":"PARTITION","count":2,"selection":2}"#,
            "must be a whole number below `count` at `/subset/selection`",
        ),
        (
            r#"{"type":"PARTITION","count":2,"selection":1,"proportion":1}"#,
            "a `PARTITION` has no attributes but `count` and `selection` at `/subset`",
        ),
        (r#"{"type":"SAMPLE","proportion":1,"seed":1}"#, "unknown attribute `seed` at `/subset`"),
    ] {
        assert_eq!(parse(text), Err(error.to_owned()), "{text}");
    }
}

#[test]
fn what_costs_much_is_asked_in_steps() {
    let mut elements = vec![1; 1_000];
    elements[999] = 2;
    let (meta, line) = store(&json!({ "type": "CUSTOM", "body": elements, "a": { "b": 1 } }));
    let steps = |predicate: Value| {
        let text = json!({ "predicates": predicate }).to_string();
        let filter = Filter::parse(text.as_bytes()).unwrap();
        let mut steps = 0;
        let passes = filter.passes_in_steps(&meta, &line, NOW, &mut || steps += 1);
        assert_eq!(passes, filter.passes(&meta, &line, NOW));
        (passes, steps)
    };
    let is = |number: u32| json!({ "value": { "equals": number } });
    let contains = |inner: Value| json!({ "key": "body", "value": { "array_contains": inner } });
    // One for the array, and one for each matcher of each element.
    assert_eq!(steps(contains(is(2))), (true, 1_001));
    assert_eq!(steps(contains(json!({ "or": [is(3), is(4)] }))), (false, 2_001));
    assert_eq!(steps(json!({ "scope": ["a"], "key": "b", "value": { "equals": 1 } })), (true, 2));
}
