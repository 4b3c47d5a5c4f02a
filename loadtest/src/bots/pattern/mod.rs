//! When a publisher sends which frames: sizes and times, decided by a seed before anything is sealed.
//!
//! ```text
//!   packets   exact: bursts of single-packet frames of one size, at one rate
//!   video     frames of many packets, key frames, sizes that vary
//!   layers    the same in several encodings with temporal layers
//!   audio     a packet every 20 ms, talk spurts, a number of speakers at a time in a room
//! ```

mod audio;
mod layers;
mod random;
mod schedule;
mod video;

use crate::measure::clock::Time;
pub(crate) use audio::AudioPattern;
pub(crate) use layers::{LayeredEncoding, LayersPattern, layers};
pub(crate) use random::Stays;
use rtp_wire::dependency_descriptor::{self, List, Structure};
use schedule::Schedule;
use std::time::Duration;
pub(crate) use video::VideoPattern;

/// Bytes by which the VP8 envelope of a key frame is longer than that of a delta.
const KEY_ENVELOPE_BYTES: usize = 9;

/// A frame to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Bytes before sealing.
    pub(crate) bytes: usize,
    /// Whether it is a key frame.
    pub(crate) key: bool,
    /// Audio level in -dBov.
    pub(crate) level: Option<u8>,
    /// Index of its layer in the encoding.
    pub(crate) layer: u8,
    /// What the Dependency Descriptor of its packets says, if they have one.
    pub(crate) descriptor: Option<dependency_descriptor::Frame>,
}

/// The frames of one image in one encoding: one for each spatial layer.
pub(crate) type Frames = List<Frame, 3>;

/// Images, or frames of audio, that are due together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// How late it is.
    pub(crate) lag: Duration,
    /// When they should have been sent.
    pub(crate) nominal: Time,
    /// How many.
    pub(crate) images: u32,
    /// From the start of one of them to that of the next, in nanoseconds: they are captured apart and sent together.
    pub(crate) spacing: Duration,
}

/// When a stream sends which frames.
#[derive(Debug)]
pub(crate) enum Pattern {
    /// Single-packet frames of one size.
    Packets {
        pps: u32,
        burst: u32,
        bytes: usize,
        schedule: Option<Schedule>,
    },
    Video(Box<VideoPattern>),
    Layers(LayersPattern),
    Audio(Box<AudioPattern>),
}

impl Pattern {
    /// Single-packet frames: `burst` of them at once, `pps` a second, of `bytes` bytes before sealing.
    pub(crate) fn packets(pps: u32, burst: u32, bytes: usize) -> Self {
        Self::Packets { pps, burst, bytes, schedule: None }
    }

    /// RTP clock in Hz.
    pub(crate) fn clock(&self) -> u64 {
        match self {
            Self::Packets { .. } | Self::Video(_) | Self::Layers(_) => 90_000,
            Self::Audio(_) => 48_000,
        }
    }

    /// Starts at a time.
    pub(crate) fn start(&mut self, now: Time) {
        match self {
            Self::Packets { pps, burst, schedule, .. } => *schedule = Some(Schedule::new(now, *pps, *burst)),
            Self::Video(video) => video.start(now),
            Self::Layers(layers) => layers.start(now),
            Self::Audio(audio) => audio.start(now),
        }
    }

    fn schedule(&self) -> Option<&Schedule> {
        match self {
            Self::Packets { schedule, .. } => schedule.as_ref(),
            Self::Video(video) => video.schedule.as_ref(),
            Self::Layers(layers) => layers.clock()?.schedule.as_ref(),
            Self::Audio(audio) => audio.schedule.as_ref(),
        }
    }

    fn schedule_mut(&mut self) -> Option<&mut Schedule> {
        match self {
            Self::Packets { schedule, .. } => schedule.as_mut(),
            Self::Video(video) => video.schedule.as_mut(),
            Self::Layers(layers) => layers.clock_mut()?.schedule.as_mut(),
            Self::Audio(audio) => audio.schedule.as_mut(),
        }
    }

    /// Number of encodings.
    pub(crate) fn encodings(&self) -> usize {
        if let Self::Layers(layers) = self { layers.encodings() } else { 1 }
    }

    /// Stops; returns how many frames were due and never sent.
    pub(crate) fn stop(&mut self) -> u64 {
        let skipped = self.schedule().map_or(0, Schedule::skipped_packets) * self.encodings() as u64;
        match self {
            Self::Packets { schedule, .. } => *schedule = None,
            Self::Video(video) => video.schedule = None,
            Self::Layers(layers) => layers.clock_mut().into_iter().for_each(|video| video.schedule = None),
            Self::Audio(audio) => audio.schedule = None,
        }
        skipped
    }

    /// Resets the count of frames that were due and not sent.
    pub(crate) fn forget_skipped(&mut self) {
        self.schedule_mut().into_iter().for_each(Schedule::forget_skipped);
    }

    /// When the next frames are due.
    pub(crate) fn due_at(&self) -> Option<Time> {
        self.schedule().map(Schedule::due_at)
    }

    /// Takes the frames that are due.
    pub(crate) fn take(&mut self, now: Time) -> Option<Due> {
        let (images, spacing) = match self {
            Self::Packets { pps, burst, .. } => {
                (*burst, Duration::from_nanos(1_000_000_000 / u64::from((*pps).max(1))))
            }
            Self::Video(_) | Self::Layers(_) | Self::Audio(_) => (1, Duration::ZERO),
        };
        let lag = self.schedule_mut()?.take(now)?;
        Some(Due { lag, nominal: now - lag, images, spacing })
    }

    /// The frames of one encoding in the next image. A key frame is made when it is wanted.
    pub(crate) fn frames(&mut self, due: &Due, encoding: usize, key_wanted: bool) -> Frames {
        let frame = match self {
            Self::Packets { bytes, .. } => {
                // A key frame's envelope is longer; the packet must not be.
                let bytes = if key_wanted { bytes.saturating_sub(KEY_ENVELOPE_BYTES) } else { *bytes };
                Frame { bytes, key: key_wanted, ..Frame::default() }
            }
            Self::Video(video) => video.frame(key_wanted),
            Self::Audio(audio) => return audio.frames(due.nominal),
            Self::Layers(layers) => return layers.frames(encoding, key_wanted),
        };
        [frame].as_slice().try_into().unwrap_or_default()
    }

    /// Lines of the images of an encoding, if they are known. Of several spatial layers, those of the lowest.
    pub(crate) fn lines(&self, encoding: usize) -> Option<u16> {
        Some(self.structure(encoding)?.resolution(0)?.1)
    }

    /// The structure of the Dependency Descriptors of an encoding, if it has them.
    pub(crate) fn structure(&self, encoding: usize) -> Option<&Structure> {
        if let Self::Layers(layers) = self { layers.structure(encoding) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_frames_are_spaced_in_time() {
        let mut pattern = Pattern::packets(500, 4, 100);
        assert_eq!(pattern.due_at(), None, "not started");
        pattern.start(Time::from_nanos(1_000));
        let due = pattern.take(Time::from_nanos(1_500));
        assert_eq!(
            due,
            Some(Due {
                lag: Duration::from_nanos(500),
                nominal: Time::from_nanos(1_000),
                images: 4,
                spacing: Duration::from_millis(2),
            })
        );
        assert_eq!(pattern.due_at(), Some(Time::from_nanos(8_001_000)));
        assert_eq!(pattern.stop(), 0);
        assert_eq!(pattern.take(Time::from_nanos(9_000_000)), None);
    }
}
