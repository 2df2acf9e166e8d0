//! No address breaks the mailbox's grammar, what it reads as ids leads back to them, and a path
//! that is a call is one of ours. Input: a method, a path and a query, each ended by a newline.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outflow_face_mailbox::translate::{message_id, place};
use outflow_face_mailbox::wire::{Guid, WireError, is_ours, parse};

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (method, path, query) = (next(), next(), next());
    match parse(method, path, query) {
        Ok((_, call)) => {
            assert!(is_ours(path), "{call:?}");
            assert!(!call.name().is_empty());
        }
        // What is wrong is said in words of ours, never in the client's.
        Err(error) => assert!(error.to_string().len() < 100 || error == WireError::NoSuchCall),
    }
    if let Some(guid) = Guid::parse(path) {
        assert_eq!(Guid::parse(&guid.to_string()), Some(guid));
        if let Some((stream, offset)) = place(guid) {
            assert_eq!(message_id(stream, offset), guid);
        }
    }
});
