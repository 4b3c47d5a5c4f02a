//! A jitter buffer fed by hand, in virtual time.

use super::*;
use proptest::prelude::*;

/// 20 ms of Opus in the speech layer's wide band; `copy` is whether it carries its predecessor.
fn frame(copy: bool) -> Bytes {
    Bytes::from(vec![0x48, if copy { 0xc0 } else { 0x80 }, 0, 0])
}

/// A sender, a buffer and a listener who takes a block every 20 ms.
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

    /// The n-th frame of a stream arrives now.
    fn arrives(&mut self, n: u32) -> Inserted {
        self.arrives_as(n as u16, n * 960)
    }

    fn arrives_as(&mut self, sequence: u16, timestamp: u32) -> Inserted {
        self.buffer.insert(self.at(self.now), sequence, timestamp, frame(true))
    }

    fn step(&mut self) -> Step {
        self.buffer.step(self.at(self.now), 0)
    }

    /// Frames `from..to` arrive on time, all but `lost`, and a block is taken after each.
    fn play(&mut self, from: u32, to: u32, lost: &[u32]) -> Vec<Step> {
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

fn is_frame(step: &Step) -> bool {
    matches!(step, Step::Frame(_))
}

#[test]
fn sound_begins_when_the_target_has_passed() {
    let steps = Stage::new().play(0, 8, &[]);
    assert_eq!(steps.iter().position(is_frame), Some(3), "60 ms are the first guess");
    assert!(steps[3..].iter().all(is_frame));
}

#[test]
fn a_lost_frame_is_rebuilt_from_its_successor() {
    let mut stage = Stage::new();
    let steps = stage.play(0, 20, &[10]);
    assert_eq!(steps[13], Step::Recover { following: frame(true), samples: 960 });
    assert!(steps[3..13].iter().chain(&steps[14..]).all(is_frame));
    let JitterStats { lost, recovered, concealed, .. } = stage.buffer.stats();
    assert_eq!((lost, recovered, concealed), (1, 1, Duration::ZERO));
}

#[test]
fn of_several_lost_frames_the_last_is_rebuilt() {
    let mut stage = Stage::new();
    let steps = stage.play(0, 20, &[10, 11]);
    assert_eq!(steps[13], Step::Conceal { samples: 960 });
    assert!(matches!(steps[14], Step::Recover { .. }));
    assert!(steps[15..].iter().all(is_frame), "no more delay than before");
    let JitterStats { lost, recovered, .. } = stage.buffer.stats();
    assert_eq!((lost, recovered), (2, 1));
}

#[test]
fn what_a_frame_does_not_carry_is_not_rebuilt() {
    assert!(carries_copy(&frame(true)) && !carries_copy(&frame(false)));
    assert!(!carries_copy(&[0xfc, 0xff, 0xff]), "the music layer has no copies");
    assert!(!carries_copy(&[]));
}

#[test]
fn a_frame_that_comes_after_the_next_is_in_time() {
    let mut stage = Stage::new();
    stage.play(0, 10, &[]);
    for n in [11, 10, 12, 13] {
        stage.now = u64::from(n) * 20;
        assert_eq!(stage.arrives(n), Inserted::Kept);
        assert!(is_frame(&stage.step()));
    }
}

#[test]
fn late_and_repeated_frames_change_nothing() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[10]);
    assert_eq!(stage.arrives(10), Inserted::Late);
    assert_eq!(stage.arrives(10), Inserted::Duplicate);
    assert_eq!(stage.arrives(19), Inserted::Duplicate, "still held");
    assert_eq!(stage.arrives(12), Inserted::Duplicate, "long played");
    assert!(stage.play(20, 30, &[]).iter().all(is_frame));
    assert_eq!(stage.buffer.insert(stage.at(600), 30, 30 * 960, Bytes::new()), Inserted::Refused);
}

#[test]
fn when_nothing_comes_sound_fades_and_begins_again() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    let mut steps = Vec::new();
    for n in 20..40 {
        stage.now = n * 20;
        steps.push(stage.step());
    }
    assert_eq!(steps.iter().filter(|step| is_frame(step)).count(), 3, "what was held");
    assert_eq!(steps.iter().filter(|step| matches!(step, Step::Conceal { .. })).count(), 5);
    assert!(steps[8..].iter().all(|step| *step == Step::Silence));
    let steps = stage.play(40, 50, &[]);
    assert_eq!(steps.iter().position(is_frame), Some(3), "not before the delay is there again");
}

#[test]
fn frames_that_were_only_late_are_all_played() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    // 100 ms without any, then all at once.
    let mut played = 0;
    for n in 20..25 {
        stage.now = n * 20;
        played += usize::from(is_frame(&stage.step()));
    }
    (20..25).for_each(|n| assert_eq!(stage.arrives(n), Inserted::Kept));
    played += stage.play(25, 40, &[]).iter().filter(|step| is_frame(step)).count();
    assert_eq!(played, 3 + 15, "one for each block, those that were late before the newer ones");
    let JitterStats { lost, delay, target, .. } = stage.buffer.stats();
    assert_eq!((lost, delay), (0, Duration::from_millis(100)), "later than before by what was concealed");
    assert!(target > Duration::from_millis(80), "so late may others be, too");
}

#[test]
fn a_silent_sender_is_no_loss() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    // Half a second without packets: numbers go on, times jump.
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

#[test]
fn another_timeline_begins_anew() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    stage.now = 400;
    assert_eq!(stage.arrives_as(20, 3_000_000_000), Inserted::Kept);
    assert_eq!(stage.buffer.stats().restarts, 1);
    for n in 1..10 {
        stage.now = 400 + n * 20;
        stage.arrives_as(20 + n as u16, 3_000_000_000 + n as u32 * 960);
        assert_eq!(is_frame(&stage.step()), n >= 3);
    }
}

#[test]
fn a_straggler_from_another_timeline_does_not_begin_it() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    assert_eq!(stage.arrives_as(5, 3_000_000_000), Inserted::Late);
    assert!(stage.play(20, 30, &[]).iter().all(is_frame));
    for (sequence, outcome) in [(5, Inserted::Late), (6, Inserted::Late), (7, Inserted::Kept)] {
        assert_eq!(stage.arrives_as(sequence, 3_000_000_000), outcome, "three in a row are believed");
    }
}

#[test]
fn numbers_and_times_may_wrap() {
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
fn a_listener_who_comes_back_hears_what_is_new() {
    let mut stage = Stage::new();
    stage.play(0, 20, &[]);
    for n in 20..1_000 {
        stage.now = u64::from(n) * 20;
        stage.arrives(n);
        assert!(stage.buffer.held.len() <= MAX_FRAMES);
    }
    assert!(is_frame(&stage.step()));
    let JitterStats { skipped, delay, .. } = stage.buffer.stats();
    assert!(skipped > 900 && delay < Duration::from_millis(100), "{skipped}, {delay:?}");
}

proptest! {
    #[test]
    fn whatever_arrives_time_goes_on_and_the_delay_is_bounded(
        events in prop::collection::vec((0u32..60, any::<u16>(), 0u8..40, any::<bool>()), 1..300),
    ) {
        let mut stage = Stage::new();
        let bound = DelayBounds::default().most + Duration::from_millis(140);
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
                Step::Conceal { samples } => prop_assert!(samples <= 960 && samples % 120 == 0 && samples > 0),
                Step::Recover { samples, .. } => prop_assert_eq!(samples, 960),
                Step::Frame(_) | Step::Silence => {}
            }
            prop_assert!(stage.buffer.held.len() <= MAX_FRAMES);
            prop_assert!(stage.buffer.stats().delay <= bound, "{:?}", stage.buffer.stats().delay);
            let now = stage.buffer.playhead.map_or(stage.buffer.floor, |playhead| playhead.position);
            prop_assert!(now >= position, "time runs backwards");
            position = now;
        }
    }
}
