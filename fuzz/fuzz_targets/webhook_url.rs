//! No URL gets past the guard to an address that is not public, and what is sent is what was
//! checked. Input: a URL, a newline, the addresses that its name is said to have, 16 bytes each.
#![no_main]

use std::net::{IpAddr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use outflow_face_webhook::guard::{Class, Guard, Host, address};

fuzz_target!(|input: &[u8]| {
    let at = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    let (text, addresses) = input.split_at(at);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let guard = Guard { plain: true, ..Guard::default() };
    let strict = Guard::default().endpoint(text);
    let Ok(endpoint) = guard.endpoint(text) else {
        assert!(strict.is_err());
        return;
    };
    assert!(strict.is_err() || endpoint.is_tls());
    // One line of a request, and one header.
    let is_plain = |text: &str| text.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
    assert!(endpoint.target().starts_with('/') && is_plain(endpoint.target()));
    assert!(is_plain(endpoint.authority()) && endpoint.port() != 0);
    if let Host::Address(found) = endpoint.host() {
        assert_eq!(address::classify(*found), Class::Public);
    }
    // What is shown is read as the same again.
    assert_eq!(guard.endpoint(&endpoint.to_string()).as_ref(), Ok(&endpoint));
    let found = addresses.get(1..).unwrap_or_default().chunks_exact(16).map(|bytes| {
        let bytes: [u8; 16] = bytes.try_into().unwrap();
        IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
    });
    for chosen in guard.choose(found, endpoint.port()).unwrap_or_default() {
        assert_eq!(address::classify(chosen.ip().to_canonical()), Class::Public);
        assert_eq!(chosen.port(), endpoint.port());
        assert!(guard.check(chosen).is_ok());
    }
});
