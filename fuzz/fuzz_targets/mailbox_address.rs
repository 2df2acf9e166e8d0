//! No address and no body breaks the mailbox's grammar, what it reads as ids leads back to them, a path
//! that is a call is one of ours, and a form says the same in the query and in the body. Input: a method,
//! a path and a query, each ended by a newline, and a body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outflow_face_mailbox::translate::{message_id, place};
use outflow_face_mailbox::wire::{Guid, WireError, is_ours, parse, parse_with};

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(4, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (method, path, query, body) = (next(), next(), next(), next());
    let text = |bytes| std::str::from_utf8(bytes);
    let (Ok(method), Ok(path), Ok(query)) = (text(method), text(path), text(query)) else { return };
    for read in [parse(method, path, query), parse_with(method, path, query, body)] {
        match read {
            Ok((_, call)) => {
                assert!(is_ours(path), "{call:?}");
                assert!(!call.name().is_empty());
            }
            // What is wrong is said in words of ours, never in the client's.
            Err(error) => assert!(error.to_string().len() < 100 || error == WireError::NoSuchCall),
        }
    }
    let is_form = query.contains('=') && !query.contains(['\n', '<', '"']);
    if is_form && query.trim_ascii() == query && !query.starts_with('{') {
        let in_body = parse_with(method, path, "", query.as_bytes());
        assert_eq!(in_body, parse(method, path, query));
    }
    if let Some(guid) = Guid::parse(path) {
        assert_eq!(Guid::parse(&guid.to_string()), Some(guid));
        if let Some((stream, offset)) = place(guid) {
            assert_eq!(message_id(stream, offset), guid);
        }
    }
});
