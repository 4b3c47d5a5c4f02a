//! One direction of a path: the fate of each packet.
//!
//! Invariants, whatever the numbers: no packet arrives before `sent + delay`; packets arrive in the order in which they
//! were sent, but for those held back and those that [`Impairment::jitter_reorders`] lets overtake; and
//! `received + duplicated = down + dropped + lost + forwarded + in flight`.
//!
//! Each kind of impairment draws from its own random stream: which packets are lost does not depend on whether there is
//! jitter.

use crate::{
    bottleneck::{Passage, Queue, later},
    counts::Counts,
    impairment::Impairment,
    loss::LossProcess,
    random::Random,
};
use std::time::{Duration, Instant};

/// Fate of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The path was down.
    Down,
    /// The queue before the bottleneck was full.
    Dropped,
    /// Lost in flight.
    Lost,
    /// It arrives. Call [`Path::forwarded`] at that time, for each copy.
    Arrives {
        /// Its number in sending order.
        number: u64,
        /// When it leaves the bottleneck.
        left: Instant,
        /// Time of arrival.
        at: Instant,
        /// Time of arrival of the duplicate, if there is one.
        again: Option<Instant>,
    },
}

/// State of one direction.
#[derive(Debug)]
pub struct Path {
    impairment: Impairment,
    start: Instant,
    loss: LossProcess,
    jitter: Random,
    reorder: Random,
    duplicate: Random,
    queue: Option<Queue>,
    /// When the last of the packets that keep their order arrives.
    latest: Option<Instant>,
    sent: u64,
    /// Numbers below this are behind the newest arrival.
    newest: u64,
    counts: Counts,
}

impl Path {
    /// A path that begins now.
    pub fn new(impairment: Impairment, seed: u64, start: Instant) -> Self {
        let mut random = Random::new(seed);
        Self {
            queue: impairment.bottleneck.clone().map(Queue::new),
            impairment,
            start,
            loss: LossProcess::new(random.split()),
            jitter: random.split(),
            reorder: random.split(),
            duplicate: random.split(),
            latest: None,
            sent: 0,
            newest: 0,
            counts: Counts::default(),
        }
    }

    /// The current impairment.
    pub fn impairment(&self) -> &Impairment {
        &self.impairment
    }

    /// Changes the impairment of packets sent from now on. Those in flight arrive as planned.
    pub fn set_impairment(&mut self, impairment: Impairment) {
        self.queue = match (self.queue.take(), impairment.bottleneck.clone()) {
            (Some(mut queue), Some(bottleneck)) => {
                queue.set_bottleneck(bottleneck);
                Some(queue)
            }
            (_, bottleneck) => bottleneck.map(Queue::new),
        };
        self.impairment = impairment;
    }

    /// Decides the fate of a packet of this size in bytes that is sent now. Time must not decrease.
    pub fn send(&mut self, now: Instant, bytes: usize) -> Fate {
        let mut own = self.queue.take();
        let fate = self.send_by(own.as_mut(), now, bytes);
        self.queue = own;
        fate
    }

    /// The same through a bottleneck that other paths share, instead of the one that belongs to it.
    pub fn send_through(&mut self, shared: &mut Queue, now: Instant, bytes: usize) -> Fate {
        self.send_by(Some(shared), now, bytes)
    }

    fn send_by(&mut self, queue: Option<&mut Queue>, now: Instant, bytes: usize) -> Fate {
        let number = self.sent;
        self.sent = self.sent.wrapping_add(1);
        self.counts.received += 1;
        // Drawn for every packet, so that its values do not depend on the fate of earlier packets.
        let lost = self.loss.loses(&self.impairment.loss);
        let held_back = self.reorder.happens(self.impairment.reorder);
        let twice = self.duplicate.happens(self.impairment.duplicate);
        let jitters = [(); 2].map(|()| self.impairment.jitter.draw(&mut self.jitter));

        let age = now.saturating_duration_since(self.start);
        if self.impairment.outage.is_some_and(|outage| outage.covers(age)) {
            self.counts.down += 1;
            return Fate::Down;
        }
        let passage = match queue {
            Some(queue) => queue.pass(now, bytes),
            None => Some(Passage::instant(now)),
        };
        let Some(passage) = passage else {
            self.counts.dropped += 1;
            return Fate::Dropped;
        };
        if lost {
            self.counts.lost += 1;
            return Fate::Lost;
        }
        let [jitter, jitter_of_copy] = jitters;
        let at = self.arrival(&passage, jitter, held_back);
        let again = twice.then(|| self.arrival(&passage, jitter_of_copy, held_back));
        self.counts.duplicated += u64::from(twice);
        Fate::Arrives { number, left: passage.ends, at, again }
    }

    fn arrival(&mut self, passage: &Passage, jitter: Duration, held_back: bool) -> Instant {
        let impairment = &self.impairment;
        let at = later(passage.ends, impairment.delay.saturating_add(jitter));
        if held_back {
            return later(at, impairment.held_back);
        }
        if impairment.jitter_reorders {
            return at;
        }
        let apart = if impairment.jitter.spaces() { passage.transmission() } else { Duration::ZERO };
        let earliest = self.latest.map_or(at, |latest| later(latest, apart));
        let at = at.max(earliest);
        self.latest = Some(at);
        at
    }

    /// Records that the packet with this number, from [`Fate::Arrives`], has arrived.
    pub fn forwarded(&mut self, number: u64) {
        self.counts.forwarded += 1;
        // RFC 4737 section 3.3: reordered is what arrives behind a packet that was sent later.
        if number.saturating_add(1) < self.newest {
            self.counts.reordered += 1;
        }
        self.newest = self.newest.max(number.saturating_add(1));
    }

    /// Packet counts since the start.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}
