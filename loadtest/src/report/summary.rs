//! The report of a run, from the counts of bots, threads and the server's process.

use crate::{
    bots::canary::CanaryOutcome,
    bots::context::Joins,
    bots::running::Outcome,
    measure::latencies::Latencies,
    measure::send_log::{Class, RoomLog, SentTotal},
    measure::server_load::ServerLoad,
    measure::server_metrics::ServerUsage,
    measure::statistics::{ClassStatistics, Statistics, add_counts},
    report::{
        CanaryReport, FirstMediaMs, GeneratorReport, JitterUs, JoinReport, KindReport, LatencyUs, LayersReport,
        OverloadReport, Report,
    },
    run::options::Options,
    scenario::{Join, Scenario},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Points of the latency's distribution in a report.
const CDF_POINTS: usize = 200;

/// The server's process at the turning points of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    /// Before the first bot joined.
    pub(crate) empty: ServerUsage,
    /// When the bots that only send had joined.
    pub(crate) before_receivers: ServerUsage,
    /// When all bots had joined that do so before the measured time.
    pub(crate) joined: ServerUsage,
    /// At the beginning and at the end of the measured time.
    pub(crate) start: ServerUsage,
    pub(crate) end: ServerUsage,
    /// From one to the other.
    pub(crate) measured: Duration,
    /// Datagrams that its sockets dropped.
    pub(crate) drops: Option<u64>,
    /// What it said of its load at the beginning and at the end of the measured time.
    pub(crate) load: Option<(ServerLoad, ServerLoad)>,
}

/// Everything that was counted.
#[derive(Debug)]
pub(crate) struct Summary<'a> {
    pub(crate) options: &'a Options,
    pub(crate) outcome: Outcome,
    pub(crate) canaries: Vec<CanaryOutcome>,
    pub(crate) rooms: Vec<Arc<RoomLog>>,
    pub(crate) joins: Arc<Joins>,
    pub(crate) server: Server,
    pub(crate) stolen: f64,
    pub(crate) threads: usize,
}

impl Summary<'_> {
    pub(crate) fn report(&self) -> Report {
        let scenario = &self.options.scenario;
        let mut report = self.load();
        let [audio, video, of_canaries] = Class::ALL.map(|class| self.kind(class));
        let mut all = ClassStatistics::default();
        for class in [Class::Audio, Class::Video] {
            all.add(self.outcome.statistics.of(class));
        }
        let mut counts = KindReport::default();
        add_counts(&mut counts, &audio);
        add_counts(&mut counts, &video);
        report.expected = counts.expected;
        report.delivered = counts.delivered;
        report.lost = counts.lost;
        report.lost_before_repair = counts.lost_before_repair;
        report.reordered = counts.reordered;
        report.duplicates = counts.duplicates;
        report.undecryptable = counts.undecryptable;
        report.before_key = counts.before_key;
        report.latency_us = LatencyUs::of(&all.latencies);
        report.latency_cdf = all.latencies.cdf(CDF_POINTS);
        report.jitter_us = jitter(&all);
        report.latencies = all.latencies;
        report.audio = scenario.audio.map(|_| audio);
        report.video = (scenario.video.is_some() || scenario.packets.is_some()).then_some(video);
        report.layers = self.layers();

        let (canaries, canary_bytes) = self.canaries(of_canaries);
        let seconds = self.server.measured.as_secs_f64().max(f64::MIN_POSITIVE);
        let measured = scenario.seconds.max(f64::MIN_POSITIVE);
        let per_second = |packets: u64| packets as f64 / measured;
        report.received_pps = per_second(counts.sent + of_canaries.sent);
        report.received_bytes_per_s = per_second(counts.sent_bytes + of_canaries.sent_bytes);
        let forwarded = counts.delivered + of_canaries.delivered + canaries.delivered;
        report.forwarded_pps = per_second(forwarded);
        report.forwarded_bytes_per_s = per_second(counts.delivered_bytes + of_canaries.delivered_bytes + canary_bytes);
        report.canaries = canaries;
        report.joins = self.join_report();
        self.add_owed(&mut report);

        let Server { empty, before_receivers, joined, start, end, drops, .. } = &self.server;
        if let Some(cpu_ns) = between(start.cpu_ns, end.cpu_ns) {
            report.server_cpu = Some(cpu_ns / 1e9 / seconds);
            // Both over their own time: that of the process is read a moment later.
            let forwarded = report.forwarded_pps * seconds;
            report.server_cpu_s_per_mpkt = (forwarded > 0.0).then(|| cpu_ns / 1e9 / (forwarded / 1e6));
        }
        let joiners = self.receivers_joined_before();
        if let Some(cpu_ns) = between(before_receivers.cpu_ns, joined.cpu_ns).filter(|_| joiners > 0) {
            report.join_cpu_ms = Some(cpu_ns / 1e6 / joiners as f64);
        }
        report.server_rss_bytes = end.rss_bytes;
        let growth = |from: Option<u64>, bots: usize| {
            let (from, to) = (from?, end.rss_bytes?);
            (bots > 0).then(|| to.saturating_sub(from) / bots as u64)
        };
        let receivers = scenario.rooms * scenario.subscribers + scenario.canaries;
        if scenario.participants == 0 {
            report.rss_bytes_per_subscriber = growth(before_receivers.rss_bytes, receivers);
        }
        report.rss_bytes_per_participant = growth(empty.rss_bytes, scenario.bots());
        report.server_socket_drops = *drops;
        report.overload = self
            .server
            .load
            .as_ref()
            .zip(report.audio.as_ref())
            .and_then(|((start, end), audio)| OverloadReport::of([start, end], audio, report.layers.as_ref()));
        report.generator = self.generator();
        report
    }

    /// Counts what bots that lost their calls did not send. Bots that come and go have no plan that could be compared.
    fn add_owed(&self, report: &mut Report) {
        let scenario = &self.options.scenario;
        if report.joins.failed == 0 || scenario.churn.is_some() {
            return;
        }
        report.owed = (scenario.planned_deliveries().round() as u64).saturating_sub(report.expected);
        report.expected += report.owed;
        report.lost += report.owed;
        report.server_lost = report.joins.failed >= scenario.bots() as u64;
    }

    /// A report that describes the load and has no results.
    fn load(&self) -> Report {
        let scenario = &self.options.scenario;
        let Scenario { rooms, publishers, subscribers, participants, .. } = *scenario;
        let (pps, size) = scenario.planned_rate();
        Report {
            scenario: scenario.name.clone(),
            rooms,
            publishers: rooms * (publishers + participants),
            subscribers: rooms * (subscribers + participants),
            participants: rooms * participants,
            seconds: scenario.seconds,
            pps: pps.round() as u32,
            size: size.round() as usize,
            burst: scenario.packets.map_or(0, |packets| packets.burst),
            light: scenario.light,
            server_core: self.options.server_core,
            ..Report::default()
        }
    }

    /// Figures of one class, from the point of view of light bots.
    fn kind(&self, class: Class) -> KindReport {
        let mut report = kind(self.outcome.statistics.of(class));
        for room in &self.rooms {
            let sent = room.sent(class);
            report.streams += sent.streams;
            report.sent += sent.packets;
            report.sent_bytes += sent.bytes;
        }
        report
    }

    /// What light bots got of tracks with layers, if there were any.
    fn layers(&self) -> Option<LayersReport> {
        let heights: Vec<u16> = self.options.scenario.video?.sizes().filter_map(|size| size.height).collect();
        let mut sent = SentTotal::default();
        self.rooms.iter().for_each(|room| sent.add_total(&room.sent(Class::Video)));
        (!heights.is_empty()).then(|| LayersReport::of(&heights, &sent, &self.outcome.statistics.layers))
    }

    /// Counts of canaries, and the payload bytes that they received.
    fn canaries(&self, published: KindReport) -> (CanaryReport, u64) {
        let mut statistics = Statistics::default();
        self.canaries.iter().for_each(|seen| statistics.add(&seen.statistics));
        let mut all = ClassStatistics::default();
        for class in Class::ALL {
            all.add(statistics.of(class));
        }
        let report = CanaryReport {
            bots: self.options.scenario.canaries,
            expected: all.counts.expected,
            delivered: all.counts.delivered,
            lost: all.counts.lost,
            opened: all.counts.opened,
            undecryptable: all.counts.undecryptable,
            before_key: all.counts.before_key,
            latency_us: LatencyUs::of(&all.latencies),
            first_media_ms: first_media(&statistics.first_media),
            published,
        };
        (report, all.counts.delivered_bytes)
    }

    fn join_report(&self) -> JoinReport {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        JoinReport {
            begun: read(&self.joins.begun),
            completed: read(&self.joins.completed),
            failed: read(&self.joins.failed),
            left: read(&self.joins.left),
            first_media_ms: first_media(&self.outcome.statistics.first_media),
        }
    }

    /// Number of receiving bots that joined before the measured time.
    fn receivers_joined_before(&self) -> usize {
        let Scenario { rooms, subscribers, participants, canaries, .. } = self.options.scenario;
        let joiners = match self.options.scenario.join {
            Join::Storm { .. } => 0,
            _ => rooms * (subscribers + participants),
        };
        joiners + canaries
    }

    fn generator(&self) -> GeneratorReport {
        let Server { start, end, measured, .. } = &self.server;
        let outcome = &self.outcome;
        let waited_ns = start.waited_ns.zip(end.waited_ns).map_or(0, |(start, end)| end.saturating_sub(start));
        let mut generator = GeneratorReport {
            threads: self.threads,
            schedule_lag_us_p99: outcome.lag.quantile(0.99),
            skipped: outcome.skipped + self.canaries.iter().map(|seen| seen.skipped).sum::<u64>(),
            send_errors: outcome.send_errors,
            receive_drops: outcome.receive_drops,
            busiest_thread: outcome.busy,
            waited: outcome.waited,
            server_waited: waited_ns as f64 / measured.as_nanos().max(1) as f64,
            stolen: self.stolen,
            limits: Vec::new(),
        };
        generator.judge();
        let failed = self.joins.failed.load(Ordering::Relaxed);
        if failed > 0 {
            generator.limits.push(format!("{failed} bots were refused or lost their call"));
        }
        generator
    }
}

/// What was used from one time to another, if both are known.
fn between(start: Option<f64>, end: Option<f64>) -> Option<f64> {
    Some((end? - start?).max(0.0))
}

fn jitter(statistics: &ClassStatistics) -> JitterUs {
    JitterUs {
        interarrival_p50: statistics.interarrival.quantile(0.50),
        interarrival_p99: statistics.interarrival.quantile(0.99),
        deviation_p99: statistics.deviation.quantile(0.99),
    }
}

fn kind(statistics: &ClassStatistics) -> KindReport {
    KindReport { latency_us: LatencyUs::of(&statistics.latencies), jitter_us: jitter(statistics), ..statistics.counts }
}

fn first_media(times: &Latencies) -> Option<FirstMediaMs> {
    let of = |q: f64| times.quantile(q);
    (times.count() > 0).then(|| FirstMediaMs { p50: of(0.50), p95: of(0.95), max: times.max() })
}
