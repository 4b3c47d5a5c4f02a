//! Entering a room: the first two messages of a connection in each direction.
//!
//! ```text
//!   server: challenge { nonce }
//!   client: hello { room, credential, resume? }      the credential always; what it comes back with beside it
//!   server: welcome { participant, continues, tokens }
//! ```
//! A client that comes back shows a token that the server sealed, and proves with the key of its last announce that it is
//! the device which the token was made for. The signature covers the server's origin and nonce, so it is worth nothing
//! to another server or at another time.

use super::CallError;
use crate::{
    keys::SharedKeys,
    link::RoomLink,
    outbox::Outgoing,
    signaling::{Incoming, Received, Signaling, SignalingError},
    tls::Trust,
};
use e2ee_frames::{ResumeOperation, ResumeStatement};
use std::time::Duration;
use tacet_proto::{
    CallId, ClientMessage, CloseCode, ErrorCode, ParticipantId, ServerMessage, SessionId,
    bytes::Fixed,
    client::{Credential, Empty, Hello, Resume},
    resume::{Continues, Tokens},
    server::Welcome,
};
use tokio::time::timeout;

/// Maximum time for connecting and being welcomed. A connection over a network that just came back should not wait for
/// TCP's own retries, which slow down.
const ADMISSION_TIMEOUT: Duration = Duration::from_secs(6);

/// What a session needs in order to be continued on another connection.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub(super) keys: SharedKeys,
    pub(super) call: CallId,
    pub(super) session: SessionId,
    pub(super) participant: ParticipantId,
    pub(super) tokens: Tokens,
    /// Number of the last message of the server that arrived.
    pub(super) last_seq: u32,
}

impl Ticket {
    /// The participant id of the session.
    #[must_use]
    pub fn participant(&self) -> ParticipantId {
        self.participant
    }
}

/// What a client comes back with.
#[derive(Clone, Debug)]
pub enum Return {
    /// Nothing: it is a new participant.
    Newcomer,
    /// A session that goes on in this process.
    Session(Ticket),
    /// A session that went away and cannot go on: the participant id stays, and everything else is new.
    Successor(Ticket),
}

/// A connection that the server has welcomed. It has not joined the call yet.
#[derive(Debug)]
pub struct Admission {
    pub(super) signaling: Signaling,
    pub(super) welcome: Welcome,
    /// Number of `welcome`.
    pub(super) seq: u32,
}

impl Admission {
    /// Connects to the link's server and says hello.
    ///
    /// # Errors
    /// [`CallError`]; see [`CallError::refuses_return`].
    pub async fn open(link: &RoomLink, trust: Trust, back: &Return) -> Result<Self, CallError> {
        let admitted = timeout(ADMISSION_TIMEOUT, Self::open_without_limit(link, trust, back)).await;
        admitted.map_err(|_| SignalingError::Timeout(link.authority().to_owned()))?
    }

    async fn open_without_limit(link: &RoomLink, trust: Trust, back: &Return) -> Result<Self, CallError> {
        let mut signaling = Signaling::connect(link, trust).await?;
        let nonce = loop {
            if let (_, ServerMessage::Challenge(challenge)) = answer(&mut signaling).await? {
                break challenge.nonce;
            }
        };
        let hello = Hello {
            room: link.room(),
            credential: match link.token() {
                Some(token) => Credential::RoomToken { token: token.to_owned() },
                None => Credential::GuestAccess { token: Fixed(e2ee_frames::access_token(link.invite())) },
            },
            client: concat!("tacet-native/", env!("CARGO_PKG_VERSION")).to_owned(),
            features: Vec::new(),
            resume: resume(link, back, &nonce),
        };
        send(&signaling, ClientMessage::Hello(hello))?;
        loop {
            if let (seq, ServerMessage::Welcome(welcome)) = answer(&mut signaling).await? {
                return Ok(Self { signaling, welcome, seq });
            }
        }
    }

    /// Connects for a session that cannot go on, such as one whose keys are erased. If the server would continue it, it
    /// is sent away first.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn open_successor(link: &RoomLink, trust: Trust, ticket: Ticket) -> Result<Self, CallError> {
        let admission = Self::open(link, trust, &Return::Session(ticket.clone())).await?;
        if matches!(admission.continues(), Continues::Participant | Continues::Nothing) {
            return Ok(admission);
        }
        let tokens = admission.welcome.tokens.clone();
        hand_over(admission.signaling).await;
        Self::open(link, trust, &Return::Successor(Ticket { tokens, ..ticket })).await
    }

    /// Says goodbye for a session that has lost its connection.
    ///
    /// # Errors
    /// [`CallError`]: the server learns of it when the hold of the session ends.
    pub async fn leave(link: &RoomLink, trust: Trust, ticket: Ticket) -> Result<(), CallError> {
        let admission = Self::open(link, trust, &Return::Session(ticket)).await?;
        if admission.continues() == Continues::Session {
            send(&admission.signaling, ClientMessage::Leave(Empty {}))?;
        }
        admission.signaling.close().await;
        Ok(())
    }

    /// What is left of the session that the client came back with.
    #[must_use]
    pub fn continues(&self) -> Continues {
        self.welcome.continues
    }

    /// Codecs, header extensions, limits and participant id, as the server sent them.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }
}

impl CallError {
    /// Whether the server refuses what the client came back with: it can only enter as a new participant.
    #[must_use]
    pub fn refuses_return(&self) -> bool {
        match self {
            Self::Refused { code, .. } => *code == ErrorCode::NotResumable,
            Self::Closed { code, .. } => *code == CloseCode::NotResumable.code(),
            _ => false,
        }
    }
}

/// Sends the session away and closes its connection: a successor may take its place.
pub(super) async fn hand_over(signaling: Signaling) {
    if send(&signaling, ClientMessage::Away(Empty {})).is_ok() {
        signaling.close().await;
    }
}

/// Sends a message that no session keeps.
fn send(signaling: &Signaling, message: ClientMessage) -> Result<(), SignalingError> {
    signaling.send(Outgoing::message(None, message))
}

/// What the client comes back with, as it is sent.
fn resume(link: &RoomLink, back: &Return, nonce: &Fixed<32>) -> Option<Resume> {
    match back {
        Return::Newcomer => None,
        Return::Session(ticket) => {
            let token = &ticket.tokens.session;
            let origin = link.origin().serialized();
            let proof = ticket.keys.prove_resume(&ResumeStatement {
                operation: ResumeOperation::Session,
                origin: &origin,
                room: link.room().0.0,
                call: ticket.call.0.0,
                session: ticket.session.0.0,
                participant: ticket.participant.0,
                token: &token.0,
                nonce: nonce.0,
            });
            // A forked copy has no key to prove anything with.
            Some(match proof {
                Some(proof) => Resume::Session { token: token.clone(), last_seq: ticket.last_seq, proof: Fixed(proof) },
                None => Resume::Reload { token: ticket.tokens.reload.clone() },
            })
        }
        Return::Successor(ticket) => Some(Resume::Reload { token: ticket.tokens.reload.clone() }),
    }
}

/// The next JSON message and its number. Error messages and the end of the connection are errors.
async fn answer(signaling: &mut Signaling) -> Result<(u32, ServerMessage), CallError> {
    loop {
        match signaling.next().await?.ok_or(SignalingError::Ended)? {
            Incoming::Received { received: Received::Message { message: ServerMessage::Error(error), .. }, .. } => {
                return Err(error.into());
            }
            Incoming::Received { seq, received: Received::Message { message, .. } } => return Ok((seq, message)),
            Incoming::Received { .. } => {}
            Incoming::Closed { code, reason } => return Err(CallError::Closed { code, reason }),
        }
    }
}
