//! Seeded simulation: devices come and go, mute and unmute, while key traffic is lost, doubled, delayed and reordered.
//!
//! Invariants, checked at every step: frames are attributed to whom they are from; nobody opens a frame sealed before
//! it joined or later than two switch windows after it left; no (key, nonce) seals two frames; keys go only to the
//! roster shown. And in the end, with the weather fair, everybody hears everybody.

use super::world::{Device, Weather, World, open_with};
use crate::{ParticipantId, StreamId, sframe::audit};
use alloc::{collections::BTreeSet, vec::Vec};

const MIC: StreamId = StreamId::MICROPHONE;
/// One window for the rotation under way when somebody leaves, one for the next.
const LEAVE_BOUND_MS: u64 = 2_000;

struct Frame {
    bytes: Vec<u8>,
    from: ParticipantId,
    sealed_at: u64,
}

struct Gone {
    device: Device,
    left_at: u64,
}

struct Run {
    world: World,
    talking: BTreeSet<ParticipantId>,
    joined_at: Vec<(ParticipantId, u64)>,
    gone: Vec<Gone>,
    frames: Vec<Frame>,
    /// Recorded by the server, to be tried on whoever joins later.
    past: Vec<Frame>,
    opened: usize,
    most: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut run = Self {
            world: World::new(seed),
            talking: BTreeSet::new(),
            joined_at: Vec::new(),
            gone: Vec::new(),
            frames: Vec::new(),
            past: Vec::new(),
            opened: 0,
            most: 2 + seed % 9,
        };
        run.join();
        run.join();
        run
    }

    fn join(&mut self) {
        let id = self.world.join("x");
        self.joined_at.push((id, self.world.now));
        self.set_talking(id, true);
    }

    fn set_talking(&mut self, id: ParticipantId, talking: bool) {
        if talking && self.talking.insert(id) {
            self.world.open_stream(id, MIC);
        } else if !talking && self.talking.remove(&id) {
            self.world.close_stream(id, MIC);
        }
    }

    fn somebody(&mut self) -> ParticipantId {
        let ids: Vec<_> = self.world.devices.keys().copied().collect();
        ids[self.world.dice.below(ids.len() as u64) as usize]
    }

    fn something_happens(&mut self) {
        let devices = self.world.devices.len() as u64;
        match self.world.dice.below(10) {
            0 | 1 if devices < self.most => self.join(),
            2 if devices > 2 => {
                let id = self.somebody();
                self.talking.remove(&id);
                let left_at = self.world.now;
                let device = self.world.leave(id);
                self.gone.push(Gone { device, left_at });
            }
            3 | 4 => {
                let id = self.somebody();
                let talking = self.talking.contains(&id);
                self.set_talking(id, !talking);
            }
            _ => {}
        }
    }

    fn everybody_talks(&mut self) {
        let now = self.world.now;
        let talking: Vec<_> = self.talking.iter().copied().collect();
        for from in talking {
            let payload = [&from.0.to_be_bytes()[..], &now.to_be_bytes()].concat();
            // Not joined long enough to have a key is the only excuse.
            if let Ok(bytes) = self.world.seal(from, MIC, &payload) {
                self.frames.push(Frame { bytes, from, sealed_at: now });
            }
        }
    }

    fn everybody_listens(&mut self) {
        let now = self.world.now;
        for frame in core::mem::take(&mut self.frames) {
            let listeners: Vec<_> = self.world.devices.keys().copied().filter(|id| *id != frame.from).collect();
            for to in listeners {
                let Ok((from, payload)) = self.world.open(to, &frame.bytes) else { continue };
                self.opened += 1;
                assert_eq!(from, frame.from);
                assert_eq!(payload[..4], frame.from.0.to_be_bytes());
            }
            for Gone { device, left_at } in &mut self.gone {
                if open_with(&mut device.session, now, &frame.bytes).is_ok() {
                    assert!(frame.sealed_at < *left_at + LEAVE_BOUND_MS, "a leaver read the future");
                }
            }
            self.past.push(frame);
        }
    }

    fn joiners_try_the_past(&mut self) {
        let joined: Vec<_> = self.joined_at.iter().copied().filter(|(_, at)| self.world.now - at < 3_000).collect();
        for index in self.past.len().saturating_sub(60)..self.past.len() {
            let Frame { bytes, from, sealed_at } = &self.past[index];
            for (id, joined_at) in joined.iter().filter(|(id, at)| id != from && sealed_at < at) {
                if self.world.devices.contains_key(id) {
                    assert!(self.world.open(*id, bytes).is_err(), "who joined at {joined_at} read what came before");
                }
            }
        }
    }
}

fn churn(seed: u64, weather: Weather) {
    audit::start();
    let mut run = Run::new(seed);
    run.world.weather = weather;
    for _ in 0..120 {
        run.something_happens();
        run.everybody_talks();
        let pause = 50 + run.world.dice.below(300);
        run.world.run(pause);
        run.everybody_listens();
        run.joiners_try_the_past();
    }
    assert!(run.opened > 100, "seed {seed}: {} frames were opened", run.opened);
    run.world.weather = Weather::default();
    let ids: Vec<_> = run.world.devices.keys().copied().collect();
    ids.iter().for_each(|id| run.set_talking(*id, true));
    // What was lost is asked for by whoever hears a frame that it cannot open: within the longest back-off.
    for _ in 0..20 {
        for from in &ids {
            let frame = run.world.seal(*from, MIC, b"x").unwrap();
            for to in ids.iter().filter(|to| *to != from) {
                let _ = run.world.open(*to, &frame);
            }
        }
        run.world.run(500);
    }
    for from in &ids {
        let frame = run.world.seal(*from, MIC, b"end").unwrap();
        for to in ids.iter().filter(|to| *to != from) {
            assert_eq!(run.world.open(*to, &frame), Ok((*from, b"end".to_vec())), "seed {seed}: {to:?} from {from:?}");
        }
    }
    for id in &ids {
        assert_eq!(run.world.device(*id).shown.len(), ids.len() - 1);
        assert_eq!(run.world.problems(*id), []);
    }
    assert!(audit::stop() > 100);
}

#[test]
fn fair_weather() {
    (0..6).for_each(|seed| churn(seed, Weather::default()));
}

#[test]
fn lossy_weather() {
    (10..18).for_each(|seed| churn(seed, Weather { drop_percent: 30, ..Weather::default() }));
}

#[test]
fn doubled_and_reordered() {
    (20..28).for_each(|seed| churn(seed, Weather { double_percent: 30, delay_ms: 700, ..Weather::default() }));
}

#[test]
fn all_at_once() {
    (30..40).for_each(|seed| churn(seed, Weather { drop_percent: 20, double_percent: 20, delay_ms: 1_500 }));
}
