//! The event loop.

use crate::{
    clock::Clock,
    controller::{Controller, SentPacket, Start},
    receiver::{Receiver, Report},
    recording::{Delivery, QueueSample, Recording},
    scenario::Scenario,
    sender::Sender,
    tcp::{SEGMENT, Tcp},
};
use std::sync::Arc;
use std::time::Instant;
use tacet_impair::{BottleneckId, FlowId, Impairment, Network, Random};

/// What is on a network.
#[derive(Clone, Debug)]
enum Packet {
    Media { call: usize, packet: SentPacket },
    Report { call: usize, report: Arc<Report> },
    Segment { download: usize, number: u64 },
    Acknowledgement { download: usize, number: u64 },
}

struct Call {
    sender: Sender,
    receiver: Receiver,
    /// Whether its media takes the way back.
    reverse: bool,
    media: FlowId,
    reports: FlowId,
}

struct Download {
    tcp: Tcp,
    segments: FlowId,
    acknowledgements: FlowId,
}

struct World {
    clock: Clock,
    forward: Network<Packet>,
    backward: Network<Packet>,
    calls: Vec<Call>,
    downloads: Vec<Download>,
    recording: Recording,
}

/// Runs a scenario by a seed, with a controller for each call.
pub fn run(scenario: &Scenario, seed: u64, controller: &dyn Fn(&Start) -> Box<dyn Controller>) -> Recording {
    let clock = Clock::new(Instant::now());
    let mut world = World::new(scenario, seed, clock, controller);
    let end = clock.at(scenario.lasts);
    while let Some(now) = world.next_event().filter(|at| *at < end) {
        world.step(now);
    }
    let Recording { tcp, queue, .. } = world.recording;
    let (reverse, media): (Vec<_>, Vec<_>) = world.calls.into_iter().partition(|call| call.reverse);
    let recordings = |calls: Vec<Call>| calls.into_iter().map(|call| call.sender.recording).collect();
    Recording { media: recordings(media), reverse: recordings(reverse), tcp, queue }
}

impl World {
    fn new(scenario: &Scenario, seed: u64, clock: Clock, controller: &dyn Fn(&Start) -> Box<dyn Controller>) -> Self {
        let mut random = Random::new(seed);
        let mut forward = Network::new(random.next(), clock.start());
        let mut backward = Network::new(random.next(), clock.start());
        let there: Vec<BottleneckId> =
            scenario.forward.iter().map(|line| forward.add_bottleneck(line.clone())).collect();
        let back: Vec<BottleneckId> =
            scenario.backward.iter().map(|line| backward.add_bottleneck(line.clone())).collect();
        let mut calls = Vec::new();
        for (flow, reverse) in
            scenario.media.iter().map(|flow| (flow, false)).chain(scenario.reverse.iter().map(|flow| (flow, true)))
        {
            let path = scenario.path.clone().delay(flow.delay);
            // Jitter belongs to a bottleneck; a clear way back has neither.
            let clear = Impairment::PERFECT.delay(flow.delay);
            let route: Vec<BottleneckId> = flow.route.iter().filter_map(|place| there.get(*place).copied()).collect();
            let way_back = if back.is_empty() { clear } else { path.clone() };
            let (media, reports) = if reverse {
                (backward.add_flow(way_back, &back), forward.add_flow(path, &route))
            } else {
                (forward.add_flow(path, &route), backward.add_flow(way_back, &back))
            };
            let start = Start {
                epoch: clock.start(),
                at: clock.at(flow.active.from),
                rate: flow.first_rate,
                least: flow.video.0,
                most: flow.most(),
            };
            let sender = Sender::new(clock, flow, scenario.source, controller(&start), random.split());
            calls.push(Call { sender, receiver: Receiver::new(clock), reverse, media, reports });
        }
        let downloads = scenario.tcp.iter().map(|flow| Download {
            tcp: Tcp::new(flow, clock.at(flow.active.from), clock.at(flow.active.to), random.split()),
            segments: forward.add_flow(scenario.path.clone().delay(flow.delay), &there),
            acknowledgements: backward.add_flow(Impairment::PERFECT.delay(flow.delay), &[]),
        });
        let downloads: Vec<_> = downloads.collect();
        let recording = Recording { tcp: vec![Vec::new(); downloads.len()], ..Recording::default() };
        Self { clock, forward, backward, calls, downloads, recording }
    }

    fn next_event(&self) -> Option<Instant> {
        let networks = [self.forward.next_event(), self.backward.next_event()].into_iter().flatten();
        let calls =
            self.calls.iter().flat_map(|call| [call.sender.next_deadline(), call.receiver.next_deadline()]).flatten();
        let downloads = self.downloads.iter().filter_map(|download| download.tcp.next_deadline());
        networks.chain(calls).chain(downloads).min()
    }

    fn step(&mut self, now: Instant) {
        while let Some(arrival) = self.forward.arrived(now) {
            let sample = QueueSample { at: self.clock.seconds(arrival.left), ms: arrival.queued.as_secs_f64() * 1e3 };
            self.recording.queue.push(sample);
            self.on_packet(arrival.at, arrival.item);
        }
        while let Some(arrival) = self.backward.arrived(now) {
            self.on_packet(arrival.at, arrival.item);
        }
        let mut out = Vec::new();
        for (place, call) in self.calls.iter_mut().enumerate() {
            let (media, reports) = if call.reverse {
                (&mut self.backward, &mut self.forward)
            } else {
                (&mut self.forward, &mut self.backward)
            };
            if let Some(report) = call.receiver.report(now) {
                let bytes = report.bytes();
                reports.send(now, call.reports, bytes, Packet::Report { call: place, report: Arc::new(report) });
            }
            call.sender.run(now, &mut out);
            for packet in out.drain(..) {
                media.send(now, call.media, packet.bytes, Packet::Media { call: place, packet });
            }
        }
        for (place, download) in self.downloads.iter_mut().enumerate() {
            for number in download.tcp.send(now) {
                self.forward.send(now, download.segments, SEGMENT, Packet::Segment { download: place, number });
            }
        }
    }

    fn on_packet(&mut self, at: Instant, packet: Packet) {
        let seconds = self.clock.seconds(at);
        match packet {
            Packet::Media { call, packet } => {
                let Some(call) = self.calls.get_mut(call) else { return };
                call.receiver.on_packet(at, packet.number, packet.bytes);
                let recording = &mut call.sender.recording;
                recording.arrived += 1;
                recording.audio.1 += u64::from(packet.audio);
                recording.deliveries.push(Delivery { at: seconds, bytes: packet.bytes });
            }
            Packet::Report { call, report } => {
                if let Some(call) = self.calls.get_mut(call) {
                    call.sender.on_report(at, &report);
                }
            }
            Packet::Segment { download, number } => {
                let Some(flow) = self.downloads.get(download) else { return };
                self.backward.send(at, flow.acknowledgements, 40, Packet::Acknowledgement { download, number });
                if let Some(deliveries) = self.recording.tcp.get_mut(download) {
                    deliveries.push(Delivery { at: seconds, bytes: SEGMENT });
                }
            }
            Packet::Acknowledgement { download, number } => {
                if let Some(flow) = self.downloads.get_mut(download) {
                    flow.tcp.on_acknowledgement(at, number);
                }
            }
        }
    }
}
