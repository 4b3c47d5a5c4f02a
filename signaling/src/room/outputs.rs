//! Outputs of a room, in order, and the numbering of its commands.

use super::moderation::{Asker, Change};
use crate::{
    outbox::{Closing, Outgoing},
    resume::token::Claims,
};
use sfu_api::{Command, CommandId, Request};
use std::collections::VecDeque;
use tacet_proto::{CallId, CloseCode, ParticipantId, ServerMessage, SessionId, server::Joined};

/// An output of a room, for its task to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A message for a participant.
    Send(ParticipantId, Outgoing),
    /// A message for a participant that may be lost.
    Hint(ParticipantId, ServerMessage),
    /// The answer to `join`, to which tokens of these claims are added.
    Joined {
        /// The participant.
        to: ParticipantId,
        /// Its request.
        re: Option<u32>,
        /// The answer.
        joined: Joined,
        /// What the tokens say.
        claims: Option<Claims>,
    },
    /// The answer to `ping`, to which tokens of these claims are added if the participant has joined.
    Pong {
        /// The participant.
        to: ParticipantId,
        /// Its request.
        re: Option<u32>,
        /// The clock of the ping.
        ms: u64,
        /// What the tokens say.
        claims: Option<Claims>,
    },
    /// A command for the media plane.
    Command(Request),
    /// The end of a participant's session and connection, after what was sent to it before.
    End(ParticipantId, Closing),
    /// The end of a participant's session and connection by its own wish: it is to be recorded in the call, then answered,
    /// then the connection is closed.
    Goodbye {
        /// The participant.
        from: ParticipantId,
        /// Its request.
        re: Option<u32>,
        /// The call that it leaves.
        call: CallId,
    },
    /// A change that is to be written into the room's record, and then answered.
    Record {
        /// Who asked for it.
        asker: Asker,
        /// The change.
        change: Change,
        /// Whose sessions and connections end, once it is written.
        removes: Vec<(ParticipantId, Closing)>,
    },
    /// The room is to end for all.
    EndRoom {
        /// The participant that wants it.
        by: ParticipantId,
        /// Its request, which is answered only if it fails.
        re: Option<u32>,
    },
    /// A session has ended without a goodbye, which is to be recorded in the call: the others have replaced the keys that it
    /// knew, so no server may grant its seat again.
    Departed {
        /// The session.
        session: SessionId,
        /// The call.
        call: CallId,
    },
    /// The call has ended.
    CallEnded(CallId),
}

/// Queue of outputs.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    queue: VecDeque<Output>,
    commands: u64,
}

impl Outputs {
    /// Takes the oldest output.
    pub(super) fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    /// Sends a message that must arrive.
    pub(super) fn send(&mut self, to: ParticipantId, outgoing: Outgoing) {
        self.queue.push_back(Output::Send(to, outgoing));
    }

    /// Sends a message that may be lost.
    pub(super) fn hint(&mut self, to: ParticipantId, message: ServerMessage) {
        self.queue.push_back(Output::Hint(to, message));
    }

    /// Answers `join`.
    pub(super) fn joined(&mut self, to: ParticipantId, re: Option<u32>, joined: Joined, claims: Option<Claims>) {
        self.queue.push_back(Output::Joined { to, re, joined, claims });
    }

    /// Answers `ping`.
    pub(super) fn pong(&mut self, to: ParticipantId, re: Option<u32>, ms: u64, claims: Option<Claims>) {
        self.queue.push_back(Output::Pong { to, re, ms, claims });
    }

    /// Sends a command to the media plane and returns its id, unique in the room.
    pub(super) fn command(&mut self, command: Command) -> CommandId {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.queue.push_back(Output::Command(Request { id, command }));
        id
    }

    /// Ends a participant's session and connection.
    pub(super) fn end(&mut self, participant: ParticipantId, code: CloseCode, reason: &'static str) {
        self.queue.push_back(Output::End(participant, Closing { code, reason }));
    }

    /// Ends a participant's session by its own wish.
    pub(super) fn goodbye(&mut self, from: ParticipantId, re: Option<u32>, call: CallId) {
        self.queue.push_back(Output::Goodbye { from, re, call });
    }

    /// Has a change written and answered, and participants closed that it removes.
    pub(super) fn record(&mut self, asker: Asker, change: Change, removes: Vec<(ParticipantId, Closing)>) {
        self.queue.push_back(Output::Record { asker, change, removes });
    }

    /// Ends the room.
    pub(super) fn end_room(&mut self, by: ParticipantId, re: Option<u32>) {
        self.queue.push_back(Output::EndRoom { by, re });
    }

    /// A session has ended without a goodbye.
    pub(super) fn departed(&mut self, session: SessionId, call: CallId) {
        self.queue.push_back(Output::Departed { session, call });
    }

    /// The call has ended.
    pub(super) fn call_ended(&mut self, call: CallId) {
        self.queue.push_back(Output::CallEnded(call));
    }
}
