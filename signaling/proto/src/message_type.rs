//! The types of messages from client to server, text and binary together, as limits tell them apart.

use crate::{
    binary::{ChatKind, ClientBinary},
    client::ClientMessage,
};

/// Type of a message from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageType {
    /// [`ClientMessage::Hello`].
    Hello,
    /// [`ClientMessage::Join`].
    Join,
    /// [`ClientMessage::Announce`].
    Announce,
    /// [`ClientMessage::Transport`].
    Transport,
    /// [`ClientMessage::Publish`].
    Publish,
    /// [`ClientMessage::Unpublish`].
    Unpublish,
    /// [`ClientMessage::Mute`].
    Mute,
    /// [`ClientMessage::Unmute`].
    Unmute,
    /// [`ClientMessage::Speech`].
    Speech,
    /// [`ClientMessage::Subscribe`].
    Subscribe,
    /// [`ClientMessage::Unsubscribe`].
    Unsubscribe,
    /// [`ClientMessage::Layers`].
    Layers,
    /// [`ClientMessage::SlotsReady`].
    SlotsReady,
    /// [`ClientMessage::Resync`].
    Resync,
    /// [`ClientMessage::Ack`].
    Ack,
    /// [`ClientMessage::Heartbeat`].
    Heartbeat,
    /// [`ClientMessage::Away`].
    Away,
    /// [`ClientMessage::IceRestart`].
    IceRestart,
    /// [`ClientMessage::Hand`].
    Hand,
    /// [`ClientMessage::MuteRequest`].
    MuteRequest,
    /// [`ClientMessage::Kick`].
    Kick,
    /// [`ClientMessage::Ban`].
    Ban,
    /// [`ClientMessage::Lock`].
    Lock,
    /// [`ClientMessage::Role`].
    Role,
    /// [`ClientMessage::End`].
    End,
    /// [`ClientMessage::Ping`].
    Ping,
    /// [`ClientMessage::Leave`].
    Leave,
    /// [`ClientBinary::KeyBatch`].
    KeyBatch,
    /// [`ClientBinary::KeyRequest`].
    KeyRequest,
    /// [`ClientBinary::Chat`], except reactions.
    Chat,
    /// [`ClientBinary::Chat`] of the kind reaction.
    Reaction,
}

impl MessageType {
    /// Every type, in the order of declaration.
    pub const ALL: &[Self] = &[
        Self::Hello,
        Self::Join,
        Self::Announce,
        Self::Transport,
        Self::Publish,
        Self::Unpublish,
        Self::Mute,
        Self::Unmute,
        Self::Speech,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Layers,
        Self::SlotsReady,
        Self::Resync,
        Self::Ack,
        Self::Heartbeat,
        Self::Away,
        Self::IceRestart,
        Self::Hand,
        Self::MuteRequest,
        Self::Kick,
        Self::Ban,
        Self::Lock,
        Self::Role,
        Self::End,
        Self::Ping,
        Self::Leave,
        Self::KeyBatch,
        Self::KeyRequest,
        Self::Chat,
        Self::Reaction,
    ];

    /// The value of `t`, or a name in the same style for a binary type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Join => "join",
            Self::Announce => "announce",
            Self::Transport => "transport",
            Self::Publish => "publish",
            Self::Unpublish => "unpublish",
            Self::Mute => "mute",
            Self::Unmute => "unmute",
            Self::Speech => "speech",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Layers => "layers",
            Self::SlotsReady => "slots.ready",
            Self::Resync => "resync",
            Self::Ack => "ack",
            Self::Heartbeat => "heartbeat",
            Self::Away => "away",
            Self::IceRestart => "ice.restart",
            Self::Hand => "hand",
            Self::MuteRequest => "mute.request",
            Self::Kick => "kick",
            Self::Ban => "ban",
            Self::Lock => "lock",
            Self::Role => "role",
            Self::End => "end",
            Self::Ping => "ping",
            Self::Leave => "leave",
            Self::KeyBatch => "key_batch",
            Self::KeyRequest => "key_request",
            Self::Chat => "chat",
            Self::Reaction => "reaction",
        }
    }
}

impl From<&ClientMessage> for MessageType {
    fn from(message: &ClientMessage) -> Self {
        match message {
            ClientMessage::Hello(_) => Self::Hello,
            ClientMessage::Join(_) => Self::Join,
            ClientMessage::Announce(_) => Self::Announce,
            ClientMessage::Transport(_) => Self::Transport,
            ClientMessage::Publish(_) => Self::Publish,
            ClientMessage::Unpublish(_) => Self::Unpublish,
            ClientMessage::Mute(_) => Self::Mute,
            ClientMessage::Unmute(_) => Self::Unmute,
            ClientMessage::Speech(_) => Self::Speech,
            ClientMessage::Subscribe(_) => Self::Subscribe,
            ClientMessage::Unsubscribe(_) => Self::Unsubscribe,
            ClientMessage::Layers(_) => Self::Layers,
            ClientMessage::SlotsReady(_) => Self::SlotsReady,
            ClientMessage::Resync(_) => Self::Resync,
            ClientMessage::Ack(_) => Self::Ack,
            ClientMessage::Heartbeat(_) => Self::Heartbeat,
            ClientMessage::Away(_) => Self::Away,
            ClientMessage::IceRestart(_) => Self::IceRestart,
            ClientMessage::Hand(_) => Self::Hand,
            ClientMessage::MuteRequest(_) => Self::MuteRequest,
            ClientMessage::Kick(_) => Self::Kick,
            ClientMessage::Ban(_) => Self::Ban,
            ClientMessage::Lock(_) => Self::Lock,
            ClientMessage::Role(_) => Self::Role,
            ClientMessage::End(_) => Self::End,
            ClientMessage::Ping(_) => Self::Ping,
            ClientMessage::Leave(_) => Self::Leave,
        }
    }
}

impl From<&ClientBinary> for MessageType {
    fn from(message: &ClientBinary) -> Self {
        match message {
            ClientBinary::KeyBatch(_) => Self::KeyBatch,
            ClientBinary::KeyRequest(_) => Self::KeyRequest,
            ClientBinary::Chat { id, .. } => match id.kind() {
                ChatKind::Message => Self::Chat,
                ChatKind::Reaction => Self::Reaction,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_those_of_the_wire_and_each_type_is_listed_once() {
        let names: Vec<_> = MessageType::ALL.iter().map(|kind| kind.name()).collect();
        assert!(names.starts_with(&ClientMessage::TYPES));
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for (index, kind) in MessageType::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index, "in the order of declaration");
        }
    }
}
