//! Meetings of twenty, packet by packet in virtual time: who is heard, how soon, and who loses the position to which one.
//!
//! Speech is played from the levels in `traces/`; typing, music and noise are drawn from a seed.

use super::{
    level::{AudioLevel, PAUSE},
    set::{Challenge, SpeakerSet},
};
use std::time::{Duration, Instant};

const PACKET: Duration = Duration::from_millis(20);
const AUDIBLE: usize = 6;
const TALKERS: usize = 20;
/// A level at which speech starts, and one at which no one speaks.
const STARTS: u8 = 45;
const SILENT: u8 = 75;

/// Numbers from a seed (Marsaglia's xorshift).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low)
    }
}

/// Levels of synthesized speech, one voice each.
fn voices() -> Vec<Vec<u8>> {
    let lines = include_str!("traces/speech.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(' ').map(|level| level.parse().unwrap()).collect()).collect()
}

/// Where a word begins after a pause: 100 ms in which nothing is loud enough for speech.
fn words(voice: &[u8]) -> Vec<usize> {
    (0..voice.len() - 5)
        .filter(|at| voice[*at..*at + 5].iter().all(|level| *level > STARTS))
        .map(|at| at + 5)
        .filter(|at| voice.get(*at).is_some_and(|level| *level <= STARTS))
        .collect()
}

/// What a microphone picks up.
#[derive(Clone)]
enum Input {
    /// A voice, from this packet of its trace on, for this number of packets.
    Speech {
        voice: usize,
        at: usize,
        left: usize,
    },
    Typing,
    Music,
    Silence,
}

struct Talker {
    track: usize,
    input: Input,
    level: AudioLevel,
    challenge: Challenge,
    /// The levels that were sent, by packet.
    sent: Vec<u8>,
    /// The packets with which it was, and was not, heard by all.
    heard: Vec<bool>,
}

/// A meeting, and what happened in it.
struct Meeting {
    random: Seeded,
    voices: Vec<Vec<u8>>,
    set: SpeakerSet<usize>,
    talkers: Vec<Talker>,
    start: Instant,
    packets: usize,
    /// When each position was taken, by packet.
    taken: Vec<Vec<usize>>,
    replaced: Vec<Replaced>,
}

/// A holder that was replaced while it spoke.
struct Replaced {
    holder: usize,
    by: usize,
    packet: usize,
}

impl Meeting {
    fn new(seed: u64) -> Self {
        let talker = |track| Talker {
            track,
            input: Input::Silence,
            level: AudioLevel::default(),
            challenge: Challenge::default(),
            sent: Vec::new(),
            heard: Vec::new(),
        };
        Self {
            random: Seeded(seed),
            voices: voices(),
            set: SpeakerSet::new(AUDIBLE),
            talkers: (0..TALKERS).map(talker).collect(),
            start: Instant::now(),
            packets: 0,
            taken: vec![Vec::new(); AUDIBLE + 1],
            replaced: Vec::new(),
        }
    }

    /// Someone speaks for this number of packets, from some word on, in a voice that is always the same.
    fn speaks(&mut self, track: usize, left: usize) {
        let voice = track % self.voices.len();
        let words = words(&self.voices[voice]);
        let at = words[self.random.below(words.len() as u64) as usize];
        self.talkers[track].input = Input::Speech { voice, at, left };
    }

    fn set_input(&mut self, track: usize, input: Input) {
        self.talkers[track].input = input;
    }

    /// Lets 20 ms pass: a packet of each talker.
    fn step(&mut self) {
        let now = self.start + PACKET * u32::try_from(self.packets).unwrap();
        for track in 0..TALKERS {
            let level = self.level(track);
            let talker = &mut self.talkers[track];
            talker.sent.push(level);
            talker.level.on_packet(now, level);
            let Some(change) = self.set.on_packet(now, track, &talker.level, &mut talker.challenge) else { continue };
            self.taken[change.taken].push(self.packets);
            let speaks = |holder: &usize| self.talkers[*holder].level.speaks(now);
            if let Some(holder) = change.replaced.filter(|_| change.taken < AUDIBLE).filter(speaks) {
                self.replaced.push(Replaced { holder, by: track, packet: self.packets });
            }
        }
        for talker in &mut self.talkers {
            talker.heard.push(self.set.position(talker.track).is_some_and(|position| position < AUDIBLE));
        }
        self.packets += 1;
    }

    fn steps(&mut self, packets: usize) {
        (0..packets).for_each(|_| self.step());
    }

    fn level(&mut self, track: usize) -> u8 {
        let noise = SILENT - self.random.below(6) as u8;
        match &mut self.talkers[track].input {
            Input::Speech { voice, at, left } => {
                let level = self.voices[*voice][*at % self.voices[*voice].len()];
                *at += 1;
                *left -= 1;
                if *left == 0 {
                    self.talkers[track].input = Input::Silence;
                }
                level.min(noise)
            }
            // Keys are hit five times a second, each is loud for a packet or two.
            Input::Typing => match self.random.below(10) {
                0 => self.random.between(32, 50) as u8,
                1 => self.random.between(42, 60) as u8,
                _ => noise,
            },
            Input::Music => self.random.between(28, 34) as u8,
            Input::Silence => noise,
        }
    }

    /// From the first loud packet at `from` or later: packets until the talker is heard.
    fn wait(&self, track: usize, from: usize, to: usize) -> Option<usize> {
        let talker = &self.talkers[track];
        let first = (from..to).find(|packet| talker.sent[*packet] <= STARTS)?;
        Some((first..to).find(|packet| talker.heard[*packet])? - first)
    }

    /// The shortest time between two changes of one position.
    fn shortest_hold(&self) -> Duration {
        let holds = self.taken.iter().take(AUDIBLE).flat_map(|taken| taken.windows(2).map(|pair| pair[1] - pair[0]));
        holds.min().map_or(Duration::MAX, |packets| PACKET * u32::try_from(packets).unwrap())
    }
}

/// An hour in which people take rounds, while two type and some interject.
#[test]
fn who_talks_alone_is_heard_within_60_ms() {
    let mut meeting = Meeting::new(1);
    meeting.set_input(18, Input::Typing);
    meeting.set_input(19, Input::Typing);
    let mut waits = Vec::new();
    while meeting.packets < 3_600 * 50 {
        let (speaker, from) = (meeting.random.below(18) as usize, meeting.packets);
        let length = meeting.random.between(25, 1_000) as usize;
        meeting.speaks(speaker, length);
        meeting.steps(length);
        waits.extend(meeting.wait(speaker, from, meeting.packets));
        if meeting.random.below(3) == 0 {
            let other = meeting.random.below(18) as usize;
            meeting.speaks(other, 20);
        }
        let pause = meeting.random.between(5, 100) as usize;
        meeting.steps(pause);
    }
    waits.sort_unstable();
    let p99 = PACKET * waits[waits.len() * 99 / 100] as u32;
    let last = PACKET * *waits.last().unwrap() as u32;
    println!(
        "{} rounds: heard after {p99:?} (p99), {last:?} at most; positions held {:?}",
        waits.len(),
        meeting.shortest_hold()
    );
    assert!(waits.len() > 300 && p99 <= Duration::from_millis(60), "{p99:?}");
    assert!(meeting.shortest_hold() >= Duration::from_millis(1_500));
    assert!(meeting.replaced.is_empty(), "six positions are enough for one speaker at a time");
}

/// All twenty talk at once and without end: positions change, but never to someone quieter.
#[test]
fn no_one_loses_the_position_while_talking_to_someone_quieter() {
    let mut meeting = Meeting::new(2);
    for _ in 0..60 {
        for track in 0..TALKERS {
            if meeting.random.below(3) > 0 {
                let length = meeting.random.between(50, 400) as usize;
                meeting.speaks(track, length);
            }
        }
        meeting.steps(250);
    }
    for Replaced { holder, by, packet } in &meeting.replaced {
        // The loudest syllable of the last second.
        let peak = |track: &usize| {
            let sent = &meeting.talkers[*track].sent;
            sent[packet.saturating_sub(50)..=*packet].iter().copied().min().unwrap()
        };
        assert!(peak(by) < peak(holder), "{by} at {} replaced {holder} at {}", peak(by), peak(holder));
    }
    println!("{} replaced while talking; positions held {:?}", meeting.replaced.len(), meeting.shortest_hold());
    assert!(!meeting.replaced.is_empty() && meeting.shortest_hold() >= Duration::from_millis(1_500));
}

/// Two talk at the same time for five minutes while four type: neither is ever silenced.
#[test]
fn double_talk_is_heard_in_full() {
    let mut meeting = Meeting::new(3);
    (2..6).for_each(|track| meeting.set_input(track, Input::Typing));
    meeting.speaks(0, 15_000);
    meeting.speaks(1, 15_000);
    meeting.steps(15_000);
    for track in [0, 1] {
        let heard = &meeting.talkers[track].heard;
        let first = heard.iter().position(|heard| *heard).unwrap();
        assert!(heard[first..].iter().all(|heard| *heard), "{track}");
    }
}

/// Six microphones play music all the time. Who speaks, no louder than they, gets in and stays in.
#[test]
fn music_does_not_keep_speech_out() {
    let mut meeting = Meeting::new(4);
    (0..6).for_each(|track| meeting.set_input(track, Input::Music));
    meeting.steps(35 * 50);
    assert!((0..6).all(|track| meeting.set.position(track).is_some_and(|position| position < AUDIBLE)));
    for (speaker, length) in [(10, 500), (11, 500), (10, 500)] {
        let from = meeting.packets;
        meeting.speaks(speaker, length);
        meeting.steps(length);
        let wait = PACKET * meeting.wait(speaker, from, meeting.packets).unwrap() as u32;
        println!("heard over music after {wait:?}");
        assert!(wait <= Duration::from_millis(500), "{wait:?}");
        meeting.steps(10);
        assert!(meeting.talkers[speaker].heard[meeting.packets - 1]);
    }
}

/// Typing takes a position that no one needs, and loses it to the first word.
#[test]
fn typing_keeps_no_one_out() {
    let mut meeting = Meeting::new(5);
    (0..15).for_each(|track| meeting.set_input(track, Input::Typing));
    meeting.steps(3_000);
    let mut waits = Vec::new();
    for round in 0..100 {
        let (speaker, from) = (15 + round % 5, meeting.packets);
        meeting.speaks(speaker, 150);
        meeting.steps(150);
        waits.extend(meeting.wait(speaker, from, meeting.packets));
        meeting.steps((PAUSE.as_millis() / 10) as usize);
    }
    waits.sort_unstable();
    println!(
        "fifteen type: heard after {:?} (median), {:?} at most",
        PACKET * waits[50] as u32,
        PACKET * waits[99] as u32
    );
    // Who types is loud now and then, so a position is free now and then, and otherwise taken by who is louder.
    assert!(PACKET * waits[50] as u32 <= Duration::from_millis(300), "{waits:?}");
    assert!(PACKET * waits[99] as u32 <= Duration::from_millis(1_000), "{waits:?}");
}
