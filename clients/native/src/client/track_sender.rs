//! Sends one local track on one connection: encode, seal, packetize, send.
//!
//! ```text
//!   LocalTrack (outlives connections)        TrackSender (belongs to one connection)
//!     InputReceiver ─► encoder ────────────► seal ─► Packetizer ─► Endpoint
//! ```
//! Only frames that the session has sealed reach the media path. While the session key, the server's answer to `publish`
//! or the media path is missing, input is discarded.

use super::{
    local_track::LocalTrack,
    options::kind_of_source,
    track::{AccessUnit, AudioBlock, AudioClock},
    uplink_loss::UplinkLoss,
};
use crate::{
    audio::{Encoder, Level, SpeechDetector, opus_packet::is_pause},
    keys::SharedKeys,
    media::{Endpoint, MediaError, OutgoingPacket, SendStream},
    video::{Packetizer, kind_of_access_unit},
};
use e2ee_frames::{FrameKind, StreamId, codec::max_sealed_bytes};
use std::time::{Duration, Instant};
use tacet_proto::{
    ErrorCode, TrackId,
    client::{Encoding, Publish},
    media::{Codec, Kind, Source},
};

/// Minimum time between two key frame events for the application.
const KEY_FRAME_EVENT_INTERVAL: Duration = Duration::from_millis(500);

/// The stream number that sealed frames of a source carry.
pub(super) fn stream_of_source(source: Source) -> StreamId {
    match source {
        Source::Microphone => StreamId::MICROPHONE,
        Source::Camera => StreamId::CAMERA,
        Source::Screen => StreamId::SCREEN,
        Source::ScreenAudio => StreamId::SCREEN_AUDIO,
    }
}

/// The source of an authenticated stream number; `None` for streams that are not media tracks.
pub(super) fn source_of_stream(stream: StreamId) -> Option<Source> {
    [Source::Microphone, Source::Camera, Source::Screen, Source::ScreenAudio]
        .into_iter()
        .find(|source| stream_of_source(*source) == stream)
}

/// How the server learns who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AudioLevels {
    /// By the level in each packet.
    Packets,
    /// By messages when speech begins and ends.
    Speech,
    /// Not at all.
    Hidden,
}

/// A sending m-section of a connection and the state of its track.
#[derive(Debug)]
pub(super) struct TrackSender {
    pub(super) source: Source,
    pub(super) codec: Codec,
    stream: SendStream,
    /// The server's id of the track; `None` until the server has answered `publish`.
    pub(super) track: Option<TrackId>,
    /// Number of the `publish` request that is pending or was granted.
    pub(super) request: Option<u32>,
    /// Why the server refused the track.
    pub(super) refused: Option<ErrorCode>,
    /// Whether the session has a key for the stream.
    pub(super) key_ready: bool,
    /// Whether anyone receives the track, as far as the server has said.
    pub(super) is_wanted: bool,
    /// The mute state that the server knows.
    pub(super) signaled_muted: bool,
    /// When the application was last sent a key frame event.
    key_frame_event_at: Option<Instant>,
    sequence: u16,
    clock: AudioClock,
    /// Whether audio packets were left out since someone last spoke: the next voice begins a talk spurt.
    pauses: bool,
    pub(super) uplink_loss: UplinkLoss,
    /// Whether the participant speaks, if the server hears of it by messages.
    speech: SpeechDetector,
    /// What of that the server does not know yet.
    untold_speech: Option<bool>,
    packetizer: Packetizer,
    /// Whether receivers cannot decode anything before the next key frame.
    needs_key_frame: bool,
    /// Added to the application's video timestamps.
    timestamp_offset: u32,
}

impl TrackSender {
    /// A section for a source. SSRC and timestamps start at random values, and the sequence number in the lower half of its
    /// range: if the first packets are lost, a receiver still guesses the rollover counter of SRTP (RFC 3711 section 3.3.1).
    pub(super) fn new(source: Source, codec: Codec, random: &mut impl FnMut() -> u32) -> Self {
        let name = match source {
            Source::Microphone => "sa",
            Source::Camera => "sv",
            Source::Screen => "ss",
            Source::ScreenAudio => "sx",
        };
        // The codec of a section is fixed: a source that changes its codec gets another section.
        let mid = match codec {
            Codec::Opus | Codec::Vp8 => name.to_owned(),
            Codec::Vp9 => format!("{name}-vp9"),
            Codec::Av1 => format!("{name}-av1"),
            Codec::H264 => format!("{name}-h264"),
        };
        // Adjacent numbers, so that the two differ; never zero.
        let ssrc = random().max(1) & !1 | 0x100;
        let rtx = (kind_of_source(source) == Kind::Video).then_some(ssrc | 1);
        let timestamp_offset = random();
        Self {
            source,
            codec,
            stream: SendStream { mid, codec, ssrc, rtx },
            track: None,
            request: None,
            refused: None,
            key_ready: false,
            is_wanted: true,
            signaled_muted: false,
            key_frame_event_at: None,
            sequence: random() as u16 & 0x7fff,
            clock: AudioClock::new(timestamp_offset),
            pauses: false,
            uplink_loss: UplinkLoss::default(),
            speech: SpeechDetector::default(),
            untold_speech: None,
            packetizer: Packetizer::new(codec, random() as u16 & 0x7fff),
            needs_key_frame: true,
            timestamp_offset,
        }
    }

    pub(super) fn send_stream(&self) -> &SendStream {
        &self.stream
    }

    pub(super) fn stream_id(&self) -> StreamId {
        stream_of_source(self.source)
    }

    pub(super) fn sends(&self, source: Source, codec: Codec) -> bool {
        (self.source, self.codec) == (source, codec)
    }

    /// The request that publishes the track.
    pub(super) fn publish_request(&mut self, muted: bool) -> Publish {
        self.signaled_muted = muted;
        Publish {
            cid: self.stream.mid.clone(),
            kind: kind_of_source(self.source),
            source: self.source,
            codec: self.codec,
            mid: self.stream.mid.clone(),
            encodings: Encoding::single(self.stream.ssrc, self.stream.rtx),
            muted,
        }
    }

    /// The track was unpublished or refused.
    pub(super) fn reset_publication(&mut self) {
        (self.track, self.request, self.key_ready) = (None, None, false);
        self.is_wanted = true;
        self.needs_key_frame = true;
        (self.speech, self.untold_speech) = (SpeechDetector::default(), None);
    }

    /// Input was discarded: later delta frames cannot be decoded before the next key frame, and speech has ended.
    pub(super) fn on_discarded(&mut self) {
        self.needs_key_frame = true;
        self.untold_speech = self.speech.stop().or(self.untold_speech);
    }

    /// Takes whether the participant speaks, if the server does not know it yet.
    pub(super) fn take_speech(&mut self) -> Option<bool> {
        self.untold_speech.take()
    }

    /// Whether the server knows the track and the session has a key for it.
    pub(super) fn is_ready(&self) -> bool {
        self.track.is_some() && self.key_ready
    }

    /// Whether the application may be sent a key frame event at `now`; if so, the event counts as sent.
    pub(super) fn take_key_frame_event(&mut self, now: Instant) -> bool {
        let due =
            self.key_frame_event_at.is_none_or(|last| now.saturating_duration_since(last) >= KEY_FRAME_EVENT_INTERVAL);
        if due {
            self.key_frame_event_at = Some(now);
        }
        due
    }

    /// Sends the queued input of a track. Returns whether the application should be asked for a key frame.
    pub(super) async fn send<E: Endpoint>(
        &mut self,
        track: &mut LocalTrack,
        keys: &SharedKeys,
        endpoint: &mut E,
        levels: AudioLevels,
    ) -> Result<bool, MediaError> {
        match track {
            LocalTrack::Audio(audio) => {
                while let Some(block) = audio.input.take() {
                    self.send_audio(&mut audio.encoder, &block, keys, endpoint, levels).await?;
                }
                Ok(false)
            }
            LocalTrack::Video(video) => {
                let mut key_frame_wanted = video.input.take_overflowed();
                self.needs_key_frame |= key_frame_wanted;
                while let Some(unit) = video.input.take() {
                    key_frame_wanted |= !self.send_video(&unit, keys, endpoint).await?;
                }
                Ok(key_frame_wanted)
            }
        }
    }

    async fn send_audio<E: Endpoint>(
        &mut self,
        encoder: &mut Encoder,
        block: &AudioBlock,
        keys: &SharedKeys,
        endpoint: &mut E,
        levels: AudioLevels,
    ) -> Result<(), MediaError> {
        if levels == AudioLevels::Speech {
            let change = self.speech.add(block.written_at, Level::measure(&block.samples));
            self.untold_speech = change.or(self.untold_speech);
        }
        let (timestamp, begins) = self.clock.stamp(block.written_at);
        let frame = match encoder.encode(&block.samples) {
            Ok(Some(frame)) => frame,
            // Silence: the clock goes on, and nothing is sealed.
            Ok(None) => {
                self.pauses = true;
                return Ok(());
            }
            Err(error) => {
                tracing::warn!(%error, "cannot encode an audio block");
                return Ok(());
            }
        };
        let Some(sealed) = self.seal(keys, FrameKind::Delta, &frame) else { return Ok(()) };
        let voice = !is_pause(&frame);
        let marker = begins || self.pauses && voice;
        self.pauses &= !voice;
        let level = (levels == AudioLevels::Packets).then(|| Level::measure(&block.samples).dbov());
        let packet =
            OutgoingPacket { sequence: self.next_sequence(), timestamp, marker, level, payload: sealed.into() };
        endpoint.send(&self.stream.mid, packet).await
    }

    /// Returns `false` if the frame was dropped because a key frame has to come first.
    async fn send_video<E: Endpoint>(
        &mut self,
        unit: &AccessUnit,
        keys: &SharedKeys,
        endpoint: &mut E,
    ) -> Result<bool, MediaError> {
        let kind = kind_of_access_unit(self.codec, &unit.data);
        if self.needs_key_frame && kind == FrameKind::Delta {
            return Ok(false);
        }
        let payloads = match self.seal(keys, kind, &unit.data).map(|sealed| self.packetizer.packetize(&sealed, kind)) {
            Some(Ok(payloads)) => payloads,
            lost => {
                if let Some(Err(error)) = lost {
                    tracing::warn!(%error, "cannot packetize a video frame");
                }
                self.needs_key_frame = true;
                return Ok(false);
            }
        };
        self.needs_key_frame = false;
        for payload in payloads {
            let packet = OutgoingPacket {
                sequence: self.next_sequence(),
                timestamp: self.timestamp_offset.wrapping_add(unit.timestamp),
                marker: payload.marker,
                level: None,
                payload: payload.bytes,
            };
            endpoint.send(&self.stream.mid, packet).await?;
        }
        Ok(true)
    }

    /// Returns the sealed frame, or `None` if the session cannot seal it; then nothing may be sent.
    fn seal(&self, keys: &SharedKeys, kind: FrameKind, frame: &[u8]) -> Option<Vec<u8>> {
        let codec = self.codec;
        let mut sealed = vec![0; max_sealed_bytes(codec, frame.len())];
        match keys.seal(self.stream_id(), codec, kind, frame, &mut sealed) {
            Ok(length) => {
                sealed.truncate(length);
                Some(sealed)
            }
            Err(error) => {
                tracing::debug!(%error, "cannot seal a frame; it is dropped");
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
