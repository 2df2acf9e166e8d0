//! Signatures against the vectors of reference `trust_ux.md` 1.3, and what they are made of.

use outflow_auth::Secret;
use outflow_model::Timestamp;
use outflow_model::rng::SeededRng;
use outflow_webhook_wire::signature::standard::Key;
use outflow_webhook_wire::signature::{
    MAX_OLD, Message, MessageId, SecretError, Signer, Style, secret,
};

const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const FIRST_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const FIRST_AT: i64 = 1_614_265_330;
const FIRST_BODY: &str = r#"{"test": 2432232314}"#;
const FIRST_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const ED25519: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const ED25519_SIGNATURE: &str =
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// The headers of an attempt as lines.
fn sign(signer: &Signer, id: &str, seconds: i64, body: &str) -> Vec<String> {
    let id = MessageId::parse(id).unwrap();
    // Milliseconds do not count.
    let at = Timestamp::from_millis(seconds * 1_000 + 999);
    let message =
        Message { id: &id, at, event: Some("OPEN"), endpoint: "crm", body: body.as_bytes() };
    let fields = signer.sign(&message);
    fields.iter().map(|field| format!("{}: {}", field.name, field.value())).collect()
}

#[test]
fn standard_webhooks_vectors_hold() {
    let vectors = [
        (FIRST, FIRST_ID, FIRST_AT, FIRST_BODY, FIRST_SIGNATURE),
        (
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            r#"{"email":"test@example.com","username":"test_user"}"#,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
        (
            "whsec_plJ3nmyCDGBKInavdOK15jsl",
            "msg_loFOjxBNrRLzqYUf",
            1_731_705_121,
            r#"{"event_type":"ping","data":{"success":true}}"#,
            "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
        ),
        (ED25519, FIRST_ID, FIRST_AT, FIRST_BODY, ED25519_SIGNATURE),
    ];
    for (key, id, seconds, body, signature) in vectors {
        let signer = Signer::new(Style::Standard, &secret(key)).unwrap();
        let expected = [
            format!("webhook-id: {id}"),
            format!("webhook-timestamp: {seconds}"),
            format!("webhook-signature: {signature}"),
        ];
        assert_eq!(sign(&signer, id, seconds, body), expected);
    }
}

#[test]
fn the_public_half_is_told_and_a_seed_alone_is_a_key() {
    let public = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
    assert_eq!(Key::parse(&secret(ED25519)).unwrap().public().as_deref(), Some(public));
    let seed = secret("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=");
    assert_eq!(Key::parse(&seed).unwrap().public().as_deref(), Some(public));
    assert_eq!(Key::parse(&secret(FIRST)).unwrap().public(), None);
}

#[test]
fn an_old_secret_signs_beside_the_new_one_until_its_time() {
    // The very moment of the second attempt.
    let until = Timestamp::from_millis((FIRST_AT + 1) * 1_000 + 999);
    let signer = Signer::new(Style::Standard, &secret(ED25519)).unwrap();
    let signer = signer.with_old(&secret(FIRST), until).unwrap();
    let lines = sign(&signer, FIRST_ID, FIRST_AT, FIRST_BODY);
    assert_eq!(lines[2], format!("webhook-signature: {ED25519_SIGNATURE} {FIRST_SIGNATURE}"));
    let lines = sign(&signer, FIRST_ID, FIRST_AT + 1, FIRST_BODY);
    assert_eq!(lines[2].matches("v1").count(), 1, "{}", lines[2]);
}

#[test]
fn old_secrets_are_counted() {
    let mut signer = Signer::new(Style::Stripe, &secret(FIRST)).unwrap();
    for _ in 0..MAX_OLD {
        signer = signer.with_old(&secret(FIRST), Timestamp::default()).unwrap();
    }
    let error = signer.with_old(&secret(FIRST), Timestamp::default()).unwrap_err();
    assert_eq!(error, SecretError::TooMany);
}

#[test]
fn stripe_signs_with_the_whole_text_of_each_secret() {
    let until = Timestamp::from_millis(i64::MAX);
    let signer = Signer::new(Style::Stripe, &secret(FIRST)).unwrap();
    let signer = signer.with_old(&secret("an old secret of sixteen"), until).unwrap();
    let expected = "Stripe-Signature: t=1614265330,\
        v1=2e37df5d4a028c51a7f3133d64ae1e300d2c2c900f1b1d49d4369ad2530f8964,\
        v1=86a4b557f036df5d98db9d5ea5f6e6e073abb9f819f7cc237feabd14e0d2cc5d";
    assert_eq!(sign(&signer, FIRST_ID, FIRST_AT, FIRST_BODY), [expected]);
}

#[test]
fn github_signs_the_body_and_keeps_the_delivery() {
    let signer = Signer::new(Style::GitHub, &secret("It's a Secret to Everybody")).unwrap();
    let expected = [
        "X-GitHub-Event: OPEN",
        "X-GitHub-Delivery: f9687cd8-cba4-84e0-b7ce-aa14a68c044e",
        "X-GitHub-Hook-ID: crm",
        "X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    ];
    assert_eq!(sign(&signer, FIRST_ID, FIRST_AT, "Hello, World!"), expected);
    assert_eq!(sign(&signer, FIRST_ID, FIRST_AT + 9_999, "Hello, World!"), expected);
}

#[test]
fn airships_own_requests_are_not_signed() {
    let signer = Signer::new(Style::Unsigned, &secret("")).unwrap();
    assert_eq!(sign(&signer, FIRST_ID, FIRST_AT, "{}"), Vec::<String>::new());
}

#[test]
fn drawn_secrets_are_of_the_right_form_and_sign() {
    let rng = SeededRng::new(7);
    let hmac = secret::draw_hmac(&rng);
    assert!(hmac.expose().starts_with("whsec_") && hmac.expose().len() == 6 + 44);
    assert_ne!(hmac, secret::draw_hmac(&rng));
    let pair = secret::draw_ed25519(&rng).unwrap();
    assert!(pair.expose().starts_with("whsk_") && pair.expose().len() == 5 + 88);
    for drawn in [hmac, pair] {
        let signer = Signer::new(Style::Standard, &drawn).unwrap();
        let body = drawn.expose().get(5..).unwrap().to_owned();
        assert!(!format!("{signer:?} {drawn:?}").contains(&body));
        assert_eq!(sign(&signer, "msg_1", 1, "{}").len(), 3);
    }
}

#[test]
fn what_is_no_secret_is_told_without_showing_it() {
    let wrong_half = format!("{}A==", &ED25519[..ED25519.len() - 3]);
    let cases = [
        (Style::Standard, "canary canary canary", SecretError::Prefix),
        (Style::Standard, "whsec_canary!", SecretError::Base64),
        (Style::Standard, "whsec_Y2FuYXJ5", SecretError::Length),
        (Style::Standard, "whsk_Y2FuYXJ5", SecretError::Ed25519),
        (Style::Standard, &wrong_half, SecretError::Ed25519),
        (Style::Stripe, "canary", SecretError::Length),
        (Style::GitHub, "canary canary can\nary", SecretError::Text),
        (Style::GitHub, &"canary".repeat(100), SecretError::Length),
    ];
    for (style, text, expected) in cases {
        let error = Signer::new(style, &secret(text)).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}

#[test]
fn styles_have_words() {
    for style in Style::ALL {
        assert_eq!(Style::parse(style.as_str()), Some(style));
    }
    assert_eq!(Style::parse("sha1"), None);
}
