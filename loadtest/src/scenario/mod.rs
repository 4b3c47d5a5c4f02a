//! Scenarios: the participants of calls and the streams that they send, from a file, by name, or built in code.

mod audio;
mod check;
mod file;
mod packets;
mod planned;
mod tiles;
mod video;

pub use audio::Audio;
pub use check::ScenarioError;
pub use file::{FileError, builtin, builtins, parse};
pub use packets::Packets;
pub use tiles::Tiles;
pub(crate) use video::ImageSize;
pub use video::{Layers, Video};

use serde::{Deserialize, Serialize};

/// A load. In a file every field but `name` may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Its name in reports.
    pub name: String,
    /// Description in one line.
    pub about: String,
    /// Rooms, all alike.
    pub rooms: usize,
    /// Bots of each room that send and receive nothing.
    pub publishers: usize,
    /// Bots of each room that receive and send nothing.
    pub subscribers: usize,
    /// Bots of each room that do both.
    pub participants: usize,
    /// Whether bots authenticate packets and open no frames; those that only receive then take no part in key traffic.
    pub light: bool,
    /// Bots on the independent stack, in the whole run. Those of a room with participants send audio, too.
    pub canaries: usize,
    /// How long is measured, in seconds.
    pub seconds: f64,
    /// How long media flows before, in seconds.
    pub warmup: f64,
    /// Decides sizes, speaker changes and stays.
    pub seed: u64,
    /// When bots that receive join.
    pub join: Join,
    /// Bots that receive leave and come again; absent, they stay.
    pub churn: Option<Churn>,
    /// Single-packet frames of one size at one rate, for exact comparisons. Excludes `audio` and `video`.
    pub packets: Option<Packets>,
    /// Audio.
    pub audio: Option<Audio>,
    /// Video.
    pub video: Option<Video>,
    /// What receivers show of tracks with layers; absent, they ask for nothing, and get the best.
    pub tiles: Option<Tiles>,
}

/// When bots that receive join.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "file::JoinTable", into = "file::JoinTable")]
pub enum Join {
    /// Media begins when all have joined.
    BeforeMedia,
    /// Media flows while they join; it is measured when all have joined.
    WhileMediaFlows,
    /// They join in the measured time, spread over these seconds.
    Storm {
        /// How long the storm takes, in seconds.
        over_s: f64,
    },
}

/// Participants come and go: each one that leaves is followed by another at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// Mean stay in seconds, exponentially distributed.
    pub mean_stay_s: f64,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: String::new(),
            about: String::new(),
            rooms: 1,
            publishers: 0,
            subscribers: 0,
            participants: 0,
            light: false,
            canaries: 2,
            seconds: 10.0,
            warmup: 2.0,
            seed: 1,
            join: Join::WhileMediaFlows,
            churn: None,
            packets: None,
            audio: None,
            video: None,
            tiles: None,
        }
    }
}

impl Scenario {
    /// Bots of a run at most: more do not fit the seats of rooms and the ports of a machine.
    pub const MAX_BOTS: usize = 50_000;
    /// Seats of a room.
    pub const MAX_ROOM: usize = 4_000;
    /// The server's default for the slots of one participant.
    pub const SLOTS: usize = 200;
    /// Unmuted microphones of a room up to which all are heard.
    pub const ALL_AUDIBLE: usize = 10;
    /// Audio slots of a participant in a room with more microphones.
    pub const SPEAKER_SLOTS: usize = 6;
    /// Smallest payload of single packets: descriptor, envelope, SFrame header and tag, and the mark that receivers
    /// check.
    pub const MIN_BYTES: usize = 80;

    /// Bots of all kinds.
    #[must_use]
    pub fn bots(&self) -> usize {
        self.rooms.saturating_mul(self.room_size()).saturating_add(self.canaries)
    }

    /// Bots of one room, canaries not counted.
    #[must_use]
    pub fn room_size(&self) -> usize {
        self.publishers.saturating_add(self.subscribers).saturating_add(self.participants)
    }

    /// Streams of one sending bot.
    #[must_use]
    pub fn streams(&self) -> usize {
        usize::from(self.audio.is_some())
            + usize::from(self.packets.is_some())
            + self.video.map_or(0, |video| video.encodings())
    }

    /// Slots that a receiver needs for the tracks of this number of sending bots.
    #[must_use]
    pub fn slots(&self, senders: usize) -> usize {
        let page = self.tiles.as_ref().map_or(0, |tiles| tiles.page);
        let visible = if page == 0 { senders } else { senders.min(page) };
        let audible = if senders > Self::ALL_AUDIBLE { Self::SPEAKER_SLOTS } else { senders };
        let has_video = self.packets.is_some() || self.video.is_some();
        usize::from(self.audio.is_some()) * audible + usize::from(has_video) * visible
    }

    /// The number by which this load grows while its shape stays: rooms if there are several, receivers otherwise.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self { rooms: 2.., .. } => self.rooms,
            Self { participants: 1.., .. } => self.participants,
            _ => self.subscribers,
        }
    }

    /// The same load with another [`Scenario::size`].
    #[must_use]
    pub fn with_size(&self, size: usize) -> Self {
        let mut scaled = self.clone();
        match self {
            Self { rooms: 2.., .. } => scaled.rooms = size,
            Self { participants: 1.., .. } => scaled.participants = size,
            _ => scaled.subscribers = size,
        }
        scaled
    }
}

/// A load that passes all checks.
#[cfg(test)]
pub(crate) fn good() -> Scenario {
    Scenario {
        name: "test".to_owned(),
        publishers: 1,
        subscribers: 2,
        packets: Some(Packets::default()),
        ..Scenario::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_grows_the_largest_group() {
        let rooms = Scenario { rooms: 5, participants: 4, ..good() };
        assert_eq!((rooms.size(), rooms.with_size(9).rooms), (5, 9));
        let everyone = Scenario { publishers: 0, subscribers: 0, participants: 6, ..good() };
        assert_eq!((everyone.size(), everyone.with_size(9).participants), (6, 9));
        assert_eq!((good().size(), good().with_size(9).subscribers), (2, 9));
    }
}
