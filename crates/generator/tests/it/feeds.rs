//! The smaller sources: what consumers of their kind read.

use outflow_generator::{HashedAddresses, Notices, TOPICS};
use serde_json::Value;

#[test]
fn hashed_addresses_are_md5_and_at_times_a_label() {
    let (mut one, mut same) = (HashedAddresses::new(7), HashedAddresses::new(7));
    let mut labels = 0;
    for _ in 0..400 {
        let body = one.next_body().to_owned();
        assert_eq!(same.next_body(), body, "seed 7");
        let body: Value = serde_json::from_str(&body).unwrap();
        let is_hex = |name: &str, len| {
            let text = body[name].as_str().unwrap();
            text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        assert!(is_hex("md5", 32), "{body}");
        if body["label"].is_string() {
            labels += 1;
            assert!(is_hex("label", 40), "{body}");
        }
    }
    assert!((50..200).contains(&labels), "{labels} of 400");
}

#[test]
fn notices_are_of_the_generic_template_and_of_every_topic() {
    let mut notices = Notices::new("AA", 7);
    let mut seen = [0; TOPICS.len()];
    for _ in 0..400 {
        let (topic, body) = notices.next_notice();
        seen[topic] += 1;
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["TID"], "TID-002");
        let inner = &body["InnerBody"];
        assert_eq!(inner["TradingEntity"], "AA");
        for member in ["Title", "Message", "SubmittedBy"] {
            assert!(!inner[member].as_str().unwrap().is_empty(), "{body}");
        }
        assert!(inner["AdditionalParameters"][0]["Key"].is_string(), "{body}");
    }
    assert!(seen.iter().all(|count| *count > 10) && seen[0] > 200, "{seen:?}");
}
