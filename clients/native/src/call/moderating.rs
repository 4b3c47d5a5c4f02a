//! What a moderator or a host asks of the server. It refuses those who are neither with `forbidden`.

use super::{Call, CallError};
use tacet_proto::{
    ClientMessage, ParticipantId, Role,
    client::{Assign, Empty, Hand, Lock, Target},
};

impl Call {
    /// Raises or lowers this client's hand, which the server and all others see.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn raise_hand(&mut self, raised: bool) -> Result<u32, CallError> {
        self.request(ClientMessage::Hand(Hand { raised }))
    }

    /// Asks a participant to mute its microphone.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn request_mute(&mut self, participant: ParticipantId) -> Result<u32, CallError> {
        self.request(ClientMessage::MuteRequest(Target { participant }))
    }

    /// Removes a participant from the call.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn kick(&mut self, participant: ParticipantId) -> Result<u32, CallError> {
        self.request(ClientMessage::Kick(Target { participant }))
    }

    /// Removes a participant, and keeps its device and token out from now on.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn ban(&mut self, participant: ParticipantId) -> Result<u32, CallError> {
        self.request(ClientMessage::Ban(Target { participant }))
    }

    /// Locks the room, or unlocks it.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn lock(&mut self, locked: bool) -> Result<u32, CallError> {
        self.request(ClientMessage::Lock(Lock { locked }))
    }

    /// Assigns another role to a participant.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn assign(&mut self, participant: ParticipantId, role: Role) -> Result<u32, CallError> {
        self.request(ClientMessage::Role(Assign { participant, role }))
    }

    /// Ends the room for all: its link opens nothing any more.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn end_for_all(&mut self) -> Result<u32, CallError> {
        self.request(ClientMessage::End(Empty {}))
    }
}
