//! Access tokens as an attacker makes them: signed by nobody, by others, and by the right key with
//! claims that must not hold (reference `trust_ux.md` 1.4 D).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use outflow_auth::Presented;
use outflow_model::Clock;
use outflow_store::Engine;
use ring::hmac;
use serde_json::{Value, json};

use crate::api_keys::new_key;
use crate::credentials::{World, project, world};

/// A key of the project `shop` whose signing key was stolen from the disk.
struct Thief {
    world: World,
    kid: String,
    signing: Vec<u8>,
    honest: String,
    now: i64,
}

impl Thief {
    async fn new() -> Self {
        let world = world().await;
        let id = world.auth.create_api_key(new_key("shop")).await.unwrap().key.id;
        let life = Duration::from_secs(3_600);
        let honest = world.auth.issue_access_token(&project("shop"), &id, life, None).unwrap();
        let stored = world.engine.scan(b"auth/api-key/", None, 10).await.unwrap();
        let record: Value = serde_json::from_slice(&stored[0].value).unwrap();
        let hex = record["current"]["signing"].as_str().unwrap();
        let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let signing = (0..hex.len()).step_by(2).map(digits).collect();
        let now = world.clock.now().millis() / 1000;
        let honest = honest.token.expose().to_owned();
        Self { kid: format!("{id}.1"), world, signing, honest, now }
    }

    fn header(&self) -> Value {
        json!({ "alg": "HS256", "kid": self.kid, "typ": "JWT" })
    }

    fn claims(&self) -> Value {
        json!({
            "iss": "outflow", "sub": self.kid.strip_suffix(".1"), "aud": "shop", "jti": "x",
            "scope": "feed:read", "iat": self.now, "exp": self.now + 60,
        })
    }

    fn sign_with(&self, algorithm: hmac::Algorithm, header: &str, claims: &str) -> String {
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let tag = hmac::sign(&hmac::Key::new(algorithm, &self.signing), text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_with(hmac::HMAC_SHA256, &header.to_string(), &claims.to_string())
    }

    fn with_header(&self, member: &str, value: Value) -> String {
        let mut header = self.header();
        header[member] = value;
        self.sign(&header, &self.claims())
    }

    fn with_claim(&self, member: &str, value: Value) -> String {
        let mut claims = self.claims();
        claims[member] = value;
        self.sign(&self.header(), &claims)
    }

    fn without_claim(&self, member: &str) -> String {
        let mut claims = self.claims();
        claims.as_object_mut().unwrap().remove(member);
        self.sign(&self.header(), &claims)
    }

    fn opens(&self, token: &str) -> bool {
        self.world.auth.authenticate(&Presented::Bearer { project: None, token }).is_some()
    }

    /// Tokens with a header that must not be trusted.
    fn headers(&self) -> Vec<(&'static str, String)> {
        let claims = self.claims();
        let twice = format!(r#"{{"alg":"HS256","alg":"HS256","kid":"{}","typ":"JWT"}}"#, self.kid);
        let wide = |algorithm, name| {
            let mut header = self.header();
            header["alg"] = name;
            self.sign_with(algorithm, &header.to_string(), &claims.to_string())
        };
        vec![
            ("alg none", self.with_header("alg", json!("none"))),
            ("alg None", self.with_header("alg", json!("None"))),
            ("alg nOnE", self.with_header("alg", json!("nOnE"))),
            ("alg empty", self.with_header("alg", json!(""))),
            ("alg null", self.with_header("alg", json!(null))),
            ("alg in another case", self.with_header("alg", json!("hs256"))),
            ("alg of another family", self.with_header("alg", json!("RS256"))),
            ("HS384", wide(hmac::HMAC_SHA384, json!("HS384"))),
            ("HS512", wide(hmac::HMAC_SHA512, json!("HS512"))),
            ("alg twice", self.sign_with(hmac::HMAC_SHA256, &twice, &claims.to_string())),
            ("crit", self.with_header("crit", json!(["exp"]))),
            ("crit empty", self.with_header("crit", json!([]))),
            ("b64", self.with_header("b64", json!(false))),
            ("jwk", self.with_header("jwk", json!({ "kty": "oct", "k": "AA" }))),
            ("jku", self.with_header("jku", json!("https://example.com/keys"))),
            ("x5u", self.with_header("x5u", json!("https://example.com/cert"))),
            ("zip", self.with_header("zip", json!("DEF"))),
            ("encrypted type", self.with_header("typ", json!("JWE"))),
            ("kid of a file", self.with_header("kid", json!("../../../../dev/null"))),
            ("kid of no generation", self.with_header("kid", json!(self.kid.strip_suffix(".1")))),
            (
                "kid of the next generation",
                self.with_header("kid", json!(format!("{}1", self.kid))),
            ),
            ("kid of another key", self.with_header("kid", json!("nobody.1"))),
            ("kid no string", self.with_header("kid", json!(1))),
        ]
    }

    /// Tokens of the right key with claims that do not hold.
    fn untrue(&self) -> Vec<(&'static str, String)> {
        let now = self.now;
        let twice = self.claims().to_string().replacen('{', "{\"exp\":9999999999,", 1);
        let twice = self.sign_with(hmac::HMAC_SHA256, &self.header().to_string(), &twice);
        vec![
            ("expired", self.with_claim("exp", json!(now - 31))),
            ("exp missing", self.without_claim("exp")),
            ("exp a string", self.with_claim("exp", json!("9999999999"))),
            ("exp a fraction", self.with_claim("exp", json!(9_999_999_999.5))),
            ("exp negative", self.with_claim("exp", json!(-1))),
            ("exp 1e300", self.with_claim("exp", json!(1e300))),
            ("exp twice", twice),
            ("not begun", self.with_claim("nbf", json!(now + 3_600))),
            ("signed in the future", self.with_claim("iat", json!(now + 3_600))),
            ("another project", self.with_claim("aud", json!("other"))),
            ("several projects", self.with_claim("aud", json!(["shop", "other"]))),
            ("no project", self.without_claim("aud")),
            ("another issuer", self.with_claim("iss", json!("https://example.com"))),
            ("no issuer", self.without_claim("iss")),
            ("another key", self.with_claim("sub", json!("nobody"))),
            ("no name", self.without_claim("jti")),
            ("an empty name", self.with_claim("jti", json!(""))),
            ("a scope its key has not", self.with_claim("scope", json!("events:read"))),
            ("an unknown scope", self.with_claim("scope", json!("feed:read admin"))),
            ("no scope", self.without_claim("scope")),
        ]
    }

    /// Honest tokens that were changed on the way.
    fn damaged(&self) -> Vec<(&'static str, String)> {
        let honest = &self.honest;
        let (signed, tag) = honest.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let decoded = URL_SAFE_NO_PAD.decode(tag).unwrap();
        let large = "x".repeat(9_000);
        vec![
            ("no signature", format!("{signed}.")),
            ("two parts", signed.to_owned()),
            ("four parts", format!("{honest}.AA")),
            ("an empty first part", format!("{header}..{claims}.{tag}")),
            ("a changed signature", format!("{signed}.A{}", &tag[1..])),
            ("a short signature", format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&decoded[..16]))),
            ("a padded signature", format!("{signed}.{}", URL_SAFE.encode(&decoded))),
            ("another base64", format!("{header}.{}.{tag}", STANDARD.encode(r#"{"a":"?>"}"#))),
            ("space around it", format!(" {honest}")),
            ("a newline behind it", format!("{honest}\n")),
            ("other claims", self.swapped(&json!({ "scope": "events:read" }))),
            ("too long", self.with_claim("jti", json!(large))),
        ]
    }

    fn swapped(&self, claims: &Value) -> String {
        let mut parts: Vec<_> = self.honest.split('.').map(str::to_owned).collect();
        parts[1] = URL_SAFE_NO_PAD.encode(claims.to_string());
        parts.join(".")
    }
}

#[tokio::test]
async fn no_vector_opens_anything() {
    let thief = Thief::new().await;
    let vectors = [thief.headers(), thief.untrue(), thief.damaged()].concat();
    assert!(vectors.len() >= 40, "{}", vectors.len());
    for (what, token) in vectors {
        assert!(!thief.opens(&token), "{what}: {token}");
    }
}

#[tokio::test]
async fn what_differs_from_them_by_nothing_else_opens() {
    let thief = Thief::new().await;
    let now = thief.now;
    for (what, token) in [
        ("an honest one", thief.honest.clone()),
        ("the thief's", thief.sign(&thief.header(), &thief.claims())),
        ("one that ended within the leeway", thief.with_claim("exp", json!(now - 29))),
        ("one of a clock that is ahead a little", thief.with_claim("iat", json!(now + 29))),
        ("one that has begun", thief.with_claim("nbf", json!(now))),
        ("one with another claim", thief.with_claim("name", json!("upstream"))),
    ] {
        assert!(thief.opens(&token), "{what}");
    }
}
