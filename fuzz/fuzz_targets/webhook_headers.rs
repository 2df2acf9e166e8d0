//! What a customer's headers make of a request is a request with those headers, once each, and
//! nothing else. Input: lines of a name, a colon and a value; then an empty line and a type of event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outflow_face_webhook::guard::Guard;
use outflow_face_webhook::wire::{Encoding, Field, Head, Headers};

fuzz_target!(|input: &str| {
    let (lines, event) = input.split_once("\n\n").unwrap_or((input, ""));
    let pairs = lines.split('\n').filter_map(|line| line.split_once(':'));
    let pairs: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let Ok(headers) = Headers::new(pairs.clone()) else { return };
    let endpoint = Guard::default().endpoint("https://example.com/a?b").unwrap();
    let fields = [Field::new("X-GitHub-Event", event)];
    let mut head = Vec::new();
    let encoding = Encoding::Identity;
    Head { endpoint: &endpoint, headers: &headers, fields: &fields, encoding, body_bytes: 7 }
        .write(&mut head);
    let mut room = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut room);
    let parsed = request.parse(&head).unwrap();
    assert_eq!(parsed, httparse::Status::Complete(head.len()));
    assert_eq!((request.method, request.path), (Some("POST"), Some("/a?b")));
    let has = |name: &str| {
        request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).count()
    };
    for name in ["Host", "Content-Length", "Content-Type", "User-Agent", "X-GitHub-Event"] {
        assert_eq!(has(name), 1, "{name}");
    }
    assert_eq!(has("Transfer-Encoding") + has("Content-Encoding") + has("Connection"), 0);
    for (name, value) in &pairs {
        let written = request.headers.iter().find(|header| header.name == name).unwrap();
        assert_eq!(written.value.trim_ascii(), value.as_bytes().trim_ascii());
    }
    let own = 4 + usize::from(!headers.has("User-Agent"));
    assert_eq!(request.headers.len(), pairs.len() + own);
});
