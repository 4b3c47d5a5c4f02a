//! Handles of the tracks that this client sends.

use super::input_queue::InputSender;
use crate::audio::FRAME_SAMPLES;
use bytes::Bytes;
use std::time::{Duration, Instant};
use tacet_proto::{ErrorCode, media::Source};
use tokio::time::sleep_until;

/// Capacity of an audio track's queue: more than [`AudioTrack::play`] writes at once.
pub(super) const AUDIO_QUEUE_BLOCKS: usize = 15;
/// Delay that [`AudioTrack::play`] catches up; a longer stall becomes a pause.
const CATCH_UP: Duration = Duration::from_millis(200);
/// Capacity of a video track's queue.
pub(super) const VIDEO_QUEUE_FRAMES: usize = 60;
/// Duration of an audio block.
const BLOCK: Duration = Duration::from_millis(20);

/// State of a local track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrackState {
    /// The server, the session key or the media path is not ready yet. Input is discarded.
    #[default]
    Pending,
    /// Input is sealed and sent, unless the track is muted.
    Live,
    /// The server refused the track.
    Refused(ErrorCode),
    /// The client has ended.
    Ended,
}

/// Why a track will never be live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrackError {
    /// The server refused the track.
    #[error("{}", refused(*.0))]
    Refused(ErrorCode),
    /// The client has ended.
    #[error("the client has ended")]
    Ended,
}

fn refused(code: ErrorCode) -> String {
    match code {
        ErrorCode::Forbidden => {
            "this client may not publish this track in this room: its role does not allow it".to_owned()
        }
        code => format!("the server refused the track: {code:?}"),
    }
}

/// 20 ms of samples, and when the application wrote them.
#[derive(Debug)]
pub(super) struct AudioBlock {
    pub(super) written_at: Instant,
    pub(super) samples: Vec<f32>,
}

/// An encoded access unit; `timestamp` is the application's, at 90 kHz.
#[derive(Debug)]
pub(super) struct AccessUnit {
    pub(super) timestamp: u32,
    pub(super) data: Bytes,
}

/// An audio track that this client sends. Dropping it unpublishes the track.
#[derive(Debug)]
pub struct AudioTrack {
    pub(super) source: Source,
    pub(super) block_samples: usize,
    pub(super) input: InputSender<AudioBlock>,
}

/// A video track that this client sends. Dropping it unpublishes the track.
#[derive(Debug)]
pub struct VideoTrack {
    pub(super) source: Source,
    pub(super) input: InputSender<AccessUnit>,
}

impl AudioTrack {
    /// What the track captures.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Number of samples that [`Self::write`] takes: 20 ms at 48 kHz, all channels counted.
    #[must_use]
    pub fn block_samples(&self) -> usize {
        self.block_samples
    }

    /// Sends 20 ms of interleaved samples between −1 and 1. A shorter block is padded with silence, a longer one cut.
    /// Does not block. While the track is muted or not live, the block is discarded.
    pub fn write(&self, block: &[f32]) {
        let mut samples = vec![0.0; self.block_samples];
        samples.iter_mut().zip(block).for_each(|(sample, written)| *sample = *written);
        self.input.push(AudioBlock { written_at: Instant::now(), samples });
    }

    /// Writes blocks in real time, and returns when the last one has been played. For a file:
    /// `play(std::iter::from_fn(|| reader.block().transpose()))`.
    ///
    /// # Errors
    /// The first error among the blocks.
    pub async fn play<E>(&self, blocks: impl IntoIterator<Item = Result<Vec<f32>, E>>) -> Result<(), E> {
        let mut due = Instant::now();
        for block in blocks {
            let block = block?;
            sleep_until(due.into()).await;
            // After a stall, write up to CATCH_UP of blocks at once; the rest of the stall is a pause.
            due = due.max(Instant::now().checked_sub(CATCH_UP).unwrap_or(due));
            self.write(&block);
            due += BLOCK;
        }
        sleep_until(due.into()).await;
        Ok(())
    }

    /// Mutes or unmutes the track. While it is muted nothing is sent, not even silence, and the others are notified.
    pub fn set_muted(&self, muted: bool) {
        self.input.set_muted(muted);
    }

    /// Whether the track is muted.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.input.muted()
    }

    /// Current state.
    #[must_use]
    pub fn state(&self) -> TrackState {
        self.input.state()
    }

    /// Waits until the track is live: from then on input is sent.
    ///
    /// # Errors
    /// [`TrackError`] if it never will be.
    pub async fn live(&self) -> Result<(), TrackError> {
        self.input.live().await.map_err(track_error)
    }
}

impl VideoTrack {
    /// What the track captures.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Sends an encoded access unit in the form that the codec's RTP payload format expects: a VP8 or VP9 frame, an AV1
    /// temporal unit without its delimiter, or an H.264 access unit with start codes. `timestamp` is in units of
    /// 1/90,000 s, from any start.
    ///
    /// Does not block. While the track is muted or not live, access units are discarded; after such a gap nothing is sent
    /// before the next key frame.
    pub fn write(&self, timestamp: u32, access_unit: impl Into<Bytes>) {
        self.input.push(AccessUnit { timestamp, data: access_unit.into() });
    }

    /// Whether a receiver requested a key frame since the last call. [`super::ClientEvent::KeyFrameRequested`] is emitted
    /// as well.
    pub fn key_frame_requested(&self) -> bool {
        self.input.take_key_frame_request()
    }

    /// Mutes or unmutes the track. While it is muted nothing is sent, and the others are notified.
    pub fn set_muted(&self, muted: bool) {
        self.input.set_muted(muted);
    }

    /// Whether the track is muted.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.input.muted()
    }

    /// Current state.
    #[must_use]
    pub fn state(&self) -> TrackState {
        self.input.state()
    }

    /// Waits until the track is live: from then on input is sent.
    ///
    /// # Errors
    /// [`TrackError`] if it never will be.
    pub async fn live(&self) -> Result<(), TrackError> {
        self.input.live().await.map_err(track_error)
    }
}

fn track_error(state: TrackState) -> TrackError {
    match state {
        TrackState::Refused(code) => TrackError::Refused(code),
        _ => TrackError::Ended,
    }
}

/// RTP timestamps of audio blocks: 20 ms apart, with a jump where the application paused.
#[derive(Debug)]
pub(super) struct AudioClock {
    last: Option<(Instant, u32)>,
    base: u32,
}

impl AudioClock {
    /// A block that is written later than this begins a new talk spurt (RFC 3551 section 4.1). A shorter delay is made up
    /// by the blocks that follow it.
    const TALK_SPURT_GAP: Duration = Duration::from_millis(250);

    /// A clock that starts at `base`.
    pub(super) fn new(base: u32) -> Self {
        Self { last: None, base }
    }

    /// RTP timestamp of a block written at `at`, and whether it begins a talk spurt.
    pub(super) fn stamp(&mut self, at: Instant) -> (u32, bool) {
        let step = FRAME_SAMPLES as u32;
        let (timestamp, due, starts) = match self.last {
            None => (self.base, at, true),
            Some((due, last)) => {
                let late = at.saturating_duration_since(due);
                let missed = if late > Self::TALK_SPURT_GAP { late.as_millis() / BLOCK.as_millis() } else { 0 };
                let missed = u32::try_from(missed).unwrap_or(u32::MAX);
                // Lateness decays within about a second: sound card clocks differ a little.
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
    fn timestamps_advance_by_block_when_writes_jitter() {
        let (mut clock, start) = (AudioClock::new(u32::MAX), Instant::now());
        assert_eq!(clock.stamp(start), (u32::MAX, true));
        assert_eq!(clock.stamp(start + Duration::from_millis(35)), (959, false));
        assert_eq!(clock.stamp(start + Duration::from_millis(36)), (1_919, false));
        assert_eq!(clock.stamp(start + Duration::from_millis(300)), (2_879, false), "late, as on a busy machine");
        assert_eq!(clock.stamp(start + Duration::from_millis(300)), (3_839, false));
    }

    #[test]
    fn pause_advances_timestamp_and_begins_talk_spurt() {
        let (mut clock, start) = (AudioClock::new(0), Instant::now());
        clock.stamp(start);
        let second = Duration::from_secs(1);
        assert_eq!(clock.stamp(start + BLOCK + second), (51 * 960, true));
        assert_eq!(clock.stamp(start + 2 * BLOCK + second), (52 * 960, false));
    }
}
