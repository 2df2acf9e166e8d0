//! What every kind of address is, at both ends of its range and beside them; and whom the guard lets
//! through.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use outflow_face_webhook::guard::Class::{
    self, Benchmark, Broadcast, Cloud, Documentation, LinkLocal, Loopback, Multicast, Private,
    Protocol, Public, Reserved, Shared, Tunnel, Unspecified,
};
use outflow_face_webhook::guard::{Denied, Guard, address};

const VECTORS: &[(&str, Class)] = &[
    // IPv4: the first and last address of each range, and those before and after it.
    ("0.0.0.0", Unspecified),
    ("0.255.255.255", Unspecified),
    ("1.0.0.0", Public),
    ("9.255.255.255", Public),
    ("10.0.0.0", Private),
    ("10.255.255.255", Private),
    ("11.0.0.0", Public),
    ("100.63.255.255", Public),
    ("100.64.0.0", Shared),
    // Alibaba's metadata.
    ("100.100.100.200", Shared),
    ("100.127.255.255", Shared),
    ("100.128.0.0", Public),
    ("126.255.255.255", Public),
    ("127.0.0.0", Loopback),
    ("127.0.0.1", Loopback),
    ("127.255.255.255", Loopback),
    ("128.0.0.0", Public),
    ("168.63.129.15", Public),
    ("168.63.129.16", Cloud),
    ("168.63.129.17", Public),
    ("169.253.255.255", Public),
    ("169.254.0.0", LinkLocal),
    // The metadata of most clouds, and of containers in AWS.
    ("169.254.169.254", LinkLocal),
    ("169.254.170.2", LinkLocal),
    ("169.254.255.255", LinkLocal),
    ("169.255.0.0", Public),
    ("172.15.255.255", Public),
    ("172.16.0.0", Private),
    ("172.31.255.255", Private),
    ("172.32.0.0", Public),
    ("191.255.255.255", Public),
    ("192.0.0.0", Protocol),
    // Oracle's metadata.
    ("192.0.0.192", Protocol),
    ("192.0.0.255", Protocol),
    ("192.0.1.0", Public),
    ("192.0.2.0", Documentation),
    ("192.0.2.255", Documentation),
    ("192.0.3.0", Public),
    ("192.88.98.255", Public),
    ("192.88.99.0", Tunnel),
    ("192.88.99.255", Tunnel),
    ("192.88.100.0", Public),
    ("192.167.255.255", Public),
    ("192.168.0.0", Private),
    ("192.168.255.255", Private),
    ("192.169.0.0", Public),
    ("198.17.255.255", Public),
    ("198.18.0.0", Benchmark),
    ("198.19.255.255", Benchmark),
    ("198.20.0.0", Public),
    ("198.51.99.255", Public),
    ("198.51.100.0", Documentation),
    ("198.51.100.255", Documentation),
    ("198.51.101.0", Public),
    ("203.0.112.255", Public),
    ("203.0.113.0", Documentation),
    ("203.0.113.255", Documentation),
    ("203.0.114.0", Public),
    ("223.255.255.255", Public),
    ("224.0.0.0", Multicast),
    ("239.255.255.255", Multicast),
    ("240.0.0.0", Reserved),
    ("255.255.255.254", Reserved),
    ("255.255.255.255", Broadcast),
    // IPv6.
    ("::", Unspecified),
    ("::1", Loopback),
    ("::2", Tunnel),
    ("::127.0.0.1", Tunnel),
    ("::ffff:ffff", Tunnel),
    ("::1:0:0", Reserved),
    // Mapped: what they are as themselves.
    ("::ffff:127.0.0.1", Loopback),
    ("::ffff:169.254.169.254", LinkLocal),
    ("::ffff:8.8.8.8", Public),
    ("::ffff:0:127.0.0.1", Reserved),
    ("64:ff9a:ffff::", Reserved),
    ("64:ff9b::", Tunnel),
    ("64:ff9b::8.8.8.8", Tunnel),
    ("64:ff9b::ffff:ffff", Tunnel),
    ("64:ff9b::1:0:0", Reserved),
    ("64:ff9b:1::", Tunnel),
    ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Tunnel),
    ("64:ff9b:2::", Reserved),
    ("100::", Reserved),
    ("1fff:ffff::", Reserved),
    ("2000::", Public),
    ("2000:ffff::", Public),
    ("2001::", Tunnel),
    ("2001:0:ffff:ffff:ffff:ffff:ffff:ffff", Tunnel),
    ("2001:1::", Protocol),
    ("2001:20::", Protocol),
    ("2001:1ff:ffff::", Protocol),
    ("2001:200::", Public),
    ("2001:db7:ffff::", Public),
    ("2001:db8::", Documentation),
    ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Documentation),
    ("2001:db9::", Public),
    ("2001:4860:4860::8888", Public),
    ("2002::", Tunnel),
    ("2002:7f00:1::", Tunnel),
    ("2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Tunnel),
    ("2003::", Public),
    ("2600::5efe:a00:1", Tunnel),
    ("2600::200:5efe:a00:1", Tunnel),
    ("2600::201:5efe:a00:1", Public),
    ("3ffe:ffff::", Public),
    ("3fff::", Documentation),
    ("3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Documentation),
    ("3fff:1000::", Public),
    ("4000::", Reserved),
    ("5f00::", Reserved),
    ("fbff:ffff::", Reserved),
    ("fc00::", Private),
    // AWS's, Google's and Oracle's metadata.
    ("fd00:ec2::254", Private),
    ("fd20:ce::254", Private),
    ("fd00:c1::a9fe:a9fe", Private),
    ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Private),
    ("fe00::", Reserved),
    ("fe7f:ffff::", Reserved),
    ("fe80::", LinkLocal),
    ("fe80::a9fe:a9fe", LinkLocal),
    ("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", LinkLocal),
    ("fec0::", Private),
    ("feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Private),
    ("ff00::", Multicast),
    ("ff02::1", Multicast),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Multicast),
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

fn passes(guard: &Guard, address: &str) -> bool {
    guard.check((ip(address), 443).into()).is_ok()
}

fn allowing(subnets: &[&str]) -> Guard {
    let allow = subnets.iter().map(|text| text.parse().unwrap()).collect();
    Guard { allow, ..Guard::default() }
}

#[test]
fn every_address_is_what_it_is_and_only_public_ones_pass() {
    let guard = Guard::default();
    let mut seen = BTreeSet::new();
    for &(text, class) in VECTORS {
        assert!(seen.insert(ip(text)), "{text} comes twice");
        assert_eq!(address::classify(ip(text)), class, "{text}");
        let expected = if class == Public { Ok(()) } else { Err(Denied { class: Some(class) }) };
        assert_eq!(guard.check((ip(text), 443).into()), expected, "{text}");
    }
    assert!(seen.len() >= 120, "{}", seen.len());
}

#[test]
fn what_is_allowed_passes_and_nothing_beside_it() {
    let guard = allowing(&["10.1.0.0/16", "fd00:1::/32", "127.0.0.1"]);
    for address in
        ["10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3", "fd00:1::5", "127.0.0.1", "8.8.8.8"]
    {
        assert!(passes(&guard, address), "{address}");
    }
    for address in ["10.0.255.255", "10.2.0.0", "fd00:2::5", "127.0.0.2", "::1", "::10.1.2.3"] {
        assert!(!passes(&guard, address), "{address}");
    }
}

#[test]
fn an_allowed_tunnel_leads_to_no_forbidden_address() {
    let guard =
        allowing(&["64:ff9b::/96", "2002::/16", "2001::/32", "::/96", "2600::/16", "10.1.0.0/16"]);
    for address in [
        "64:ff9b::8.8.8.8",
        "64:ff9b::10.1.2.3",
        "2002:808:808::1",
        "2002:a01:203::1",
        // 8.8.8.8 behind ones.
        "2001:0:4136:e378:8000:63bf:f7f7:f7f7",
        "::8.8.8.8",
        "2600::5efe:808:808",
    ] {
        assert!(passes(&guard, address), "{address}");
    }
    for address in [
        "64:ff9b::169.254.169.254",
        "64:ff9b::10.2.2.3",
        "64:ff9b::127.0.0.1",
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::",
        // 127.0.0.1 behind ones.
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "::127.0.0.1",
        "2600::5efe:a9fe:a9fe",
    ] {
        assert!(!passes(&guard, address), "{address}");
    }
}

#[test]
fn the_servers_own_doors_are_closed_whatever_is_allowed() {
    let own = ["0.0.0.0:8080", "[::]:9090", "203.0.113.7:61613", "8.8.4.4:443"];
    let own = own.iter().map(|text| text.parse().unwrap()).collect();
    let guard = Guard { own, ..allowing(&["0.0.0.0/0", "::/0"]) };
    let check = |to: &str| guard.check(to.parse().unwrap());
    for to in [
        "127.0.0.1:8080",
        "[::1]:8080",
        "127.9.9.9:9090",
        "[::ffff:127.0.0.1]:9090",
        "0.0.0.0:8080",
        "203.0.113.7:61613",
        "[::ffff:203.0.113.7]:61613",
        "8.8.4.4:443",
    ] {
        assert_eq!(check(to), Err(Denied { class: None }), "{to}");
    }
    for to in ["127.0.0.1:8081", "203.0.113.7:443", "203.0.113.8:61613", "[::1]:443"] {
        assert_eq!(check(to), Ok(()), "{to}");
    }
}

#[test]
fn the_servers_own_doors_are_closed_at_every_address_of_the_host() {
    // Where packets for elsewhere would leave from; none is sent.
    let found = ["192.0.2.1:9", "8.8.8.8:9", "[2001:db8::1]:9"].map(|to| {
        let to: SocketAddr = to.parse().unwrap();
        let any: IpAddr = if to.is_ipv4() { ip("0.0.0.0") } else { ip("::") };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(to).ok()?;
        socket.local_addr().ok().map(|from| from.ip())
    });
    let here: BTreeSet<IpAddr> = found.into_iter().flatten().chain([ip("127.0.0.1")]).collect();
    let own = vec!["0.0.0.0:8080".parse().unwrap(), "[::]:8080".parse().unwrap()];
    let guard = Guard { own, ..allowing(&["0.0.0.0/0", "::/0"]) };
    for address in here {
        assert_eq!(guard.check((address, 8080).into()), Err(Denied { class: None }), "{address}");
        assert_eq!(guard.check((address, 8081).into()), Ok(()), "{address}");
    }
    assert_eq!(guard.check("8.8.8.8:8080".parse().unwrap()), Ok(()));
}

#[test]
fn of_a_names_addresses_the_public_ones_are_tried_in_order() {
    let guard = Guard::default();
    let choose = |texts: &[&str]| guard.choose(texts.iter().map(|text| ip(text)), 8443);
    let chosen = choose(&["10.0.0.1", "8.8.8.8", "::1", "2600::1", "169.254.169.254"]).unwrap();
    assert_eq!(chosen, ["8.8.8.8:8443".parse().unwrap(), "[2600::1]:8443".parse().unwrap()]);
    assert_eq!(choose(&["10.0.0.1", "fd00::1"]), Err(Denied { class: Some(Private) }));
    assert_eq!(choose(&[]), Err(Denied { class: None }));
    let thousand = (0..1_000_u32).map(|n| IpAddr::from((0x0808_0000 + n).to_be_bytes()));
    assert!(guard.choose(thousand, 443).unwrap().len() <= 16);
    let inside = (0..1_000_u32).map(|n| IpAddr::from((0x0A00_0000 + n).to_be_bytes()));
    assert!(guard.choose(inside, 443).is_err());
}

#[test]
fn a_denial_says_nothing() {
    let texts: BTreeSet<String> = VECTORS
        .iter()
        .filter_map(|(text, _)| Guard::default().check((ip(text), 1).into()).err())
        .map(|denied| denied.to_string())
        .collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
}
