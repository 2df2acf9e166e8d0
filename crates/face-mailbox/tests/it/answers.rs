//! Who is let in, what is refused, and in which words.

use std::time::Duration;

use base64::Engine as _;
use outflow_body::Door;
use outflow_face_mailbox::Options;
use outflow_face_mailbox::wire::Guid;
use outflow_model::Action;

use crate::stand::Stand;

fn basic(user: &str, password: &str) -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {pair}\r\n")
}

#[tokio::test]
async fn each_kind_of_credential_opens_the_same_and_a_wrong_one_nothing() {
    let stand = Stand::new().await;
    let token = &stand.token;
    for more in [
        format!("Authorization: Bearer {token}\r\n"),
        format!("authorization: bearer  {token}\r\n"),
        basic("itas", token),
        format!("ClientKey: itas\r\nHMAC: {token}\r\n"),
        format!("clientkey: {token}\r\n"),
    ] {
        let said = stand.ask_as("GET", "/Events/ViewTopics", &more, "").await;
        assert_eq!(said.status, 200, "{}", more.replace(token, "…"));
    }
    for more in [
        String::new(),
        "Authorization: Bearer wrong\r\n".to_owned(),
        "Authorization: Digest x\r\n".to_owned(),
        basic("other", token),
        format!("ClientKey: other\r\nHMAC: {token}\r\n"),
        format!("HMAC: {token}\r\n"),
        // Authorization wins.
        format!("Authorization: Bearer wrong\r\nClientKey: itas\r\nHMAC: {token}\r\n"),
    ] {
        let said = stand.ask_as("GET", "/Events/ViewTopics", &more, "").await;
        assert_eq!(said.fault(), (401, "Unauthorized"), "{}", more.replace(token, "…"));
        assert!(said.head.field("www-authenticate").is_some());
        // What is asked is not looked at before.
        let said = stand.ask_as("GET", "/Events/Nonsense?%", &more, "").await;
        assert_eq!(said.status, 401);
    }
}

#[tokio::test]
async fn a_problem_document_is_given_to_those_who_ask() {
    let stand = Stand::new().await;
    let more = "Accept: text/html, Application/Problem+JSON;q=0.9\r\n";
    let said = stand.ask_as("GET", "/Events/ViewTopics", more, "").await;
    assert_eq!(said.head.field("content-type"), Some("application/problem+json"));
    assert_eq!((said.status, said.body["status"].as_u64()), (401, Some(401)));
    assert_eq!(said.body["code"], "unauthenticated");
    // The document's status is the answer's, also where no error is called so.
    let more = format!("{more}Authorization: Bearer {}\r\n", stand.token);
    let said = stand.ask_as("GET", "/Events/Register?subscriberName=x", &more, "").await;
    assert_eq!((said.status, said.body["status"].as_u64()), (405, Some(405)));
    assert_eq!(said.body["title"], "Method Not Allowed");
}

#[tokio::test]
async fn faults_have_their_statuses() {
    let stand = Stand::new().await;
    let id = stand.subscriber("faulty", &["INVOICES"]).await;
    let message = stand.publish("INVOICES", "1").await;
    let unknown = Guid::of(7).to_string();
    for (method, target, status) in [
        ("GET", "/Events/Nonsense".to_owned(), 404),
        ("GET", "/Events/Register?subscriberName=x".to_owned(), 405),
        ("POST", "/Events/Register".to_owned(), 400),
        ("POST", format!("/Events/Register?subscriberName={}", "x".repeat(201)), 400),
        ("GET", "/Events/Peek?subscriberId=7".to_owned(), 400),
        ("GET", format!("/Events/Peek?subscriberId={unknown}"), 404),
        ("GET", format!("/Events/Peek?subscriberId={id}&timeout=-1"), 400),
        ("POST", format!("/Events/Subscribe?subscriberId={id}&companyCode=AA"), 400),
        ("POST", format!("/Events/Subscribe?subscriberId={id}&companyCode=AA&topic=NONE"), 404),
        ("POST", format!("/Events/Subscribe?subscriberId={id}&companyCode=A%20A&topic=x%2Fy"), 404),
        ("POST", format!("/Events/Receive?subscriberId={id}&messageId={unknown}"), 404),
        (
            "POST",
            format!("/Events/Receive?subscriberId={id}&messageId={message}&lockTimeout=0"),
            400,
        ),
        ("DELETE", format!("/Events/Confirm?subscriberId={id}&messageId={unknown}"), 404),
        (
            "DELETE",
            format!("/Events/Confirm?subscriberId={id}&messageId={message}&lockId={unknown}"),
            409,
        ),
        (
            "POST",
            format!("/Events/Release?subscriberId={id}&messageId={message}&lockId={unknown}"),
            409,
        ),
        ("PUT", "/Events/Publish?companyCode=AA&topic=INVOICES".to_owned(), 400),
        ("PUT", "/Messages/NONE".to_owned(), 404),
    ] {
        let said = stand.ask(method, &target).await;
        assert_eq!(said.fault().0, status, "{method} {target:.80}: {}", said.body);
    }
    let said = stand.ask("DELETE", "/Events/Register").await;
    assert_eq!(said.head.field("allow"), Some("POST"));
    // What is not ours goes on to whoever has it.
    let said = stand.ask("GET", "/eventsource").await;
    assert_eq!(said.status, 418);
}

#[tokio::test]
async fn messages_are_json_and_not_too_large() {
    let stand = Stand::new().await;
    let more = format!("Authorization: Bearer {}\r\n", stand.token);
    let target = "/Events/Publish?companyCode=AA&topic=INVOICES";
    let long = format!("\"{}\"", "x".repeat(2 << 20));
    for (body, fault) in [
        ("{\"a\":1,}", (400, "BadRequest")),
        ("nonsense", (400, "BadRequest")),
        ("  ", (400, "BadRequest")),
        (long.as_str(), (413, "TooLarge")),
    ] {
        let said = stand.ask_as("PUT", target, &more, body).await;
        assert_eq!(said.fault(), fault, "{body:.20}");
    }
    let said = stand.ask_as("PUT", target, &format!("{more}Content-Encoding: br\r\n"), "{}").await;
    assert_eq!(said.fault(), (415, "UnsupportedMediaType"));
}

#[tokio::test]
async fn what_small_messages_expand_to_is_bounded_over_all_of_them() {
    let stand = Stand::behind(Door::new(1 << 20, 1 << 20), Options::default()).await;
    let bearer = format!("Authorization: Bearer {}\r\n", stand.token);
    let more = format!("{bearer}Content-Encoding: zstd\r\n");
    let target = "/Events/Publish?companyCode=AA&topic=INVOICES";
    let message = zstd::encode_all(format!("\"{}\"", "x".repeat(900_000)).as_bytes(), 1).unwrap();
    assert!(message.len() < 1_000);
    stand.engine.hold();
    let first = stand.ask_as("PUT", target, &more, &message);
    let second = async {
        while stand.engine.held() == 0 {
            tokio::task::yield_now().await;
        }
        let second = stand.ask_as("PUT", target, &more, &message);
        let second = tokio::time::timeout(Duration::from_secs(10), second).await;
        // What holds little goes through meanwhile.
        let view = stand.ask_as("GET", "/Events/ViewTopics", &bearer, "companyCode=AA").await;
        stand.engine.commit_all();
        assert_eq!(view.status, 200, "{}", view.body);
        second.expect("it was taken as well")
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status, second.fault()), (200, (503, "Unavailable")));
    assert_eq!(second.head.field("retry-after"), Some("1"));
    assert_eq!(stand.ask_as("PUT", target, &more, &message).await.status, 200);
}

#[tokio::test]
async fn a_client_sees_nothing_of_another() {
    let stand = Stand::new().await;
    let id = stand.subscriber("mine", &["INVOICES"]).await;
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let peek = format!("/Events/Peek?subscriberId={id}&timeout=0");
    let theirs = bearer(&stand.key("itas", &[Action::Read]).await);
    assert_eq!(stand.ask_as("GET", &peek, &theirs, "").await.fault(), (404, "NotFound"));
    let register = "/Events/Register?subscriberName=mine";
    assert_eq!(stand.ask_as("POST", register, &theirs, "").await.fault(), (409, "Conflict"));
    // Another project has a subscriber of the same name, and it is another one.
    let foreign = bearer(&stand.key("other", &[Action::Read]).await);
    assert_eq!(stand.ask_as("GET", &peek, &foreign, "").await.fault(), (404, "NotFound"));
    let said = stand.ask_as("POST", register, &foreign, "").await.good();
    assert_ne!(said["SubscriberId"], id.as_str());
    // Who manages the project reaches all of its mailboxes.
    let manager = bearer(&stand.key("itas", &[Action::Read, Action::Manage]).await);
    assert_eq!(stand.ask_as("GET", &peek, &manager, "").await.status, 200);
}

#[tokio::test]
async fn rights_are_reading_and_publishing() {
    let stand = Stand::new().await;
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let reader = bearer(&stand.key("itas", &[Action::Read]).await);
    let writer = bearer(&stand.key("itas", &[Action::Publish]).await);
    let publish = "/Events/Publish?companyCode=AA&topic=INVOICES";
    let register = "/Events/Register?subscriberName=x";
    assert_eq!(stand.ask_as("PUT", publish, &reader, "{}").await.fault(), (403, "Forbidden"));
    assert_eq!(stand.ask_as("PUT", publish, &writer, "{}").await.status, 200);
    assert_eq!(stand.ask_as("POST", register, &writer, "").await.fault(), (403, "Forbidden"));
    assert_eq!(stand.ask_as("POST", register, &reader, "").await.status, 200);
}

#[tokio::test]
async fn the_document_needs_no_credential() {
    let stand = Stand::new().await;
    let said = stand.ask_as("GET", "/events/OpenAPI.json", "", "").await;
    assert_eq!(said.status, 200);
    assert_eq!(said.body["openapi"], "3.1.0");
    assert!(said.body["paths"]["/Events/Peek"]["get"].is_object());
}
