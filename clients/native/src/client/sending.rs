//! One track of this client on one connection: encode, seal, packetize, send.
//!
//! ```text
//!   Publication (outlives connections)             Line (dies with its connection)
//!     Inlet ─► encoder ─────────────► seal ─► Packetizer ─► Endpoint
//! ```
//! Nothing leaves but what the session sealed: [`Line::sound`] and [`Line::picture`] hand only its output to the media
//! path. While the key, the server's word or the media path is missing, items are thrown away.

use super::{
    ClientError,
    inlet::{Inlet, PublicationState},
    options::{AudioOptions, VideoOptions, kind_of_source},
    publication::{SoundClock, WrittenBlock, WrittenPicture},
};
use crate::{
    audio::{Encoder, Level},
    keys::SharedKeys,
    media::{Endpoint, MediaError, OutgoingPacket, SendStream},
    video::{Packetizer, frame_codec, kind_of_access_unit},
};
use e2ee_frames::{FrameKind, StreamId, codec::max_sealed_bytes};
use std::time::Instant;
use tacet_proto::{
    ErrorCode, TrackId,
    client::Publish,
    media::{Codec, Kind, Source},
};

/// What this client wants to send, connected or not.
#[derive(Debug)]
pub(super) enum Publication {
    /// Sound.
    Audio(LocalAudio),
    /// Pictures.
    Video(LocalVideo),
}

/// Sound that this client wants to send.
#[derive(Debug)]
pub(super) struct LocalAudio {
    options: AudioOptions,
    encoder: Encoder,
    /// Loss that the encoder prepares for, in percent.
    prepared: f32,
    inlet: Inlet<WrittenBlock>,
}

/// Pictures that this client wants to send.
#[derive(Debug)]
pub(super) struct LocalVideo {
    options: VideoOptions,
    inlet: Inlet<WrittenPicture>,
}

impl LocalAudio {
    pub(super) fn new(options: AudioOptions, inlet: Inlet<WrittenBlock>) -> Result<Self, ClientError> {
        let encoder = Encoder::new(&options.encoder)?;
        let prepared = f32::from(options.encoder.expected_loss_percent);
        Ok(Self { options, encoder, prepared, inlet })
    }

    /// Prepares for the loss that the server reports, if that is more than was asked for, and forgets it slowly.
    pub(super) fn lost(&mut self, fraction: f32) {
        let least = f32::from(self.options.encoder.expected_loss_percent);
        self.prepared = (fraction * 100.0).max(self.prepared * 0.9).clamp(least, 50.0_f32.max(least));
        // The encoder takes every percentage.
        let _ = self.encoder.set_expected_loss(self.prepared as u8);
    }
}

impl LocalVideo {
    pub(super) fn new(options: VideoOptions, inlet: Inlet<WrittenPicture>) -> Self {
        Self { options, inlet }
    }

    pub(super) fn codec(&self) -> Codec {
        self.options.codec
    }

    pub(super) fn want_key_frame(&self) {
        self.inlet.want_key_frame();
    }
}

impl Publication {
    pub(super) fn source(&self) -> Source {
        match self {
            Self::Audio(audio) => audio.options.source,
            Self::Video(video) => video.options.source,
        }
    }

    pub(super) fn codec(&self) -> Codec {
        match self {
            Self::Audio(_) => Codec::Opus,
            Self::Video(video) => video.options.codec,
        }
    }

    pub(super) fn muted(&self) -> bool {
        match self {
            Self::Audio(audio) => audio.inlet.muted(),
            Self::Video(video) => video.inlet.muted(),
        }
    }

    /// Whether the application has let go of it.
    pub(super) fn closed(&self) -> bool {
        match self {
            Self::Audio(audio) => audio.inlet.closed(),
            Self::Video(video) => video.inlet.closed(),
        }
    }

    pub(super) fn state(&self) -> PublicationState {
        match self {
            Self::Audio(audio) => audio.inlet.state(),
            Self::Video(video) => video.inlet.state(),
        }
    }

    pub(super) fn set_state(&self, state: PublicationState) {
        match self {
            Self::Audio(audio) => audio.inlet.set_state(state),
            Self::Video(video) => video.inlet.set_state(state),
        }
    }

    /// Throws away what waits, as it cannot be sent.
    pub(super) fn discard(&self) {
        match self {
            Self::Audio(audio) => while audio.inlet.take().is_some() {},
            Self::Video(video) => while video.inlet.take().is_some() {},
        }
    }
}

/// Number of a source's stream, as frames name it.
pub(super) fn stream_of_source(source: Source) -> StreamId {
    match source {
        Source::Microphone => StreamId::MICROPHONE,
        Source::Camera => StreamId::CAMERA,
        Source::Screen => StreamId::SCREEN,
        Source::ScreenAudio => StreamId::SCREEN_AUDIO,
    }
}

/// The source of an authenticated stream; `None` if it is none that a client shows.
pub(super) fn source_of_stream(stream: StreamId) -> Option<Source> {
    [Source::Microphone, Source::Camera, Source::Screen, Source::ScreenAudio]
        .into_iter()
        .find(|source| stream_of_source(*source) == stream)
}

/// A sending section of a connection, and how far its track is.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) source: Source,
    pub(super) codec: Codec,
    stream: SendStream,
    /// The server's number of the track; `None` until it has one.
    pub(super) track: Option<TrackId>,
    /// Number of the `publish` request that waits or was granted.
    pub(super) request: Option<u32>,
    /// Why the server does not take it.
    pub(super) refused: Option<ErrorCode>,
    /// Whether the session has a key for the stream.
    pub(super) key_ready: bool,
    /// The mute state that the server knows.
    pub(super) told_muted: bool,
    /// When the application was last told that a key frame is wanted.
    pub(super) asked: Option<Instant>,
    sequence: u16,
    clock: SoundClock,
    packetizer: Packetizer,
    /// Whether receivers cannot decode anything before the next key frame.
    needs_key_frame: bool,
    base: u32,
}

impl Line {
    /// A section for a source, with numbers of its own.
    pub(super) fn new(source: Source, codec: Codec, random: &mut impl FnMut() -> u32) -> Self {
        let name = match source {
            Source::Microphone => "sa",
            Source::Camera => "sv",
            Source::Screen => "ss",
            Source::ScreenAudio => "sx",
        };
        // A section keeps its codec: a source that changes it gets another one.
        let mid = match codec {
            Codec::Opus | Codec::Vp8 => name.to_owned(),
            Codec::Vp9 => format!("{name}-vp9"),
            Codec::Av1 => format!("{name}-av1"),
            Codec::H264 => format!("{name}-h264"),
        };
        // Neighbours, so that they differ; never zero.
        let ssrc = random().max(1) & !1 | 0x100;
        let rtx = (kind_of_source(source) == Kind::Video).then_some(ssrc | 1);
        let base = random();
        Self {
            source,
            codec,
            stream: SendStream { mid, codec, ssrc, rtx },
            track: None,
            request: None,
            refused: None,
            key_ready: false,
            told_muted: false,
            asked: None,
            sequence: random() as u16,
            clock: SoundClock::new(base),
            packetizer: Packetizer::new(frame_codec(codec), random() as u16 & 0x7fff),
            needs_key_frame: true,
            base,
        }
    }

    pub(super) fn send_stream(&self) -> &SendStream {
        &self.stream
    }

    pub(super) fn stream_id(&self) -> StreamId {
        stream_of_source(self.source)
    }

    /// The request that publishes it.
    pub(super) fn publish(&mut self, muted: bool) -> Publish {
        self.told_muted = muted;
        Publish {
            cid: self.stream.mid.clone(),
            kind: kind_of_source(self.source),
            source: self.source,
            codec: self.codec,
            mid: self.stream.mid.clone(),
            ssrc: self.stream.ssrc,
            rtx: self.stream.rtx,
            muted,
        }
    }

    /// The track is withdrawn, or was refused.
    pub(super) fn withdrawn(&mut self) {
        (self.track, self.request, self.key_ready) = (None, None, false);
        self.needs_key_frame = true;
    }

    /// Something was not sent: what comes after it cannot be decoded without a key frame.
    pub(super) fn skipped(&mut self) {
        self.needs_key_frame = true;
    }

    /// Whether the server and the keys are ready.
    pub(super) fn is_ready(&self) -> bool {
        self.track.is_some() && self.key_ready
    }

    /// Sends what waits of a publication. Gives whether its application should be asked for a key frame.
    pub(super) async fn send<E: Endpoint>(
        &mut self,
        publication: &mut Publication,
        keys: &SharedKeys,
        endpoint: &mut E,
        show_level: bool,
    ) -> Result<bool, MediaError> {
        match publication {
            Publication::Audio(audio) => {
                while let Some(block) = audio.inlet.take() {
                    self.sound(&mut audio.encoder, &block, keys, endpoint, show_level).await?;
                }
                Ok(false)
            }
            Publication::Video(video) => {
                let mut asked = video.inlet.overflowed();
                self.needs_key_frame |= asked;
                while let Some(picture) = video.inlet.take() {
                    asked |= !self.picture(&picture, keys, endpoint).await?;
                }
                Ok(asked)
            }
        }
    }

    async fn sound<E: Endpoint>(
        &mut self,
        encoder: &mut Encoder,
        block: &WrittenBlock,
        keys: &SharedKeys,
        endpoint: &mut E,
        show_level: bool,
    ) -> Result<(), MediaError> {
        let (timestamp, marker) = self.clock.stamp(block.at);
        let frame = match encoder.encode(&block.samples) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!(%error, "a block of sound was not encoded");
                return Ok(());
            }
        };
        let Some(sealed) = self.seal(keys, FrameKind::Delta, &frame) else { return Ok(()) };
        let level = show_level.then(|| Level::measure(&block.samples).dbov());
        let packet =
            OutgoingPacket { sequence: self.next_sequence(), timestamp, marker, level, payload: sealed.into() };
        endpoint.send(&self.stream.mid, packet).await
    }

    /// Gives `false` if the picture was thrown away for want of a key frame before it.
    async fn picture<E: Endpoint>(
        &mut self,
        picture: &WrittenPicture,
        keys: &SharedKeys,
        endpoint: &mut E,
    ) -> Result<bool, MediaError> {
        let kind = kind_of_access_unit(frame_codec(self.codec), &picture.data);
        if self.needs_key_frame && kind == FrameKind::Delta {
            return Ok(false);
        }
        let payloads = match self.seal(keys, kind, &picture.data).map(|sealed| self.packetizer.packetize(&sealed, kind))
        {
            Some(Ok(payloads)) => payloads,
            lost => {
                if let Some(Err(error)) = lost {
                    tracing::warn!(%error, "a picture does not fit its codec");
                }
                self.needs_key_frame = true;
                return Ok(false);
            }
        };
        self.needs_key_frame = false;
        for payload in payloads {
            let packet = OutgoingPacket {
                sequence: self.next_sequence(),
                timestamp: self.base.wrapping_add(picture.timestamp),
                marker: payload.marker,
                level: None,
                payload: payload.bytes,
            };
            endpoint.send(&self.stream.mid, packet).await?;
        }
        Ok(true)
    }

    /// The sealed frame; without one, nothing is sent.
    fn seal(&self, keys: &SharedKeys, kind: FrameKind, frame: &[u8]) -> Option<Vec<u8>> {
        let codec = frame_codec(self.codec);
        let mut sealed = vec![0; max_sealed_bytes(codec, frame.len())];
        match keys.seal(self.stream_id(), codec, kind, frame, &mut sealed) {
            Ok(length) => {
                sealed.truncate(length);
                Some(sealed)
            }
            Err(error) => {
                tracing::debug!(%error, "a frame was not sealed, and is not sent");
                None
            }
        }
    }

    fn next_sequence(&mut self) -> u16 {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        sequence
    }
}
