//! A published track: its identity, its owner, and who subscribes to it. Its packets are those of its [`Encoding`]s.

use crate::{
    command::Publication,
    ids::{Mid, ParticipantId, TrackId},
    keys::{EncodingKey, ParticipantKey},
    media::{Codec, Kind},
    publisher::{
        demand::Demand, encoding::Encoding, key_frame_requests::KeyFrameRequests, ladder::Ladder,
        subscribers::Subscribers, track_activity::TrackActivity,
    },
    speakers::{level::AudioLevel, set::Challenge},
};
use slotmap::SlotMap;

/// What a participant publishes: a microphone, a camera, a screen.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    pub(crate) owner: ParticipantId,
    pub(crate) owner_key: ParticipantKey,
    /// Canonical name of the owner (RFC 3550 section 6.5.1), by which receivers synchronize its audio and video.
    pub(crate) cname: String,
    pub(crate) mid: Mid,
    pub(crate) codec: Codec,
    pub(crate) muted: bool,
    pub(crate) is_screen: bool,
    /// 1 to 3, lowest quality first.
    pub(crate) encodings: Vec<EncodingKey>,
    /// Slots that the track is in.
    pub(crate) subscribers: Subscribers,
    pub(crate) key_frames: KeyFrameRequests,
    /// What subscribers can choose from; of video.
    pub(crate) ladder: Ladder,
    pub(crate) demand: Demand,
    pub(crate) level: AudioLevel,
    /// Whether its publisher speaks, as the client says; `None` while the levels in its packets say so.
    pub(crate) speaking: Option<bool>,
    pub(crate) challenge: Challenge,
    /// Meaningless while the track is muted.
    pub(crate) activity: TrackActivity,
}

impl Track {
    /// A track without subscribers.
    pub(crate) fn new(
        id: TrackId,
        owner: ParticipantId,
        owner_key: ParticipantKey,
        publication: &Publication,
        encodings: Vec<EncodingKey>,
    ) -> Self {
        Self {
            id,
            owner,
            owner_key,
            cname: owner.0.to_string(),
            mid: publication.mid,
            codec: publication.codec,
            muted: false,
            is_screen: publication.screen,
            demand: Demand::new(encodings.len()),
            ladder: Ladder::default(),
            encodings,
            subscribers: Subscribers::default(),
            key_frames: KeyFrameRequests::default(),
            level: AudioLevel::default(),
            speaking: None,
            challenge: Challenge::default(),
            activity: TrackActivity::since(0),
        }
    }

    /// The sum of the numbers of the newest packets of its encodings: it grows when a packet of any of them arrives.
    pub(crate) fn newest_packets(&self, encodings: &SlotMap<EncodingKey, Encoding>) -> u64 {
        let encodings = self.encodings.iter().filter_map(|key| encodings.get(*key));
        encodings.fold(0, |sum, encoding| sum.wrapping_add(encoding.store.highest()))
    }

    /// Refreshes the ladder by what has arrived since the last look. Returns the number of descriptors that could not be
    /// read since then.
    pub(crate) fn look_at_layers(&mut self, encodings: &mut SlotMap<EncodingKey, Encoding>) -> u64 {
        let mut unread = 0;
        let flows = self.encodings.iter().any(|key| encodings.get(*key).is_some_and(|one| one.meter.is_flowing()));
        for key in &self.encodings {
            if let Some(encoding) = encodings.get_mut(*key) {
                encoding.meter.look(flows);
                unread += std::mem::take(&mut encoding.layers.malformed);
            }
        }
        let encodings = self.encodings.iter().filter_map(|key| Some((*key, encodings.get(*key)?)));
        self.ladder.refresh(encodings);
        unread
    }

    pub(crate) fn is_audio(&self) -> bool {
        self.codec.entry().kind == Kind::Audio
    }
}
