//! Reorders frames and releases them when they are due.
//!
//! ```text
//!   earliest arrival                   due: one target later         newest
//!        │◄──────────── target ───────────►│
//!  ──────┴──────────── playhead ►──────────┴───── buffered frames ────► RTP time
//! ```
//! The playhead is the RTP time of the next frame to decode. Its *delay* is the time since that frame could have
//! arrived at the earliest; the player keeps it near the target by time stretching ([`JitterBuffer::time_scale`]).
//!
//! * A frame that is missing while later ones are buffered is **lost**. If its successor is next, it is decoded from
//!   the in-band FEC in the successor; otherwise it is concealed. The playhead advances.
//! * When the buffer is empty, frames may be late or the sender silent: a few blocks are concealed while the playhead
//!   waits. Late frames are then still played, with more delay, which time stretching reduces again.
//! * Frames with consecutive sequence numbers and a gap in their timestamps are not a loss: the sender was silent.
//! * A sender that says that no one speaks, and then sends nothing, saves packets (DTX): comfort noise is played while the
//!   playhead waits. That is neither an underrun nor concealment.
//! * Frames with more delay than the upper bound plus 100 ms are skipped. If several frames in a row are so late, the path has become
//!   longer or the sender's clock is slow, and delay counts from these frames on.
//!
//! Invariants: RTP time never runs backwards within a stream, and at most [`MAX_FRAMES`] frames are buffered.

use super::delay_estimator::{DelayBounds, DelayEstimator, duration, ticks};
use crate::audio::{FRAME_SAMPLES, SAMPLE_RATE, opus_packet};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Maximum number of buffered frames.
const MAX_FRAMES: usize = 256;
/// Samples per channel of a block.
const BLOCK: i64 = FRAME_SAMPLES as i64;
/// Opus conceals multiples of 2.5 ms.
const CONCEAL_GRANULARITY: i64 = 120;
/// How long to conceal when nothing arrives: 100 ms, after which concealment has faded out.
const MAX_CONCEALED: i64 = 5 * BLOCK;
/// How long to play comfort noise when nothing arrives: 1.2 s, of which a sender in DTX has sent something three times.
const MAX_COMFORT: i64 = 60 * BLOCK;
/// An offset this far from all others belongs to another timeline: 2 s.
const TIMELINE_JUMP: i64 = 2 * SAMPLE_RATE as i64;
/// Number of consecutive old packets with another timeline after which that timeline is accepted.
const MAX_STRAGGLERS: u32 = 3;
/// Delay above the target at which playback is accelerated: 15 ms.
const ACCELERATE_ABOVE: i64 = 720;
/// Delay below the target at which playback is decelerated: 10 ms.
const DECELERATE_BELOW: i64 = 480;

/// What happened to an inserted frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    /// It is buffered until it is due.
    Buffered,
    /// It arrived after its playout time.
    Late,
    /// It arrived before.
    Duplicate,
    /// It is not an Opus packet.
    Invalid,
}

/// What the decoder should do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlayoutStep {
    /// Play silence: nothing is due.
    Silence,
    /// Decode this frame.
    Decode(Bytes),
    /// Decode a lost frame from the in-band FEC in its successor, which follows in the next step.
    DecodeFec {
        /// The frame after the lost one.
        following: Bytes,
        /// Samples per channel of the lost frame.
        samples: usize,
    },
    /// Conceal lost samples.
    Conceal {
        /// Samples per channel: a multiple of 2.5 ms, at most 20 ms.
        samples: usize,
    },
    /// Play comfort noise: the sender is silent.
    Comfort {
        /// Samples per channel: a multiple of 2.5 ms, at most 20 ms.
        samples: usize,
    },
}

/// How playback should be time-stretched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeScale {
    /// Not at all: the delay is near its target.
    Keep,
    /// Shorten: the delay is above its target.
    Accelerate,
    /// Lengthen: the delay is below its target, and frames would soon be missing.
    Decelerate,
}

/// Counters of a jitter buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Frames that were buffered.
    pub received: u64,
    /// Frames that were released for decoding.
    pub played: u64,
    /// Frames that never arrived, or too late.
    pub lost: u64,
    /// Lost frames that were decoded from in-band FEC.
    pub recovered: u64,
    /// Frames that arrived after their playout time.
    pub late: u64,
    /// Frames that arrived twice.
    pub duplicate: u64,
    /// Packets that were not Opus.
    pub invalid: u64,
    /// Frames that were skipped to reduce the delay.
    pub skipped: u64,
    /// Times that the buffer was empty when a frame was due.
    pub underruns: u64,
    /// Times that a new timeline began.
    pub restarts: u64,
    /// Concealed audio.
    pub concealed: Duration,
    /// Target delay.
    pub target: Duration,
    /// Delay at the last step.
    pub delay: Duration,
}

#[derive(Debug)]
struct BufferedFrame {
    sequence: i64,
    samples: i64,
    bytes: Bytes,
}

/// The highest packet, by which sequence numbers and timestamps are unwrapped.
#[derive(Clone, Copy, Debug)]
struct Newest {
    sequence: i64,
    timestamp: i64,
    /// Bit n: whether the packet n sequence numbers before it has arrived.
    seen: u128,
}

#[derive(Clone, Copy, Debug)]
struct Playhead {
    /// RTP time of the next frame.
    position: i64,
    /// Sequence number of the last released frame.
    last: i64,
    /// Samples played while the playhead waited: concealed ones, or comfort noise.
    filled: i64,
    /// Whether the last released frame said that no one speaks.
    pause: bool,
}

/// Jitter buffer of one stream.
#[derive(Debug)]
pub struct JitterBuffer {
    epoch: Option<Instant>,
    frames: BTreeMap<i64, BufferedFrame>,
    newest: Option<Newest>,
    playhead: Option<Playhead>,
    /// RTP time before which nothing is played any more.
    floor: i64,
    strays: u32,
    delay_estimator: DelayEstimator,
    stats: JitterStats,
}

impl JitterBuffer {
    /// An empty buffer.
    #[must_use]
    pub fn new(bounds: DelayBounds) -> Self {
        Self {
            epoch: None,
            frames: BTreeMap::new(),
            newest: None,
            playhead: None,
            floor: i64::MIN,
            strays: 0,
            delay_estimator: DelayEstimator::new(bounds),
            stats: JitterStats::default(),
        }
    }

    /// Takes an opened frame that arrived at `now`, with its RTP sequence number and timestamp (48 kHz).
    pub fn insert(&mut self, now: Instant, sequence: u16, timestamp: u32, frame: Bytes) -> InsertOutcome {
        let outcome = self.place(now, sequence, timestamp, frame);
        match outcome {
            InsertOutcome::Buffered => self.stats.received += 1,
            InsertOutcome::Late => self.stats.late += 1,
            InsertOutcome::Duplicate => self.stats.duplicate += 1,
            InsertOutcome::Invalid => self.stats.invalid += 1,
        }
        outcome
    }

    fn place(&mut self, now: Instant, sequence: u16, timestamp: u32, bytes: Bytes) -> InsertOutcome {
        let Some(samples) = opus_packet::samples(&bytes) else { return InsertOutcome::Invalid };
        let arrival = self.ticks_at(now);
        let (sequence, timestamp) = match self.newest {
            Some(newest) => (extend16(newest.sequence, sequence), extend32(newest.timestamp, timestamp)),
            None => (i64::from(sequence), i64::from(timestamp)),
        };
        let offset = arrival - timestamp;
        if let (Some(earliest), Some(newest)) = (self.delay_estimator.earliest(), self.newest)
            && (offset - earliest).abs() > TIMELINE_JUMP
        {
            self.strays += 1;
            if sequence <= newest.sequence && self.strays < MAX_STRAGGLERS {
                return InsertOutcome::Late;
            }
            self.restart();
            self.stats.restarts += 1;
        }
        self.strays = 0;
        if !self.note(sequence, timestamp) {
            return InsertOutcome::Duplicate;
        }
        self.delay_estimator.arrived(offset);
        if timestamp < self.playhead.map_or(self.floor, |playhead| playhead.position) {
            return InsertOutcome::Late;
        }
        if self.frames.contains_key(&timestamp) {
            return InsertOutcome::Duplicate;
        }
        if self.frames.len() == MAX_FRAMES {
            self.frames.pop_first();
            self.stats.skipped += 1;
        }
        self.frames.insert(timestamp, BufferedFrame { sequence, samples, bytes });
        InsertOutcome::Buffered
    }

    /// Records that a packet arrived. Returns `false` if it has arrived before.
    fn note(&mut self, sequence: i64, timestamp: i64) -> bool {
        let Some(newest) = &mut self.newest else {
            self.newest = Some(Newest { sequence, timestamp, seen: 1 });
            return true;
        };
        let ahead = sequence - newest.sequence;
        if ahead > 0 {
            let shifted = u32::try_from(ahead).ok().and_then(|ahead| newest.seen.checked_shl(ahead));
            *newest = Newest { sequence, timestamp, seen: shifted.unwrap_or(0) | 1 };
            return true;
        }
        let bit = u32::try_from(-ahead).ok().and_then(|behind| 1u128.checked_shl(behind)).unwrap_or(0);
        let fresh = newest.seen & bit == 0;
        newest.seen |= bit;
        fresh
    }

    /// Discards all frames and the timeline: another source follows.
    pub fn restart(&mut self) {
        self.frames.clear();
        self.newest = None;
        self.playhead = None;
        self.floor = i64::MIN;
        self.strays = 0;
        self.delay_estimator.restart();
    }

    /// The next step at `now`; `queued` samples per channel are decoded but not played yet.
    pub fn step(&mut self, now: Instant, queued: usize) -> PlayoutStep {
        let now = self.ticks_at(now);
        let queued = i64::try_from(queued).unwrap_or(i64::MAX);
        let Some(mut playhead) = self.playhead.or_else(|| self.start(now)) else { return PlayoutStep::Silence };
        let waited = if playhead.pause { playhead.filled } else { 0 };
        if self.delay(now, playhead.position + waited) > self.delay_estimator.skipped_above() {
            match self.skip(now, playhead) {
                Some(skipped) => playhead = skipped,
                None => return PlayoutStep::Silence,
            }
        }
        self.stats.delay = duration(self.delay(now, playhead.position - queued));
        let (step, playhead) = self.advance(now, playhead);
        self.playhead = playhead;
        step
    }

    /// Starts when the first frame has been buffered for the target delay.
    fn start(&mut self, now: i64) -> Option<Playhead> {
        let (&position, first) = self.frames.first_key_value()?;
        if self.delay(now, position) < self.delay_estimator.target() {
            return None;
        }
        Some(Playhead { position, last: first.sequence - 1, filled: 0, pause: false })
    }

    /// Skips frames until the delay equals the target; `None` if none is left.
    fn skip(&mut self, now: i64, playhead: Playhead) -> Option<Playhead> {
        let due = now - self.delay_estimator.earliest()? - self.delay_estimator.target();
        let kept = self.frames.split_off(&due);
        self.stats.skipped += self.frames.len() as u64;
        self.frames = kept;
        self.floor = playhead.position;
        self.playhead = None;
        let (&position, first) = self.frames.first_key_value()?;
        Some(Playhead { position, last: first.sequence - 1, filled: 0, pause: false })
    }

    fn advance(&mut self, now: i64, mut playhead: Playhead) -> (PlayoutStep, Option<Playhead>) {
        let Some((&at, next)) = self.frames.first_key_value() else { return self.starve(playhead) };
        let gap = at - playhead.position;
        let missing = next.sequence - playhead.last - 1;
        let unfilled = gap - playhead.filled;
        if gap > 0 && missing <= 0 && self.delay(now, at) < self.delay_estimator.target() {
            let step = if playhead.pause { self.fill(&mut playhead, BLOCK) } else { PlayoutStep::Silence };
            return (step, Some(playhead));
        }
        if unfilled >= CONCEAL_GRANULARITY && missing > 0 {
            // The samples played while waiting fill the start of the gap.
            playhead.position += playhead.filled;
            playhead.filled = 0;
            if unfilled == next.samples && opus_packet::has_in_band_fec(&next.bytes) {
                playhead.position = at;
                playhead.last = next.sequence - 1;
                self.stats.lost += u64::try_from(missing).unwrap_or(0);
                self.stats.recovered += 1;
                let samples = usize::try_from(unfilled).unwrap_or(FRAME_SAMPLES);
                return (PlayoutStep::DecodeFec { following: next.bytes.clone(), samples }, Some(playhead));
            }
            let ahead_of_copy = if unfilled > next.samples { unfilled - next.samples } else { unfilled };
            let samples =
                (ahead_of_copy.min(BLOCK) / CONCEAL_GRANULARITY * CONCEAL_GRANULARITY).max(CONCEAL_GRANULARITY);
            playhead.position += samples.min(unfilled);
            let step = if playhead.pause { comfort(samples) } else { self.conceal(samples) };
            return (step, Some(playhead));
        }
        let Some((_, frame)) = self.frames.pop_first() else { return (PlayoutStep::Silence, Some(playhead)) };
        self.stats.played += 1;
        self.stats.lost += u64::try_from(missing).unwrap_or(0);
        let (position, pause) = (at + frame.samples, opus_packet::is_pause(&frame.bytes));
        let playhead = Playhead { position, last: frame.sequence, filled: 0, pause };
        (PlayoutStep::Decode(frame.bytes), Some(playhead))
    }

    /// The buffer is empty.
    fn starve(&mut self, mut playhead: Playhead) -> (PlayoutStep, Option<Playhead>) {
        if playhead.filled >= if playhead.pause { MAX_COMFORT } else { MAX_CONCEALED } {
            self.floor = playhead.position;
            return (PlayoutStep::Silence, None);
        }
        if playhead.filled == 0 && !playhead.pause {
            self.stats.underruns += 1;
        }
        (self.fill(&mut playhead, BLOCK), Some(playhead))
    }

    /// Plays something while the playhead waits.
    fn fill(&mut self, playhead: &mut Playhead, samples: i64) -> PlayoutStep {
        playhead.filled += samples;
        if playhead.pause { comfort(samples) } else { self.conceal(samples) }
    }

    fn conceal(&mut self, samples: i64) -> PlayoutStep {
        self.stats.concealed += duration(samples);
        PlayoutStep::Conceal { samples: usize::try_from(samples).unwrap_or(FRAME_SAMPLES) }
    }

    /// How to stretch the frame that was just decoded to `decoded` samples per channel, by its delay when it was
    /// needed. Samples that were queued before it add to the latency, but do not help a frame to be in time.
    #[must_use]
    pub fn time_scale(&self, now: Instant, decoded: usize) -> TimeScale {
        let (Some(playhead), Some(epoch)) = (self.playhead, self.epoch) else { return TimeScale::Keep };
        let decoded = i64::try_from(decoded).unwrap_or(i64::MAX);
        let now = ticks(now.saturating_duration_since(epoch));
        let above = self.delay(now, playhead.position.saturating_sub(decoded)) - self.delay_estimator.target();
        match above {
            above if above > ACCELERATE_ABOVE => TimeScale::Accelerate,
            above if above < -DECELERATE_BELOW => TimeScale::Decelerate,
            _ => TimeScale::Keep,
        }
    }

    /// Current counters.
    #[must_use]
    pub fn stats(&self) -> JitterStats {
        JitterStats { target: duration(self.delay_estimator.target()), ..self.stats }
    }

    /// Time since the frame at this position could have arrived at the earliest, in samples.
    fn delay(&self, now: i64, position: i64) -> i64 {
        now - self.delay_estimator.earliest().unwrap_or(now) - position
    }

    fn ticks_at(&mut self, now: Instant) -> i64 {
        ticks(now.saturating_duration_since(*self.epoch.get_or_insert(now)))
    }
}

fn comfort(samples: i64) -> PlayoutStep {
    PlayoutStep::Comfort { samples: usize::try_from(samples).unwrap_or(FRAME_SAMPLES) }
}

/// The number nearest to `near` with these low 16 bits.
fn extend16(near: i64, low: u16) -> i64 {
    near + i64::from(low.wrapping_sub(near as u16) as i16)
}

/// The number nearest to `near` with these low 32 bits.
fn extend32(near: i64, low: u32) -> i64 {
    near + i64::from(low.wrapping_sub(near as u32) as i32)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
