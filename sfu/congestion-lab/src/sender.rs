//! The sending side of a call: source, pacer, probes, history.

use crate::{
    clock::{Clock, time_for},
    controller::{Controller, PacketResult, ProbeCluster, SentPacket},
    encoder::{Encoder, FRAMES, Frames},
    ladder::Ladder,
    receiver::Report,
    recording::MediaRecording,
    scenario::{MediaFlow, SourceKind},
};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tacet_impair::Random;

/// Audio: bytes on the wire of a packet, time between them, and their rate without headers.
const AUDIO: usize = 100;
const AUDIO_EVERY: Duration = Duration::from_millis(20);
const AUDIO_RATE: f64 = 20e3;
/// The pacer may be so far ahead.
const BURST: Duration = Duration::from_millis(5);
/// Packets of probes leave in groups of this length.
const PROBE_BURST: Duration = Duration::from_millis(2);
/// What fills a probe when no media is queued: packets of this size, which repeat video of this age at most, or are padding.
const FILLER: usize = 1_150;
const STORED: Duration = Duration::from_secs(1);
/// Nothing is probed before this many packets.
const BEFORE_PROBES: u64 = 5;
/// A probe that takes longer ends.
const LONGEST_PROBE: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Source {
    Continuous(Encoder),
    Layered(Ladder),
}

#[derive(Debug)]
struct RunningProbe {
    cluster: ProbeCluster,
    started: Option<Instant>,
    bytes: usize,
    packets: u32,
}

impl RunningProbe {
    fn due(&self, now: Instant) -> Instant {
        self.started.map_or(now, |started| started + time_for(self.bytes, self.cluster.rate))
    }

    fn is_complete(&self, now: Instant) -> bool {
        let sent = time_for(self.bytes, self.cluster.rate) >= self.cluster.duration;
        let late = self.started.is_some_and(|started| now > started + LONGEST_PROBE);
        late || sent && self.packets >= self.cluster.min_packets
    }
}

pub(crate) struct Sender {
    clock: Clock,
    flow: MediaFlow,
    controller: Box<dyn Controller>,
    source: Source,
    frames: Frames,
    next_frame: Instant,
    next_audio: Instant,
    next_tick: Instant,
    end: Instant,
    /// Packets before the pacer, in bytes.
    queue: VecDeque<usize>,
    queued: usize,
    /// When video was sent last.
    last_video: Option<Instant>,
    /// When the pacer has worked off what it sent.
    paced_until: Instant,
    probes: VecDeque<RunningProbe>,
    history: VecDeque<SentPacket>,
    in_flight: usize,
    number: u64,
    pub(crate) recording: MediaRecording,
}

impl Sender {
    pub(crate) fn new(
        clock: Clock,
        flow: &MediaFlow,
        kind: SourceKind,
        mut controller: Box<dyn Controller>,
        random: Random,
    ) -> Self {
        let start = clock.at(flow.active.from);
        let source = match kind {
            SourceKind::Continuous => {
                controller.set_wanted(flow.most(), flow.most());
                Source::Continuous(Encoder::new(flow.video.0, flow.video.1, flow.first_rate))
            }
            SourceKind::Layered => Source::Layered(Ladder::new(flow.video.1, MediaFlow::BESIDE_VIDEO)),
        };
        Self {
            clock,
            flow: flow.clone(),
            controller,
            source,
            frames: Frames::new(random),
            next_frame: start,
            next_audio: start,
            next_tick: start,
            end: clock.at(flow.active.to),
            queue: VecDeque::new(),
            queued: 0,
            last_video: None,
            paced_until: start,
            probes: VecDeque::new(),
            history: VecDeque::new(),
            in_flight: 0,
            number: 0,
            recording: MediaRecording::default(),
        }
    }

    /// When [`Self::run`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let timers = self.next_frame.min(self.next_audio).min(self.next_tick);
        let paced = self.queue.front().map(|_| self.paced_until.checked_sub(BURST).unwrap_or(self.paced_until));
        let probe = self.probes.front().filter(|_| self.may_probe()).map(|probe| probe.due(self.next_tick));
        [Some(timers), paced, probe].into_iter().flatten().min().filter(|at| *at < self.end)
    }

    const fn may_probe(&self) -> bool {
        self.number > BEFORE_PROBES
    }

    /// Sends what is due.
    pub(crate) fn run(&mut self, now: Instant, out: &mut Vec<SentPacket>) {
        if now >= self.end || now < self.clock.at(self.flow.active.from) {
            return;
        }
        if now >= self.next_tick {
            self.next_tick = now + self.controller.tick_every();
            self.controller.on_tick(now, self.queued);
            self.follow(now);
        }
        let seconds = self.clock.seconds(now);
        if now >= self.next_frame {
            self.next_frame += Duration::from_secs_f64(1.0 / FRAMES);
            let rate = match &mut self.source {
                Source::Continuous(encoder) => encoder.rate(now),
                Source::Layered(ladder) => ladder.rate(),
            };
            if self.flow.sends_video(seconds) {
                for bytes in self.frames.next(rate) {
                    self.queued += bytes;
                    self.queue.push_back(bytes);
                }
            }
        }
        if now >= self.next_audio {
            self.next_audio += AUDIO_EVERY;
            if self.flow.sends_audio(seconds) {
                self.recording.audio.0 += 1;
                self.send(now, AUDIO, None, true, out);
            }
        }
        self.probe(now, out);
        while self.paced_until <= now + BURST {
            let Some(bytes) = self.dequeue(now) else { break };
            self.paced_until = self.paced_until.max(now) + time_for(bytes, self.controller.pacing_rate());
            self.send(now, bytes, None, false, out);
        }
    }

    fn dequeue(&mut self, now: Instant) -> Option<usize> {
        let bytes = self.queue.pop_front()?;
        self.last_video = Some(now);
        self.queued -= bytes;
        Some(bytes)
    }

    fn probe(&mut self, now: Instant, out: &mut Vec<SentPacket>) {
        if !self.may_probe() {
            return;
        }
        let Some(mut probe) = self.probes.pop_front() else { return };
        if now >= probe.due(now) {
            probe.started.get_or_insert(now);
            let burst = (probe.cluster.rate * PROBE_BURST.as_secs_f64() / 8.0).max(1.0) as usize;
            let end = probe.bytes + burst;
            while probe.bytes < end {
                let bytes = self.dequeue(now).unwrap_or_else(|| {
                    let is_stored = self.last_video.is_some_and(|at| now <= at + STORED);
                    let MediaRecording { repeated, padding, .. } = &mut self.recording;
                    *(if is_stored { repeated } else { padding }) += FILLER as u64;
                    FILLER
                });
                self.send(now, bytes, Some(probe.cluster.id), false, out);
                probe.bytes += bytes;
                probe.packets += 1;
            }
        }
        if !probe.is_complete(now) {
            self.probes.push_front(probe);
        }
    }

    fn send(&mut self, now: Instant, bytes: usize, cluster: Option<u32>, audio: bool, out: &mut Vec<SentPacket>) {
        let packet = SentPacket { number: self.number, at: now, bytes, cluster, audio };
        self.number += 1;
        self.in_flight += bytes;
        self.recording.sent += 1;
        self.recording.sent_bytes += bytes as u64;
        self.history.push_back(packet);
        self.controller.on_sent(&packet, self.in_flight);
        out.push(packet);
    }

    pub(crate) fn on_report(&mut self, now: Instant, report: &Report) {
        let Some((last, _)) = report.arrivals.last() else { return };
        let mut results = Vec::with_capacity(report.arrivals.len());
        let mut arrivals = report.arrivals.iter().peekable();
        while let Some(packet) = self.history.pop_front_if(|packet| packet.number <= *last) {
            self.in_flight -= packet.bytes;
            while arrivals.next_if(|(number, _)| *number < packet.number).is_some() {}
            let received = arrivals.next_if(|(number, _)| *number == packet.number).map(|(_, at)| *at);
            if packet.number >= report.base {
                results.push(PacketResult { packet, received_micros: received });
            }
        }
        if !results.is_empty() {
            self.controller.on_report(now, &results, self.in_flight);
            self.follow(now);
        }
    }

    /// Passes a new estimate to the source, and takes probes.
    fn follow(&mut self, now: Instant) {
        while let Some(cluster) = self.controller.next_probe(now) {
            self.recording.probes += 1;
            self.probes.push_back(RunningProbe { cluster, started: None, bytes: 0, packets: 0 });
        }
        let estimate = self.controller.estimate();
        let seconds = self.clock.seconds(now);
        if self.recording.estimates.last().is_none_or(|(_, last)| *last != estimate) {
            self.recording.estimates.push((seconds, estimate));
            let cause = self.controller.cause();
            if self.recording.causes.last().is_none_or(|(_, last)| *last != cause) {
                self.recording.causes.push((seconds, cause));
            }
        }
        match &mut self.source {
            Source::Continuous(encoder) => encoder.set_rate(now, estimate - AUDIO_RATE),
            Source::Layered(ladder) => {
                if ladder.choose(now, estimate) {
                    self.recording.switches.push((seconds, ladder.rate()));
                }
                let (wanted, next) = ladder.wanted();
                self.controller.set_wanted(wanted, next);
            }
        }
    }
}
