//! The grammar and the ids, by the vendor's own spellings and by random ones.

use outflow_face_mailbox::translate::{lease_of, lock_id, message_id, place, template, topic_of};
use outflow_face_mailbox::wire::{Call, Grammar, Guid, Topic, WireError, is_ours, parse};
use outflow_hub::subscription::LeaseId;
use outflow_model::{Offset, StreamId, StreamName};
use proptest::prelude::*;

const ID: &str = "3ab1147a-05db-e511-80ec-00155d3d0e65";

fn id() -> Guid {
    Guid::parse(ID).unwrap()
}

fn topic(company: Option<&str>, name: &str) -> Topic {
    Topic { company: company.map(str::to_owned), name: name.to_owned() }
}

fn call(method: &str, target: &str) -> Result<(Grammar, Call), WireError> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    parse(method, path, query)
}

#[test]
fn the_vendors_lines_are_understood() {
    let v1 = |call| Ok((Grammar::V1, call));
    let v2 = |call| Ok((Grammar::V2, call));
    let name = || "subscriber1".to_owned();
    let (subscriber, message) = (id(), id());
    for (method, target, expected) in [
        (
            "POST",
            "/Events/Register?subscriberName=subscriber1",
            v1(Call::Register { name: name() }),
        ),
        // As the vendor's page prints it, blank included.
        (
            "POST",
            "/EVENTS/REGISTER?%20SUBSCRIBERNAME=subscriber1+",
            v1(Call::Register { name: name() }),
        ),
        ("POST", "/Subscribers/subscriber1", v2(Call::Register { name: name() })),
        (
            "POST",
            &format!("/Events/Subscribe?subscriberId={ID}&topic=2-220&companyCode=GF"),
            v1(Call::Subscribe { subscriber, topic: topic(Some("GF"), "2-220"), strict: None }),
        ),
        (
            "PUT",
            &format!("/subscriptions/{{{ID}}}/2-220"),
            v2(Call::Subscribe { subscriber, topic: topic(None, "2-220"), strict: None }),
        ),
        (
            "PUT",
            &format!("/Subscriptions/{ID}/GF%2F2-220?strictOrder=True"),
            v2(Call::Subscribe { subscriber, topic: topic(None, "GF/2-220"), strict: Some(true) }),
        ),
        (
            "GET",
            &format!("/events/peek/?SubscriberID={ID}&TimeOut=10"),
            v1(Call::Peek { subscriber, timeout: Some(10) }),
        ),
        (
            "GET",
            &format!("/Events/Peek?subscriberId={ID}&timeout=&_=1450000"),
            v1(Call::Peek { subscriber, timeout: None }),
        ),
        (
            "GET",
            &format!("/Messages/{ID}?timeout=10"),
            v2(Call::Take { subscriber, timeout: Some(10), lock_timeout: None }),
        ),
        (
            "POST",
            &format!("/Events/Receive?subscriberId={ID}&messageId={ID}&lockTimeout=30"),
            v1(Call::Receive { subscriber, message, lock_timeout: Some(30) }),
        ),
        (
            "DELETE",
            &format!("/Events/Confirm?subscriberId={ID}&messageId={ID}"),
            v1(Call::Confirm { subscriber, message, lock: None }),
        ),
        (
            "DELETE",
            &format!("/Messages/{ID}/{ID}"),
            v2(Call::Confirm { subscriber, message, lock: None }),
        ),
        (
            "PUT",
            "/Events/Publish?companyCode=GF&topic=2-220",
            v1(Call::Publish { topic: topic(Some("GF"), "2-220") }),
        ),
        ("PUT", "/Messages/2-220", v2(Call::Publish { topic: topic(None, "2-220") })),
        ("GET", "/Events/ViewTopics", v1(Call::ViewTopics { company: None })),
    ] {
        assert_eq!(call(method, target), expected, "{method} {target}");
        assert!(is_ours(target.split('?').next().unwrap()), "{target}");
    }
}

#[test]
fn every_fault_is_named() {
    let peek = |rest: &str| call("GET", &format!("/Events/Peek?subscriberId={ID}{rest}"));
    assert_eq!(call("GET", "/Events/Pop"), Err(WireError::NoSuchCall));
    assert_eq!(call("GET", "/Events"), Err(WireError::NoSuchCall));
    assert_eq!(call("GET", "/Events/Peek/now"), Err(WireError::NoSuchCall));
    assert_eq!(call("GET", "/Events/Peek"), Err(WireError::Missing { name: "subscriberId" }));
    let two = call("GET", &format!("/Events/Peek?subscriberId={ID}&SUBSCRIBERID={ID}"));
    assert_eq!(two, Err(WireError::Twice { name: "subscriberId" }));
    for bad in ["-1", "1.5", "ten", "1e3"] {
        let fault = peek(&format!("&timeout={bad}"));
        assert!(matches!(fault, Err(WireError::Bad { name: "timeout", .. })), "{bad}");
    }
    assert!(matches!(peek("&timeout=99999999999999"), Ok((_, Call::Peek { .. }))));
    assert_eq!(peek(&"&a=b".repeat(40)), Err(WireError::TooMany { max: 32 }));
    for bad in ["%", "%4", "%zz", "%ff"] {
        assert_eq!(peek(&format!("&topic={bad}")), Err(WireError::Encoding), "{bad}");
    }
    // What changes something is never a GET.
    for call_name in
        ["Register", "Subscribe", "Unsubscribe", "Receive", "Confirm", "Publish", "Unregister"]
    {
        let fault = call("GET", &format!("/Events/{call_name}"));
        assert!(matches!(fault, Err(WireError::Method { .. })), "{call_name}");
    }
    let long = "x".repeat(201);
    for name in ["", "a%09tab", long.as_str()] {
        call("POST", &format!("/Subscribers/{name}")).unwrap_err();
    }
}

#[test]
fn other_paths_are_left_alone() {
    for path in ["/", "/v1/projects", "/api/events", "/eventsource", "/stomp", "/message"] {
        assert!(!is_ours(path), "{path}");
    }
    for path in ["/events", "/Events/", "/%45vents/Peek", "//MESSAGES/x", "/subscribers/a"] {
        assert!(is_ours(path), "{path}");
    }
}

#[test]
fn guids_are_read_as_dotnet_reads_them() {
    let plain = ID.replace('-', "");
    let upper = ID.to_uppercase();
    for form in [ID, &plain, &upper, &format!("{{{ID}}}"), &format!("({ID})"), &format!(" {ID} ")] {
        assert_eq!(Guid::parse(form).map(|guid| guid.to_string()).as_deref(), Some(ID), "{form}");
    }
    for bad in
        ["", "3ab1147a", &ID[1..], &format!("{{{ID}"), &ID.replace('a', "g"), &"é".repeat(16)]
    {
        assert_eq!(Guid::parse(bad), None, "{bad}");
    }
}

#[test]
fn streams_stand_for_topics() {
    let of =
        |name| topic_of(&StreamName::new(name).unwrap()).map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(of("AA/INVOICES"), Some(("AA".to_owned(), "INVOICES".to_owned())));
    for other in ["events", "queue:a/b", "RTO.yourcompany", "a/b/c"] {
        assert_eq!(of(other), None, "{other}");
    }
    assert_eq!(template("TID-002: invoices"), Some("TID-002"));
    assert_eq!(template("TID-013 accounts"), Some("TID-013"));
    assert_eq!(template("Invoices, TID-002"), None);
    assert_eq!(template("TID-"), None);
}

proptest! {
    #[test]
    fn any_address_is_a_call_or_a_fault(method in "[A-Z]{3,6}", path in "\\PC{0,60}", query in "\\PC{0,120}") {
        let _ = is_ours(&path);
        let _ = parse(&method, &path, &query);
    }

    #[test]
    fn names_survive_their_encoding(name in "[ -~à-ý]{1,50}") {
        prop_assume!(!name.trim().is_empty());
        let coded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let expected = Call::Register { name: name.trim().to_owned() };
        prop_assert_eq!(
            call("POST", &format!("/Subscribers/{coded}")), Ok((Grammar::V2, expected.clone())));
        prop_assert_eq!(
            call("POST", &format!("/Events/Register?subscriberName={coded}")), Ok((Grammar::V1, expected)));
    }

    #[test]
    fn ids_lead_back_to_what_they_name(stream: u32, offset: u64, lease: u64, flip in 0u32..128) {
        let message = message_id(StreamId(stream), Offset::new(offset));
        let lock = lock_id(message, LeaseId(lease));
        prop_assert_eq!(place(message), Some((StreamId(stream), Offset::new(offset))));
        prop_assert_eq!(lease_of(message, lock), Some(LeaseId(lease)));
        for guid in [message, lock] {
            prop_assert_eq!(Guid::parse(&guid.to_string()), Some(guid));
        }
        // A GUID that differs in a bit is another, and mostly none at all.
        let other = Guid::parse(&format!("{:032x}", message.bits() ^ (1 << flip))).unwrap();
        prop_assert!(place(other) != Some((StreamId(stream), Offset::new(offset))));
        prop_assert_eq!(lease_of(other, lock), None);
    }
}
