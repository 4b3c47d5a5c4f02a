//! A published track: its identity, its owner, and who subscribes to it. Its packets are those of its [`Encoding`].
//!
//! [`Encoding`]: super::encoding::Encoding

use crate::{
    active_speaker::AudioLevel,
    command::Publication,
    ids::{Mid, ParticipantId, TrackId},
    keys::{EncodingKey, ParticipantKey, SlotKey},
    media::{Codec, Kind},
    publisher::track_activity::TrackActivity,
};

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
    pub(crate) encoding: EncodingKey,
    /// Slots that the track is in, sorted by participant.
    pub(crate) subscribers: Vec<SlotKey>,
    pub(crate) level: AudioLevel,
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
        encoding: EncodingKey,
    ) -> Self {
        Self {
            id,
            owner,
            owner_key,
            cname: owner.0.to_string(),
            mid: publication.mid,
            codec: publication.codec,
            muted: false,
            encoding,
            subscribers: Vec::new(),
            level: AudioLevel::default(),
            activity: TrackActivity::since(0),
        }
    }

    pub(crate) fn is_audio(&self) -> bool {
        self.codec.entry().kind == Kind::Audio
    }
}
