//! Room tokens: JWTs (RFC 7519) that this server makes for itself, and that admit to one room in one role.
//!
//! ```text
//!   base64url({"typ":"tacet-room+jwt","alg":"EdDSA","kid":..}) . base64url(claims) . base64url(signature)
//!   claims = {"aud", "room", "role", "capabilities"?, "sub"?, "jti", "iat", "nbf"?, "exp"}
//! ```
//!
//! There is one algorithm, Ed25519, so no token can ask for another. The header is written in one way, with which everything
//! that these keys sign begins: no other signature can be taken for one of a token. Nothing here has a clock.

mod keys;
mod monthly_keys;

pub use keys::{SigningSeed, TokenKeys};
pub use monthly_keys::{MonthlyTokenKeys, TokenKeysError};

use crate::room::is_token;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::time::{Duration, SystemTime};
use tacet_proto::{Capabilities, Role, RoomId, bytes::Fixed, limits::MAX_ROOM_TOKEN_BYTES};

/// Longest time for which a token is good. A key signs for as long, and verifies for twice as long.
pub const MAX_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Longest name of an identity, in bytes.
pub const MAX_IDENTITY: usize = 64;
/// What the header says that the token is.
const TYPE: &str = "tacet-room+jwt";
const ALGORITHM: &str = "EdDSA";

/// What a token is to admit to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The room.
    pub room: RoomId,
    /// In which role.
    pub role: Role,
    /// What its holder may do at most, in this role and any later one.
    pub capabilities: Option<Capabilities>,
    /// Who the holder is, in the words of who asked for the token: 1 to 64 visible ASCII characters. A ban concerns all tokens with this name.
    pub identity: Option<String>,
    /// From when on it is good; at once without.
    pub not_before: Option<SystemTime>,
    /// For how long it is good from now on, at most [`MAX_LIFETIME`].
    pub lifetime: Duration,
}

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomGrant {
    /// The role of its holder.
    pub role: Role,
    /// What the holder may do at most.
    pub capabilities: Option<Capabilities>,
    /// Who the holder is.
    pub identity: Option<String>,
    /// Names this token.
    pub id: [u8; 16],
    /// Until when it is good.
    pub expires: SystemTime,
}

/// A token cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// It would be good for no time, or for too long.
    #[error("a token is good for at least a second and at most 30 days")]
    Lifetime,
    /// The name of the identity is malformed.
    #[error("an identity is 1 to 64 visible ASCII characters")]
    Identity,
}

/// Why a token does not admit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has more than [`MAX_ROOM_TOKEN_BYTES`].
    #[error("the token is longer than any that this server makes")]
    TooLong,
    /// It is no JWT, or not one of a room.
    #[error("the token is malformed")]
    Malformed,
    /// A field of it occurs twice, so that two readers could read two things.
    #[error("a field of the token occurs twice")]
    Duplicate,
    /// It asks for another algorithm than Ed25519.
    #[error("the token is not signed with EdDSA")]
    Algorithm,
    /// Its key is none of this server's: it is of another server, or older than the keys.
    #[error("the token is signed by an unknown key")]
    UnknownKey,
    /// Its signature is wrong.
    #[error("the signature of the token is wrong")]
    Signature,
    /// It is meant for another server.
    #[error("the token is for another server")]
    Audience,
    /// It is meant for another room.
    #[error("the token is for another room")]
    Room,
    /// It would be good for longer than any token is.
    #[error("the token is good for longer than any that this server makes")]
    Lifetime,
    /// It is not good yet.
    #[error("the token is not valid yet")]
    NotYet,
    /// It is good no longer.
    #[error("the token has expired")]
    Expired,
}

// In this order on the wire.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
    kid: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    aud: Fixed<16>,
    room: RoomId,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capabilities: Option<Capabilities>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    jti: Fixed<16>,
    iat: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    exp: u64,
}

/// Makes a token, named by 16 random bytes.
///
/// # Errors
/// See [`IssueError`].
pub fn issue(keys: &TokenKeys, request: &TokenRequest, id: [u8; 16], now: SystemTime) -> Result<String, IssueError> {
    let TokenRequest { room, role, capabilities, identity, not_before, lifetime } = request;
    if *lifetime < Duration::from_secs(1) || *lifetime > MAX_LIFETIME {
        return Err(IssueError::Lifetime);
    }
    if identity.as_ref().is_some_and(|identity| !is_token(identity, MAX_IDENTITY)) {
        return Err(IssueError::Identity);
    }
    let issued = seconds(now);
    let expires = issued.saturating_add(lifetime.as_secs());
    if not_before.is_some_and(|time| seconds(time) >= expires) {
        return Err(IssueError::Lifetime);
    }
    let claims = Claims {
        aud: Fixed(keys.server()),
        room: *room,
        role: *role,
        capabilities: *capabilities,
        sub: identity.clone(),
        jti: Fixed(id),
        iat: issued,
        nbf: not_before.map(seconds),
        exp: expires,
    };
    let key = keys.current();
    let header = Header { typ: TYPE.to_owned(), alg: ALGORITHM.to_owned(), kid: key.id().to_owned() };
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()));
    Ok(format!("{signed}.{signature}"))
}

/// Reads a token for this room.
///
/// # Errors
/// See [`TokenError`].
pub fn verify(keys: &TokenKeys, room: RoomId, token: &str, now: SystemTime) -> Result<RoomGrant, TokenError> {
    if token.len() > MAX_ROOM_TOKEN_BYTES {
        return Err(TokenError::TooLong);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    if claims.contains('.') {
        return Err(TokenError::Malformed);
    }
    let Header { typ, alg, kid } = read(header)?;
    if alg != ALGORITHM {
        return Err(TokenError::Algorithm);
    }
    if typ != TYPE {
        return Err(TokenError::Malformed);
    }
    let key = keys.find(&kid).ok_or(TokenError::UnknownKey)?;
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).map_err(|_| TokenError::Malformed)?;
    UnparsedPublicKey::new(&ED25519, key.public())
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| TokenError::Signature)?;
    accept(read(claims)?, keys.server(), room, now)
}

/// Holds signed claims against what is asked.
fn accept(claims: Claims, server: [u8; 16], room: RoomId, now: SystemTime) -> Result<RoomGrant, TokenError> {
    let Claims { aud, room: of, role, capabilities, sub, jti, iat, nbf, exp } = claims;
    if aud.0 != server {
        return Err(TokenError::Audience);
    }
    if of != room {
        return Err(TokenError::Room);
    }
    if sub.as_ref().is_some_and(|sub| !is_token(sub, MAX_IDENTITY)) {
        return Err(TokenError::Malformed);
    }
    if exp.saturating_sub(iat) > MAX_LIFETIME.as_secs() {
        return Err(TokenError::Lifetime);
    }
    let now = seconds(now);
    if nbf.is_some_and(|nbf| now < nbf) {
        return Err(TokenError::NotYet);
    }
    if now >= exp {
        return Err(TokenError::Expired);
    }
    let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(exp)).ok_or(TokenError::Lifetime)?;
    Ok(RoomGrant { role, capabilities, identity: sub, id: jti.0, expires })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn part(value: &impl Serialize) -> String {
    // Structures of texts and numbers: writing them cannot fail.
    BASE64URL_NOPAD.encode(&serde_json::to_vec(value).unwrap_or_default())
}

fn read<T: DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let json = BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&json).map_err(|error| match error.to_string() {
        text if text.starts_with("duplicate field") => TokenError::Duplicate,
        _ => TokenError::Malformed,
    })
}

#[cfg(test)]
mod tests;
