//! Nothing goes to an address that may not be reached, by whatever way it is named: canaries listen
//! there and hear nothing.
//!
//! Those on this host are real listeners. Those of clouds and private networks stand in a network
//! namespace of their own, in which the same binary runs once more: what went astray would meet
//! them, and never leave the machine.

use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use outflow_face_webhook::client::{Client, ClientOptions, tls};
use outflow_face_webhook::guard::{Guard, UrlError};
use outflow_face_webhook::outcome::Failure;
use outflow_model::clock::SystemClock;
use rustls::RootCertStore;
use tokio::io::AsyncWriteExt;

use crate::stand::{LOOPBACK, Receiver, names, options, post, post_within, request};

/// Set in the namespace.
const INSIDE: &str = "OUTFLOW_TEST_IN_NAMESPACE";
/// What in there is an address of the host, and so can be listened at.
const THERE: &[&str] = &[
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.1",
    "100.64.0.1",
    "192.0.0.192",
    "198.18.0.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "fd00:ec2::254",
    "fd00::1",
    "fe80::a9fe:a9fe",
    "fec0::1",
    "2001:db8::1",
];

/// Addresses that mean this host, or may be routed to it.
const HERE: &[&str] = &[
    "127.0.0.1",
    "127.0.0.2",
    "127.1.2.3",
    "127.255.255.254",
    "0.0.0.0",
    "0.0.0.1",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:0.0.0.0",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2002:7f00:1::1",
    "::ffff:0:127.0.0.1",
    "2001:0:7f00:1::",
    "fe80::1",
    "ff02::1",
    "255.255.255.255",
    "224.0.0.1",
];

/// Ways to write an address of this host, or of what stands beside it, into a URL.
const WRITTEN: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7F.0x0.0x0.0x1",
    "0177.0.0.1",
    "017700000001",
    "0177.1",
    "127.0.0.1.",
    "127.000.000.001",
    "0",
    "0.0.0.0",
    "0x0",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
    "\u{2460}\u{2461}\u{2466}.0.0.1",
    "127\u{3002}0\u{3002}0\u{3002}1",
    "%31%32%37.0.0.1",
    "l\u{24de}calhost",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[fd00:ec2::254]",
    "[fe80::a9fe:a9fe]",
    "100.100.100.200",
    "168.63.129.16",
    "10.0.0.1",
    "0xa000001",
    "012.0.0.1",
    "167772161",
    "192.168.1.1",
    "3232235777",
    "172.16.0.1",
    "198.18.0.1",
    "255.255.255.255",
];

fn parse(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A client that lets no address through that is not public, on a host where every name is what
/// `found` says, given how often it was asked.
fn strict(found: impl Fn(&str, usize) -> Vec<IpAddr> + Send + Sync + 'static) -> Client {
    let guard = Guard { plain: true, ..Guard::default() };
    let tls = tls::with_roots(RootCertStore::empty()).unwrap();
    Client::new(ClientOptions::new(Arc::new(guard), names(found), tls, Arc::new(SystemClock)))
}

/// Listens at an address, and does not mind if there is none such.
pub(crate) async fn canary(at: &str, port: u16) -> Option<Receiver> {
    let at = (parse(at), port).into();
    if tokio::net::TcpListener::bind(at).await.is_err() {
        return None;
    }
    Some(Receiver::start_at(at, |_, _| async {}).await)
}

#[test]
fn there_are_enough_vectors() {
    assert!(HERE.len() + THERE.len() + WRITTEN.len() >= 80);
}

#[test]
fn no_way_to_write_an_address_gets_it_past_the_guard() {
    let guard = Guard { plain: true, ..Guard::default() };
    for host in WRITTEN {
        for url in [format!("https://{host}/"), format!("http://{host}:8080/a?b=c")] {
            let refused = guard.endpoint(&url);
            assert!(
                matches!(refused, Err(UrlError::Address | UrlError::Host)),
                "{url}: {refused:?}"
            );
        }
    }
}

#[tokio::test]
async fn no_name_leads_to_this_host() {
    let mut canaries = vec![Receiver::start(|_, _| async {}).await];
    let port = canaries[0].at.port();
    for at in ["127.0.0.2", "127.1.2.3", "127.255.255.254", "::1"] {
        canaries.extend(canary(at, port).await);
    }
    assert!(canaries.len() >= 4, "the canaries sit where they should");
    let url = format!("http://name.test:{port}/");
    for address in HERE {
        let failed = post(&strict(move |_, _| vec![parse(address)]), &url, "{}").await;
        assert_eq!(failed, Err(Failure::Address), "{address}");
    }
    let all = strict(|_, _| HERE.iter().copied().map(parse).collect());
    assert_eq!(post(&all, &url, "{}").await, Err(Failure::Address));
    let heard: usize = canaries.iter().map(Receiver::accepted).sum();
    assert_eq!(heard, 0);
}

#[tokio::test]
async fn a_name_that_turns_to_another_address_is_not_followed() {
    // The receiver is let through at 127.0.0.1; the canary at 127.0.0.2 is not.
    let receiver = Receiver::start(|mut stream, _| async move {
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await.unwrap();
    })
    .await;
    let canary = canary("127.0.0.2", receiver.at.port()).await.unwrap();
    let rebinding = |_: &str, asked: usize| {
        // Public at first sight, then not; and both at once, in either order.
        let (good, bad) = (LOOPBACK, parse("127.0.0.2"));
        match asked {
            0 => vec![good],
            1 => vec![bad],
            2 => vec![bad, good],
            3 => vec![good, bad],
            4 => vec![bad; 1_000],
            _ => Vec::new(),
        }
    };
    let guard =
        Guard { allow: vec!["127.0.0.1".parse().unwrap()], plain: true, ..Guard::default() };
    let options = ClientOptions { guard: Arc::new(guard), resolve: names(rebinding), ..options() };
    let client = Client::new(options);
    let mut done = Vec::new();
    for _ in 0..6 {
        let answer = post(&client, &receiver.url("/"), "{}").await;
        done.push(answer.map(|answer| answer.status));
    }
    let refused = Err(Failure::Address);
    assert_eq!(done, [Ok(200), refused, Ok(200), Ok(200), refused, refused]);
    assert_eq!((receiver.accepted(), canary.accepted()), (3, 0));
}

#[tokio::test]
async fn a_refusal_reads_like_a_name_that_does_not_exist() {
    let url = "https://name.test/";
    let denied = post(&strict(|_, _| vec![parse("10.0.0.1")]), url, "{}").await.unwrap_err();
    let nothing = post(&strict(|_, _| Vec::new()), url, "{}").await.unwrap_err();
    assert_eq!((denied, denied.to_string()), (nothing, nothing.to_string()));
}

#[tokio::test]
async fn the_servers_own_doors_are_shut_even_where_this_host_is_allowed() {
    let door = Receiver::start(|_, _| async {}).await;
    let mut guard = crate::stand::at_home();
    guard.own = vec![([0, 0, 0, 0], door.at.port()).into()];
    let client = Client::new(ClientOptions { guard: Arc::new(guard), ..options() });
    assert_eq!(post(&client, &door.url("/"), "{}").await, Err(Failure::Address));
    assert_eq!(door.accepted(), 0);
}

/// Runs the next test where its canaries can listen.
#[test]
fn nothing_reaches_clouds_and_private_networks() {
    run_inside("ssrf::inside_the_namespace");
}

/// Runs a test of this binary in a network of its own, with files of its own if it makes any. It says how many
/// canaries there were, so that it is known to have run.
pub(crate) fn run_inside(test: &str) {
    let run = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("this test needs `unshare`, of util-linux");
    let said = String::from_utf8_lossy(&run.stdout);
    let why = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && said.contains("canaries: "), "{said}{why}");
}

/// Whether the test runs in there.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs a program of the system that must succeed.
pub(crate) fn system(program: &str, args: &[&str]) {
    let done = Command::new(program).args(args).status();
    let done = done.unwrap_or_else(|error| panic!("this test needs `{program}`: {error}"));
    assert!(done.success(), "{program} {args:?}");
}

/// Makes these addresses the host's.
pub(crate) fn add_addresses(addresses: &[&str]) {
    system("ip", &["link", "set", "lo", "up"]);
    for address in addresses {
        let whole = if address.contains(':') { "128" } else { "32" };
        let full = format!("{address}/{whole}");
        let known = if address.contains(':') { &["nodad"][..] } else { &[] };
        system("ip", &[&["addr", "add", &full, "dev", "lo"], known].concat());
    }
}

#[tokio::test]
async fn inside_the_namespace() {
    if !is_inside() {
        return;
    }
    add_addresses(THERE);
    let mut canaries = Vec::new();
    for address in THERE {
        canaries.extend(canary(address, 80).await);
    }
    // A link-local address of IPv6 cannot be listened at without naming the link.
    assert!(canaries.len() >= THERE.len() - 1, "{} of {}", canaries.len(), THERE.len());
    for address in THERE {
        let client = strict(move |_, _| vec![parse(address)]);
        let wait = Duration::from_secs(5);
        let failed = post_within(&client, "http://name.test/", "{}", wait).await;
        assert_eq!(failed, Err(Failure::Address), "{address}");
    }
    // They do hear: what an operator allows comes through.
    let guard = Guard { allow: vec!["10.0.0.1".parse().unwrap()], plain: true, ..Guard::default() };
    let resolve = names(|_, _| vec![parse("10.0.0.1")]);
    let client = Client::new(ClientOptions { guard: Arc::new(guard), resolve, ..options() });
    assert_eq!(post(&client, "http://name.test/", "{}").await, Err(Failure::Broken));
    let heard: usize = canaries.iter().map(Receiver::accepted).sum();
    assert_eq!(heard, 1);
    println!("canaries: {}", canaries.len());
}
