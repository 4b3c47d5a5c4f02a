//! How to take part in a call.

use super::backoff::Reconnect;
use crate::{
    audio::{Channels, EncoderOptions},
    tls::Trust,
};
use std::time::Duration;
use tacet_proto::media::{Codec, Kind, Source};

/// How to join, what to receive, and what to do when the connection is lost.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The name to show others, at most 256 bytes; the server cannot read it.
    pub name: String,
    /// How the server proves itself.
    pub trust: Trust,
    /// Which tracks to ask the server for.
    pub receive: Receive,
    /// How received sound is handed out.
    pub sound: SoundOutput,
    /// Channels of received sound.
    pub channels: Channels,
    /// Whether the server is told how loud one's own sound is (RFC 6464), as browsers tell it. It uses that to pick whom
    /// to forward in large calls, and to tell others who speaks; without it, this client is nobody's loudest speaker.
    pub show_level: bool,
    /// How a lost connection is made anew.
    pub reconnect: Reconnect,
    /// How long the media path may be silent after it was found broken, before the connection is made anew.
    pub media_patience: Duration,
}

impl ClientOptions {
    /// Receives everything, mixed to mono; trusts public authorities; reconnects for two minutes.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            trust: Trust::default(),
            receive: Receive::Everything,
            sound: SoundOutput::Mixed,
            channels: Channels::Mono,
            show_level: true,
            reconnect: Reconnect::default(),
            media_patience: Duration::from_secs(5),
        }
    }
}

/// Which tracks of the others to receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Receive {
    /// All, now and later.
    #[default]
    Everything,
    /// All sound and no pictures.
    Sound,
    /// What [`super::Client::subscribe`] names.
    Chosen,
}

/// How received sound is handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SoundOutput {
    /// Everyone in one block each 20 ms, silence included: [`super::ClientEvent::Mixed`]. Levels of each participant
    /// come as well.
    #[default]
    Mixed,
    /// A block of each participant who is heard, each 20 ms: [`super::ClientEvent::Sound`].
    Separate,
    /// Not at all, and nothing is decoded.
    Nothing,
}

/// How to publish sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioOptions {
    /// [`Source::Microphone`] or [`Source::ScreenAudio`].
    pub source: Source,
    /// The encoder. Its expected loss is the least that is prepared for: reports of more raise it for a while.
    pub encoder: EncoderOptions,
    /// Whether it starts muted.
    pub muted: bool,
}

impl Default for AudioOptions {
    fn default() -> Self {
        Self { source: Source::Microphone, encoder: EncoderOptions::default(), muted: false }
    }
}

/// How to publish encoded pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoOptions {
    /// [`Source::Camera`] or [`Source::Screen`].
    pub source: Source,
    /// Codec of the access units; any but Opus.
    pub codec: Codec,
    /// Whether it starts muted.
    pub muted: bool,
}

impl VideoOptions {
    /// A camera with this codec.
    #[must_use]
    pub fn camera(codec: Codec) -> Self {
        Self { source: Source::Camera, codec, muted: false }
    }
}

/// Sound or picture.
pub(super) fn kind_of_source(source: Source) -> Kind {
    match source {
        Source::Microphone | Source::ScreenAudio => Kind::Audio,
        Source::Camera | Source::Screen => Kind::Video,
    }
}
