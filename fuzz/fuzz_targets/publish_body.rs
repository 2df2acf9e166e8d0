//! Whatever is published, the draft holds whole lines that say what their sidecars say, or nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outflow_model::draft::Rules;
use outflow_model::json::{self, Values};
use outflow_model::rng::SeededRng;
use outflow_model::{Draft, MetaSlice, Offset, Timestamp, subset};

fuzz_target!(|body: &[u8]| {
    let now = Timestamp::from_millis(1_481_232_421_125);
    let rules = Rules {
        now,
        max_event_bytes: 4096,
        max_depth: 16,
        max_age_ms: 1 << 40,
        max_ahead_ms: 300_000,
    };
    let rng = SeededRng::new(1);
    let mut draft = Draft::default();
    draft.push_json(b"{\"id\":\"before\"}", &rules, &rng).unwrap();
    let before = draft.bytes();
    let pushed = draft.push_body(body, 64, &rules, &rng);
    let split: Result<Vec<_>, _> = Values::new(body, 16).collect();
    match (pushed, split) {
        (Err(error), _) => {
            assert!(error.at <= body.len() && error.line >= 1);
            assert_eq!((draft.len(), draft.bytes()), (1, before));
        }
        (Ok(count), split) => {
            let split = split.unwrap();
            assert_eq!((draft.len() - 1, split.len()), (count, count));
            let mut alone = Draft::default();
            for piece in split {
                alone.push_json(piece.text, &rules, &SeededRng::new(1)).unwrap();
            }
            lines_are_sound(draft, now);
        }
    }
});

fn lines_are_sound(mut draft: Draft, now: Timestamp) {
    draft.stamp(Offset::FIRST, now);
    let (lines, metas) = draft.into_parts();
    let mut total = 0;
    for (index, (meta, line)) in MetaSlice::new(&metas).with_lines(&lines).enumerate() {
        total += line.len();
        assert_eq!(memchr(line), line.len() - 1);
        let value = json::check(line, 32).unwrap();
        let text = |name: &[u8]| value.get(name).and_then(|value| value.as_string()).unwrap();
        assert_eq!(text(b"id").as_written(), meta.id(line));
        assert_eq!(subset::id_hash(meta.id(line)), meta.id_hash);
        assert_eq!(text(b"type").as_written(), meta.event_type(line));
        assert_eq!(text(b"offset").to_text(), Offset::FIRST.plus(index as u64).to_string());
        assert_eq!(text(b"occurred").to_text(), meta.occurred.to_string());
        assert_eq!(text(b"processed").to_text(), now.to_string());
        assert_eq!(value.get(b"body").map_or(&b""[..], |body| body.text()), meta.body(line));
        let key = value.get(b"key").and_then(|key| key.as_string());
        assert_eq!(key.map_or(0, |key| subset::key_hash(&key.unescape())), meta.key_hash);
    }
    assert_eq!(total, lines.len());
}

fn memchr(line: &[u8]) -> usize {
    line.iter().position(|&byte| matches!(byte, b'\n' | b'\r')).unwrap()
}
