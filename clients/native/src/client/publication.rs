//! Handles on what this client publishes.

use super::inlet::{Feed, PublicationState};
use crate::audio::FRAME_SAMPLES;
use bytes::Bytes;
use std::time::{Duration, Instant};
use tacet_proto::{ErrorCode, media::Source};
use tokio::time::sleep_until;

/// Blocks that wait for the client's task: what [`AudioPublication::play`] may write at once, and some more.
pub(super) const WAITING_BLOCKS: usize = 15;
/// How far [`AudioPublication::play`] makes good what was delayed.
const CATCH_UP: Duration = Duration::from_millis(200);
/// Pictures that wait for the client's task.
pub(super) const WAITING_PICTURES: usize = 60;
/// Length of a block.
const BLOCK: Duration = Duration::from_millis(20);

/// Why nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicationError {
    /// The server does not take it.
    #[error("the server refuses the track: {0:?}")]
    Refused(ErrorCode),
    /// The client has ended.
    #[error("the client has ended")]
    Ended,
}

/// A block of sound as it was written.
#[derive(Debug)]
pub(super) struct WrittenBlock {
    pub(super) at: Instant,
    pub(super) samples: Vec<f32>,
}

/// An access unit as it was written.
#[derive(Debug)]
pub(super) struct WrittenPicture {
    pub(super) timestamp: u32,
    pub(super) data: Bytes,
}

/// Sound that this client sends. Dropping it withdraws the track.
#[derive(Debug)]
pub struct AudioPublication {
    pub(super) source: Source,
    pub(super) block_samples: usize,
    pub(super) feed: Feed<WrittenBlock>,
}

/// Pictures that this client sends. Dropping it withdraws the track.
#[derive(Debug)]
pub struct VideoPublication {
    pub(super) source: Source,
    pub(super) feed: Feed<WrittenPicture>,
}

impl AudioPublication {
    /// What it is.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Samples that [`Self::write`] takes at a time: 20 ms at 48 kHz of all channels.
    #[must_use]
    pub fn block_samples(&self) -> usize {
        self.block_samples
    }

    /// Sends 20 ms of samples, interleaved, between −1 and 1. A block of another length is padded with silence or cut.
    /// Nothing blocks: what is written while the publication is not live, or muted, is thrown away.
    pub fn write(&self, block: &[f32]) {
        let mut samples = vec![0.0; self.block_samples];
        samples.iter_mut().zip(block).for_each(|(sample, written)| *sample = *written);
        self.feed.push(WrittenBlock { at: Instant::now(), samples });
    }

    /// Writes blocks at the pace at which they sound; returns when the last one has been. For a file:
    /// `play(std::iter::from_fn(|| reader.block().transpose()))`.
    ///
    /// # Errors
    /// The first error among the blocks.
    pub async fn play<E>(&self, blocks: impl IntoIterator<Item = Result<Vec<f32>, E>>) -> Result<(), E> {
        let mut due = Instant::now();
        for block in blocks {
            let block = block?;
            sleep_until(due.into()).await;
            // What a busy machine has delayed is made good, as far as it is held here; the rest of a stall is a pause.
            due = due.max(Instant::now().checked_sub(CATCH_UP).unwrap_or(due));
            self.write(&block);
            due += BLOCK;
        }
        sleep_until(due.into()).await;
        Ok(())
    }

    /// Mutes or unmutes. Muted, nothing is sent, not even silence, and the others are told.
    pub fn set_muted(&self, muted: bool) {
        self.feed.set_muted(muted);
    }

    /// Whether it is muted.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.feed.muted()
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> PublicationState {
        self.feed.state()
    }

    /// Returns once what is written is sent.
    ///
    /// # Errors
    /// [`PublicationError`] if it never will be.
    pub async fn live(&self) -> Result<(), PublicationError> {
        self.feed.live().await.map_err(never)
    }
}

impl VideoPublication {
    /// What it is.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Sends an encoded access unit, as the codec's RTP payload format wants it: a VP8 or VP9 frame, a temporal unit of
    /// AV1 without its delimiter, or an access unit of H.264 with start codes. `timestamp` counts 90,000 a second, from
    /// any start.
    ///
    /// Nothing blocks. What is written while the publication is not live, or muted, is thrown away, and so is what
    /// cannot be decoded without it: after such a gap nothing is sent before the next key frame.
    pub fn write(&self, timestamp: u32, access_unit: impl Into<Bytes>) {
        self.feed.push(WrittenPicture { timestamp, data: access_unit.into() });
    }

    /// Whether a receiver has asked for a key frame since the last call. [`super::ClientEvent::KeyFrameWanted`] says so
    /// as well.
    pub fn key_frame_wanted(&self) -> bool {
        self.feed.key_frame_wanted()
    }

    /// Mutes or unmutes. Muted, nothing is sent, and the others are told.
    pub fn set_muted(&self, muted: bool) {
        self.feed.set_muted(muted);
    }

    /// Whether it is muted.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.feed.muted()
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> PublicationState {
        self.feed.state()
    }

    /// Returns once what is written is sent.
    ///
    /// # Errors
    /// [`PublicationError`] if it never will be.
    pub async fn live(&self) -> Result<(), PublicationError> {
        self.feed.live().await.map_err(never)
    }
}

fn never(state: PublicationState) -> PublicationError {
    match state {
        PublicationState::Refused(code) => PublicationError::Refused(code),
        _ => PublicationError::Ended,
    }
}

/// RTP timestamps of sound: 20 ms after each other, with a jump where the application paused.
#[derive(Debug)]
pub(super) struct SoundClock {
    last: Option<(Instant, u32)>,
    base: u32,
}

impl SoundClock {
    /// Blocks that come later than this after their turn begin a new talk spurt (RFC 3551 section 4.1). Less is a delay,
    /// which blocks that follow faster make good.
    const PAUSE: Duration = Duration::from_millis(250);

    /// A clock that starts at `base`.
    pub(super) fn new(base: u32) -> Self {
        Self { last: None, base }
    }

    /// Timestamp of a block written at `at`, and whether it begins a talk spurt.
    pub(super) fn stamp(&mut self, at: Instant) -> (u32, bool) {
        let step = FRAME_SAMPLES as u32;
        let (timestamp, due, starts) = match self.last {
            None => (self.base, at, true),
            Some((due, last)) => {
                let late = at.saturating_duration_since(due);
                let missed = if late > Self::PAUSE { late.as_millis() / BLOCK.as_millis() } else { 0 };
                let missed = u32::try_from(missed).unwrap_or(u32::MAX);
                // Lateness is forgotten within a second or so: a sound card's second is a little longer than another's.
                let due = if missed > 0 { at } else { due + late / 50 };
                (last.wrapping_add(step.wrapping_mul(missed.wrapping_add(1))), due, missed > 0)
            }
        };
        self.last = Some((due + BLOCK, timestamp));
        (timestamp, starts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_each_other_by_960_whatever_the_pace_of_writing() {
        let (mut clock, start) = (SoundClock::new(u32::MAX), Instant::now());
        assert_eq!(clock.stamp(start), (u32::MAX, true));
        assert_eq!(clock.stamp(start + Duration::from_millis(35)), (959, false));
        assert_eq!(clock.stamp(start + Duration::from_millis(36)), (1_919, false));
        assert_eq!(clock.stamp(start + Duration::from_millis(300)), (2_879, false), "late, as on a busy machine");
        assert_eq!(clock.stamp(start + Duration::from_millis(300)), (3_839, false));
    }

    #[test]
    fn a_pause_is_a_jump_and_begins_a_talk_spurt() {
        let (mut clock, start) = (SoundClock::new(0), Instant::now());
        clock.stamp(start);
        let second = Duration::from_secs(1);
        assert_eq!(clock.stamp(start + BLOCK + second), (51 * 960, true));
        assert_eq!(clock.stamp(start + 2 * BLOCK + second), (52 * 960, false));
    }
}
