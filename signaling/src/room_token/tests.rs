//! What a token admits to, and each way in which it does not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use serde_json::{Value, json};
use tacet_proto::Capability;

const ROOM: RoomId = RoomId(Fixed([1; 16]));
const SERVER: [u8; 16] = [2; 16];
const ID: [u8; 16] = [3; 16];

fn keys(seed: u8) -> TokenKeys {
    TokenKeys::new(SERVER, SigningSeed([seed; 32]), None).unwrap()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn request() -> TokenRequest {
    TokenRequest {
        room: ROOM,
        role: Role::Moderator,
        capabilities: None,
        identity: None,
        not_before: None,
        lifetime: Duration::from_secs(60),
    }
}

fn token() -> String {
    issue(&keys(7), &request(), ID, at(0)).unwrap()
}

fn read_at(token: &str, seconds: u64) -> Result<RoomGrant, TokenError> {
    verify(&keys(7), ROOM, token, at(seconds))
}

fn refusal(token: &str) -> TokenError {
    read_at(token, 0).unwrap_err()
}

fn text(part: &str) -> String {
    String::from_utf8(BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
}

/// A token of these parts, signed by the server's own key.
fn signed(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims.as_bytes()));
    let signature = keys(7).current().sign(signed.as_bytes());
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

/// Header and claims of a token that is good.
fn parts() -> (String, String) {
    let token = token();
    let mut parts = token.split('.');
    (text(parts.next().unwrap()), text(parts.next().unwrap()))
}

fn changed(field: &str, value: Value) -> String {
    let (header, claims) = parts();
    let mut claims: Value = serde_json::from_str(&claims).unwrap();
    claims[field] = value;
    signed(&header, &claims.to_string())
}

#[test]
fn token_says_what_was_asked() {
    let some = Capabilities::of(&[Capability::Subscribe, Capability::Chat]);
    let full = TokenRequest {
        role: Role::Speaker,
        capabilities: Some(some),
        identity: Some("ada@example.org".to_owned()),
        not_before: Some(at(10)),
        ..request()
    };
    let token = issue(&keys(7), &full, ID, at(0)).unwrap();
    assert!(token.len() < MAX_ROOM_TOKEN_BYTES / 2);
    let grant = read_at(&token, 10).unwrap();
    let identity = Some("ada@example.org".to_owned());
    assert_eq!(grant, RoomGrant { role: Role::Speaker, capabilities: Some(some), identity, id: ID, expires: at(60) });
    assert_eq!(read_at(&token, 9), Err(TokenError::NotYet));
}

#[test]
fn longest_token_is_not_too_long() {
    let longest = TokenRequest {
        capabilities: Some(Capabilities::ALL),
        identity: Some("\"".repeat(MAX_IDENTITY)),
        not_before: Some(at(0)),
        lifetime: MAX_LIFETIME,
        ..request()
    };
    let token = issue(&keys(7), &longest, ID, at(0)).unwrap();
    assert!(token.len() <= MAX_ROOM_TOKEN_BYTES, "{}", token.len());
    assert!(read_at(&token, 0).is_ok());
}

#[test]
fn token_ends_to_the_second() {
    let token = token();
    assert!(read_at(&token, 59).is_ok());
    assert_eq!(read_at(&token, 60), Err(TokenError::Expired));
}

#[test]
fn no_token_is_made_for_too_long_or_for_no_one() {
    let refused = |request: TokenRequest| issue(&keys(7), &request, ID, at(0)).unwrap_err();
    for lifetime in [Duration::ZERO, Duration::from_millis(999), MAX_LIFETIME + Duration::from_secs(1)] {
        assert_eq!(refused(TokenRequest { lifetime, ..request() }), IssueError::Lifetime);
    }
    let never = TokenRequest { not_before: Some(at(60)), ..request() };
    assert_eq!(refused(never), IssueError::Lifetime);
    for identity in [String::new(), "a b".to_owned(), "é".to_owned(), "a".repeat(65)] {
        assert_eq!(refused(TokenRequest { identity: Some(identity), ..request() }), IssueError::Identity);
    }
}

#[test]
fn other_algorithm_is_refused_before_any_key_is_used() {
    let (header, claims) = parts();
    for alg in ["none", "HS256", "ES256", "RS256", "eddsa", "Ed25519", ""] {
        let token = signed(&header.replace("EdDSA", alg), &claims);
        assert_eq!(refusal(&token), TokenError::Algorithm, "{alg}");
        // As an attacker would who has no key.
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        assert_eq!(refusal(&format!("{unsigned}.")), TokenError::Algorithm, "{alg}");
    }
}

/// The public key, which others may know, is no secret of a MAC.
#[test]
fn public_key_signs_nothing() {
    use aws_lc_rs::hmac;
    let (header, claims) = parts();
    for alg in ["HS256", "EdDSA"] {
        let header = header.replace("EdDSA", alg);
        let signed =
            format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims.as_bytes()));
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, keys(7).current().public()), signed.as_bytes());
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(mac.as_ref()));
        assert!(matches!(refusal(&token), TokenError::Algorithm | TokenError::Signature), "{alg}");
    }
}

#[test]
fn unknown_key_is_refused() {
    let token = issue(&keys(8), &request(), ID, at(0)).unwrap();
    assert_eq!(refusal(&token), TokenError::UnknownKey);
    // Its own key under the name of the server's.
    let (header, claims) = parts();
    let body = format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims.as_bytes()));
    let forged = BASE64URL_NOPAD.encode(&keys(8).current().sign(body.as_bytes()));
    assert_eq!(refusal(&format!("{body}.{forged}")), TokenError::Signature);
}

#[test]
fn key_before_the_current_one_still_verifies() {
    let keys = keys(7);
    let token = token();
    keys.rotate(&SigningSeed([8; 32])).unwrap();
    assert!(verify(&keys, ROOM, &token, at(0)).is_ok());
    keys.rotate(&SigningSeed([9; 32])).unwrap();
    assert_eq!(verify(&keys, ROOM, &token, at(0)), Err(TokenError::UnknownKey));
}

#[test]
fn other_server_or_room_is_refused() {
    let elsewhere = TokenKeys::new([9; 16], SigningSeed([7; 32]), None).unwrap();
    assert_eq!(verify(&elsewhere, ROOM, &token(), at(0)), Err(TokenError::Audience));
    assert_eq!(verify(&keys(7), RoomId(Fixed([9; 16])), &token(), at(0)), Err(TokenError::Room));
}

#[test]
fn field_that_occurs_twice_is_refused() {
    let (header, claims) = parts();
    for field in [r#""role":"host","#, r#""exp":9999999999,"#, r#""room":"AAAAAAAAAAAAAAAAAAAAAA","#] {
        let twice = claims.replacen('{', &format!("{{{field}"), 1);
        assert_eq!(refusal(&signed(&header, &twice)), TokenError::Duplicate, "{field}");
    }
    for field in [r#""alg":"none","#, r#""kid":"x","#] {
        let twice = header.replacen('{', &format!("{{{field}"), 1);
        assert_eq!(refusal(&signed(&twice, &claims)), TokenError::Duplicate, "{field}");
    }
}

#[test]
fn what_is_longer_than_any_token_is_not_read() {
    assert_eq!(refusal(&"a".repeat(MAX_ROOM_TOKEN_BYTES + 1)), TokenError::TooLong);
    assert_eq!(refusal(&"a".repeat(MAX_ROOM_TOKEN_BYTES)), TokenError::Malformed);
    assert_eq!(refusal(&changed("exp", json!(9_999_999_999_u64))), TokenError::Lifetime);
}

#[test]
fn malformed_token_is_refused() {
    let token = token();
    let (header, claims) = parts();
    for malformed in ["", ".", "..", "...", "a.b.c", "{}.{}.{}"] {
        assert_eq!(refusal(malformed), TokenError::Malformed, "{malformed}");
    }
    assert_eq!(refusal(&format!("{token}=")), TokenError::Malformed, "padding");
    assert_eq!(refusal(&format!("{token}.{token}")), TokenError::Malformed);
    let critical = header.replacen('{', r#"{"crit":["b64"],"#, 1);
    assert_eq!(refusal(&signed(&critical, &claims)), TokenError::Malformed);
    let jwk = header.replacen('{', r#"{"jwk":{"kty":"OKP"},"#, 1);
    assert_eq!(refusal(&signed(&jwk, &claims)), TokenError::Malformed);
    assert_eq!(refusal(&signed(&header.replace(TYPE, "JWT"), &claims)), TokenError::Malformed);
    for (field, value) in [
        ("role", json!("owner")),
        ("role", json!(["host"])),
        ("capabilities", json!(["moderate", "moderate"])),
        ("capabilities", json!("moderate")),
        ("sub", json!("")),
        ("exp", json!(-1)),
        ("exp", json!("1800000060")),
        ("exp", json!(1.5)),
        ("admin", json!(true)),
    ] {
        assert_eq!(refusal(&changed(field, value.clone())), TokenError::Malformed, "{field}: {value}");
    }
    for field in ["aud", "room", "role", "jti", "iat", "exp"] {
        let mut without: Value = serde_json::from_str(&claims).unwrap();
        without.as_object_mut().unwrap().remove(field);
        assert_eq!(refusal(&signed(&header, &without.to_string())), TokenError::Malformed, "without {field}");
    }
}

#[test]
fn no_change_of_a_token_is_accepted() {
    let token = token();
    for index in 0..token.len() {
        for byte in *b"A-_.0z" {
            let mut changed = token.clone().into_bytes();
            if std::mem::replace(&mut changed[index], byte) != byte {
                let changed = String::from_utf8(changed).unwrap();
                assert!(read_at(&changed, 0).is_err(), "{changed}");
            }
        }
        assert!(read_at(&token[..index], 0).is_err());
    }
}

/// The signature and the encoding are those of RFC 8037, appendix A.4.
#[test]
fn signature_is_that_of_the_standard() {
    let seed = BASE64URL_NOPAD.decode(b"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let keys = TokenKeys::new(SERVER, SigningSeed(seed.try_into().unwrap()), None).unwrap();
    let signature = keys.current().sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
    let expected = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(BASE64URL_NOPAD.encode(&signature), expected);
}

/// Everything that the keys sign begins in the same way, and with what no other signature of tacet begins with.
#[test]
fn signed_text_begins_with_a_label() {
    let token = token();
    let label = BASE64URL_NOPAD.encode(br#"{"typ":"tacet-room+jwt","alg":"EdDSA","#);
    assert!(token.starts_with(&label[..48]), "{token}");
}
