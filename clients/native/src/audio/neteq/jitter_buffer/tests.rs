//! Tests of the jitter buffer in virtual time.

use super::*;
use proptest::prelude::*;

/// 20 ms of wideband SILK, with or without in-band FEC.
fn frame(copy: bool) -> Bytes {
    Bytes::from(vec![0x48, if copy { 0xc0 } else { 0x80 }, 0, 0])
}

/// A sender, a jitter buffer and a player that takes a step every 20 ms.
struct Stage {
    buffer: JitterBuffer,
    start: Instant,
    /// Milliseconds since the start.
    now: u64,
}

impl Stage {
    fn new() -> Self {
        Self { buffer: JitterBuffer::new(DelayBounds::default()), start: Instant::now(), now: 0 }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Inserts the n-th frame of a stream now.
    fn arrives(&mut self, n: u32) -> InsertOutcome {
        self.arrives_as(n as u16, n * 960)
    }

    fn arrives_as(&mut self, sequence: u16, timestamp: u32) -> InsertOutcome {
        self.buffer.insert(self.at(self.now), sequence, timestamp, frame(true))
    }

    fn step(&mut self) -> PlayoutStep {
        self.buffer.step(self.at(self.now), 0)
    }

    /// Frames `from..to` arrive on time, except `lost`; a step is taken after each.
    fn play(&mut self, from: u32, to: u32, lost: &[u32]) -> Vec<PlayoutStep> {
        let mut steps = Vec::new();
        for n in from..to {
            self.now = u64::from(n) * 20;
            if !lost.contains(&n) {
                self.arrives(n);
            }
            steps.push(self.step());
        }
        steps
    }
}

fn is_frame(step: &PlayoutStep) -> bool {
    matches!(step, PlayoutStep::Decode(_))
}

#[test]
fn playout_starts_after_target_delay() {
    let steps = Stage::new().play(0, 8, &[]);
    assert_eq!(steps.iter().position(is_frame), Some(3), "the initial target is 60 ms");
    assert!(steps[3..].iter().all(is_frame));
}

#[test]
fn lost_frame_is_decoded_from_fec() {
    let mut stage = Stage::new();
    let steps = stage.play(0, 20, &[10]);
    assert_eq!(steps[13], PlayoutStep::DecodeFec { following: frame(true), samples: 960 });
    assert!(steps[3..13].iter().chain(&steps[14..]).all(is_frame));
    let JitterStats { lost, recovered, concealed, .. } = stage.buffer.stats();
    assert_eq!((lost, recovered, concealed), (1, 1, Duration::ZERO));
}

#[test]
fn last_of_several_lost_frames_is_decoded_from_fec() {
    let mut stage = Stage::new();
    let steps = stage.play(0, 20, &[10, 11]);
    assert_eq!(steps[13], PlayoutStep::Conceal { samples: 960 });
    assert!(matches!(steps[14], PlayoutStep::DecodeFec { .. }));
    assert!(steps[15..].iter().all(is_frame), "no more delay than before");
    let JitterStats { lost, recovered, .. } = stage.buffer.stats();
    assert_eq!((lost, recovered), (2, 1));
}

#[test]
fn reordered_frame_is_in_time() {
    let mut stage = Stage::new();
    stage.play(0, 10, &[]);
    for n in [11, 10, 12, 13] {
        stage.now = u64::from(n) * 20;
        assert_eq!(stage.arrives(n), InsertOutcome::Buffered);
        assert!(is_frame(&stage.step()));
    }
}

#[test]
fn late_and_duplicate_frames_are_ignored() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[10]);
    assert_eq!(stage.arrives(10), InsertOutcome::Late);
    assert_eq!(stage.arrives(10), InsertOutcome::Duplicate);
    assert_eq!(stage.arrives(19), InsertOutcome::Duplicate, "still held");
    assert_eq!(stage.arrives(12), InsertOutcome::Duplicate, "played long ago");
    assert!(stage.play(20, 30, &[]).iter().all(is_frame));
    assert_eq!(stage.buffer.insert(stage.at(600), 30, 30 * 960, Bytes::new()), InsertOutcome::Invalid);
}

#[test]
fn empty_buffer_conceals_then_restarts() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    let mut steps = Vec::new();
    for n in 20..40 {
        stage.now = n * 20;
        steps.push(stage.step());
    }
    assert_eq!(steps.iter().filter(|step| is_frame(step)).count(), 3, "what was buffered");
    assert_eq!(steps.iter().filter(|step| matches!(step, PlayoutStep::Conceal { .. })).count(), 5);
    assert!(steps[8..].iter().all(|step| *step == PlayoutStep::Silence));
    let steps = stage.play(40, 50, &[]);
    assert_eq!(steps.iter().position(is_frame), Some(3), "not before the target delay has passed again");
}

#[test]
fn late_burst_is_played_with_more_delay() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    // Nothing arrives for 100 ms, then everything at once.
    let mut played = 0;
    for n in 20..25 {
        stage.now = n * 20;
        played += usize::from(is_frame(&stage.step()));
    }
    (20..25).for_each(|n| assert_eq!(stage.arrives(n), InsertOutcome::Buffered));
    played += stage.play(25, 40, &[]).iter().filter(|step| is_frame(step)).count();
    assert_eq!(played, 3 + 15, "one for each block, late frames before newer ones");
    let JitterStats { lost, delay, target, .. } = stage.buffer.stats();
    assert_eq!((lost, delay), (0, Duration::from_millis(100)), "later by what was concealed");
    assert!(target > Duration::from_millis(80), "others may be as late");
}

#[test]
fn silent_sender_is_not_a_loss() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    // Half a second without packets: sequence numbers continue, timestamps jump.
    let mut steps = Vec::new();
    for n in 20..65u32 {
        stage.now = u64::from(n) * 20;
        if n >= 45 {
            stage.arrives_as((n - 25) as u16, n * 960);
        }
        steps.push(stage.step());
    }
    assert!(steps[30..].iter().all(is_frame));
    let JitterStats { lost, recovered, late, .. } = stage.buffer.stats();
    assert_eq!((lost, recovered, late), (0, 0, 0));
}

/// Frames that arrive at these times, in milliseconds, through a player that takes a step every 20 ms until the last one. Returns how
/// many were played, and the longest time without one after the first.
fn played(arrivals: &[u64]) -> (usize, Duration) {
    let mut stage = Stage::new();
    let (mut next, mut count, mut last, mut longest) = (0, 0, None, 0);
    while next < arrivals.len() {
        while let Some(&at) = arrivals.get(next).filter(|at| **at <= stage.now) {
            stage.buffer.insert(stage.at(at), next as u16, next as u32 * 960, frame(true));
            next += 1;
        }
        if is_frame(&stage.step()) {
            longest = longest.max(stage.now - last.unwrap_or(stage.now));
            (count, last) = (count + 1, Some(stage.now));
        }
        stage.now += 20;
    }
    (count, Duration::from_millis(longest.max(stage.now - last.unwrap_or(0))))
}

#[test]
fn path_that_becomes_much_longer_is_heard() {
    for longer in [300, 600, 1_500, 3_000] {
        let arrivals: Vec<_> = (0..1_000).map(|n| n * 20 + if n < 250 { 0 } else { longer }).collect();
        let (count, silence) = played(&arrivals);
        assert!(count > 980, "{count} of 1,000, {longer} ms longer");
        assert!(silence <= Duration::from_millis(longer + 250), "{silence:?}, {longer} ms longer");
    }
}

#[test]
fn slow_clock_of_a_sender_is_heard() {
    let arrivals: Vec<_> = (0..1_500).map(|n| n * 25).collect();
    let (count, silence) = played(&arrivals);
    assert!(count > 1_350, "{count} of 1,500");
    assert!(silence <= Duration::from_millis(300), "{silence:?}");
}

/// A frame in which no one speaks, without in-band FEC.
fn pause() -> Bytes {
    Bytes::from(vec![0x48, 0, 0, 0])
}

/// A sender in DTX: after a pause is announced, a frame each 400 ms.
#[test]
fn pauses_are_filled_with_comfort_noise() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    let mut sequence = 20;
    let mut steps = Vec::new();
    for n in 20..270u32 {
        stage.now = u64::from(n) * 20;
        if n < 30 || n % 20 == 9 {
            let at = stage.at(stage.now);
            assert_eq!(stage.buffer.insert(at, sequence, n * 960, pause()), InsertOutcome::Buffered);
            sequence += 1;
        }
        steps.push(stage.step());
    }
    let comfort = steps.iter().filter(|step| matches!(step, PlayoutStep::Comfort { samples: 960 })).count();
    assert_eq!(comfort + steps.iter().filter(|step| is_frame(step)).count(), steps.len());
    // Then someone speaks.
    for n in 270..300u32 {
        stage.now = u64::from(n) * 20;
        stage.arrives_as(sequence, n * 960);
        sequence += 1;
        steps.push(stage.step());
    }
    assert!(steps[steps.len() - 25..].iter().all(is_frame));
    let JitterStats { played, lost, underruns, concealed, late, delay, .. } = stage.buffer.stats();
    assert_eq!((lost, underruns, concealed, late), (0, 0, Duration::ZERO, 0));
    assert!(played + 3 >= u64::from(sequence), "all but those that wait: {played} of {sequence}");
    assert!(delay <= Duration::from_millis(60), "{delay:?}");
}

#[test]
fn lost_frame_of_a_pause_is_not_concealed() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    let mut sequence = 20;
    for n in 20..150u32 {
        stage.now = u64::from(n) * 20;
        if n < 30 || n % 20 == 9 {
            if n != 69 {
                stage.buffer.insert(stage.at(stage.now), sequence, n * 960, pause());
            }
            sequence += 1;
        }
        stage.step();
    }
    let JitterStats { lost, underruns, concealed, restarts, .. } = stage.buffer.stats();
    assert_eq!((lost, underruns, concealed, restarts), (1, 0, Duration::ZERO, 0));
}

#[test]
fn comfort_noise_ends_when_the_sender_has_gone() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    let mut steps = Vec::new();
    for n in 20..200u32 {
        stage.now = u64::from(n) * 20;
        if n < 30 {
            stage.buffer.insert(stage.at(stage.now), n as u16, n * 960, pause());
        }
        steps.push(stage.step());
    }
    let comfort = steps.iter().filter(|step| matches!(step, PlayoutStep::Comfort { .. })).count();
    assert_eq!(comfort as i64 * 960, MAX_COMFORT);
    assert!(steps[100..].iter().all(|step| *step == PlayoutStep::Silence));
}

#[test]
fn new_timeline_restarts() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    stage.now = 400;
    assert_eq!(stage.arrives_as(20, 3_000_000_000), InsertOutcome::Buffered);
    assert_eq!(stage.buffer.stats().restarts, 1);
    for n in 1..10 {
        stage.now = 400 + n * 20;
        stage.arrives_as(20 + n as u16, 3_000_000_000 + n as u32 * 960);
        assert_eq!(is_frame(&stage.step()), n >= 3);
    }
}

#[test]
fn straggler_does_not_restart() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    assert_eq!(stage.arrives_as(5, 3_000_000_000), InsertOutcome::Late);
    assert!(stage.play(20, 30, &[]).iter().all(is_frame));
    for (sequence, outcome) in [(5, InsertOutcome::Late), (6, InsertOutcome::Late), (7, InsertOutcome::Buffered)] {
        assert_eq!(stage.arrives_as(sequence, 3_000_000_000), outcome, "three in a row are accepted");
    }
}

#[test]
fn sequence_and_timestamp_wrap() {
    let mut stage = Stage::new();
    let mut played = 0;
    for n in 0..400u32 {
        stage.now = u64::from(n) * 20;
        stage.arrives_as(65_400u16.wrapping_add(n as u16), (u32::MAX - 150 * 960).wrapping_add(n * 960));
        played += usize::from(is_frame(&stage.step()));
    }
    assert_eq!(played, 397);
}

#[test]
fn stalled_player_skips_to_recent_frames() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    for n in 20..1_000 {
        stage.now = u64::from(n) * 20;
        stage.arrives(n);
        assert!(stage.buffer.frames.len() <= MAX_FRAMES);
    }
    assert!(is_frame(&stage.step()));
    let JitterStats { skipped, delay, .. } = stage.buffer.stats();
    assert!(skipped > 900 && delay < Duration::from_millis(100), "{skipped}, {delay:?}");
}

proptest! {
    #[test]
    fn time_is_monotonic_and_delay_bounded(
        events in prop::collection::vec((0u32..60, any::<u16>(), 0u8..40, any::<bool>()), 1..300),
    ) {
        let mut stage = Stage::new();
        let bound = DelayBounds::default().maximum + Duration::from_millis(140);
        let mut position = i64::MIN;
        for (n, (jump, any, wait, wild)) in events.into_iter().enumerate() {
            stage.now += u64::from(wait);
            let near = (n as u32 + jump).saturating_sub(30);
            let (sequence, timestamp) =
                if wild && any % 16 == 0 { (any, u32::from(any) << 16) } else { (near as u16, near * 960) };
            let restarts = stage.buffer.stats().restarts;
            stage.arrives_as(sequence, timestamp);
            if stage.buffer.stats().restarts != restarts {
                position = i64::MIN;
            }
            match stage.step() {
                PlayoutStep::Conceal { samples } | PlayoutStep::Comfort { samples } => prop_assert!(samples <= 960 && samples % 120 == 0 && samples > 0),
                PlayoutStep::DecodeFec { samples, .. } => prop_assert_eq!(samples, 960),
                PlayoutStep::Decode(_) | PlayoutStep::Silence => {}
            }
            prop_assert!(stage.buffer.frames.len() <= MAX_FRAMES);
            prop_assert!(stage.buffer.stats().delay <= bound, "{:?}", stage.buffer.stats().delay);
            let now = stage.buffer.playhead.map_or(stage.buffer.floor, |playhead| playhead.position);
            prop_assert!(now >= position, "time runs backwards");
            position = now;
        }
    }
}
