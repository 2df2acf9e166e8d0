//! No filter text breaks the compiler, no event breaks the evaluator, and what the sidecar decides
//! is what the line says. Input: a filter, a newline, an event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outflow_model::draft::Rules;
use outflow_model::rng::SeededRng;
use outflow_model::{Draft, Filter, Subset, Timestamp};

fuzz_target!(|input: &[u8]| {
    let at = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    let (text, event) = input.split_at(at);
    let _ = Subset::parse(text);
    let _ = Filter::parse_compliance(text);
    let strict = Filter::parse(text);
    let Ok(filter) = Filter::parse_any_types(text) else {
        assert!(strict.is_err());
        return;
    };
    if let Ok(strict) = strict {
        assert_eq!(strict.fingerprint(), filter.fingerprint());
    }
    assert_eq!(filter.is_all(), filter.fingerprint() == 0);
    let now = Timestamp::from_millis(1_481_232_421_125);
    let rules = Rules {
        now,
        max_event_bytes: 1 << 16,
        max_depth: 16,
        max_age_ms: 1 << 50,
        max_ahead_ms: 0,
    };
    let mut draft = Draft::default();
    let event = if event.len() > 1 { event } else { b"{\"body\":{\"a\":[1]},\"device\":{}}" };
    if draft.push_json(event, &rules, &SeededRng::new(1)).is_ok() {
        let meta = &draft.metas().get(0).unwrap();
        let passes = filter.passes(meta, draft.lines(), now);
        assert!(filter.decide(meta, now).is_none_or(|decided| decided == passes));
        assert!(passes || !filter.is_all());
    }
    // A line that no draft made: any answer, but an answer.
    let _ = filter.passes(&Default::default(), event, now);
});
