//! Tracks that this client wants to send, whether or not it is connected.
//!
//! A [`LocalTrack`] is the client's end of the handle that the application holds ([`super::AudioTrack`],
//! [`super::VideoTrack`]). It outlives connections; on each of them a [`TrackSender`](super::track_sender::TrackSender)
//! sends what it holds.

use super::{
    ClientError,
    input_queue::InputReceiver,
    options::{AudioOptions, VideoOptions},
    track::{AccessUnit, AudioBlock, TrackState},
};
use crate::audio::Encoder;
use tacet_proto::media::{Codec, Source};

/// A track that this client wants to send.
#[derive(Debug)]
pub(super) enum LocalTrack {
    Audio(LocalAudioTrack),
    Video(LocalVideoTrack),
}

/// Audio samples, encoded by this client.
#[derive(Debug)]
pub(super) struct LocalAudioTrack {
    options: AudioOptions,
    pub(super) encoder: Encoder,
    pub(super) input: InputReceiver<AudioBlock>,
}

/// Video access units, encoded by the application.
#[derive(Debug)]
pub(super) struct LocalVideoTrack {
    options: VideoOptions,
    pub(super) input: InputReceiver<AccessUnit>,
}

impl LocalAudioTrack {
    pub(super) fn new(options: AudioOptions, input: InputReceiver<AudioBlock>) -> Result<Self, ClientError> {
        let encoder = Encoder::new(&options.encoder)?;
        Ok(Self { options, encoder, input })
    }
}

impl LocalVideoTrack {
    pub(super) fn new(options: VideoOptions, input: InputReceiver<AccessUnit>) -> Self {
        Self { options, input }
    }

    pub(super) fn codec(&self) -> Codec {
        self.options.codec
    }

    /// Sets the flag that [`super::VideoTrack::key_frame_requested`] reads.
    pub(super) fn request_key_frame(&self) {
        self.input.request_key_frame();
    }
}

impl LocalTrack {
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
            Self::Audio(audio) => audio.input.muted(),
            Self::Video(video) => video.input.muted(),
        }
    }

    /// Whether the application has dropped its handle.
    pub(super) fn closed(&self) -> bool {
        match self {
            Self::Audio(audio) => audio.input.closed(),
            Self::Video(video) => video.input.closed(),
        }
    }

    pub(super) fn state(&self) -> TrackState {
        match self {
            Self::Audio(audio) => audio.input.state(),
            Self::Video(video) => video.input.state(),
        }
    }

    pub(super) fn set_state(&self, state: TrackState) {
        match self {
            Self::Audio(audio) => audio.input.set_state(state),
            Self::Video(video) => video.input.set_state(state),
        }
    }

    /// Discards queued media that cannot be sent.
    pub(super) fn discard_input(&self) {
        match self {
            Self::Audio(audio) => while audio.input.take().is_some() {},
            Self::Video(video) => while video.input.take().is_some() {},
        }
    }
}

/// All local tracks of a client, at most one for each source.
#[derive(Debug, Default)]
pub(super) struct LocalTracks(Vec<LocalTrack>);

impl LocalTracks {
    /// # Errors
    /// [`ClientError::AlreadyPublished`] if another track has the same source.
    pub(super) fn add(&mut self, track: LocalTrack) -> Result<(), ClientError> {
        self.remove_closed();
        let source = track.source();
        if self.find(source).is_some() {
            return Err(ClientError::AlreadyPublished(source));
        }
        self.0.push(track);
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LocalTrack> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut LocalTrack> {
        self.0.iter_mut()
    }

    pub(super) fn find(&self, source: Source) -> Option<&LocalTrack> {
        self.0.iter().find(|track| track.source() == source)
    }

    /// Whether there is a track of this source that is encoded with this codec.
    pub(super) fn contains(&self, source: Source, codec: Codec) -> bool {
        self.find(source).is_some_and(|track| track.codec() == codec)
    }

    /// Removes the tracks whose handles the application has dropped.
    pub(super) fn remove_closed(&mut self) {
        self.0.retain(|track| !track.closed());
    }

    pub(super) fn discard_input(&self) {
        self.0.iter().for_each(LocalTrack::discard_input);
    }

    pub(super) fn set_state(&self, state: TrackState) {
        self.0.iter().for_each(|track| track.set_state(state));
    }

    /// Adapts all audio encoders to a reported loss, from 0 to 1.
    pub(super) fn adapt_audio_to_loss(&mut self, fraction: f32) {
        for track in &mut self.0 {
            if let LocalTrack::Audio(audio) = track {
                // Opus accepts every percentage.
                let _ = audio.encoder.adapt_to_loss(fraction);
            }
        }
    }
}
