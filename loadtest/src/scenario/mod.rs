//! Scenarios: the participants of calls and the streams that they send, from a file, by name, or built in code.

mod file;

pub use file::{FileError, builtin, builtins, parse};

use crate::bots::frame::MAX_PAYLOAD_BYTES;
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

/// Single-packet frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Packets {
    /// Packets a second of each publisher.
    pub per_second: u32,
    /// Bytes of RTP payload, about: the SFrame header grows with the counter.
    pub bytes: usize,
    /// Packets sent at once.
    pub burst: u32,
}

/// Opus-like audio: 50 packets a second, of which fewer in silence with `dtx`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audio {
    /// Mean bytes of a frame while one speaks.
    pub bytes: usize,
    /// Mean bytes of a frame in pauses.
    pub silent_bytes: usize,
    /// Standard deviation of the logarithm of sizes.
    pub size_spread: f64,
    /// How many have the floor at the same time.
    pub talkers: usize,
    /// Whether a silent microphone sends comfort noise at a low rate, as browsers do, instead of 50 packets a second.
    pub dtx: bool,
}

/// Frames with the sizes of real video.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Video {
    /// Frames a second.
    pub frames_per_second: u32,
    /// Bitrate; with layers, of the largest image.
    pub kilobits_per_second: u32,
    /// Seconds from a key frame to the next; 0: only when a receiver needs one.
    pub key_frame_every_s: f64,
    /// Size of a key frame in other frames.
    pub key_frame_size: f64,
    /// Standard deviation of the logarithm of frame sizes.
    pub size_spread: f64,
    /// Mean seconds between changes of scene, each a large frame; 0: never.
    pub scene_every_s: f64,
    /// Size of a change of scene in other frames.
    pub scene_size: f64,
    /// Layers among which the server chooses for each receiver; absent, there is one encoding without layers.
    pub layers: Option<Layers>,
}

/// How video is encoded in layers: images of 180, 360 and 720 lines, each in three temporal layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layers {
    /// Three encodings of VP8 (RIDs q, h and f) in mode L1T3.
    Simulcast,
    /// One encoding of VP9 in mode L3T3_KEY: spatial layers refer to each other in key frames only.
    Svc,
}

/// Tiles in which a receiver shows video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tiles {
    /// Heights in device pixels, the last one for all further tiles. Receivers have the layouts in rotation.
    pub layouts: Vec<Vec<u16>>,
    /// Tiles of a page; 0: all tracks are visible.
    pub page: usize,
    /// Seconds after which a receiver shows the next page, in the next layout; 0: never.
    pub change_every_s: f64,
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

impl Default for Tiles {
    fn default() -> Self {
        Self { layouts: vec![vec![720, 180], vec![360], vec![180]], page: 0, change_every_s: 0.0 }
    }
}

impl Default for Packets {
    fn default() -> Self {
        Self { per_second: 500, bytes: 1_100, burst: 1 }
    }
}

impl Default for Audio {
    fn default() -> Self {
        Self { bytes: 80, silent_bytes: 30, size_spread: 0.2, talkers: 1, dtx: false }
    }
}

impl Default for Video {
    fn default() -> Self {
        Self {
            frames_per_second: 30,
            kilobits_per_second: 1_200,
            key_frame_every_s: 10.0,
            key_frame_size: 6.0,
            size_spread: 0.3,
            scene_every_s: 15.0,
            scene_size: 4.0,
            layers: None,
        }
    }
}

/// Why a load cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {must}")]
pub struct ScenarioError {
    /// The field, as in a file.
    pub field: &'static str,
    /// The valid values.
    pub must: String,
}

fn check(holds: bool, field: &'static str, must: impl Into<String>) -> Result<(), ScenarioError> {
    if holds { Ok(()) } else { Err(ScenarioError { field, must: must.into() }) }
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

    /// Share of the largest encoding's rate that a receiver takes of one camera, on average.
    pub(crate) fn taken_share(&self) -> f64 {
        let Some((video, tiles)) = self.video.filter(|video| video.layers.is_some()).zip(self.tiles.as_ref()) else {
            return 1.0;
        };
        let senders = self.publishers + self.participants;
        let shown = if tiles.page == 0 { senders } else { senders.min(tiles.page) };
        let of_height = |height: u16| {
            let fits = video.sizes().find(|size| size.height.is_none_or(|of| of >= height));
            fits.map_or(1.0, |size| size.share)
        };
        let of_layout = |layout: &[u16]| (0..shown).map(|tile| of_height(Tiles::height(layout, tile))).sum::<f64>();
        let sum: f64 = tiles.layouts.iter().map(|layout| of_layout(layout)).sum();
        sum / (tiles.layouts.len() * senders).max(1) as f64
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

    /// Packets a second of one sending bot, and mean bytes of RTP payload of a packet, as planned.
    #[must_use]
    pub fn planned_rate(&self) -> (f64, f64) {
        let (mut packets, mut bytes) = (0.0, 0.0);
        let mut add = |per_second: f64, size: f64| {
            packets += per_second;
            bytes += per_second * size;
        };
        if let Some(single) = self.packets {
            add(f64::from(single.per_second), single.bytes as f64);
        }
        if let Some(audio) = self.audio {
            let share = audio.speaking_share(self.publishers + self.participants);
            let silent = if audio.dtx { 2.5 } else { 50.0 };
            add(50.0 * share, audio.bytes as f64 + 25.0);
            add(silent * (1.0 - share), audio.silent_bytes as f64 + 25.0);
        }
        for (video, size) in self.video.iter().flat_map(|video| video.sizes().map(move |of| (video, of))) {
            let frames = f64::from(video.frames_per_second);
            let frame = f64::from(video.kilobits_per_second) * 125.0 * size.share / frames;
            // On average half of the last packet is empty.
            let of_frame = (frame / MAX_PAYLOAD_BYTES as f64 + 0.5).max(1.0);
            add(frames * of_frame, frame / of_frame);
        }
        (packets, if packets > 0.0 { bytes / packets } else { 0.0 })
    }

    /// Packets that the receiving bots of all rooms should get in the measured time, as planned: those of canaries are not
    /// counted. Of layers, each receiver takes as many as its tiles need.
    #[must_use]
    pub fn planned_deliveries(&self) -> f64 {
        let video = self.video.map(|video| Video {
            layers: None,
            kilobits_per_second: (f64::from(video.kilobits_per_second) * self.taken_share()).round() as u32,
            ..video
        });
        let (taken, _) = Self { video, ..self.clone() }.planned_rate();
        let Self { publishers, subscribers, participants, .. } = *self;
        let of_publishers = publishers.saturating_mul(subscribers.saturating_add(participants));
        let of_participants = participants.saturating_mul(subscribers.saturating_add(participants.saturating_sub(1)));
        let pairs = self.rooms.saturating_mul(of_publishers.saturating_add(of_participants));
        taken * self.seconds * pairs as f64
    }

    /// Checks that the values make sense, alone and together.
    ///
    /// # Errors
    /// [`ScenarioError`] names the field.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let time = |value: f64| value.is_finite() && (0.0..=86_400.0).contains(&value);
        check(!self.name.trim().is_empty(), "name", "must not be empty")?;
        check(self.rooms >= 1, "rooms", "must be at least 1")?;
        check(
            self.publishers + self.participants >= 1,
            "publishers",
            "must be at least 1 unless there are participants",
        )?;
        let receives = self.subscribers + self.canaries >= 1
            || self.participants >= 2
            || (self.participants == 1 && self.publishers >= 1);
        if self.participants > 0 {
            check(receives, "participants", "must be at least 2 unless others send or receive")?;
        }
        check(receives, "subscribers", "must be at least 1 unless others receive")?;
        let room = self.room_size() <= Self::MAX_ROOM;
        check(room, "subscribers", format!("and the others of a room must be at most {}", Self::MAX_ROOM))?;
        check(self.bots() <= Self::MAX_BOTS, "rooms", format!("must make at most {} bots", Self::MAX_BOTS))?;
        check(time(self.seconds) && self.seconds > 0.0, "seconds", "must be more than 0 and at most 86400")?;
        check(time(self.warmup), "warmup", "must be 0 to 86400")?;
        let traffic = (self.packets.is_some(), self.audio.is_some() || self.video.is_some());
        check(traffic != (false, false), "packets", "or audio or video must be there: nothing would be sent")?;
        check(traffic != (true, true), "packets", "are for exact comparisons, without audio and video")?;
        let senders = self.publishers + self.participants;
        let slots = self.slots(senders).saturating_add(self.canaries);
        check(
            slots <= Self::SLOTS,
            "participants",
            format!("would need {slots} slots each, servers give {}", Self::SLOTS),
        )?;
        if let Join::Storm { over_s } = self.join {
            check(time(over_s) && over_s <= self.seconds, "join.over_s", "must be 0 to the measured seconds")?;
            check(self.subscribers + self.participants >= 1, "join.when", "has no bots that join: add subscribers")?;
        }
        if let Some(churn) = self.churn {
            check(time(churn.mean_stay_s) && churn.mean_stay_s >= 0.5, "churn.mean_stay_s", "must be 0.5 to 86400")?;
            check(self.join != Join::BeforeMedia, "join.when", "cannot be before-media where people come and go")?;
        }
        self.packets.map_or(Ok(()), |packets| packets.check())?;
        self.audio.map_or(Ok(()), |audio| audio.check())?;
        self.video.map_or(Ok(()), |video| video.check())?;
        let Some(tiles) = &self.tiles else { return Ok(()) };
        check(self.video.is_some_and(|video| video.layers.is_some()), "tiles", "need video.layers")?;
        tiles.check()
    }
}

impl Tiles {
    /// Tiles that a receiver asks for at most: more do not fit the message.
    const MAX: usize = 50;

    fn check(&self) -> Result<(), ScenarioError> {
        let heights = self.layouts.iter().flatten().all(|height| (1..=4_320).contains(height));
        let layouts = !self.layouts.is_empty() && self.layouts.iter().all(|layout| !layout.is_empty());
        check(layouts && heights, "tiles.layouts", "must be lists of heights, each 1 to 4320")?;
        check(self.page <= Self::MAX, "tiles.page", format!("must be at most {}", Self::MAX))?;
        let every = self.change_every_s;
        check(every == 0.0 || (0.25..=3_600.0).contains(&every), "tiles.change_every_s", "must be 0, or 0.25 to 3600")
    }

    /// Height of a tile in a layout.
    pub(crate) fn height(layout: &[u16], tile: usize) -> u16 {
        layout.get(tile).or(layout.last()).copied().unwrap_or_default()
    }
}

/// An image size of a camera: an encoding of simulcast, or a spatial layer of SVC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ImageSize {
    /// Its rate as a share of that of the largest image.
    pub(crate) share: f64,
    /// Its height in lines, if there are several.
    pub(crate) height: Option<u16>,
    /// RID of its encoding, if it has a separate one.
    pub(crate) rid: Option<&'static str>,
}

impl ImageSize {
    /// That of a camera without layers.
    pub(crate) const ONLY: Self = Self { share: 1.0, height: None, rid: None };
}

impl Packets {
    fn check(&self) -> Result<(), ScenarioError> {
        check((1..=20_000).contains(&self.per_second), "packets.per_second", "must be 1 to 20000")?;
        let burst = self.burst >= 1 && self.burst <= self.per_second;
        check(burst, "packets.burst", "must be 1 to the packets a second")?;
        let size = (Scenario::MIN_BYTES..=MAX_PAYLOAD_BYTES).contains(&self.bytes);
        check(size, "packets.bytes", format!("must be {} to {MAX_PAYLOAD_BYTES}", Scenario::MIN_BYTES))
    }
}

fn spread(value: f64, field: &'static str) -> Result<(), ScenarioError> {
    check((0.0..=2.0).contains(&value), field, "must be 0 to 2")
}

impl Audio {
    /// Share of the time for which one of the microphones sends speech: while it has the floor, in spurts.
    fn speaking_share(&self, microphones: usize) -> f64 {
        const SPURTS: f64 = 1.0 / 1.6;
        SPURTS * (self.talkers as f64 / microphones.max(1) as f64).min(1.0)
    }

    fn check(&self) -> Result<(), ScenarioError> {
        check((24..=1_000).contains(&self.bytes), "audio.bytes", "must be 24 to 1000")?;
        check((24..=1_000).contains(&self.silent_bytes), "audio.silent_bytes", "must be 24 to 1000")?;
        check(self.talkers >= 1, "audio.talkers", "must be at least 1")?;
        spread(self.size_spread, "audio.size_spread")
    }
}

impl Video {
    fn check(&self) -> Result<(), ScenarioError> {
        check((1..=240).contains(&self.frames_per_second), "video.frames_per_second", "must be 1 to 240")?;
        let rate = (10..=100_000).contains(&self.kilobits_per_second);
        check(rate, "video.kilobits_per_second", "must be 10 to 100000")?;
        let interval = (0.0..=3_600.0).contains(&self.key_frame_every_s);
        check(interval, "video.key_frame_every_s", "must be 0 to 3600")?;
        check((1.0..=50.0).contains(&self.key_frame_size), "video.key_frame_size", "must be 1 to 50")?;
        spread(self.size_spread, "video.size_spread")?;
        check((0.0..=3_600.0).contains(&self.scene_every_s), "video.scene_every_s", "must be 0 to 3600")?;
        check((1.0..=50.0).contains(&self.scene_size), "video.scene_size", "must be 1 to 50")
    }

    /// Maximum number of encodings.
    pub(crate) const MAX_ENCODINGS: usize = 3;

    /// Number of encodings.
    pub(crate) fn encodings(&self) -> usize {
        if self.layers == Some(Layers::Simulcast) { self.sizes().count() } else { 1 }
    }

    /// The image sizes, the smallest first. The proportions are those of a browser that sends 1280 × 720, 640 × 360 and
    /// 320 × 180 with 1,700, 500 and 150 kbit/s.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = ImageSize> + use<> {
        let layers = self.layers;
        let size = move |(height, kbps, rid): (u16, f64, &'static str)| ImageSize {
            share: kbps / 1_700.0,
            height: Some(height),
            rid: (layers == Some(Layers::Simulcast)).then_some(rid),
        };
        let several = [(180, 150.0, "q"), (360, 500.0, "h"), (720, 1_700.0, "f")].map(size);
        let sizes = if layers.is_some() { several.to_vec() } else { vec![ImageSize::ONLY] };
        sizes.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Scenario {
        Scenario {
            name: "test".to_owned(),
            publishers: 1,
            subscribers: 2,
            packets: Some(Packets::default()),
            ..Scenario::default()
        }
    }

    #[test]
    fn check_names_the_field() {
        assert_eq!(good().check(), Ok(()));
        type Change = fn(&mut Scenario);
        let changes: [(&str, Change); 21] = [
            ("name", |s| s.name.clear()),
            ("rooms", |s| s.rooms = 0),
            ("rooms", |s| s.rooms = 20_000),
            ("publishers", |s| s.publishers = 0),
            ("subscribers", |s| (s.subscribers, s.canaries) = (0, 0)),
            ("participants", |s| (s.publishers, s.subscribers, s.canaries, s.participants) = (0, 0, 0, 1)),
            ("subscribers", |s| s.subscribers = 4_001),
            ("seconds", |s| s.seconds = 0.0),
            ("seconds", |s| s.seconds = f64::NAN),
            ("warmup", |s| s.warmup = -1.0),
            ("packets", |s| s.packets = None),
            ("packets", |s| s.audio = Some(Audio::default())),
            ("participants", |s| s.participants = 300),
            ("tiles", |s| s.tiles = Some(Tiles::default())),
            ("tiles.layouts", |s| {
                s.packets = None;
                s.video = Some(Video { layers: Some(Layers::Simulcast), ..Video::default() });
                s.tiles = Some(Tiles { layouts: vec![vec![]], ..Tiles::default() });
            }),
            ("tiles.page", |s| {
                s.packets = None;
                s.video = Some(Video { layers: Some(Layers::Simulcast), ..Video::default() });
                s.tiles = Some(Tiles { page: 51, ..Tiles::default() });
            }),
            ("join.over_s", |s| s.join = Join::Storm { over_s: 11.0 }),
            ("churn.mean_stay_s", |s| s.churn = Some(Churn { mean_stay_s: 0.0 })),
            ("packets.bytes", |s| s.packets = Some(Packets { bytes: 79, ..Packets::default() })),
            ("packets.burst", |s| s.packets = Some(Packets { burst: 501, ..Packets::default() })),
            ("video.frames_per_second", |s| {
                s.packets = None;
                s.video = Some(Video { frames_per_second: 0, ..Video::default() });
            }),
        ];
        for (field, change) in changes {
            let mut scenario = good();
            change(&mut scenario);
            assert_eq!(scenario.check().map_err(|error| error.field), Err(field));
        }
    }

    #[test]
    fn scaling_grows_the_largest_group() {
        let rooms = Scenario { rooms: 5, participants: 4, ..good() };
        assert_eq!((rooms.size(), rooms.with_size(9).rooms), (5, 9));
        let everyone = Scenario { publishers: 0, subscribers: 0, participants: 6, ..good() };
        assert_eq!((everyone.size(), everyone.with_size(9).participants), (6, 9));
        assert_eq!((good().size(), good().with_size(9).subscribers), (2, 9));
    }

    #[test]
    fn planned_deliveries_count_each_receiver() {
        let deliveries = |publishers, subscribers, participants| {
            let scenario = Scenario { publishers, subscribers, participants, rooms: 2, seconds: 4.0, ..good() };
            scenario.planned_deliveries()
        };
        assert_eq!(deliveries(1, 2, 0), 2.0 * 4.0 * 500.0 * 2.0);
        assert_eq!(deliveries(0, 0, 3), 2.0 * 4.0 * 500.0 * 6.0);
        assert_eq!(deliveries(1, 1, 2), 2.0 * 4.0 * 500.0 * (3.0 + 4.0));
    }

    #[test]
    fn planned_rate_sums_streams() {
        assert_eq!(good().planned_rate(), (500.0, 1_100.0));
        let video = Video { kilobits_per_second: 1_056, layers: Some(Layers::Simulcast), ..Video::default() };
        let call = Scenario { packets: None, audio: Some(Audio::default()), video: Some(video), ..good() };
        let (packets, bytes) = call.planned_rate();
        assert!((240.0..300.0).contains(&packets), "{packets}");
        assert!((600.0..1_000.0).contains(&bytes), "{bytes}");
        assert_eq!((call.streams(), call.slots(3), call.slots(50)), (4, 6, 56));
        let paged = Scenario { tiles: Some(Tiles { page: 4, ..Tiles::default() }), ..call };
        assert_eq!(paged.slots(50), 10);
    }

    #[test]
    fn receivers_take_what_their_tiles_need() {
        let video = Video { layers: Some(Layers::Simulcast), kilobits_per_second: 1_700, ..Video::default() };
        let tiles = |layouts| Some(Tiles { layouts, ..Tiles::default() });
        let call = Scenario { packets: None, video: Some(video), publishers: 2, ..good() };
        assert_eq!(call.taken_share(), 1.0);
        let large_and_small = Scenario { tiles: tiles(vec![vec![1_080, 100]]), ..call.clone() };
        assert!((large_and_small.taken_share() - (1_700.0 + 150.0) / 2.0 / 1_700.0).abs() < 1e-9);
        let two_kinds = Scenario { tiles: tiles(vec![vec![720], vec![181]]), ..call };
        assert!((two_kinds.taken_share() - (1_700.0 + 500.0) / 2.0 / 1_700.0).abs() < 1e-9);
    }
}
