//! No token breaks the verifier, and none is believed that this server did not sign: of a signed
//! one, every change is refused. Input: where to change, by what, and a token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outflow_auth::jwt::{Claims, ISSUER, KEY_BYTES, SigningKey, Unverified, sign};

fuzz_target!(|input: &[u8]| {
    let [at, by, text @ ..] = input else { return };
    let (key, other) = (SigningKey::new(&[1; KEY_BYTES]), SigningKey::new(&[2; KEY_BYTES]));
    if let Ok(text) = std::str::from_utf8(text)
        && let Some(token) = Unverified::parse(text)
    {
        assert!(token.verify(&key).is_none(), "nobody signed it");
    }
    let Some(signed) = sign("key", &claims(), &key) else { return };
    let read = |text: &str, key: &SigningKey| Unverified::parse(text)?.verify(key);
    assert_eq!(read(&signed, &key), Some(claims()));
    assert_eq!(read(&signed, &other), None);
    let mut changed = signed.clone().into_bytes();
    let at = usize::from(*at) % changed.len();
    changed[at] ^= by;
    if let Ok(changed) = String::from_utf8(changed)
        && changed != signed
    {
        assert_eq!(read(&changed, &key), None);
    }
});

fn claims() -> Claims {
    let text = String::from;
    Claims {
        iss: text(ISSUER),
        sub: text("key"),
        aud: text("project"),
        scope: text("feed:read"),
        iat: 1_767_225_600,
        exp: 1_767_312_000,
        jti: text("one"),
        nbf: None,
    }
}
