//! Frames that arrive as they may, given out when they are due.
//!
//! ```text
//!   earliest possible                 due: target behind it          newest
//!        │◄──────────── target ───────────►│
//!  ──────┴──────────── playhead ►──────────┴───── frames held ────────► RTP time
//! ```
//! The playhead is the RTP time of the next frame to decode. Its *delay* is how long ago that frame could have arrived
//! at the earliest; whoever decodes keeps it near the target by stretching ([`JitterBuffer::lag`]).
//!
//! * A frame that is missing while later ones are here is **lost**: rebuilt from the copy in its successor where it is
//!   the one before it, else concealed. The playhead moves on.
//! * When nothing at all is here, frames may be late or the sender silent: a few blocks are concealed while the playhead
//!   waits. Late frames are then still played, later than others; stretching wins the time back.
//! * Frames whose sequence numbers follow each other with a gap in their timestamps are no loss: the sender was silent.
//!
//! Invariants: RTP time never runs backwards within a stream, at most [`MAX_FRAMES`] frames are held, and nothing is
//! played with more delay than the upper bound and a tenth of a second.

use super::{
    DelayBounds, FRAME_SAMPLES, MAX_PACKET_SAMPLES, SAMPLE_RATE,
    delay::{DelayEstimate, duration, ticks},
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Most frames that are held.
const MAX_FRAMES: usize = 256;
/// Most bytes of a frame: what fits a packet.
const MAX_FRAME_BYTES: usize = 1_500;
/// Samples of a block.
const BLOCK: i64 = FRAME_SAMPLES as i64;
/// Opus can conceal multiples of 2.5 ms.
const GRAIN: i64 = 120;
/// How long is concealed when nothing comes: 100 ms. By then concealment has faded out.
const PATIENCE: i64 = 5 * BLOCK;
/// An offset that is this far from all others is another timeline: 2 s.
const OTHER_TIMELINE: i64 = 2 * SAMPLE_RATE as i64;
/// So many old packets in a row from another timeline are no stragglers.
const STRAGGLERS: u32 = 3;
/// Beyond the bound of the delay, frames are skipped: 100 ms.
const SKIP_BEYOND: i64 = 5 * BLOCK;
/// How far the delay may be above the target before it is worth shortening: 15 ms.
const TOO_LATE: i64 = 720;
/// How far below before it is worth lengthening: 10 ms.
const TOO_EARLY: i64 = 480;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is held until it is due.
    Kept,
    /// Its time has passed.
    Late,
    /// It has been here before.
    Duplicate,
    /// It is not an Opus packet.
    Refused,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is due: silence.
    Silence,
    /// Decode this frame.
    Frame(Bytes),
    /// A frame of so many samples is lost: rebuild it from the copy in its successor, which comes as the next step.
    Recover {
        /// The frame behind the lost one.
        following: Bytes,
        /// Samples for each channel.
        samples: usize,
    },
    /// Conceal so many samples for each channel.
    Conceal {
        /// A multiple of 2.5 ms, at most 20 ms.
        samples: usize,
    },
}

/// How the delay lies to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// Near enough.
    Fine,
    /// Sound is later than it need be: shorten it.
    Late,
    /// Sound is so early that frames will be missing: lengthen it.
    Early,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Frames that were held.
    pub received: u64,
    /// Frames that were given out.
    pub played: u64,
    /// Frames that never came, or too late.
    pub lost: u64,
    /// Of the lost, those that their successor repaired.
    pub recovered: u64,
    /// Frames that came too late.
    pub late: u64,
    /// Frames that came again.
    pub duplicate: u64,
    /// What was not an Opus packet.
    pub refused: u64,
    /// Frames that were left out to get back in time.
    pub skipped: u64,
    /// Times that nothing was here when something was due.
    pub underruns: u64,
    /// Times that another timeline began.
    pub restarts: u64,
    /// Sound that was concealed.
    pub concealed: Duration,
    /// The delay that is aimed at.
    pub target: Duration,
    /// The delay at the last step.
    pub delay: Duration,
}

#[derive(Debug)]
struct Held {
    sequence: i64,
    samples: i64,
    bytes: Bytes,
}

/// The newest packet, against which 16 and 32 bits are extended.
#[derive(Clone, Copy, Debug)]
struct Newest {
    sequence: i64,
    timestamp: i64,
    /// Bit n: the sequence number n before it has come.
    seen: u128,
}

#[derive(Clone, Copy, Debug)]
struct Playhead {
    /// RTP time of the next frame.
    position: i64,
    /// Sequence number of the last frame.
    last: i64,
    /// Samples concealed while the playhead waited.
    waited: i64,
}

/// Orders, delays and accounts for the frames of one stream.
#[derive(Debug)]
pub struct JitterBuffer {
    epoch: Option<Instant>,
    held: BTreeMap<i64, Held>,
    newest: Option<Newest>,
    playhead: Option<Playhead>,
    /// Nothing before this is played any more.
    floor: i64,
    strays: u32,
    estimate: DelayEstimate,
    stats: JitterStats,
}

impl JitterBuffer {
    /// An empty one.
    #[must_use]
    pub fn new(bounds: DelayBounds) -> Self {
        Self {
            epoch: None,
            held: BTreeMap::new(),
            newest: None,
            playhead: None,
            floor: i64::MIN,
            strays: 0,
            estimate: DelayEstimate::new(bounds),
            stats: JitterStats::default(),
        }
    }

    /// Takes an opened frame that arrived at `now`, with its RTP sequence number and timestamp (48 kHz).
    pub fn insert(&mut self, now: Instant, sequence: u16, timestamp: u32, frame: Bytes) -> Inserted {
        let outcome = self.place(now, sequence, timestamp, frame);
        match outcome {
            Inserted::Kept => self.stats.received += 1,
            Inserted::Late => self.stats.late += 1,
            Inserted::Duplicate => self.stats.duplicate += 1,
            Inserted::Refused => self.stats.refused += 1,
        }
        outcome
    }

    fn place(&mut self, now: Instant, sequence: u16, timestamp: u32, bytes: Bytes) -> Inserted {
        let Some(samples) = packet_samples(&bytes) else { return Inserted::Refused };
        let arrival = self.ticks_at(now);
        let (sequence, timestamp) = match self.newest {
            Some(newest) => (extend16(newest.sequence, sequence), extend32(newest.timestamp, timestamp)),
            None => (i64::from(sequence), i64::from(timestamp)),
        };
        let offset = arrival - timestamp;
        if let (Some(earliest), Some(newest)) = (self.estimate.earliest(), self.newest)
            && (offset - earliest).abs() > OTHER_TIMELINE
        {
            self.strays += 1;
            if sequence <= newest.sequence && self.strays < STRAGGLERS {
                return Inserted::Late;
            }
            self.restart();
            self.stats.restarts += 1;
        }
        self.strays = 0;
        if !self.note(sequence, timestamp) {
            return Inserted::Duplicate;
        }
        self.estimate.arrived(offset);
        if timestamp < self.playhead.map_or(self.floor, |playhead| playhead.position) {
            return Inserted::Late;
        }
        if self.held.contains_key(&timestamp) {
            return Inserted::Duplicate;
        }
        if self.held.len() == MAX_FRAMES {
            self.held.pop_first();
            self.stats.skipped += 1;
        }
        self.held.insert(timestamp, Held { sequence, samples, bytes });
        Inserted::Kept
    }

    /// Notes that a packet came; `false` if it had come before.
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

    /// Forgets all frames and the timeline: another source follows.
    pub fn restart(&mut self) {
        self.held.clear();
        self.newest = None;
        self.playhead = None;
        self.floor = i64::MIN;
        self.strays = 0;
        self.estimate.restart();
    }

    /// What to decode next, at `now`; `queued` samples for each channel are decoded and not yet played.
    pub fn step(&mut self, now: Instant, queued: usize) -> Step {
        let now = self.ticks_at(now);
        let queued = i64::try_from(queued).unwrap_or(i64::MAX);
        let Some(mut playhead) = self.playhead.or_else(|| self.start(now)) else { return Step::Silence };
        if self.delay(now, playhead.position) > self.estimate.most() + SKIP_BEYOND {
            match self.skip(now, playhead) {
                Some(skipped) => playhead = skipped,
                None => return Step::Silence,
            }
        }
        self.stats.delay = duration(self.delay(now, playhead.position - queued));
        let (step, playhead) = self.advance(now, playhead);
        self.playhead = playhead;
        step
    }

    /// Starts when the first frame has been held for as long as the target asks.
    fn start(&mut self, now: i64) -> Option<Playhead> {
        let (&position, first) = self.held.first_key_value()?;
        if self.delay(now, position) < self.estimate.target() {
            return None;
        }
        Some(Playhead { position, last: first.sequence - 1, waited: 0 })
    }

    /// Leaves out frames until the delay is the target again; `None` if none is left.
    fn skip(&mut self, now: i64, playhead: Playhead) -> Option<Playhead> {
        let due = now - self.estimate.earliest()? - self.estimate.target();
        let kept = self.held.split_off(&due);
        self.stats.skipped += self.held.len() as u64;
        self.held = kept;
        self.floor = due.max(playhead.position);
        self.playhead = None;
        let (&position, first) = self.held.first_key_value()?;
        Some(Playhead { position, last: first.sequence - 1, waited: 0 })
    }

    fn advance(&mut self, now: i64, mut playhead: Playhead) -> (Step, Option<Playhead>) {
        let Some((&at, next)) = self.held.first_key_value() else { return self.starve(playhead) };
        let gap = at - playhead.position;
        let missing = next.sequence - playhead.last - 1;
        let unfilled = gap - playhead.waited;
        if gap > 0 && missing <= 0 && self.delay(now, at) < self.estimate.target() {
            return (Step::Silence, Some(playhead));
        }
        if unfilled >= GRAIN && missing > 0 {
            // What was concealed while waiting has filled the front of the gap.
            playhead.position += playhead.waited;
            playhead.waited = 0;
            if unfilled == next.samples && carries_copy(&next.bytes) {
                playhead.position = at;
                playhead.last = next.sequence - 1;
                self.stats.lost += u64::try_from(missing).unwrap_or(0);
                self.stats.recovered += 1;
                let samples = usize::try_from(unfilled).unwrap_or(FRAME_SAMPLES);
                return (Step::Recover { following: next.bytes.clone(), samples }, Some(playhead));
            }
            let ahead_of_copy = if unfilled > next.samples { unfilled - next.samples } else { unfilled };
            let samples = (ahead_of_copy.min(BLOCK) / GRAIN * GRAIN).max(GRAIN);
            playhead.position += samples.min(unfilled);
            return (self.conceal(samples), Some(playhead));
        }
        let Some((_, frame)) = self.held.pop_first() else { return (Step::Silence, Some(playhead)) };
        self.stats.played += 1;
        self.stats.lost += u64::try_from(missing).unwrap_or(0);
        let playhead = Playhead { position: at + frame.samples, last: frame.sequence, waited: 0 };
        (Step::Frame(frame.bytes), Some(playhead))
    }

    /// Nothing is here.
    fn starve(&mut self, mut playhead: Playhead) -> (Step, Option<Playhead>) {
        if playhead.waited >= PATIENCE {
            self.floor = playhead.position;
            return (Step::Silence, None);
        }
        if playhead.waited == 0 {
            self.stats.underruns += 1;
        }
        playhead.waited += BLOCK;
        (self.conceal(BLOCK), Some(playhead))
    }

    fn conceal(&mut self, samples: i64) -> Step {
        self.stats.concealed += duration(samples);
        Step::Conceal { samples: usize::try_from(samples).unwrap_or(FRAME_SAMPLES) }
    }

    /// How the delay lies to its target at which the frame was wanted that has just been decoded to so many samples for each
    /// channel. What lies decoded before it adds to what is heard, but does not help a frame to be in time.
    #[must_use]
    pub fn lag(&self, now: Instant, decoded: usize) -> Lag {
        let (Some(playhead), Some(epoch)) = (self.playhead, self.epoch) else { return Lag::Fine };
        let decoded = i64::try_from(decoded).unwrap_or(i64::MAX);
        let now = ticks(now.saturating_duration_since(epoch));
        let above = self.delay(now, playhead.position.saturating_sub(decoded)) - self.estimate.target();
        match above {
            above if above > TOO_LATE => Lag::Late,
            above if above < -TOO_EARLY => Lag::Early,
            _ => Lag::Fine,
        }
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> JitterStats {
        JitterStats { target: duration(self.estimate.target()), ..self.stats }
    }

    /// How long before `now` the frame at this position could have arrived at the earliest.
    fn delay(&self, now: i64, position: i64) -> i64 {
        now - self.estimate.earliest().unwrap_or(now) - position
    }

    fn ticks_at(&mut self, now: Instant) -> i64 {
        ticks(now.saturating_duration_since(*self.epoch.get_or_insert(now)))
    }
}

/// Samples for each channel of an Opus packet; `None` if it is none.
fn packet_samples(packet: &[u8]) -> Option<i64> {
    if packet.is_empty() || packet.len() > MAX_FRAME_BYTES {
        return None;
    }
    let samples = opus::packet::get_nb_samples(packet, SAMPLE_RATE).ok()?;
    (1..=MAX_PACKET_SAMPLES).contains(&samples).then_some(i64::try_from(samples).ok()?)
}

/// Whether an Opus packet carries a copy of its predecessor: the flag behind the voice flags of the speech layer (RFC 6716
/// section 4.2.4).
fn carries_copy(packet: &[u8]) -> bool {
    let music_only = packet.first().is_none_or(|toc| toc & 0x80 != 0);
    if music_only {
        return false;
    }
    let parsed = opus::packet::parse(packet).ok();
    let first = parsed.and_then(|parsed| parsed.frames.first().and_then(|frame| frame.first().copied()));
    let (Some(first), Ok(channels)) = (first, opus::packet::get_nb_channels(packet)) else { return false };
    let samples = opus::packet::get_samples_per_frame(packet, SAMPLE_RATE).unwrap_or(FRAME_SAMPLES);
    // One voice flag for each 20 ms of the first frame, then the copy's flag; then the same for the other channel.
    let voices = (samples / FRAME_SAMPLES).clamp(1, 3);
    let flag = |at: usize| first.checked_shr(7u32.saturating_sub(at as u32)).unwrap_or(0) & 1 == 1;
    flag(voices) || channels == opus::Channels::Stereo && flag(2 * voices + 1)
}

/// The number with these low 16 bits that is nearest to `near`.
fn extend16(near: i64, low: u16) -> i64 {
    near + i64::from(low.wrapping_sub(near as u16) as i16)
}

/// The number with these low 32 bits that is nearest to `near`.
fn extend32(near: i64, low: u32) -> i64 {
    near + i64::from(low.wrapping_sub(near as u32) as i32)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
