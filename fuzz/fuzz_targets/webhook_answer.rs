//! An endpoint's bytes are the same answer however they are cut, nothing grows beyond its limit,
//! and once the status is known nothing that follows changes it. Input: the size of the pieces, then the
//! bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outflow_face_webhook::wire::answer::Limits;
use outflow_face_webhook::wire::{Answer, AnswerError, Decoder};

const LIMITS: Limits = Limits { head_bytes: 512, body_bytes: 512, excerpt_bytes: 64, interims: 2 };

fn read(bytes: &[u8], step: usize) -> Result<Answer, AnswerError> {
    let mut decoder = Decoder::new(LIMITS);
    for piece in bytes.chunks(step) {
        let had_status = decoder.has_status();
        match decoder.take(piece) {
            Ok(None) => assert!(decoder.has_status() >= had_status),
            Ok(Some(answer)) => return Ok(answer),
            Err(error) => {
                assert!(!had_status, "the status has decided");
                return Err(error);
            }
        }
    }
    decoder.end()
}

fuzz_target!(|input: &[u8]| {
    let Some((&step, bytes)) = input.split_first() else { return };
    let cut = read(bytes, usize::from(step).max(1));
    let slow = read(bytes, 1);
    for read in [&cut, &slow] {
        if let Ok(answer) = read {
            assert!((200..=999).contains(&answer.status));
            assert!(answer.excerpt.len() <= LIMITS.excerpt_bytes);
        }
    }
    // Whether the connection is of use depends on what came with the end; the answer does not.
    if let (Ok(cut), Ok(slow)) = (&cut, &slow) {
        assert_eq!((cut.status, &cut.retry_after), (slow.status, &slow.retry_after));
        assert!(cut.excerpt.starts_with(&slow.excerpt) || slow.excerpt.starts_with(&cut.excerpt));
    }
});
