//! The result of a run: JSON for programs, a table for people.

pub mod csv;
pub mod figures;
pub mod html;
pub mod json;
pub(crate) mod layers;
pub mod machine;
pub(crate) mod notes;
pub(crate) mod overload;
pub mod repeats;
pub(crate) mod summary;

use crate::measure::latencies::Latencies;
use figures::{Figure, Unit, Value, figures};
pub use layers::{LayerReport, LayersReport, Notices, WaitMs};
pub use overload::{OverloadReport, VideoLayer};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// One-way latency of packets, from the publisher's send call to the receiver's kernel, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyUs {
    /// Median.
    pub p50: u64,
    /// 95th percentile.
    pub p95: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Largest.
    pub max: u64,
}

impl LatencyUs {
    /// The quantiles of a histogram.
    #[must_use]
    pub fn of(latencies: &Latencies) -> Self {
        Self {
            p50: latencies.quantile(0.50),
            p95: latencies.quantile(0.95),
            p99: latencies.quantile(0.99),
            max: latencies.max(),
        }
    }
}

/// Jitter, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JitterUs {
    /// Interarrival jitter (RFC 3550 section 6.4.1) as receivers report it once a second: median over streams and
    /// reports.
    pub interarrival_p50: u64,
    /// 99th percentile of the same.
    pub interarrival_p99: u64,
    /// 99th percentile of the difference between the latencies of neighbouring packets of a stream.
    pub deviation_p99: u64,
}

/// Time from the start of joining to the first media, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FirstMediaMs {
    /// Median.
    pub p50: u64,
    /// 95th percentile.
    pub p95: u64,
    /// Largest.
    pub max: u64,
}

/// Joins while media flowed, and the time to first media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JoinReport {
    /// Bots that began to join, again after having left included.
    pub begun: u64,
    /// Of these, bots that were in the call with a media path, keys and slots.
    pub completed: u64,
    /// Of these, bots that were refused or lost their call.
    pub failed: u64,
    /// Bots that left before the end, as the scenario specifies.
    pub left: u64,
    /// From the start of joining to the first frame opened, or authenticated in a light run; `null` when media began
    /// only after all had joined.
    pub first_media_ms: Option<FirstMediaMs>,
}

/// Packets of one kind of media, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KindReport {
    /// Streams that were sent.
    pub streams: u64,
    /// Packets that publishers sent in the measured time, repairs not counted.
    pub sent: u64,
    /// RTP payload bytes of these.
    pub sent_bytes: u64,
    /// Packets of these times the receivers that should have had each.
    pub expected: u64,
    /// Packets of these that arrived, repaired ones included.
    pub delivered: u64,
    /// RTP payload bytes of these.
    pub delivered_bytes: u64,
    /// Packets that did not arrive, not even after repair.
    pub lost: u64,
    /// Packets that did not arrive but by retransmission, and those that did not arrive at all.
    pub lost_before_repair: u64,
    /// Packets that arrived behind one with a higher sequence number, repairs not counted.
    pub reordered: u64,
    /// Copies of packets that had arrived.
    pub duplicates: u64,
    /// Frames that were opened.
    pub opened: u64,
    /// Whole frames that did not open, though their key was there or overdue.
    pub undecryptable: u64,
    /// Whole frames that arrived before their receiver had its first key of the sender, soon after one of them had joined.
    pub before_key: u64,
    /// One-way latency.
    pub latency_us: LatencyUs,
    /// Jitter.
    pub jitter_us: JitterUs,
}

figures! {
    /// Figures of the bots on the `webrtc` crate, never mixed with the others.
    CANARY_FIGURES "canaries." (|report| &report.canaries)

    /// Packets received by bots on the `webrtc` crate, and by other bots from them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    pub struct CanaryReport {
        /// How many there were.
        pub bots: usize = "Bots" Count;
        /// Packets that all of them together should have received.
        pub expected: u64 = "Packets expected" Count;
        /// Packets that they received.
        pub delivered: u64 = "Packets delivered" Count;
        /// Packets that did not arrive.
        pub lost: u64 = "Packets lost" Count;
        /// Frames that they opened.
        pub opened: u64 = "Frames opened" Count;
        /// Frames that arrived and did not open.
        pub undecryptable: u64 = "Frames undecryptable" Count;
        /// Frames that arrived before the first that they could open.
        pub before_key: u64;
        /// Until the application read the packet, not until the kernel received it: not comparable with the others.
        pub latency_us: LatencyUs {
            "p50" (.p50) "Latency until read, median" Microseconds;
            "p99" (.p99) "Latency until read, p99" Microseconds;
        };
        /// Join to first frame opened, as in [`JoinReport`].
        pub first_media_ms: Option<FirstMediaMs> {
            "p50" (?.p50) "Join to first frame, median" Milliseconds;
        };
        /// What the other bots received of the streams that these bots sent.
        pub published: KindReport;
    }
}

/// Whether the load generator itself was the limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeneratorReport {
    /// Threads that ran light bots.
    pub threads: usize,
    /// How late bursts were sent, 99th percentile, in microseconds.
    pub schedule_lag_us_p99: u64,
    /// Packets that were due and never sent.
    pub skipped: u64,
    /// Packets that the generator's kernel refused to send.
    pub send_errors: u64,
    /// Packets that arrived and were dropped, because a bot did not read in time.
    pub receive_drops: u64,
    /// Busiest bot thread, of one core.
    pub busiest_thread: f64,
    /// Share of the measured time for which the bot threads could have run and had no core, the worst of them.
    pub waited: f64,
    /// Share of the measured time for which the server's threads could have run and had no core: something else was
    /// using this machine, the bots perhaps.
    pub server_waited: f64,
    /// Share of this machine's CPU time that its host gave to others (steal), while measured.
    pub stolen: f64,
    /// Reasons why the generator may have determined the numbers; empty if there are none.
    pub limits: Vec<String>,
}

figures! {
    /// Figures of a run, in the order in which they are shown.
    FIGURES "" (|report| report)

    /// The result of a run. The names of the fields are stable.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Report {
        /// Name of the scenario.
        pub scenario: String;
        /// Rooms.
        pub rooms: usize;
        /// Bots that sent, including those that received as well.
        pub publishers: usize;
        /// Bots that received, including those that sent as well, without canaries.
        pub subscribers: usize;
        /// Bots that did both.
        pub participants: usize;
        /// Measured seconds.
        pub seconds: f64;
        /// Planned packets a second of each publisher, all its streams together.
        pub pps: u32;
        /// Planned mean bytes of RTP payload in a packet.
        pub size: usize;
        /// Packets sent at once; 0 when frames have the sizes of real video.
        pub burst: u32;
        /// Whether subscribers opened no frames.
        pub light: bool;
        /// The core that the server was pinned to.
        pub server_core: Option<usize>;
        /// Packets a second that the server forwarded to subscribers and canaries.
        pub forwarded_pps: f64 = "Forwarded" PerSecond compared;
        /// Packets a second that publishers sent to the server.
        pub received_pps: f64 = "Received by the server" PerSecond;
        /// RTP payload bytes a second that the server forwarded.
        pub forwarded_bytes_per_s: f64 = "Forwarded payload" BytesPerSecond;
        /// RTP payload bytes a second that publishers sent to the server.
        pub received_bytes_per_s: f64;
        /// Packets that subscribers should have received: those sent in the measured time, times the subscribers of each;
        /// and those that were not sent because the bots lost their calls.
        pub expected: u64 = "Packets expected" Count;
        /// Of these, packets that were never sent, because the bots lost their calls.
        pub owed: u64 = "Packets never sent" Count;
        /// Whether the server ended, or every bot lost its call, while it was measured.
        pub server_lost: bool;
        /// Those that arrived, retransmitted ones included.
        pub delivered: u64 = "Packets delivered" Count;
        /// Those that did not arrive, not even by retransmission.
        pub lost: u64 = "Packets lost" Count;
        /// Those that arrived only by retransmission, and those that did not arrive at all.
        pub lost_before_repair: u64 = "Packets lost before repair" Count;
        /// Packets that arrived behind one with a higher sequence number, without retransmissions.
        pub reordered: u64 = "Packets reordered" Count;
        /// Copies of packets that had arrived.
        pub duplicates: u64 = "Duplicates" Count;
        /// Frames that arrived whole and did not open.
        pub undecryptable: u64 = "Frames undecryptable" Count;
        /// Frames that arrived before their receiver had its first key of the sender.
        pub before_key: u64 = "Frames before their key" Count;
        /// One-way latency.
        pub latency_us: LatencyUs {
            "p50" (.p50) "Latency, median" Microseconds compared;
            "p95" (.p95) "Latency, p95" Microseconds;
            "p99" (.p99) "Latency, p99" Microseconds compared;
            "max" (.max) "Latency, largest" Microseconds;
        };
        /// One-way latency as a cumulative distribution: microseconds, and the share of packets that took no longer.
        pub latency_cdf: Vec<(u64, f64)>;
        /// The histogram of the one-way latency, to be merged with those of other runs; not written to JSON.
        #[serde(skip)]
        pub latencies: Latencies;
        /// Jitter.
        pub jitter_us: JitterUs {
            "interarrival_p50" (.interarrival_p50) "Jitter, median" Microseconds;
            "interarrival_p99" (.interarrival_p99) "Jitter, p99" Microseconds;
            "deviation_p99" (.deviation_p99) "Latency step, p99" Microseconds;
        };
        /// Audio alone; `null` when there was none.
        pub audio: Option<KindReport>;
        /// Video alone, or single packets; `null` when there were none.
        pub video: Option<KindReport>;
        /// Tracks with layers; `null` when there were none.
        pub layers: Option<LayersReport>;
        /// Bots that joined, and how soon they had media.
        pub joins: JoinReport {
            "first_media_ms.p50" (.first_media_ms?.p50) "Join to first media, median" Milliseconds;
            "first_media_ms.p95" (.first_media_ms?.p95) "Join to first media, p95" Milliseconds;
        };
        /// CPU of the server while bots joined before the measured time, per bot, in milliseconds; `null` for a server
        /// whose CPU is unknown.
        pub join_cpu_ms: Option<f64> = "Server CPU per join" Milliseconds;
        /// CPU seconds of the server process per million forwarded packets; `null` likewise.
        pub server_cpu_s_per_mpkt: Option<f64> = "Server CPU per million packets" CpuSeconds compared;
        /// CPU of the server process, of one core; `null` likewise.
        pub server_cpu: Option<f64> = "Server CPU, of a core" Share compared;
        /// Resident memory of the server at the end of the measured time; `null` for a server whose memory is unknown.
        pub server_rss_bytes: Option<u64> = "Server memory" Bytes;
        /// Growth of the server's memory from before the first receiver to the end, per receiver; `null` likewise, and
        /// when receivers are publishers, too.
        pub rss_bytes_per_subscriber: Option<u64> = "Server memory per subscriber" Bytes;
        /// Growth of the server's memory from before the first bot to the end, per bot that is in a call at the end;
        /// `null` likewise.
        pub rss_bytes_per_participant: Option<u64> = "Server memory per participant" Bytes;
        /// Datagrams that the kernel dropped in the measured time because the server did not read them; `null` for a
        /// server that is not our child.
        pub server_socket_drops: Option<u64> = "Dropped by the server's sockets" Count;
        /// How the server divided what it can send; `null` without audio, and for a server whose metrics are unknown.
        pub overload: Option<OverloadReport>;
        /// What the independent bots received.
        pub canaries: CanaryReport;
        /// Whether the generator kept up.
        pub generator: GeneratorReport {
            "busiest_thread" (.busiest_thread) "Busiest generator thread" Share;
            "schedule_lag_us_p99" (.schedule_lag_us_p99) "Generator late, p99" Microseconds;
            "skipped" (.skipped) "Generator did not send" Count;
            "receive_drops" (.receive_drops) "Generator dropped" Count;
            "server_waited" (.server_waited) "Server waited for a core" Share;
        };
    }
}

impl Report {
    /// Whether any packet reached any bot.
    #[must_use]
    pub fn delivered_anything(&self) -> bool {
        self.delivered + self.canaries.delivered > 0
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

impl Display for LatencyUs {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {} · p95 {} · p99 {} · max {} µs", self.p50, self.p95, self.p99, self.max)
    }
}

impl KindReport {
    fn line(&self, f: &mut Formatter<'_>, name: &str) -> fmt::Result {
        let lost = percent(self.lost, self.expected);
        let Self { streams, sent, delivered, expected, opened, latency_us, .. } = self;
        writeln!(
            f,
            "{name:<12}{streams} streams, {sent} packets · delivered {delivered} of {expected} · lost {lost:.3} % · \
             {opened} frames opened · p50 {} · p99 {} µs",
            latency_us.p50, latency_us.p99
        )
    }
}

impl Report {
    fn load_lines(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { scenario, rooms, publishers, subscribers, participants, pps, size, burst, seconds, .. } = self;
        write!(f, "load        {scenario}: {rooms} {}, {publishers} send", if *rooms == 1 { "room" } else { "rooms" })?;
        write!(f, " and {subscribers} receive, {participants} of them do both · {pps} packets/s of {size} bytes each")?;
        match burst {
            0 => writeln!(f, " · {seconds:.1} s")?,
            burst => writeln!(f, " in bursts of {burst} · {seconds:.1} s")?,
        }
        let how = if self.light { "SRTP authenticated, frames not opened" } else { "every frame opened" };
        writeln!(f, "receivers   {how}")
    }

    fn server_lines(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.server_cpu_s_per_mpkt, self.server_cpu) {
            (Some(per_mpkt), Some(share)) => {
                writeln!(f, "server CPU  {per_mpkt:.2} s per million packets · {:.0} % of a core", share * 100.0)?;
            }
            _ => writeln!(f, "server CPU  not known: no child of this process, and no metrics say it")?,
        }
        match (self.rss_bytes_per_subscriber, self.rss_bytes_per_participant) {
            (Some(bytes), _) => writeln!(f, "memory      {} kB per subscriber", bytes / 1_000)?,
            (None, Some(bytes)) => writeln!(f, "memory      {} kB per participant", bytes / 1_000)?,
            (None, None) => {}
        }
        if let Some(drops @ 1..) = self.server_socket_drops {
            writeln!(f, "server      its sockets dropped {drops} datagrams")?;
        }
        self.overload.as_ref().map_or(Ok(()), |overload| overload.lines(f))
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.load_lines(f)?;
        let Self { delivered, expected, lost, undecryptable, duplicates, reordered, canaries, joins, .. } = self;
        writeln!(
            f,
            "delivered   {delivered} of {expected} · lost {lost} ({:.3} %, before repair {:.3} %) · undecryptable \
             {undecryptable} · duplicates {duplicates} · reordered {reordered}",
            percent(*lost, *expected),
            percent(self.lost_before_repair, *expected)
        )?;
        if let (Some(audio), Some(video)) = (&self.audio, &self.video) {
            audio.line(f, "  audio")?;
            video.line(f, "  video")?;
        }
        if let Some(layers) = &self.layers {
            layers.lines(f)?;
        }
        writeln!(f, "forwarded   {:.0} packets/s", self.forwarded_pps)?;
        writeln!(f, "latency     {}", self.latency_us)?;
        let JitterUs { interarrival_p50, interarrival_p99, deviation_p99 } = self.jitter_us;
        writeln!(
            f,
            "jitter      RFC 3550 p50 {interarrival_p50} · p99 {interarrival_p99} · from packet to packet p99 \
             {deviation_p99} µs"
        )?;
        let JoinReport { begun, completed, failed, left, .. } = joins;
        write!(f, "joins       {completed} of {begun}, {failed} failed, {left} left")?;
        match joins.first_media_ms {
            Some(FirstMediaMs { p50, p95, max }) => {
                writeln!(f, " · to first media p50 {p50} · p95 {p95} · max {max} ms")?
            }
            None => writeln!(f)?,
        }
        self.server_lines(f)?;
        if canaries.bots > 0 {
            writeln!(
                f,
                "canaries    {} on the webrtc crate: {} of {} · lost {} · undecryptable {} · {}",
                canaries.bots,
                canaries.delivered,
                canaries.expected,
                canaries.lost,
                canaries.undecryptable,
                canaries.latency_us
            )?;
        }
        if canaries.published.streams > 0 {
            canaries.published.line(f, "  sent")?;
        }
        for limit in &self.generator.limits {
            writeln!(f, "note        {limit}")?;
        }
        Ok(())
    }
}

impl GeneratorReport {
    /// Lag from which latencies are the generator's.
    const LAG_US: u64 = 1_000;
    /// Share of a core from which a bot thread delays what it measures.
    const BUSY: f64 = 0.85;
    /// Share of the time from which waiting for a core shows in latencies.
    const WAITED: f64 = 0.02;
    /// Stolen share of CPU time from which it shows in the numbers.
    const STOLEN: f64 = 0.02;

    /// Draws conclusions from the numbers.
    pub(crate) fn judge(&mut self) {
        if self.schedule_lag_us_p99 > Self::LAG_US {
            let lag = self.schedule_lag_us_p99;
            self.limits.push(format!("the generator sent late (p99 {lag} µs): latencies are not the server's alone"));
        }
        if self.skipped > 0 {
            self.limits.push(format!("the generator could not send {} packets that were due", self.skipped));
        }
        if self.send_errors > 0 {
            self.limits.push(format!("the kernel refused {} packets of the generator", self.send_errors));
        }
        if self.receive_drops > 0 {
            self.limits.push(format!("{} packets arrived and were not read in time by a bot", self.receive_drops));
        }
        if self.busiest_thread > Self::BUSY {
            let share = self.busiest_thread * 100.0;
            self.limits.push(format!("a bot thread was busy {share:.0} % of the time: the generator is the limit"));
        }
        if self.waited > Self::WAITED {
            let share = self.waited * 100.0;
            self.limits
                .push(format!("a bot thread had no core for {share:.0} % of the time: latencies hold its waiting"));
        }
        if self.stolen > Self::STOLEN {
            let share = self.stolen * 100.0;
            self.limits.push(format!("the host of this machine took {share:.0} % of its CPU time for others"));
        }
        if self.server_waited > Self::WAITED {
            let share = self.server_waited * 100.0;
            self.limits.push(format!("the server had no core for {share:.0} % of the time: this machine is too busy"));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn json_names_are_stable() {
        let report = Report::default();
        let json = serde_json::to_value(&report).unwrap();
        for name in [
            "expected",
            "delivered",
            "lost",
            "undecryptable",
            "forwarded_pps",
            "latency_us",
            "server_cpu_s_per_mpkt",
            "rss_bytes_per_subscriber",
            "canaries",
        ] {
            assert!(json.get(name).is_some(), "{name}");
        }
        for name in ["p50", "p95", "p99"] {
            assert!(json["latency_us"].get(name).is_some(), "{name}");
        }
        assert!(!report.delivered_anything());
    }

    #[test]
    fn judge_names_every_limit() {
        let mut generator = GeneratorReport {
            schedule_lag_us_p99: 5_000,
            busiest_thread: 0.99,
            server_waited: 0.5,
            ..Default::default()
        };
        generator.judge();
        assert_eq!(generator.limits.len(), 3);
        let mut idle = GeneratorReport::default();
        idle.judge();
        assert!(idle.limits.is_empty());
    }
}
