//! Ticks in lines.

use outflow_model::draft::{Draft, EntityEvent, Rules};
use outflow_model::meta::FLAG_TICK;
use outflow_model::rng::SeededRng;
use outflow_model::{Meta, MetaSlice, Offset, StreamName, Tick, Timestamp};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_481_232_421_125);

const RULES: Rules = Rules {
    now: NOW,
    max_event_bytes: 4096,
    max_depth: 8,
    max_age_ms: 90 * 86_400_000,
    max_ahead_ms: 5 * 60_000,
};

fn draft(events: &[&str]) -> Draft {
    let mut draft = Draft::default();
    for event in events {
        draft.push_json(event.as_bytes(), &RULES, &SeededRng::new(7)).unwrap();
    }
    draft
}

fn stored(mut draft: Draft) -> Vec<(Meta, String)> {
    draft.stamp(Offset::FIRST, NOW);
    let (lines, metas) = draft.into_parts();
    let events = MetaSlice::new(&metas).with_lines(&lines);
    events.map(|(meta, line)| (meta, String::from_utf8(line.to_vec()).unwrap())).collect()
}

#[test]
fn a_tick_stands_behind_the_times_and_the_publishers_own_is_dropped() {
    let mut draft = draft(&[
        r#"{"id":"a","type":"update","ref":{"type":"A","ids":{"n":1.0}},"body":{"tick":1,"x":1.10}}"#,
        r#"{"id":"b","type":"delete","x":1,"t\u0069ck":99,"tick_":[2],"key":"k"}"#,
    ]);
    draft.make_room_for_ticks();
    draft.stamp_ticks(Tick::FIRST.plus(41).unwrap());
    let events = stored(draft);
    let at = "2016-12-08T21:27:01.125Z";
    assert_eq!(
        events[0].1,
        format!(
            "{{\"id\":\"a\",\"type\":\"update\",\"offset\":\"1000000000000000\",\"occurred\":\"{at}\",\"processed\":\"{at}\",\
             \"tick\":1000000000000041,\"ref\":{{\"type\":\"A\",\"ids\":{{\"n\":1.0}}}},\"body\":{{\"tick\":1,\"x\":1.10}}}}\n"
        )
    );
    assert!(
        events[1].1.ends_with(",\"tick\":1000000000000042,\"key\":\"k\",\"x\":1,\"tick_\":[2]}\n")
    );
    let (meta, line) = &events[0];
    assert_eq!(meta.body(line.as_bytes()), br#"{"tick":1,"x":1.10}"#);
    assert_eq!(meta.tick(line.as_bytes()), Some(Tick::FIRST.plus(41).unwrap()));
    assert_eq!(meta.line_len as usize, line.len());
    let mut others = meta.others(line.as_bytes());
    assert!(others.next().unwrap().0.is(b"tick") && others.next().unwrap().0.is(b"ref"));
}

#[test]
fn a_line_without_a_tick_has_none_and_a_copy_keeps_its() {
    let (meta, line) = stored(draft(&[r#"{"type":"T","tick":1000000000000001}"#])).remove(0);
    assert_eq!((meta.tick(line.as_bytes()), meta.flags & FLAG_TICK), (None, 0));
    let mut one = draft(&[r#"{"type":"delete"}"#]);
    one.make_room_for_ticks();
    one.stamp_ticks(Tick::LAST);
    let (meta, line) = stored(one).remove(0);
    let mut copy = Draft::default();
    copy.push_copy(line.as_bytes(), &meta, &[], &[("cause", "expired")]);
    let (meta, line) = stored(copy).remove(0);
    assert_eq!(meta.tick(line.as_bytes()), Some(Tick::LAST), "{line}");
}

#[test]
fn an_entitys_version_is_told_with_its_own_time_and_tick() {
    let mut draft = Draft::default();
    let (made, tick) = (NOW.plus_millis(-5), Tick::FIRST.plus(3).unwrap());
    let event = EntityEvent {
        event_type: "load",
        at: (made, tick),
        entity_ref: br#"{"type":"A","ids":{"n":1}}"#,
        stream: &StreamName::new("billing").unwrap(),
        payload: br#"{"n":1,"x":1E2}"#,
        now: NOW,
    };
    draft.push_entity(&event, &SeededRng::new(7)).unwrap();
    let (meta, line) = stored(draft).remove(0);
    assert_eq!((meta.occurred, meta.processed), (made, NOW));
    assert_eq!(meta.tick(line.as_bytes()), Some(tick));
    assert_eq!(meta.body(line.as_bytes()), br#"{"n":1,"x":1E2}"#);
    let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(parsed["tick"].as_u64(), Some(1_000_000_000_000_003));
    assert_eq!(parsed["ref"]["type"], "A");
    assert_eq!(parsed["stream"], "billing");
}

proptest! {
    #[test]
    fn room_for_a_tick_changes_nothing_else(
        members in prop::collection::vec(("[a-z]{1,5}|tick", "[0-9]{1,3}|\"[a-z\\\\]{0,6}\""), 0..6),
        body in prop::option::of("\\{\\}|[1-9]|\"tick\""),
    ) {
        let mut text = String::from(r#"{"id":"i","type":"T""#);
        for (name, value) in members.iter().filter(|(name, _)| !["id", "type", "key", "body"].contains(&&**name)) {
            let value = value.replace('\\', "\\\\");
            text.push_str(&format!(",\"{name}\":{value}"));
        }
        body.iter().for_each(|body| text.push_str(&format!(",\"body\":{body}")));
        text.push('}');
        let mut one = Draft::default();
        prop_assume!(one.push_json(text.as_bytes(), &RULES, &SeededRng::new(7)).is_ok());
        let (before, plain) = stored(one.clone()).remove(0);
        one.make_room_for_ticks();
        let (after, ticked) = stored(one).remove(0);
        prop_assert_eq!(after.body(ticked.as_bytes()), before.body(plain.as_bytes()));
        prop_assert_eq!(after.tick(ticked.as_bytes()), Some(Tick::FIRST));
        let own = |(name, _): &(outflow_model::json::Raw<'_>, outflow_model::json::Value<'_>)| !name.is(b"tick");
        let show = |(name, value): (outflow_model::json::Raw<'_>, outflow_model::json::Value<'_>)| {
            (name.as_written().to_vec(), value.text().to_vec())
        };
        let kept: Vec<_> = before.others(plain.as_bytes()).filter(own).map(show).collect();
        let now: Vec<_> = after.others(ticked.as_bytes()).filter(own).map(show).collect();
        prop_assert_eq!(now, kept);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&ticked).is_ok());
    }
}
