//! Names as name servers give them: the server's own look-up, against a name server that lies as those do who aim at what
//! stands beside the server.
//!
//! In a network namespace, where that name server is the system's, and a public address is one of the host's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use outflow_face_webhook::client::{Client, ClientOptions, tls};
use outflow_face_webhook::guard::Guard;
use outflow_face_webhook::outcome::Failure;
use outflow_face_webhook::resolve::of_the_system;
use outflow_model::clock::SystemClock;
use parking_lot::Mutex;
use rustls::RootCertStore;
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;

use crate::ssrf::{add_addresses, canary, is_inside, run_inside, system};
use crate::stand::{Receiver, post, request};

const PUBLIC: &str = "93.184.215.14";
const PUBLIC_SIX: &str = "2606:2800:21f:cb07::1";
/// What stands beside the server.
const BESIDE: [&str; 3] = ["10.0.0.1", "169.254.169.254", "fd00:ec2::254"];

/// Types of records (RFC 1035 3.2.2, RFC 3596).
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// What a name is, as a text: addresses, or `-> another name`. Each look-up of an address gets the next of these, and
/// the last again and again.
type Zone = &'static [(&'static str, &'static [&'static [&'static str]])];

const ZONE: Zone = &[
    ("plain.test", &[&[PUBLIC]]),
    ("six.test", &[&[PUBLIC_SIX]]),
    ("beside.test", &[&["10.0.0.1"]]),
    ("alias.test", &[&["-> plain.test"]]),
    // The name server leaves it to who asks to follow, or does not.
    ("cname.test", &[&["-> beside.test"]]),
    ("chain.test", &[&["-> beside.test", "10.0.0.1"]]),
    ("far.test", &[&["-> cname.test"]]),
    ("six-beside.test", &[&["fd00:ec2::254"]]),
    ("six-mapped.test", &[&["::ffff:10.0.0.1"]]),
    ("six-nat.test", &[&["64:ff9b::a00:1"]]),
    ("mixed.test", &[&["10.0.0.1", PUBLIC, "169.254.169.254"]]),
    ("turns.test", &[&[PUBLIC], &["169.254.169.254"], &["10.0.0.1"]]),
    ("turns-back.test", &[&["10.0.0.1"], &[PUBLIC]]),
    // Below the domain of the server's own network.
    ("wiki.corp.inside.test", &[&[PUBLIC]]),
];

/// What was asked for.
type Asked = Arc<Mutex<Vec<(String, u16)>>>;

fn is_of(text: &str, kind: u16) -> bool {
    text.parse::<IpAddr>()
        .is_ok_and(|address| if kind == A { address.is_ipv4() } else { address.is_ipv6() })
}

/// A name as it is written in a message.
fn written(name: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// The answer to a question (RFC 1035 4), with times to live of 0.
fn answer(query: &[u8], asked: &Asked) -> Vec<u8> {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap().to_lowercase());
        at = end;
    }
    let (name, question) = (labels.join("."), &query[12..at + 5]);
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let times = {
        let mut asked = asked.lock();
        let times = asked.iter().filter(|one| **one == (name.clone(), kind)).count();
        asked.push((name.clone(), kind));
        times
    };
    let known = ZONE.iter().find(|(known, _)| *known == name).map(|(_, turns)| turns);
    let records = known.map_or(&[][..], |turns| turns[times.min(turns.len() - 1)]);
    let (mut owner, mut count, mut body) = (written(&name), 0_u16, Vec::new());
    for record in records {
        let (kind, data) = if let Some(target) = record.strip_prefix("-> ") {
            (CNAME, written(target))
        } else if is_of(record, kind) {
            match record.parse::<IpAddr>().unwrap() {
                IpAddr::V4(four) => (A, Ipv4Addr::octets(&four).to_vec()),
                IpAddr::V6(six) => (AAAA, Ipv6Addr::octets(&six).to_vec()),
            }
        } else {
            continue;
        };
        body.extend_from_slice(&owner);
        body.extend(kind.to_be_bytes());
        body.extend([0, 1, 0, 0, 0, 0]);
        body.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        body.extend_from_slice(&data);
        if kind == CNAME {
            owner = data;
        }
        count += 1;
    }
    // A response, recursion as wished; there is no such name.
    let code = if known.is_some() { 0x80 } else { 0x83 };
    let mut message = vec![query[0], query[1], 0x81, code, 0, 1];
    message.extend(count.to_be_bytes());
    message.extend([0; 4]);
    message.extend_from_slice(question);
    message.extend(body);
    message
}

async fn serve(socket: UdpSocket, asked: Asked) {
    let mut query = [0; 1_024];
    while let Ok((length, from)) = socket.recv_from(&mut query).await {
        socket.send_to(&answer(&query[..length], &asked), from).await.unwrap();
    }
}

fn client(allow: &[&str]) -> Client {
    let allow = allow.iter().map(|one| one.parse().unwrap()).collect();
    let guard = Guard { allow, plain: true, ..Guard::default() };
    let tls = tls::with_roots(RootCertStore::empty()).unwrap();
    Client::new(ClientOptions::new(Arc::new(guard), of_the_system(), tls, Arc::new(SystemClock)))
}

#[test]
fn no_name_server_leads_to_what_stands_beside_the_server() {
    run_inside("dns::inside_the_namespace");
}

#[tokio::test]
async fn inside_the_namespace() {
    if !is_inside() {
        return;
    }
    add_addresses(&[&BESIDE[..], &[PUBLIC, PUBLIC_SIX]].concat());
    system("mount", &["-t", "tmpfs", "tmpfs", "/etc"]);
    std::fs::write("/etc/resolv.conf", "nameserver 127.0.0.1\nsearch inside.test\n").unwrap();
    let asked = Asked::default();
    let socket = UdpSocket::bind("127.0.0.1:53").await.unwrap();
    tokio::spawn(serve(socket, asked.clone()));
    let mut canaries = Vec::new();
    for at in BESIDE {
        canaries.push(canary(at, 80).await.expect("it can be listened at"));
    }
    for at in [PUBLIC, PUBLIC_SIX] {
        let receiver = Receiver::start_at(
            (at.parse::<IpAddr>().unwrap(), 80).into(),
            |mut stream, _| async move {
                request(&mut stream).await;
                let said = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(said).await.unwrap();
            },
        );
        receiver.await;
    }
    let times = |name: &str, kind: u16| {
        asked.lock().iter().filter(|(one, of)| one == name && *of == kind).count()
    };
    let strict = client(&[]);
    let send = async |name: &str| {
        let done = post(&strict, &format!("http://{name}/"), "{}").await;
        done.map(|answer| answer.status)
    };
    let refused = Err(Failure::Address);
    for name in ["plain.test", "six.test", "alias.test", "mixed.test"] {
        assert_eq!(send(name).await, Ok(200), "{name}");
    }
    for name in [
        "beside.test",
        "cname.test",
        "chain.test",
        "far.test",
        "six-beside.test",
        "six-mapped.test",
        "six-nat.test",
    ] {
        assert_eq!(send(name).await, refused, "{name}");
        assert!(times(name, A) > 0 && times(name, AAAA) > 0, "{name} was looked up");
    }
    assert!(times("plain.test", A) > 1 && times("beside.test", A) > 1, "aliases were followed");
    // What was said before counts no more, and what is said later does not either: each attempt asks once.
    for (turn, expected) in [Ok(200), refused, refused, refused].into_iter().enumerate() {
        assert_eq!(send("turns.test").await, expected, "turn {turn}");
        assert_eq!(times("turns.test", A), turn + 1);
    }
    assert_eq!([send("turns-back.test").await, send("turns-back.test").await], [refused, Ok(200)]);
    // Names are whole: the server's own domain is not searched.
    assert_eq!(send("wiki.corp").await, refused);
    assert_eq!((times("wiki.corp", A), times("wiki.corp.inside.test", A)), (1, 0));
    let heard =
        |canaries: &[Receiver]| -> Vec<usize> { canaries.iter().map(Receiver::accepted).collect() };
    assert_eq!(heard(&canaries), [0, 0, 0]);
    // They do hear: what an operator allows comes through, by the same names.
    let lenient = client(&["10.0.0.1", "fd00:ec2::254"]);
    for (name, expected) in [("far.test", [1, 0, 0]), ("six-beside.test", [1, 0, 1])] {
        let done = post(&lenient, &format!("http://{name}/"), "{}").await;
        assert_eq!(done, Err(Failure::Broken), "{name}");
        assert_eq!(heard(&canaries), expected, "{name}");
    }
    println!("canaries: {}", canaries.len());
}
