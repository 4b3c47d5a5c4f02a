//! Outputs of a room, in order, and the numbering of its commands.

use crate::outbox::{Closing, Outgoing};
use sfu_api::{Command, CommandId, Request};
use std::collections::VecDeque;
use tacet_proto::{CloseCode, ParticipantId, ServerMessage};

/// An output of a room, for its task to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A message for a participant.
    Send(ParticipantId, Outgoing),
    /// A message for a participant that may be lost.
    Hint(ParticipantId, ServerMessage),
    /// A command for the media plane.
    Command(Request),
    /// The end of a participant's connection, after what was sent to it before.
    Close(ParticipantId, Closing),
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

    /// Sends a command to the media plane and returns its id, unique in the room.
    pub(super) fn command(&mut self, command: Command) -> CommandId {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.queue.push_back(Output::Command(Request { id, command }));
        id
    }

    /// Ends a participant's connection.
    pub(super) fn close(&mut self, participant: ParticipantId, code: CloseCode, reason: &'static str) {
        self.queue.push_back(Output::Close(participant, Closing { code, reason }));
    }
}
