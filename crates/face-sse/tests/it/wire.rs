//! The frames of any events keep to the grammar: every client reads back what was published.

use std::sync::Arc;

use outflow_face_sse::wire::{Form, Frames};
use outflow_hub::Block;
use outflow_model::draft::{Draft, Rules};
use outflow_model::rng::SeededRng;
use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::block::BlockHead;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn block(events: &[String]) -> Arc<Block> {
    let rules = Rules {
        now: NOW,
        max_event_bytes: 1 << 20,
        max_depth: 8,
        max_age_ms: i64::MAX,
        max_ahead_ms: i64::MAX / 4,
    };
    let mut draft = Draft::default();
    for event in events {
        draft.push_json(event.as_bytes(), &rules, &SeededRng::new(3)).unwrap();
    }
    draft.stamp(Offset::FIRST, NOW);
    let count = draft.len() as u32;
    let head = BlockHead {
        first: Offset::FIRST,
        last: Offset::FIRST.plus(u64::from(count) - 1),
        count,
        first_at: NOW,
        last_at: NOW,
    };
    let (lines, metas) = draft.into_parts();
    Arc::new(Block::plain(head, lines.into(), metas.into()))
}

/// The data of an event's frame as a client reads it (HTML, 9.2.6).
fn read(frame: &str) -> (Option<String>, String, Vec<String>) {
    assert!(frame.ends_with("\n\n") && !frame[..frame.len() - 2].contains("\n\n"), "{frame:?}");
    assert!(!frame.contains('\r'));
    let (mut id, mut event, mut data) = (None, String::new(), Vec::new());
    for line in frame.trim_end_matches('\n').split('\n') {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            "id" => id = Some(value),
            "event" => event = value,
            "data" => data.push(value),
            other => panic!("{other}"),
        }
    }
    (id, event, data)
}

proptest! {
    #[test]
    fn a_line_comes_back_whole(
        kind in "[!#-\\[\\]-~]{1,12}",
        body in "(\\PC|\u{85}|\u{2028}|\u{2029}){0,40}",
        keys in prop::collection::vec("[a-z:\\n\\r ]{0,6}", 0..4),
    ) {
        let members = keys.iter().enumerate().map(|(n, key)| {
            let value = serde_json::Value::String(body.clone());
            format!(",{}:\n{value}", serde_json::Value::String(format!("k{n}{key}")))
        });
        let members: String = members.collect();
        let event = format!("{{\"type\":\"{kind}\"{members},\r\n\"body\":[1.10, {}]}}", serde_json::Value::String(body));
        let block = block(&[event.clone(), event]);
        let frames = Frames::render(&block, StreamId(3), &Form::Lines { named: true }).unwrap();
        let (first, both) = (frames.up_to(1), frames.up_to(9));
        prop_assert_eq!((first.1, both.1), (1, 2));
        let second = both.0.slice(first.0.len()..);
        let lines = String::from_utf8(block.lines().unwrap().to_vec()).unwrap();
        for ((n, line), frame) in lines.lines().enumerate().zip([first.0, second]) {
            let (id, name, data) = read(std::str::from_utf8(&frame).unwrap());
            prop_assert_eq!(id, Some(format!("3-{}", Offset::FIRST.plus(n as u64))));
            prop_assert_eq!(name, kind.clone());
            let line = line
                .replace('\u{85}', "\\u0085")
                .replace('\u{2028}', "\\u2028")
                .replace('\u{2029}', "\\u2029");
            prop_assert_eq!(data, vec![line]);
        }
    }
}

#[test]
fn readers_of_one_block_share_its_frames() {
    let block = block(&[r#"{"type":"A"}"#.into()]);
    let render = |form: &Form| {
        let key = u64::from(*form == Form::Lines { named: true });
        block.rendition(key, |block| Frames::render(block, StreamId(1), form)).unwrap()
    };
    let one = render(&Form::Lines { named: true });
    assert!(Arc::ptr_eq(&one, &render(&Form::Lines { named: true })));
    assert!(!Arc::ptr_eq(&one, &render(&Form::Lines { named: false })));
}

#[test]
fn what_was_published_before_the_stream_was_keyed_is_passed_over() {
    let block = block(&[r#"{"type":"create","ref":{"type":"A","ids":{}},"body":{}}"#.into()]);
    let frames = Frames::render(&block, StreamId(1), &Form::Changes(None)).unwrap();
    assert!(frames.is_empty());
}
