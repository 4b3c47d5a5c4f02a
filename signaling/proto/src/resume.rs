//! Continuing a session on another connection: what a client shows, and what is left of the session.

use crate::{
    bytes::{Base64, Fixed},
    ids::{ParticipantId, Seat},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Largest token in bytes.
pub const MAX_TOKEN_BYTES: usize = 256;
/// Largest [`Tokens`] in bytes of JSON, with the name of their field: two tokens in base64, and the names around them.
pub const MAX_TOKENS_JSON_BYTES: usize = 2 * MAX_TOKEN_BYTES.div_ceil(3) * 4 + 64;

/// What a client continues, tagged by `type`. It stands beside the ordinary credential, and replaces none of its checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Resume {
    /// The process goes on, and has the session's device key.
    Session {
        /// The latest token of `welcome` or `pong`.
        token: Base64,
        /// Number of the last message that arrived from the server; 0 for none.
        last_seq: u32,
        /// Ed25519 signature of the session's device key over the resume statement with this connection's nonce.
        #[ts(type = "string")]
        proof: Fixed<64>,
    },
    /// The page was loaded again: its keys are gone, and the tab has kept a token that is good for one use.
    Reload {
        /// The latest `reload` token of `welcome` or `pong`.
        token: Base64,
    },
}

/// What of its earlier session a client still has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum Continues {
    /// It is a new participant.
    Nothing,
    /// Everything: the messages after `last_seq` follow, and media was never interrupted by this.
    Session,
    /// Participant, seat and keys, on a server that forgot the rest: the client joins again with a renewed announce, and
    /// sets up transport and tracks again. To the others it never left.
    Seat,
    /// The participant id. The others have seen it leave; the client joins with new keys on a new seat.
    Participant,
}

/// The tokens by which a session can be continued; each replaces the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// For [`Resume::Session`].
    pub session: Base64,
    /// For [`Resume::Reload`].
    pub reload: Base64,
}

/// A participant as a client that returns to a restarted server knew it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its id.
    pub participant: ParticipantId,
    /// Its seat.
    pub seat: Seat,
}
