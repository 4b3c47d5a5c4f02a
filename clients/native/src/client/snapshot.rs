//! A snapshot of the call for a status screen or a health check, at most 200 ms old.

use super::{
    event::{ConnectionState, Encryption, Participant, RemoteTrack},
    track::TrackState,
};
use crate::audio::Level;
use e2ee_frames::CallCode;
use tacet_proto::media::Source;

/// State of the whole call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// State of the connection; `None` before it has joined.
    pub connection: Option<ConnectionState>,
    /// Generation and ratchet step of this client's own key; `None` before there is one.
    pub generation: Option<(u32, u8)>,
    /// The code that participants compare; `None` before this client has joined.
    pub call_code: Option<CallCode>,
    /// The other participants.
    pub participants: Vec<ParticipantStatus>,
    /// The tracks that this client sends.
    pub local_tracks: Vec<LocalTrackStatus>,
    /// Packets and frames received on the current connection.
    pub received: ReceiverStatistics,
    /// Fraction of this client's packets that were lost on the way to the server, from 0 to 1, by its last receiver report.
    pub uplink_loss: f32,
}

/// State of another participant.
#[derive(Clone, Debug, PartialEq)]
pub struct ParticipantStatus {
    /// Its id and name.
    pub participant: Participant,
    /// Encryption state of its media.
    pub encryption: Encryption,
    /// Whether nothing arrives from it, according to the server.
    pub away: bool,
    /// Current audio level.
    pub level: Level,
    /// The tracks it publishes, according to the server.
    pub tracks: Vec<RemoteTrack>,
}

/// State of a track of this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTrackStatus {
    /// What it captures.
    pub source: Source,
    /// Current state.
    pub state: TrackState,
    /// Whether it is muted.
    pub muted: bool,
}

/// Receiver statistics of all slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverStatistics {
    /// Received RTP packets.
    pub packets: u64,
    /// Lost RTP packets, by sequence number, after retransmission.
    pub lost: u64,
    /// Frames that were opened.
    pub opened: u64,
    /// Frames that were dropped because they did not open, or belong to no track: their key was missing, or they were altered
    /// or replayed.
    pub not_opened: u64,
}

impl ReceiverStatistics {
    /// Fraction of packets lost, from 0 to 1.
    #[must_use]
    pub fn loss(&self) -> f32 {
        let sent = self.packets.saturating_add(self.lost);
        if sent == 0 { 0.0 } else { self.lost as f32 / sent as f32 }
    }
}
