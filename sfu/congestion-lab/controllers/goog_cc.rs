//! libwebrtc's controller (GCC), ported to Rust: the yardstick.

use goog_cc::{
    GoogCcConfig, GoogCcNetworkController,
    experiments::FieldTrials,
    network_control::{NetworkControllerConfig, NetworkControllerInterface},
    transport::{
        EcnMarking, NetworkAvailability, NetworkControlUpdate, PacedPacketInfo, PacketResult as GccPacketResult,
        ProbeClusterConfig, ProcessInterval, RoundTripTimeUpdate, SentPacket as GccSentPacket, StreamsConfig,
        TargetRateConstraints, TransportPacketsFeedback,
    },
    units::{DataRate, DataSize, TimeDelta, Timestamp},
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};
use tacet_congestion_lab::{Controller, PacketResult, ProbeCluster, SentPacket, Start};

/// Its time at the start of a run, in microseconds.
const ZERO: i64 = 1_000_000_000;
/// How often it hears of the round-trip time.
const ROUND_TRIPS: Duration = Duration::from_secs(1);

/// libwebrtc's controller.
pub(crate) struct GoogCc {
    controller: GoogCcNetworkController,
    epoch: Instant,
    started: bool,
    estimate: f64,
    pacing_rate: f64,
    probes: VecDeque<ProbeCluster>,
    /// By number: its configuration, and bytes sent so far.
    clusters: BTreeMap<u32, (ProbeClusterConfig, usize)>,
    infos: BTreeMap<u64, PacedPacketInfo>,
    next_round_trip: Instant,
}

fn rate(bits_per_second: f64) -> DataRate {
    DataRate::from_bits_per_sec(bits_per_second as i64)
}

fn size(bytes: usize) -> DataSize {
    DataSize::from_bytes(bytes as i64)
}

impl GoogCc {
    /// As a sender of video begins.
    pub(crate) fn new(start: &Start) -> Self {
        let at_time = Timestamp::from_micros(ZERO);
        let constraints = TargetRateConstraints {
            at_time,
            min_data_rate: Some(rate(30e3)),
            max_data_rate: Some(rate(20e6)),
            starting_rate: Some(rate(start.rate)),
        };
        let stream_based_config = StreamsConfig {
            at_time,
            requests_alr_probing: Some(true),
            pacing_factor: Some(2.5),
            min_total_allocated_bitrate: Some(rate(start.least)),
            max_padding_rate: Some(DataRate::zero()),
            max_total_allocated_bitrate: Some(rate(start.most)),
            enable_repeated_initial_probing: None,
        };
        let config = NetworkControllerConfig { field_trials: FieldTrials::default(), constraints, stream_based_config };
        Self {
            controller: GoogCcNetworkController::new(config, GoogCcConfig { feedback_only: true }),
            epoch: start.epoch,
            started: false,
            estimate: start.rate,
            pacing_rate: 2.5 * start.rate,
            probes: VecDeque::new(),
            clusters: BTreeMap::new(),
            infos: BTreeMap::new(),
            next_round_trip: start.at,
        }
    }

    fn time(&self, at: Instant) -> Timestamp {
        Timestamp::from_micros(ZERO + at.saturating_duration_since(self.epoch).as_micros() as i64)
    }

    fn sent_packet(&self, packet: &SentPacket, info: PacedPacketInfo, in_flight: usize) -> GccSentPacket {
        GccSentPacket {
            send_time: self.time(packet.at),
            size: size(packet.bytes),
            prior_unacked_data: DataSize::zero(),
            pacing_info: info,
            audio: packet.audio,
            sequence_number: packet.number as i64,
            data_in_flight: size(in_flight),
        }
    }

    fn apply(&mut self, update: NetworkControlUpdate) {
        if let Some(target) = update.target_rate {
            self.estimate = target.target_rate.bps() as f64;
        }
        if let Some(pacer) = update.pacer_config {
            self.pacing_rate = pacer.data_rate().bps() as f64;
        }
        for config in update.probe_cluster_configs {
            let id = config.id as u32;
            self.probes.push_back(ProbeCluster {
                id,
                rate: config.target_data_rate.bps() as f64,
                duration: Duration::from_micros(config.target_duration.us() as u64),
                min_packets: config.target_probe_count as u32,
            });
            self.clusters.insert(id, (config, 0));
        }
    }
}

impl Controller for GoogCc {
    fn set_wanted(&mut self, _wanted: f64, _next: f64) {}

    fn on_sent(&mut self, packet: &SentPacket, in_flight: usize) {
        let cluster = packet.cluster.and_then(|id| self.clusters.get_mut(&id));
        let info = cluster.map_or_else(PacedPacketInfo::default, |(config, sent)| {
            let rate = config.target_data_rate.bps() as f64;
            let least = (rate * config.target_duration.us() as f64 / 8e6) as i64;
            let mut info = PacedPacketInfo::new(config.id, config.target_probe_count as i64, least);
            info.send_bitrate = config.target_data_rate;
            info.probe_cluster_bytes_sent = *sent as i64;
            *sent += packet.bytes;
            info
        });
        if packet.cluster.is_some() {
            self.infos.insert(packet.number, info);
        }
        let sent = self.sent_packet(packet, info, in_flight);
        let update = self.controller.on_sent_packet(sent);
        self.apply(update);
    }

    fn on_report(&mut self, now: Instant, results: &[PacketResult], in_flight: usize) {
        let reported: usize = results.iter().map(|result| result.packet.bytes).sum();
        let mut round_trip = None;
        let mut packet_feedbacks = Vec::with_capacity(results.len());
        for PacketResult { packet, received_micros } in results {
            let info = self.infos.remove(&packet.number).unwrap_or_default();
            if received_micros.is_some() {
                round_trip = Some(now.saturating_duration_since(packet.at));
            }
            let received = |micros: u64| Timestamp::from_micros(ZERO + micros as i64);
            packet_feedbacks.push(GccPacketResult {
                sent_packet: self.sent_packet(packet, info, in_flight + reported),
                receive_time: received_micros.map_or(Timestamp::plus_infinity(), received),
                ecn: EcnMarking::NotEct,
            });
        }
        let feedback = TransportPacketsFeedback {
            feedback_time: self.time(now),
            data_in_flight: size(in_flight),
            packet_feedbacks,
            sendless_arrival_times: Vec::new(),
        };
        let update = self.controller.on_transport_packets_feedback(feedback);
        self.apply(update);
        if let Some(round_trip) = round_trip.filter(|_| now >= self.next_round_trip) {
            self.next_round_trip = now + ROUND_TRIPS;
            let update = self.controller.on_round_trip_time_update(RoundTripTimeUpdate {
                receive_time: self.time(now),
                round_trip_time: TimeDelta::from_micros(round_trip.as_micros() as i64),
                smoothed: false,
            });
            self.apply(update);
        }
    }

    fn on_tick(&mut self, now: Instant, queued: usize) {
        if !self.started {
            self.started = true;
            let available = NetworkAvailability { at_time: self.time(now), network_available: true };
            let update = self.controller.on_network_availability(available);
            self.apply(update);
        }
        let interval = ProcessInterval { at_time: self.time(now), pacer_queue: Some(size(queued)) };
        let update = self.controller.on_process_interval(interval);
        self.apply(update);
    }

    fn next_probe(&mut self, _now: Instant) -> Option<ProbeCluster> {
        self.probes.pop_front()
    }

    fn estimate(&self) -> f64 {
        self.estimate
    }

    fn pacing_rate(&self) -> f64 {
        self.pacing_rate
    }
}
