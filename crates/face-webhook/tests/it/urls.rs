//! URLs: every way to write an address, what is refused, and what is sent.

use std::net::IpAddr;

use outflow_face_webhook::guard::{Guard, Host, UrlError};

/// URLs that are refused by themselves, before anything is resolved.
const REFUSED: &[(&str, UrlError)] = &[
    // Forms of 127.0.0.1.
    ("https://127.0.0.1/", UrlError::Address),
    ("https://127.1/", UrlError::Address),
    ("https://127.0.1/", UrlError::Address),
    ("https://2130706433/", UrlError::Address),
    ("https://0x7f000001/", UrlError::Address),
    ("https://0x7f.1/", UrlError::Address),
    ("https://0x7F.0x0.0x0.0x1/", UrlError::Address),
    ("https://0177.0.0.1/", UrlError::Address),
    ("https://017700000001/", UrlError::Address),
    ("https://127.0.0.1./", UrlError::Address),
    ("https://127.0.0.1:8443/", UrlError::Address),
    ("https://①②⑦.⓪.⓪.①/", UrlError::Address),
    ("https://１２７.０.０.１/", UrlError::Address),
    ("https://127。0。0。1/", UrlError::Address),
    ("https://%31%32%37.0.0.1/", UrlError::Address),
    ("https://[::1]/", UrlError::Address),
    ("https://[0:0:0:0:0:0:0:1]/", UrlError::Address),
    ("https://[::127.0.0.1]/", UrlError::Address),
    ("https://[::ffff:127.0.0.1]/", UrlError::Address),
    ("https://[::ffff:7f00:1]/", UrlError::Address),
    ("https://localhost/", UrlError::Address),
    ("https://LOCALHOST/", UrlError::Address),
    ("https://localhost./", UrlError::Address),
    ("https://a.localhost/", UrlError::Address),
    ("https://ⓛocalhost/", UrlError::Address),
    // Other addresses inside.
    ("https://0/", UrlError::Address),
    ("https://0.0.0.0/", UrlError::Address),
    ("https://10.0.0.1/", UrlError::Address),
    ("https://192.168.1.1/", UrlError::Address),
    ("https://172.16.0.1/", UrlError::Address),
    ("https://169.254.169.254/latest/meta-data/", UrlError::Address),
    ("https://2852039166/", UrlError::Address),
    ("https://0251.0376.0251.0376/", UrlError::Address),
    ("https://168.63.129.16/", UrlError::Address),
    ("https://100.100.100.200/", UrlError::Address),
    ("https://255.255.255.255/", UrlError::Address),
    ("https://[fd00:ec2::254]/", UrlError::Address),
    ("https://[fe80::1]/", UrlError::Address),
    ("https://[fec0::1]/", UrlError::Address),
    ("https://[64:ff9b::a9fe:a9fe]/", UrlError::Address),
    ("https://[2002:7f00:1::]/", UrlError::Address),
    ("https://[2001::1]/", UrlError::Address),
    ("https://[::]/", UrlError::Address),
    ("https://[ff02::1]/", UrlError::Address),
    // Users, who are there to hide the host.
    ("https://example.com@127.0.0.1/", UrlError::User),
    ("https://user:pass@example.com/", UrlError::User),
    ("https://user@example.com/", UrlError::User),
    ("https://:pass@example.com/", UrlError::User),
    ("https://a%40b:c@example.com/", UrlError::User),
    // What people and parsers read in different ways.
    ("https://169.254.169.254:80\\@example.com/", UrlError::Malformed),
    ("https:\\\\example.com/", UrlError::Malformed),
    ("https://exam\tple.com/", UrlError::Malformed),
    ("https://example.com/\r\nHost: a", UrlError::Malformed),
    ("https://example.com/a\n", UrlError::Malformed),
    (" https://example.com/", UrlError::Malformed),
    ("https://example.com/a b", UrlError::Malformed),
    ("https://example.com/\0", UrlError::Malformed),
    ("https://example.com/\u{a0}", UrlError::Malformed),
    // Other schemes.
    ("http://example.com/", UrlError::Scheme),
    ("ftp://example.com/", UrlError::Scheme),
    ("file:///etc/passwd", UrlError::Scheme),
    ("gopher://example.com/", UrlError::Scheme),
    ("javascript:alert(1)", UrlError::Scheme),
    ("data:text/plain,a", UrlError::Scheme),
    ("wss://example.com/", UrlError::Scheme),
    // Another host than a person reads.
    ("https:8.8.8.8", UrlError::Malformed),
    ("https:/8.8.8.8/", UrlError::Malformed),
    ("https:///example.com/", UrlError::Malformed),
    ("https:////8.8.8.8/", UrlError::Malformed),
    ("HTTPS:////example.com:9/../a", UrlError::Malformed),
    ("https://exam\u{ad}ple.com/", UrlError::Turned),
    ("https://exam\u{200b}ple.com/", UrlError::Turned),
    ("https://ｅxample.com/", UrlError::Turned),
    ("https://ex%61mple.com/", UrlError::Turned),
    ("https://134744072/", UrlError::Turned),
    ("https://8.8.2056:443/", UrlError::Turned),
    ("https://0x8.8.8.8/", UrlError::Turned),
    ("https://８.8.8.8/", UrlError::Turned),
    // No URLs, no hosts, no ports.
    ("", UrlError::Malformed),
    ("example.com", UrlError::Malformed),
    ("//example.com/", UrlError::Malformed),
    ("https://", UrlError::Host),
    ("https://.", UrlError::Host),
    ("https://a..b/", UrlError::Host),
    ("https://.example.com/", UrlError::Host),
    ("https://[fe80::1%25eth0]/", UrlError::Host),
    ("https://[::1/", UrlError::Host),
    ("https://256.1.1.1/", UrlError::Host),
    ("https://1.2.3.4.5/", UrlError::Host),
    ("https://0x100000000/", UrlError::Host),
    ("https://exa%00mple.com/", UrlError::Host),
    ("https://exa<mple.com/", UrlError::Host),
    ("https://exam!ple.com/", UrlError::Host),
    ("https://example.com:0/", UrlError::Port { port: 0 }),
    ("https://example.com:65536/", UrlError::Malformed),
    ("https://example.com:-1/", UrlError::Malformed),
    ("https://example.com/#a", UrlError::Fragment),
    ("https://example.com/#", UrlError::Fragment),
];

/// URLs that are taken, with the `Host` header and the path that are sent.
const TAKEN: &[(&str, &str, &str)] = &[
    ("https://example.com", "example.com", "/"),
    ("HTTPS://EXAMPLE.COM/Path", "example.com", "/Path"),
    ("https://example.com:443/", "example.com", "/"),
    ("https://example.com:8443/a?b=c&d=%20", "example.com:8443", "/a?b=c&d=%20"),
    ("https://example.com?token=1", "example.com", "/?token=1"),
    ("https://example.com./", "example.com", "/"),
    ("https://a_b.example.com/", "a_b.example.com", "/"),
    ("https://example.com/a/../b/./c", "example.com", "/b/c"),
    ("https://example.com/ü?ü", "example.com", "/%C3%BC?%C3%BC"),
    ("https://bücher.example/", "xn--bcher-kva.example", "/"),
    ("https://8.8.8.8/", "8.8.8.8", "/"),
    ("https://8.8.8.8:8443/", "8.8.8.8:8443", "/"),
    ("https://BÜCHER.example:8443", "xn--bcher-kva.example:8443", "/"),
    ("https://xn--BCHER-kva.example?a", "xn--bcher-kva.example", "/?a"),
    ("https://例え.テスト/", "xn--r8jz45g.xn--zckzah", "/"),
    ("https://straße.example/", "xn--strae-oqa.example", "/"),
    ("https://[2600:0:0::1]?a", "[2600::1]", "/?a"),
    ("https://[2600::1]:8443/", "[2600::1]:8443", "/"),
    ("https://127.0.0.1.example.com/", "127.0.0.1.example.com", "/"),
    ("https://notlocalhost/", "notlocalhost", "/"),
];

#[test]
fn urls_that_lead_inside_or_astray_are_refused() {
    assert!(REFUSED.len() + TAKEN.len() >= 80);
    let guard = Guard::default();
    for (url, expected) in REFUSED {
        assert_eq!(
            guard.endpoint(url).map(|endpoint| endpoint.to_string()),
            Err(*expected),
            "{url:?}"
        );
    }
}

#[test]
fn urls_that_are_taken_are_sent_as_they_were_parsed() {
    for (url, authority, target) in TAKEN {
        let endpoint =
            Guard::default().endpoint(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!((endpoint.authority(), endpoint.target()), (*authority, *target), "{url}");
        // What is shown is parsed to the same again.
        assert_eq!(Guard::default().endpoint(&endpoint.to_string()), Ok(endpoint), "{url}");
    }
}

/// A person reads one path and the endpoint another: what is set now is written as it is sent.
#[test]
fn a_path_that_leads_elsewhere_is_refused_where_it_is_set() {
    let guard = Guard::default();
    let dots = [
        "/a/../b",
        "/a/./b",
        "/..",
        "/.",
        "/a/..",
        "/a/.",
        "/a/%2e%2E/b",
        "/a/.%2e/b?c",
        "/%2e/b",
        "/a/../../b",
    ];
    for path in dots {
        let url = format!("https://example.com{path}");
        assert_eq!(guard.new_endpoint(&url), Err(UrlError::Dots), "{path}");
        assert!(guard.endpoint(&url).is_ok(), "{path}: one that is there goes on");
    }
    let sent =
        ["/a.b/c..d/...", "/a..", "/.well-known/%2e.%2ex", "/?a=/../b", "//a//b/", "/a;/.;b"];
    for path in sent {
        let url = format!("https://example.com{path}");
        let endpoint = guard.new_endpoint(&url).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(endpoint.target(), path);
    }
    assert_eq!(guard.new_endpoint("https://127.0.0.1/a/../b"), Err(UrlError::Address));
}

#[test]
fn long_urls_and_names_are_refused() {
    let guard = Guard::default();
    let long = |bytes: usize| format!("https://example.com/{}", "a".repeat(bytes - 20));
    assert!(guard.endpoint(&long(2_048)).is_ok());
    assert_eq!(guard.endpoint(&long(2_049)), Err(UrlError::Length));
    // What is sent has three bytes for each of these.
    let sent = |count: usize| format!("https://example.com/{}", "\"".repeat(count));
    assert_eq!(guard.endpoint(&sent(1_000)), Err(UrlError::Length));
    let kept = guard.endpoint(&sent(600)).unwrap();
    assert_eq!(guard.endpoint(&kept.to_string()).as_ref(), Ok(&kept));
    let label = |length: usize| format!("https://{}.com/", "a".repeat(length));
    assert!(guard.endpoint(&label(63)).is_ok());
    assert_eq!(guard.endpoint(&label(64)), Err(UrlError::Host));
    let name = format!("https://{}com/", "abcdefg.".repeat(32));
    assert_eq!(guard.endpoint(&name), Err(UrlError::Host));
}

#[test]
fn operators_may_allow_more_or_less() {
    let guard = Guard {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        ports: vec![443..=443, 8_000..=8_999],
        plain: true,
        ..Guard::default()
    };
    let local = guard.endpoint("http://localhost:8080/hook").unwrap();
    assert!(!local.is_tls());
    assert_eq!((local.host(), local.port()), (&Host::Name("localhost".into()), 8_080));
    assert_eq!(guard.endpoint("https://0x7f.1/"), Err(UrlError::Turned));
    let address = guard.endpoint("https://127.0.0.1/").unwrap();
    assert_eq!(address.host(), &Host::Address(IpAddr::from([127, 0, 0, 1])));
    assert_eq!(guard.endpoint("https://[::1]/"), Err(UrlError::Address));
    assert_eq!(guard.endpoint("http://example.com/"), Err(UrlError::Port { port: 80 }));
    assert_eq!(guard.endpoint("https://example.com:22/"), Err(UrlError::Port { port: 22 }));
}

#[test]
fn a_url_in_a_log_shows_no_more_than_its_host() {
    let endpoint = Guard::default().endpoint("https://example.com/canary?token=canary").unwrap();
    assert!(!format!("{endpoint:?}").contains("canary"));
}
