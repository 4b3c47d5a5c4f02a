//! How a client that comes back proves which session was its own.
//!
//! It shows a [token], in which the server finds the session and its device key, and for a session token a proof: a
//! signature by that key over the token and the challenge of the new connection. A stolen token is worth nothing without
//! the key, and a proof is worth nothing on another connection or server.

pub mod daily_keys;
pub mod keys;
pub mod origin;
pub mod token;

pub use daily_keys::{DailyKeys, KeysError};
pub use keys::{ResumeKey, ResumeKeys};

use e2ee_core::resume::{self, NONCE_BYTES, ResumeOperation, ResumeStatement};
use origin::Origins;
use tacet_proto::{RoomId, resume::Resume};
use token::{InvalidToken, Opened, TokenKind};

/// A session that a client has shown to be its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) opened: Opened,
    /// Number of the last message that the client has; for a session token only.
    pub(crate) last_seq: u32,
}

/// Why what a client shows is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// The token is of another kind, server or room, or older than the keys.
    Token,
    /// The proof is not by the device in the token, or for another connection or origin.
    Proof,
}

/// Opens the token that a client shows, which must be of the right kind.
pub(crate) fn open(keys: &ResumeKeys, room: RoomId, resume: &Resume) -> Result<Opened, Invalid> {
    let (token, kind) = match resume {
        Resume::Reload { token } => (token, TokenKind::Reload),
        Resume::Session { token, .. } => (token, TokenKind::Session),
    };
    let opened = token::open(keys, room, &token.0).map_err(|InvalidToken| Invalid::Token)?;
    (opened.kind == kind).then_some(opened).ok_or(Invalid::Token)
}

/// Checks the proof that a client shows with its token, on a connection with this nonce that reached the server under one of
/// these origins. A session token that names no device needs that of the session.
pub(crate) fn check(
    opened: Opened,
    resume: &Resume,
    room: RoomId,
    origins: &Origins,
    nonce: &[u8; NONCE_BYTES],
) -> Result<Proven, Invalid> {
    let Resume::Session { token, last_seq, proof } = resume else { return Ok(Proven { opened, last_seq: 0 }) };
    let claims = &opened.claims;
    let device = claims.device.ok_or(Invalid::Proof)?;
    let proven = origins.iter().any(|origin| {
        let statement = ResumeStatement {
            operation: ResumeOperation::Session,
            origin,
            room: room.0.0,
            call: claims.call.0.0,
            session: claims.session.0.0,
            participant: claims.participant.0,
            token: &token.0,
            nonce: *nonce,
        };
        resume::verify(&device, &statement, &proof.0)
    });
    proven.then_some(Proven { opened, last_seq: *last_seq }).ok_or(Invalid::Proof)
}
