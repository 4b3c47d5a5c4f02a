//! Several flows through common bottlenecks, in virtual time.
//!
//! ```text
//!   flow 0 ──►┐                 ┌──► path of flow 0 (loss, delay, jitter) ──►
//!   flow 1 ──►┴► bottleneck A ──┼──► path of flow 1 ──►
//!                               └──► bottleneck B ──► path of flow 2 ──►
//!   flow 3 ──────────────────────────┘          └───► path of flow 3 ──►
//! ```
//! A flow has its own path behind the bottlenecks of its route, and they may be none. The code is that of the relay.

use crate::{
    bottleneck::{Bottleneck, Queue},
    counts::Counts,
    impairment::Impairment,
    path::{Fate, Path},
    random::Random,
    under_way::UnderWay,
};
use std::time::{Duration, Instant};

/// A bottleneck of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BottleneckId(usize);

/// A flow of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId(usize);

/// A packet that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival<T> {
    /// Its flow.
    pub flow: FlowId,
    /// When it arrives.
    pub at: Instant,
    /// When it left its last bottleneck.
    pub left: Instant,
    /// How long it was in bottlenecks, its transmission included.
    pub queued: Duration,
    /// What was sent.
    pub item: T,
}

#[derive(Debug)]
struct Flow {
    route: Vec<BottleneckId>,
    path: Path,
    /// Packets that a bottleneck before the last has dropped.
    dropped: u64,
}

/// A packet that comes to the bottleneck of this place of its flow's route.
#[derive(Debug)]
struct Entering<T> {
    flow: FlowId,
    hop: usize,
    bytes: usize,
    sent: Instant,
    item: T,
}

#[derive(Debug)]
struct Arriving<T> {
    number: u64,
    arrival: Arrival<T>,
}

/// Flows, the bottlenecks that they share, and the packets in flight.
///
/// ```
/// use std::time::{Duration, Instant};
/// use tacet_impair::{Bitrate, Bottleneck, Impairment, Network};
///
/// let start = Instant::now();
/// let mut network = Network::new(7, start);
/// let line = network.add_bottleneck(Bottleneck::new(Bitrate::mbit(2)));
/// let near = network.add_flow(Impairment::PERFECT.delay(Duration::from_millis(10)), &[line]);
/// let far = network.add_flow(Impairment::PERFECT.delay(Duration::from_millis(90)), &[line]);
/// network.send(start, far, 1_250, "first");
/// network.send(start, near, 1_250, "second");
/// let end = start + Duration::from_secs(1);
/// let arrivals: Vec<_> = std::iter::from_fn(|| network.arrived(end)).collect();
/// assert_eq!(arrivals[0].item, "second");
/// assert_eq!(arrivals[0].at, start + Duration::from_millis(20), "5 ms for each packet, and 10");
/// assert_eq!(arrivals[1].at, start + Duration::from_millis(95));
/// ```
#[derive(Debug)]
pub struct Network<T> {
    start: Instant,
    seeds: Random,
    bottlenecks: Vec<Queue>,
    flows: Vec<Flow>,
    entering: UnderWay<Entering<T>>,
    arriving: UnderWay<Arriving<T>>,
}

impl<T: Clone> Network<T> {
    /// A network without flows whose time begins now.
    pub fn new(seed: u64, start: Instant) -> Self {
        Self {
            start,
            seeds: Random::new(seed),
            bottlenecks: Vec::new(),
            flows: Vec::new(),
            entering: UnderWay::new(),
            arriving: UnderWay::new(),
        }
    }

    /// Adds a bottleneck; its schedule begins with the network.
    pub fn add_bottleneck(&mut self, bottleneck: Bottleneck) -> BottleneckId {
        self.bottlenecks.push(Queue::new(bottleneck).from(self.start));
        BottleneckId(self.bottlenecks.len() - 1)
    }

    /// Adds a flow through these bottlenecks, in this order; those that are not of this network are skipped. A bottleneck
    /// of the impairment itself is used only where the route has none.
    pub fn add_flow(&mut self, impairment: Impairment, route: &[BottleneckId]) -> FlowId {
        let route = route.iter().copied().filter(|id| id.0 < self.bottlenecks.len()).collect();
        self.flows.push(Flow { route, path: Path::new(impairment, self.seeds.next(), self.start), dropped: 0 });
        FlowId(self.flows.len() - 1)
    }

    /// Changes the impairment of a flow's packets from now on.
    pub fn set_impairment(&mut self, flow: FlowId, impairment: Impairment) {
        if let Some(flow) = self.flows.get_mut(flow.0) {
            flow.path.set_impairment(impairment);
        }
    }

    /// Sends a packet of this size in bytes. Time must not decrease.
    pub fn send(&mut self, now: Instant, flow: FlowId, bytes: usize, item: T) {
        self.pass_until(now);
        self.enter(now, Entering { flow, hop: 0, bytes, sent: now, item });
    }

    /// When something moves or arrives next; not before, [`Self::arrived`] returns `None`.
    pub fn next_event(&self) -> Option<Instant> {
        [self.entering.next_at(), self.arriving.next_at()].into_iter().flatten().min()
    }

    /// Removes and returns the next packet that has arrived by now, in order of arrival.
    pub fn arrived(&mut self, now: Instant) -> Option<Arrival<T>> {
        self.pass_until(now);
        let Arriving { number, arrival } = self.arriving.pop(now)?;
        if let Some(flow) = self.flows.get_mut(arrival.flow.0) {
            flow.path.forwarded(number);
        }
        Some(arrival)
    }

    /// Packet counts of a flow since the start; those between bottlenecks are not among them yet.
    pub fn counts(&self, flow: FlowId) -> Counts {
        self.flows.get(flow.0).map_or_else(Counts::default, |flow| {
            let counts = flow.path.counts();
            Counts { received: counts.received + flow.dropped, dropped: counts.dropped + flow.dropped, ..counts }
        })
    }

    /// Moves packets between bottlenecks. Those that come at the same time keep the order in which they were sent.
    fn pass_until(&mut self, now: Instant) {
        while let Some(at) = self.entering.next_at().filter(|at| *at <= now) {
            if let Some(packet) = self.entering.pop(at) {
                self.enter(at, packet);
            }
        }
    }

    fn enter(&mut self, now: Instant, packet: Entering<T>) {
        let Some(flow) = self.flows.get_mut(packet.flow.0) else { return };
        let queue = flow.route.get(packet.hop).and_then(|id| self.bottlenecks.get_mut(id.0));
        let fate = match queue {
            None => flow.path.send(now, packet.bytes),
            Some(last) if packet.hop + 1 == flow.route.len() => flow.path.send_through(last, now, packet.bytes),
            Some(queue) => {
                match queue.pass(now, packet.bytes) {
                    Some(passage) => self.entering.push(passage.ends, Entering { hop: packet.hop + 1, ..packet }),
                    None => flow.dropped += 1,
                }
                return;
            }
        };
        let Fate::Arrives { number, left, at, again } = fate else { return };
        let queued = left.saturating_duration_since(packet.sent);
        let arrival = |at, item| Arriving { number, arrival: Arrival { flow: packet.flow, at, left, queued, item } };
        if let Some(again) = again {
            self.arriving.push(again, arrival(again, packet.item.clone()));
        }
        self.arriving.push(at, arrival(at, packet.item));
    }
}
