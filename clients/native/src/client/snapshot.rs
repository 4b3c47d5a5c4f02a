//! A look at the whole call, for a status screen or a health check. It is a fifth of a second old at most.

use super::{
    event::{ConnectionState, Encryption, Participant, RemoteTrack},
    inlet::PublicationState,
};
use crate::audio::Level;
use tacet_proto::media::Source;

/// How things stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The connection; `None` before it was joined.
    pub connection: Option<ConnectionState>,
    /// Generation and step of this client's own key; `None` before there is one.
    pub generation: Option<(u32, u8)>,
    /// The others.
    pub participants: Vec<ParticipantStatus>,
    /// What this client publishes.
    pub publications: Vec<PublicationStatus>,
    /// What has arrived on the present connection.
    pub received: Received,
    /// Share of this client's packets that did not reach the server lately, from 0 to 1, as it reports.
    pub lost_on_the_way_up: f32,
}

/// One of the others.
#[derive(Clone, Debug, PartialEq)]
pub struct ParticipantStatus {
    /// Who.
    pub participant: Participant,
    /// How well its media is protected.
    pub encryption: Encryption,
    /// How loud it is now.
    pub level: Level,
    /// What it publishes, as the server says.
    pub tracks: Vec<RemoteTrack>,
}

/// One track of this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicationStatus {
    /// What it is.
    pub source: Source,
    /// How far it is.
    pub state: PublicationState,
    /// Whether it is muted.
    pub muted: bool,
}

/// Counts of what has arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// RTP packets.
    pub packets: u64,
    /// Packets that are missing by their sequence numbers.
    pub lost: u64,
    /// Frames that were opened.
    pub opened: u64,
    /// Frames that were thrown away because they did not open: late for their key, altered, replayed.
    pub not_opened: u64,
}

impl Received {
    /// Share of packets lost, from 0 to 1.
    #[must_use]
    pub fn loss(&self) -> f32 {
        let sent = self.packets.saturating_add(self.lost);
        if sent == 0 { 0.0 } else { self.lost as f32 / sent as f32 }
    }
}
