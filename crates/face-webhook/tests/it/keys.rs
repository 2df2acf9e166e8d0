//! What endpoints sign with: drawn or given, of the kind that was asked for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outflow_hub::{WebhookKey, Webhooks};

use crate::world::{World, webhook};

fn decoded(text: &str, prefix: &str) -> Vec<u8> {
    STANDARD.decode(text.strip_prefix(prefix).unwrap()).unwrap()
}

#[tokio::test]
async fn a_pair_is_drawn_whose_public_half_is_no_secret() {
    let world = World::new(webhook(1)).await;
    let face: &dyn Webhooks = &**world.hub.webhooks().unwrap();
    let draw = || face.secret("standard", Some(WebhookKey::Ed25519), None).unwrap();
    let secret = draw();
    assert_ne!(secret, draw());
    let public = face.public_key("standard", &secret).unwrap();
    let (both, public) = (decoded(&secret, "whsk_"), decoded(&public, "whpk_"));
    assert_eq!((both.len(), public.len()), (64, 32));
    assert_eq!(both[32..], public);
    // A given one stays what it is.
    let given = face.secret("standard", Some(WebhookKey::Ed25519), Some(&secret)).unwrap();
    assert_eq!(given, secret);
    assert_eq!(face.secret("standard", None, Some(&secret)).unwrap(), secret);
    // Of what both sides know nothing is public.
    for key in [None, Some(WebhookKey::Hmac)] {
        let secret = face.secret("standard", key, None).unwrap();
        assert!(secret.starts_with("whsec_"));
        assert_eq!(face.public_key("standard", &secret), None);
    }
    assert_eq!(face.public_key("stripe", &secret), None);
}

#[tokio::test]
async fn a_secret_of_another_kind_than_was_asked_for_is_refused_with_its_place() {
    let world = World::new(webhook(1)).await;
    let face: &dyn Webhooks = &**world.hub.webhooks().unwrap();
    let hmac = face.secret("standard", None, None).unwrap();
    let pair = face.secret("standard", Some(WebhookKey::Ed25519), None).unwrap();
    for (style, key, given, pointer) in [
        ("standard", WebhookKey::Ed25519, Some(&hmac), "/secret"),
        ("standard", WebhookKey::Hmac, Some(&pair), "/secret"),
        ("stripe", WebhookKey::Ed25519, None, "/key_type"),
        ("github", WebhookKey::Ed25519, Some(&pair), "/key_type"),
    ] {
        let refused = face.secret(style, Some(key), given.map(String::as_str)).unwrap_err();
        assert_eq!(refused.pointer, pointer, "{style} {key:?}");
        assert!(!refused.reason.contains("whs"), "{}", refused.reason);
    }
}
