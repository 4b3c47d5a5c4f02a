//! Options of a client and of its tracks.

use super::reconnect::ReconnectPolicy;
use crate::{
    audio::{Channels, EncoderOptions},
    keys::WallClock,
    tls::Trust,
};
use std::time::SystemTime;
use tacet_proto::media::{Codec, Kind, Source};

/// Options of a client.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Name shown to the other participants, at most 256 bytes. The server cannot read it.
    pub name: String,
    /// How the server's certificate is verified.
    pub trust: Trust,
    /// Which tracks to receive.
    pub subscribe: SubscribePolicy,
    /// How received audio is delivered.
    pub audio_output: AudioOutput,
    /// Channels of received audio.
    pub channels: Channels,
    /// Whether the server learns when this client's participant speaks, as it does with browsers: from the audio level header
    /// extension (RFC 6464), or from messages if the server has no use for that. Without it, this client is never reported as
    /// an active speaker.
    pub send_audio_level: bool,
    /// When to reconnect.
    pub reconnect: ReconnectPolicy,
    /// Wall time, which messages to the other participants carry.
    pub wall_clock: WallClock,
}

impl ClientOptions {
    /// Receives all tracks, mixes audio to mono, trusts public certificate authorities, and reconnects until the
    /// application leaves.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            trust: Trust::default(),
            subscribe: SubscribePolicy::All,
            audio_output: AudioOutput::Mixed,
            channels: Channels::Mono,
            send_audio_level: true,
            reconnect: ReconnectPolicy::default(),
            wall_clock: SystemTime::now,
        }
    }
}

/// Which tracks of the other participants to receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubscribePolicy {
    /// All tracks, including future ones.
    #[default]
    All,
    /// All audio tracks and no video.
    AudioOnly,
    /// The tracks passed to [`super::Client::subscribe`].
    Manual,
}

/// How received audio is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AudioOutput {
    /// All participants in one block every 20 ms, silence included: [`super::ClientEvent::MixedAudio`]. The event contains the
    /// level of each participant.
    #[default]
    Mixed,
    /// One block for each audible participant every 20 ms: [`super::ClientEvent::ParticipantAudio`].
    PerParticipant,
    /// Audio is not decoded.
    Disabled,
}

/// Options of an audio track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioOptions {
    /// [`Source::Microphone`] or [`Source::ScreenAudio`].
    pub source: Source,
    /// Encoder options. The expected loss is a minimum: receiver reports of a higher loss raise it for a while.
    pub encoder: EncoderOptions,
    /// Whether the track starts muted.
    pub muted: bool,
}

impl Default for AudioOptions {
    fn default() -> Self {
        Self { source: Source::Microphone, encoder: EncoderOptions::default(), muted: false }
    }
}

/// Options of a video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoOptions {
    /// [`Source::Camera`] or [`Source::Screen`].
    pub source: Source,
    /// Codec of the access units; not Opus.
    pub codec: Codec,
    /// Whether the track starts muted.
    pub muted: bool,
}

impl VideoOptions {
    /// An unmuted camera track.
    #[must_use]
    pub fn camera(codec: Codec) -> Self {
        Self { source: Source::Camera, codec, muted: false }
    }
}

/// The kind of media of a source.
pub(super) fn kind_of_source(source: Source) -> Kind {
    match source {
        Source::Microphone | Source::ScreenAudio => Kind::Audio,
        Source::Camera | Source::Screen => Kind::Video,
    }
}
