//! Proofs that a participant may do what it asks for. A handler takes one in place of a participant's id, and there is no way to
//! a proof but the check, so that none can be forgotten.
//!
//! What a participant may do is looked up when it asks, in the record of its seat. A proof is used up by the request that it was
//! made for, and is not kept.

use super::{Refusal, Room, refusal};
use std::marker::PhantomData;
use tacet_proto::{Capability, ErrorCode, ParticipantId, media::Source};

/// What a handler needs, as a type.
pub(super) trait Right {
    /// The capability; `None` if being in the call is enough.
    const NEEDS: Option<Capability>;
    /// What is answered to those without it.
    const DETAIL: &'static str;
}

macro_rules! rights {
    ($($(#[$doc:meta])* $name:ident: $needs:expr, $detail:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name;

        impl Right for $name {
            const NEEDS: Option<Capability> = $needs;
            const DETAIL: &'static str = $detail;
        }
    )*};
}

rights! {
    /// Whatever concerns the participant itself.
    Present: None, "join first";
    /// Receiving tracks.
    Subscribes: Some(Capability::Subscribe), "you may not receive tracks in this room";
    /// Writing in the chat, and reacting.
    Chats: Some(Capability::Chat), "you may not write in the chat of this room";
    /// Acting on others, and locking the room.
    Moderates: Some(Capability::Moderate), "only moderators and hosts may do this";
    /// Ending the room.
    Manages: Some(Capability::Manage), "only hosts may do this";
}

/// Proof that a member has a right.
#[derive(Debug)]
pub(super) struct Authorized<R> {
    participant: ParticipantId,
    right: PhantomData<R>,
}

impl<R: Right> Authorized<R> {
    /// Whose proof it is.
    pub(super) fn participant(&self) -> ParticipantId {
        self.participant
    }
}

/// Proof that a member may publish from a source.
#[derive(Debug)]
pub(super) struct MayPublish {
    participant: ParticipantId,
    source: Source,
}

impl MayPublish {
    /// Whose proof it is.
    pub(super) fn participant(&self) -> ParticipantId {
        self.participant
    }

    /// From where.
    pub(super) fn source(&self) -> Source {
        self.source
    }
}

impl Room {
    /// Whether a member has a right now.
    ///
    /// # Errors
    /// It has not joined, or lacks the capability.
    pub(super) fn authorize<R: Right>(&self, participant: ParticipantId) -> Result<Authorized<R>, Refusal> {
        if !self.members.contains_key(&participant) {
            return Err(refusal(ErrorCode::NotMember, "join first"));
        }
        if R::NEEDS.is_some_and(|needed| !self.may(participant, needed)) {
            return Err(refusal(ErrorCode::Forbidden, R::DETAIL));
        }
        Ok(Authorized { participant, right: PhantomData })
    }

    /// Whether a member may publish from a source now.
    ///
    /// # Errors
    /// As [`authorize`](Self::authorize).
    pub(super) fn authorize_publishing(
        &self,
        participant: ParticipantId,
        source: Source,
    ) -> Result<MayPublish, Refusal> {
        self.authorize::<Present>(participant)?;
        if !self.may(participant, Capability::to_publish(source)) {
            let detail = match source {
                Source::Microphone => "you may not publish a microphone in this room",
                Source::Camera => "you may not publish a camera in this room",
                Source::Screen | Source::ScreenAudio => "you may not share a screen in this room",
            };
            return Err(refusal(ErrorCode::Forbidden, detail));
        }
        Ok(MayPublish { participant, source })
    }

    /// Whether a participant has a capability now.
    pub(super) fn may(&self, participant: ParticipantId, capability: Capability) -> bool {
        self.guests.get(&participant).is_some_and(|guest| guest.standing.capabilities().has(capability))
    }
}
