//! What a publisher sends when: the sizes and times of frames, decided by a seed before anything is sealed.
//!
//! ```text
//!   packets   exact: so many single-packet frames of one size at once, at one rate
//!   video     frames of many packets, key frames, sizes that vary, simulcast encodings
//!   audio     a packet each 20 ms, talk spurts, one speaker at a time in a room
//! ```

mod audio;
mod random;
mod schedule;
mod video;

pub(crate) use audio::{AudioPattern, Floor};
pub(crate) use random::Stays;
use schedule::Schedule;
pub(crate) use video::VideoPattern;

/// Bytes by which the VP8 envelope of a key frame is longer than that of a delta.
const KEY_ENVELOPE_BYTES: usize = 9;

/// A frame to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Bytes before sealing.
    pub(crate) bytes: usize,
    /// Whether it is a key frame.
    pub(crate) key: bool,
    /// Audio level in -dBov.
    pub(crate) level: Option<u8>,
}

/// Frames that are due together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// How late it is, in nanoseconds.
    pub(crate) lag_ns: u64,
    /// When they should have been sent.
    pub(crate) nominal_ns: u64,
    /// How many frames.
    pub(crate) frames: u32,
    /// From the beginning of one of them to that of the next, in nanoseconds: together they are sent, not made.
    pub(crate) spacing_ns: u64,
}

/// A stream's plan.
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
    Audio(Box<AudioPattern>),
}

impl Pattern {
    /// Single-packet frames: `burst` of them at once, `pps` a second, of so many bytes before sealing.
    pub(crate) fn packets(pps: u32, burst: u32, bytes: usize) -> Self {
        Self::Packets { pps, burst, bytes, schedule: None }
    }

    /// RTP clock in Hz.
    pub(crate) fn clock(&self) -> u64 {
        match self {
            Self::Packets { .. } | Self::Video(_) => 90_000,
            Self::Audio(_) => 48_000,
        }
    }

    /// Begins at a time.
    pub(crate) fn start(&mut self, now_ns: u64) {
        match self {
            Self::Packets { pps, burst, schedule, .. } => *schedule = Some(Schedule::new(now_ns, *pps, *burst)),
            Self::Video(video) => video.start(now_ns),
            Self::Audio(audio) => audio.start(now_ns),
        }
    }

    fn schedule(&self) -> Option<&Schedule> {
        match self {
            Self::Packets { schedule, .. } => schedule.as_ref(),
            Self::Video(video) => video.schedule.as_ref(),
            Self::Audio(audio) => audio.schedule.as_ref(),
        }
    }

    fn schedule_mut(&mut self) -> Option<&mut Schedule> {
        match self {
            Self::Packets { schedule, .. } => schedule.as_mut(),
            Self::Video(video) => video.schedule.as_mut(),
            Self::Audio(audio) => audio.schedule.as_mut(),
        }
    }

    /// Stops; gives how many frames were due and never sent.
    pub(crate) fn stop(&mut self) -> u64 {
        let skipped = self.schedule().map_or(0, Schedule::skipped_packets);
        match self {
            Self::Packets { schedule, .. } => *schedule = None,
            Self::Video(video) => video.schedule = None,
            Self::Audio(audio) => audio.schedule = None,
        }
        skipped
    }

    /// Counts from zero what is due and not sent.
    pub(crate) fn forget_skipped(&mut self) {
        self.schedule_mut().into_iter().for_each(Schedule::forget_skipped);
    }

    /// When something is due.
    pub(crate) fn due_at(&self) -> Option<u64> {
        self.schedule().map(Schedule::due_at)
    }

    /// Takes what is due.
    pub(crate) fn take(&mut self, now_ns: u64) -> Option<Due> {
        let (frames, spacing_ns) = match self {
            Self::Packets { pps, burst, .. } => (*burst, 1_000_000_000 / u64::from((*pps).max(1))),
            Self::Video(_) | Self::Audio(_) => (1, 0),
        };
        let lag_ns = self.schedule_mut()?.take(now_ns)?;
        Some(Due { lag_ns, nominal_ns: now_ns.saturating_sub(lag_ns), frames, spacing_ns })
    }

    /// The next frame. A key frame is made when it is wanted.
    pub(crate) fn frame(&mut self, due: &Due, key_wanted: bool) -> Frame {
        match self {
            Self::Packets { bytes, .. } => {
                // A key frame's envelope is longer; the packet shall not be.
                let bytes = if key_wanted { bytes.saturating_sub(KEY_ENVELOPE_BYTES) } else { *bytes };
                Frame { bytes, key: key_wanted, level: None }
            }
            Self::Video(video) => video.frame(key_wanted),
            Self::Audio(audio) => audio.frame(due.nominal_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_due_together_and_its_frames_are_spaced_in_time() {
        let mut pattern = Pattern::packets(500, 4, 100);
        assert_eq!(pattern.due_at(), None, "not started");
        pattern.start(1_000);
        let due = pattern.take(1_500);
        assert_eq!(due, Some(Due { lag_ns: 500, nominal_ns: 1_000, frames: 4, spacing_ns: 2_000_000 }));
        assert_eq!(pattern.due_at(), Some(8_001_000));
        assert_eq!(pattern.stop(), 0);
        assert_eq!(pattern.take(9_000_000), None);
    }
}
