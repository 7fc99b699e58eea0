use super::*;
use issuer::{AUDIENCE, ISSUER, Key as Signer, claims, encoded, key_set, now};
use serde_json::{Value, json};

#[path = "../../../tests/support/issuer.rs"]
mod issuer;

const ALL: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

fn expected(algorithms: &[Algorithm]) -> Expected {
    Expected {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        algorithms: algorithms.to_vec(),
    }
}

fn keys(set: &str) -> Keys {
    Keys::parse(expected(&ALL), set).unwrap_or_else(|flaw| panic!("{}", flaw.of("keys")))
}

fn caller(keys: &Keys, token: &str) -> Result<Caller, Refused> {
    let digest = Fingerprint::of(token.as_bytes());
    keys.caller(&digest, token.as_bytes(), SystemTime::now())
}

fn refused(keys: &Keys, token: &str) -> Refused {
    caller(keys, token).expect_err("a token that is no good")
}

/// The claims with one changed, or taken away by null.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims("runner");
    let fields = claims.as_object_mut().expect("claims");
    match value {
        Value::Null => fields.remove(name),
        value => fields.insert(name.to_owned(), value),
    };
    claims
}

#[test]
fn a_good_token_is_its_subject() {
    for key in [Signer::ed25519("a"), Signer::p256("b")] {
        let keys = keys(&key_set(&[&key]));
        let token = key.token(&claims("runner"));
        // The second time it is remembered.
        for _ in 0..2 {
            assert_eq!(caller(&keys, &token).unwrap().name(), "jwt:runner");
        }
        let one_audience = key.token(&claims_with("aud", json!(AUDIENCE)));
        assert!(caller(&keys, &one_audience).is_ok());
    }
}

/// Made with openssl, as Kubernetes signs: RS256. The key that signed it was thrown away.
#[test]
fn a_token_of_a_service_account_is_that_account() {
    let key = json!({ "keys": [{
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "r1", "e": "AQAB",
        "n": "zeltw9_Y1w7xJSPZ5wtQDhjCaVjR-7W5BOiFMQv0ycPBi4U0OMYpFA-DGMx1N4gji0_RONCeO479cRRJusnHVa3K\
              uVpurv81IhBrEcbBAjVcyd5DiCDvSfB-A3fFBt4jVmaHce5j1rWNmE3glWP70oM260AzrdyTAaFTde0lucyrKeUJ\
              49IP-ednJFH1S9VN91DlmObfE_oaonFZUakrp-7vX0pcdUP04y8ayo6TvLDMCOsKpSWxzbte8y8eV7sDsbxq6uy2\
              HDjgC0X3h3cnycwbjJlRI8j61cza_LA-ZCRFCYe43i-X5pjP5Y4XJqdD02LaSa6OaY6neqMgMPKVWQ",
    }] });
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6InIxIn0.\
        eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiYXVkIjpbImNsYWltcyIsIm90aGVycyJdLCJzdWIiOiJzeXN0ZW06\
        c2VydmljZWFjY291bnQ6ZmxlZXQ6cnVubmVyIiwiaWF0IjoxNzAwMDAwMDAwLCJuYmYiOjE3MDAwMDAwMDAsImV4cCI6\
        NDEwMjQ0NDgwMCwia3ViZXJuZXRlcy5pbyI6eyJuYW1lc3BhY2UiOiJmbGVldCJ9fQ.\
        StW1SfuCOZaS7K7SJN7l8cFkFBpsBwFTrruJ20En4a1KliT1A05ZdRHJ6VuXQI1cyTHXulriZnRHzEEkr_l0tos4LzlQ\
        JmVP9EfTn55-hM_aOtSTAjTBaBhQj0toIxE6w21FEH91twtva95J7pUcgfVIPos5wuuB_xMjl5QJUT61GbZogMDx22up\
        G5aReHt1IzWa7qq7XxGgsHDhOCWv695p7RHrKfkGbNkX1D3TkTwOmNtVTHNH9RHq-q2TDcT0Ixd9F5Uj-HsFXBZ-xAY3\
        wh7I7UoMcd7OsdV9ueY_uSc5s28sKg34eW-_2RCTR_vGh40zpruPtqSHa6zwPaCnmw";
    let keys = keys(&key.to_string());
    let runner = caller(&keys, token).unwrap();
    assert_eq!(runner.name(), "jwt:system:serviceaccount:fleet:runner");
    let forged = token.replace("StW1S", "StW1T");
    assert_eq!(refused(&keys, &forged), Refused::Signature);
}

#[test]
fn a_token_that_is_wrong_in_one_thing_is_refused_for_it() {
    let key = Signer::ed25519("a");
    let keys = keys(&key_set(&[&key]));
    let leeway = LEEWAY.as_secs();
    for (name, value, why) in [
        ("iss", json!("https://elsewhere.test"), Refused::Issuer),
        ("iss", Value::Null, Refused::Malformed),
        ("aud", json!("others"), Refused::Audience),
        ("aud", json!([]), Refused::Audience),
        ("aud", Value::Null, Refused::Malformed),
        ("exp", json!(now() - leeway - 1), Refused::Expired),
        ("exp", Value::Null, Refused::Malformed),
        ("exp", json!("tomorrow"), Refused::Malformed),
        ("exp", json!(-1), Refused::Malformed),
        ("exp", json!(1e300), Refused::Malformed),
        ("nbf", json!(now() + leeway + 60), Refused::NotYet),
        ("sub", Value::Null, Refused::Malformed),
        ("sub", json!(7), Refused::Malformed),
        ("sub", json!(""), Refused::Subject),
        ("sub", json!("two words"), Refused::Subject),
    ] {
        let token = key.token(&claims_with(name, value.clone()));
        assert_eq!(refused(&keys, &token), why, "{name} {value}");
    }
    // Within the leeway of the clocks.
    assert!(caller(&keys, &key.token(&claims_with("exp", json!(now() - leeway / 2)))).is_ok());
    assert!(caller(&keys, &key.token(&claims_with("nbf", json!(now() + leeway / 2)))).is_ok());
}

#[test]
fn a_token_without_a_signature_by_a_public_key_is_refused() {
    let (key, other) = (Signer::ed25519("a"), Signer::p256("b"));
    let keys = keys(&key_set(&[&key, &other]));
    let good = key.token(&claims("runner"));
    let body = encoded(claims("runner").to_string());
    let header = |header: Value| encoded(header.to_string());
    let unsigned = format!("{}.{body}.", header(json!({ "alg": "none", "kid": "a" })));
    let secret = header(json!({ "alg": "HS256", "kid": "a" }));
    for (token, why) in [
        (unsigned, Refused::Malformed),
        // Signed with the public key as if it were a secret.
        (format!("{secret}.{body}.{}", encoded([7; 32])), Refused::Algorithm),
        // Another algorithm than that of the key.
        (key.token_with(&json!({ "alg": "ES256", "kid": "a" }), &claims("r")), Refused::Algorithm),
        (
            other.token_with(&json!({ "alg": "EdDSA", "kid": "b" }), &claims("r")),
            Refused::Algorithm,
        ),
        // Another key than it says.
        (
            other.token_with(&json!({ "alg": "ES256", "kid": "c" }), &claims("r")),
            Refused::UnknownKey,
        ),
        (Signer::ed25519("a").token(&claims("r")), Refused::Signature),
        // Two keys, and it names none.
        (key.token_with(&json!({ "alg": "EdDSA" }), &claims("r")), Refused::UnknownKey),
        // Something to be understood that is not.
        (
            key.token_with(&json!({ "alg": "EdDSA", "kid": "a", "crit": ["x"] }), &claims("r")),
            Refused::Malformed,
        ),
        (good.replace('.', ""), Refused::UnknownToken),
        (format!("{good}."), Refused::UnknownToken),
        (format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX)), Refused::UnknownToken),
        ("..".to_owned(), Refused::Malformed),
    ] {
        assert_eq!(refused(&keys, &token), why, "{token}");
    }
    assert!(caller(&keys, &good).is_ok());
}

#[test]
fn an_algorithm_that_is_not_accepted_is_refused_although_the_key_is_known() {
    let (key, other) = (Signer::ed25519("a"), Signer::p256("b"));
    let set = key_set(&[&key, &other]);
    let keys = Keys::parse(expected(&[Algorithm::ES256]), &set).unwrap();
    assert_eq!(refused(&keys, &key.token(&claims("r"))), Refused::Algorithm);
    assert!(caller(&keys, &other.token(&claims("r"))).is_ok());
}

#[test]
fn a_token_that_was_good_is_refused_when_it_is_over() {
    let key = Signer::ed25519("a");
    let keys = keys(&key_set(&[&key]));
    let token = key.token(&claims_with("exp", json!(now() + 60)));
    let digest = Fingerprint::of(token.as_bytes());
    let good = keys.caller(&digest, token.as_bytes(), SystemTime::now()).unwrap();
    let end = good.expires_at().unwrap();
    // What is remembered does not count; the token is looked at again, by the real clock.
    assert!(keys.remembered.read().unwrap().contains_key(&digest));
    keys.remembered.write().unwrap().insert(Fingerprint::of(b"other"), good);
    let other = keys.caller(&Fingerprint::of(b"other"), b"other", end);
    assert_eq!(other.unwrap_err(), Refused::UnknownToken);
    let other = keys.caller(&Fingerprint::of(b"other"), b"other", end - Duration::from_secs(1));
    assert!(other.is_ok());
}

#[test]
fn a_set_without_a_key_that_can_be_used_is_refused_and_other_keys_are_passed_over() {
    let key = Signer::ed25519("a");
    let other = json!({ "kty": "AKP", "alg": "ML-DSA-44", "kid": "a", "pub": "AA" });
    let secret = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "a" });
    let mut to_encrypt = key.public();
    to_encrypt["use"] = json!("enc");
    for (set, told) in [
        ("{".to_owned(), "k:1: is no key set"),
        ("{}".to_owned(), "k:1: is no key set: missing field `keys`"),
        (json!({ "keys": [] }).to_string(), "k: has no key for signatures"),
        (json!({ "keys": [other, secret, to_encrypt, 7] }).to_string(), "k: has no key"),
        (json!({ "keys": vec![7; 101] }).to_string(), "k: has 101 keys"),
    ] {
        let flaw = Keys::parse(expected(&ALL), &set).unwrap_err().of("k");
        assert!(flaw.starts_with(told), "{flaw}");
    }
    let both = keys(&json!({ "keys": [other, secret, key.public()] }).to_string());
    assert!(caller(&both, &key.token(&claims("runner"))).is_ok());
}
