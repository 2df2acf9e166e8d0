//! Events as publishers give them, and the lines that are stored for them.

use outflow_model::draft::{Body, Draft, NewEvent, Rules};
use outflow_model::meta::{FLAG_BODY_BASE64, FLAG_BODY_TEXT};
use outflow_model::rng::SeededRng;
use outflow_model::{DeviceType, Meta, MetaSlice, Offset, Timestamp, json, subset};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_481_232_421_125);

const RULES: Rules = Rules {
    now: NOW,
    max_event_bytes: 4096,
    max_depth: 8,
    max_age_ms: 90 * 86_400_000,
    max_ahead_ms: 5 * 60_000,
};

fn rng() -> SeededRng {
    SeededRng::new(7)
}

fn push(text: &str) -> Result<Draft, (usize, String)> {
    let mut draft = Draft::default();
    match draft.push_json(text.as_bytes(), &RULES, &rng()) {
        Ok(()) => Ok(draft),
        Err(error) => {
            assert!(draft.is_empty() && draft.bytes() == 0);
            Err((error.at, error.reason))
        }
    }
}

fn stamped(mut draft: Draft) -> (Vec<Meta>, Vec<String>) {
    draft.stamp(Offset::FIRST.plus(8), NOW.plus_millis(1));
    let (lines, metas) = draft.into_parts();
    let events: Vec<_> = MetaSlice::new(&metas).with_lines(&lines).collect();
    assert_eq!(events.iter().map(|(_, line)| line.len()).sum::<usize>(), lines.len());
    let text = |line: &[u8]| String::from_utf8(line.to_vec()).unwrap();
    events.into_iter().map(|(meta, line)| (meta, text(line))).unzip()
}

fn one(text: &str) -> (Meta, String) {
    let (metas, lines) = stamped(push(text).unwrap());
    (metas[0], lines[0].clone())
}

#[test]
fn members_keep_order_and_bytes() {
    let (meta, line) = one(
        "{\"body\": {\"n\":1.10,\n\"n\":1E2,\"s\":\"a\\u0041\"},\r\n \"zeta\":[1 ,2],\"offset\":7,\"headers\":{\"h\":\"v\"},\n\
         \"type\":\"CUSTOM\",\"device\":{\"device_type\":\"IOS\"},\"id\":\"abc\",\"k\\u0065y\":\"k\\u0031\",\
         \"occurred\":\"2016-12-08T22:27:01.5+01:00\",\"processed\":null,\"zeta\":2}",
    );
    assert_eq!(
        line,
        "{\"id\":\"abc\",\"type\":\"CUSTOM\",\"offset\":\"1000000000000008\",\"occurred\":\"2016-12-08T21:27:01.500Z\",\
         \"processed\":\"2016-12-08T21:27:01.126Z\",\"key\":\"k\\u0031\",\"zeta\":[1 ,2],\"device\":{\"device_type\":\"IOS\"},\
         \"zeta\":2,\"headers\":{\"h\":\"v\"},\"body\":{\"n\":1.10,\"n\":1E2,\"s\":\"a\\u0041\"}}\n"
    );
    assert_eq!(meta.id(line.as_bytes()), b"abc");
    assert_eq!(meta.event_type(line.as_bytes()), b"CUSTOM");
    assert_eq!(meta.body(line.as_bytes()), br#"{"n":1.10,"n":1E2,"s":"a\u0041"}"#);
    assert_eq!(meta.id_hash, subset::id_hash(b"abc"));
    assert_eq!(meta.key_hash, subset::key_hash(b"k1"));
    assert_eq!(meta.type_hash, subset::type_hash(b"custom"));
    assert_eq!(meta.device, DeviceType::Ios);
    assert_eq!((meta.offset, meta.processed), (Offset::FIRST.plus(8), NOW.plus_millis(1)));
    assert_eq!(meta.occurred.to_string(), "2016-12-08T21:27:01.500Z");
    assert_eq!(meta.line_len as usize, line.len());
}

#[test]
fn what_is_missing_is_made() {
    let draft = push("{}").unwrap();
    assert!(!draft.has_own_id(0));
    let (metas, lines) = stamped(draft);
    let id = std::str::from_utf8(metas[0].id(lines[0].as_bytes())).unwrap();
    assert_eq!((id.len(), &id[..15], &id[18..19]), (36, "0158e055-1105-7", "-"), "{id}");
    assert!("89ab".contains(&id[19..20]));
    assert_eq!(metas[0].event_type(lines[0].as_bytes()), b"EVENT");
    assert_eq!(metas[0].occurred, NOW);
    assert_eq!((metas[0].body_start, metas[0].key_hash, metas[0].device), (0, 0, DeviceType::None));
    assert!(lines[0].ends_with("\"}\n"));
    assert!(push("{\"id\":\"x\"}").unwrap().has_own_id(0));
}

#[test]
fn faults_name_the_byte() {
    for (text, at, reason) in [
        ("", 0, "the text ends too early"),
        ("[]", 0, "expected a json object"),
        ("{} {}", 3, "unexpected text after the value"),
        ("{\"a\":[1,]}", 8, "expected a json value"),
        ("{\"id\":7}", 6, "`id` must be a string"),
        ("{\"id\":\"\"}", 7, "`id` must have 1 to 128 characters"),
        ("{\"id\":\"a\\u0062\"}", 8, "`id` must be written without escapes"),
        ("{\"type\":\"OFFSET_UPDATE\"}", 9, "`type` OFFSET_UPDATE is the server's own"),
        ("{\"id\":\"aé\"}", 8, "`id` must be printable ascii without quotes or backslashes"),
        ("{\"type\":null}", 8, "`type` must be a string"),
        ("{\"occurred\":5}", 12, "`occurred` must be a string"),
        (
            "{\"occurred\":\"today\"}",
            12,
            "`occurred` must be an RFC 3339 time such as 2016-12-08T21:27:01.125Z",
        ),
        (
            "{\"occurred\":\"2015-01-01T00:00:00Z\"}",
            12,
            "`occurred` is 2015-01-01T00:00:00.000Z, longer ago than the 90 days allowed",
        ),
        ("{\"key\":1}", 7, "`key` must be a string"),
        ("{\"headers\":[]}", 11, "`headers` must be an object of strings"),
        ("{\"headers\":{\"a\":1}}", 11, "header `a` must be a string"),
        ("{\"body\":1,\"body\":2}", 10, "member `body` comes twice"),
        ("{\"id\":\"a\",\"\\u0069d\":\"b\"}", 10, "member `id` comes twice"),
        ("{\"a\":[[[[[[[[]]]]]]]]}", 12, "nested too deeply"),
    ] {
        assert_eq!(push(text).err(), Some((at, reason.to_owned())), "{text}");
    }
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(5000));
    let error = Draft::default().push_json(large.as_bytes(), &RULES, &rng()).unwrap_err();
    assert!(error.too_large);
}

#[test]
fn times_are_held_to_the_rules() {
    let at = |text: &str| one(&format!("{{\"occurred\":\"{text}\"}}")).0.occurred.to_string();
    assert_eq!(at("2016-12-08T21:32:01.125Z"), "2016-12-08T21:32:01.125Z");
    assert_eq!(at("2016-12-08T21:32:01.126Z"), "2016-12-08T21:27:01.125Z");
    assert_eq!(at("9999-12-31T23:59:59Z"), "2016-12-08T21:27:01.125Z");
    assert_eq!(at("2016-09-09T21:27:01.125Z"), "2016-09-09T21:27:01.125Z");
}

#[test]
fn of_several_events_one_that_goes_on_after_its_line_is_refused_by_that_line() {
    let refused = |body: &str| {
        let mut draft = Draft::default();
        let error = draft.push_body(body.as_bytes(), 9, &RULES, &rng()).unwrap_err();
        assert!(draft.is_empty());
        (error.index, error.line, error.at)
    };
    assert_eq!(refused("{\"type\":\"A\"}\n{\"type\":\n{\"type\":\"B\"}\n"), (1, 2, 21));
    assert_eq!(refused("{\"type\":\n{\"type\":\"B\"}\n"), (0, 1, 8));
    let swallows = "{\"type\":\"A\",\"body\":\n{\"type\":\"B\"}}\n{\"type\":\"C\"}";
    assert_eq!(refused(swallows), (0, 1, 19));
    assert_eq!(refused("{}\n\n {\"body\":\n1}\n"), (1, 3, 13));
    // A fault on the line itself is told as such.
    assert_eq!(refused("{}\n{\"id\":1,\n\"type\":\"A\"}\n"), (1, 2, 9));
    // One alone may be written as it likes, and so may those of an array.
    for body in ["\n{\n\"body\":\n{\"n\":1}}\n \n", "[\n{\n}]", "{} {}\r\n{}\r\n"] {
        Draft::default().push_body(body.as_bytes(), 9, &RULES, &rng()).unwrap();
    }
    assert_eq!(refused("{\n  \"id\": 1\n}\n"), (0, 2, 10));
    // A blank line is no part of an event, nor is the end of the only line.
    assert_eq!(refused("{\"type\":\n\n{\"type\":\"B\"}\n"), (0, 1, 8));
    assert_eq!(refused("{\"type\":\"A\"\n"), (0, 1, 11));
    assert_eq!(refused("{\"type\":\"A\",\n{\"type\":\"B\"}\n{}\n"), (0, 1, 12));
    // One alone whose second line is an object, and which has a fault on the third.
    assert_eq!(refused("{\"body\":\n{\"n\":1,\n\"x\":}\n}\n"), (0, 3, 21));
    // So when it ends too early, or has an object where none can be: no line is an event.
    assert_eq!(refused("{\"body\":\n{\"n\":1,\n\"x\":2}\n"), (0, 4, 24));
    assert_eq!(refused("{\"body\":\n{\"n\":1,\n{\n\"x\":2}}}\n"), (0, 3, 17));
    // But of several that are cut short the first is told.
    assert_eq!(refused("{\"type\":\n{\"type\":\"B\"\n{\"type\":\"C\"}\n"), (0, 1, 8));
}

#[test]
fn no_body_makes_a_larger_draft_than_is_foretold() {
    let occurred = "{\"occurred\":\"2016-12-08T21:00:00Z\"}".repeat(9);
    let named =
        "{\"id\":\"i\",\"type\":\"T\",\"headers\":{\"a\":\"b\"},\"key\":\"k\",\"body\":[1]}\n"
            .repeat(50);
    let made = "{\"offset\":1,\"processed\":2}".repeat(50);
    for body in [
        "{}\n".repeat(1_000),
        occurred,
        named,
        made,
        "[{},{\"body\":\"\u{e9}\"}]".to_owned(),
        " {} \r\n\t{}{}\n\n{}".repeat(99),
        format!("\n[ {}{{}} \n]", "{} ,\t{},\n".repeat(99)),
    ] {
        let mut draft = Draft::default();
        draft.push_body(body.as_bytes(), 1_000, &RULES, &rng()).unwrap();
        let most = Draft::most_bytes_of(body.as_bytes(), 1_000);
        assert!(draft.bytes() <= most, "{} of {most}: {body}", draft.bytes());
    }
}

#[test]
fn objects_within_events_need_no_room_of_their_own() {
    let event = r#"{"type":"T","body":{"a":{"b":{"c":{}}}}}"#;
    let alone = Draft::most_bytes_of(event.as_bytes(), 1_000) - event.len();
    let lines = format!("{event}\n").repeat(100);
    let array = format!(" [{}]", vec![event; 100].join(" ,\n"));
    let beside = event.repeat(100);
    for body in [lines, array, beside] {
        let room = Draft::most_bytes_of(body.as_bytes(), 1_000) - body.len();
        assert_eq!(room, 100 * alone, "{body}");
        let mut draft = Draft::default();
        assert_eq!(draft.push_body(body.as_bytes(), 1_000, &RULES, &rng()), Ok(100));
        assert!(draft.bytes() <= room + body.len());
    }
    // No more than there may be, whatever the body says.
    assert_eq!(Draft::most_bytes_of(&b"{}".repeat(1_000), 7), 2_000 + 7 * alone);
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let mut draft = Draft::default();
    let rng = rng();
    assert_eq!(draft.push_body(b"{\"id\":\"a\"}\n{\"id\":\"b\"}{}\n", 10, &RULES, &rng), Ok(3));
    assert_eq!(draft.push_body(b" [ {\"id\":\"c\"} , {} ] ", 10, &RULES, &rng), Ok(2));
    assert_eq!(draft.push_body(b" \n", 10, &RULES, &rng), Ok(0));
    assert_eq!(draft.push_body(b"[]", 10, &RULES, &rng), Ok(0));
    let before = draft.bytes();
    for (body, index, line, at) in [
        (&b"{}\n{}\n{\"id\":1}\n"[..], 2, 3, 12),
        (b"[{},\n 7]", 1, 2, 6),
        (b"{},{}", 1, 1, 2),
        (b"[{}]{}", 1, 1, 4),
        (b"{}{}{}{}{}", 4, 1, 8),
        (b"{}\xff", 0, 1, 2),
        (b"{}\n{\"a\":", 1, 2, 8),
    ] {
        let error = draft.push_body(body, 4, &RULES, &rng).unwrap_err();
        assert_eq!((error.index, error.line, error.at), (index, line, at), "{error}");
        assert_eq!((draft.len(), draft.bytes()), (5, before));
    }
    let too_many = draft.push_body(b"{}{}", 1, &RULES, &rng).unwrap_err();
    assert!(too_many.too_large);
    let (metas, lines) = stamped(draft);
    let offsets: Vec<u64> = metas.iter().map(|meta| meta.offset.get() % 100).collect();
    assert_eq!(offsets, [8, 9, 10, 11, 12]);
    assert!(lines[4].contains("\"offset\":\"1000000000000012\""));
}

#[test]
fn built_events_are_rendered_alike() {
    let event = NewEvent {
        id: Some("i"),
        event_type: "T",
        occurred: Some(NOW),
        key: Some("a\"b\n"),
        headers: &[("h", "1"), ("h", "\u{1}")],
        body: Body::Json(b" {\n\"a\" : 1 } "),
    };
    let render = |body| {
        let mut draft = Draft::default();
        draft.push(&NewEvent { body, ..event }, &RULES, &rng()).map(|()| stamped(draft))
    };
    let (metas, lines) = render(event.body).unwrap();
    assert!(lines[0].ends_with(
        ",\"key\":\"a\\\"b\\n\",\"headers\":{\"h\":\"1\",\"h\":\"\\u0001\"},\"body\":{\"a\" : 1 }}\n"
    ));
    assert_eq!(metas[0].key_hash, subset::key_hash(b"a\"b\n"));
    let (metas, lines) = render(Body::Text("x\ty")).unwrap();
    assert_eq!(
        (metas[0].body(lines[0].as_bytes()), metas[0].flags),
        (&br#""x\ty""#[..], FLAG_BODY_TEXT)
    );
    for (bytes, base64) in [
        (&b""[..], ""),
        (b"\xff", "/w=="),
        (b"ab", "YWI="),
        (b"abc", "YWJj"),
        (b"abcd", "YWJjZA=="),
    ] {
        let (metas, lines) = render(Body::Bytes(bytes)).unwrap();
        assert_eq!(metas[0].body(lines[0].as_bytes()), format!("\"{base64}\"").as_bytes());
        assert_eq!(metas[0].flags, FLAG_BODY_BASE64);
        assert!(lines[0].contains(",\"content_encoding\":\"base64\",\"headers\""));
    }
    let (metas, lines) = render(Body::None).unwrap();
    assert_eq!(metas[0].body(lines[0].as_bytes()), b"");
    assert_eq!(render(Body::Json(b"{\"a\":}")).unwrap_err().at, 5);
    assert!(render(Body::Text(&"x".repeat(5000))).unwrap_err().too_large);
}

proptest! {
    #[test]
    fn lines_hold_what_was_given(extra in super::json::any_json(), body in super::json::any_json(),
        id in "[ -!#-\\[\\]-~]{1,128}", pretty in any::<bool>())
    {
        let event = serde_json::json!({"extra": extra, "id": id, "body": body});
        let text = if pretty { serde_json::to_string_pretty(&event) } else { serde_json::to_string(&event) };
        let (meta, line) = one(&text.unwrap());
        prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
        let back: serde_json::Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&back["extra"], &extra);
        prop_assert_eq!(&back["body"], &body);
        prop_assert_eq!(back["id"].as_str(), Some(id.as_str()));
        prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(meta.body(line.as_bytes())).unwrap(), body);
        prop_assert!(json::check(line.as_bytes(), 16).is_ok());
    }

    #[test]
    fn removal_keeps_the_rest(keep in prop::collection::vec(any::<bool>(), 0..12)) {
        let mut draft = Draft::default();
        for index in 0..keep.len() {
            let id = if index % 2 == 0 { format!("\"id\":\"{}\"", "x".repeat(index + 1)) } else { String::new() };
            draft.push_json(format!("{{{id}}}").as_bytes(), &RULES, &rng()).unwrap();
        }
        draft.remove(|index| !keep[index]);
        let kept: Vec<usize> = (0..keep.len()).filter(|&index| keep[index]).collect();
        prop_assert_eq!(draft.len(), kept.len());
        for (place, index) in kept.iter().enumerate() {
            prop_assert_eq!(draft.has_own_id(place), index % 2 == 0);
        }
        let (metas, lines) = stamped(draft);
        for ((meta, line), index) in metas.iter().zip(&lines).zip(kept) {
            if index % 2 == 0 {
                prop_assert_eq!(meta.id(line.as_bytes()).len(), index + 1);
            }
            prop_assert!(json::check(line.as_bytes(), 4).is_ok());
        }
    }
}
