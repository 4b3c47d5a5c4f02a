//! The result of a run: JSON for programs, a table for people.

use crate::options::Options;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// Latency of frames, from the publisher's send call to the receiver's kernel, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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

/// What the bots on the `webrtc` crate saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CanaryReport {
    /// How many there were.
    pub bots: usize,
    /// Frames that all of them together should have received.
    pub expected: u64,
    /// Frames that they received and opened.
    pub delivered: u64,
    /// Frames that did not come.
    pub lost: u64,
    /// Frames that came and did not open.
    pub undecryptable: u64,
    /// Until the frame was read by the application, not by the kernel: not to be compared with the others.
    pub latency_us: LatencyUs,
}

/// Whether the load generator itself was the limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GeneratorReport {
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
    /// Share of the measured time for which the server's threads could have run and had no core: something else was
    /// using this machine, the bots perhaps.
    pub server_waited: f64,
    /// Why the numbers may be the generator's and not the server's; empty when they are not.
    pub limits: Vec<String>,
}

/// The result of a run. The names of the fields are stable.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Bots that sent.
    pub publishers: usize,
    /// Light bots that received.
    pub subscribers: usize,
    /// Measured seconds.
    pub seconds: f64,
    /// Packets a second of each publisher.
    pub pps: u32,
    /// Bytes of RTP payload.
    pub size: usize,
    /// Packets sent at once.
    pub burst: u32,
    /// Whether subscribers opened no frames.
    pub light: bool,
    /// Frames sent in the measured time, times the subscribers that had each stream.
    pub expected: u64,
    /// Frames of these that arrived.
    pub delivered: u64,
    /// Frames of these that did not.
    pub lost: u64,
    /// Frames of these that arrived and did not open.
    pub undecryptable: u64,
    /// Copies of frames that had arrived.
    pub duplicates: u64,
    /// Packets a second that the server forwarded to subscribers and canaries.
    pub forwarded_pps: f64,
    /// One-way latency.
    pub latency_us: LatencyUs,
    /// CPU seconds of the server process per million forwarded packets; `null` for a server that is not our child.
    pub server_cpu_s_per_mpkt: Option<f64>,
    /// CPU of the server process, of one core; `null` likewise.
    pub server_cpu: Option<f64>,
    /// Growth of the server's memory from before the first receiver to the end, per receiver; `null` likewise.
    pub rss_bytes_per_subscriber: Option<u64>,
    /// What the independent bots saw.
    pub canaries: CanaryReport,
    /// What the generator says about itself.
    pub generator: GeneratorReport,
}

impl Report {
    /// A report that repeats the options and has counted nothing.
    #[must_use]
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            publishers: options.publishers,
            subscribers: options.subscribers,
            seconds: options.measure.as_secs_f64(),
            pps: options.pps,
            size: options.size,
            burst: options.burst,
            light: options.light,
            expected: 0,
            delivered: 0,
            lost: 0,
            undecryptable: 0,
            duplicates: 0,
            forwarded_pps: 0.0,
            latency_us: LatencyUs::default(),
            server_cpu_s_per_mpkt: None,
            server_cpu: None,
            rss_bytes_per_subscriber: None,
            canaries: CanaryReport { bots: options.canaries, ..CanaryReport::default() },
            generator: GeneratorReport::default(),
        }
    }

    /// Whether any frame reached any bot.
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

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { publishers, subscribers, canaries, .. } = self;
        writeln!(
            f,
            "load        {publishers} publishers × {} packets/s of {} bytes in bursts of {}, {:.1} s",
            self.pps, self.size, self.burst, self.seconds
        )?;
        writeln!(
            f,
            "subscribers {subscribers}{}",
            if self.light { " (SRTP authenticated, frames not opened)" } else { " (every frame opened)" }
        )?;
        writeln!(
            f,
            "delivered   {} of {} · lost {} ({:.3} %) · undecryptable {} · duplicates {}",
            self.delivered,
            self.expected,
            self.lost,
            percent(self.lost, self.expected),
            self.undecryptable,
            self.duplicates
        )?;
        writeln!(f, "forwarded   {:.0} packets/s", self.forwarded_pps)?;
        writeln!(f, "latency     {}", self.latency_us)?;
        match (self.server_cpu_s_per_mpkt, self.server_cpu) {
            (Some(per_mpkt), Some(share)) => {
                writeln!(f, "server CPU  {per_mpkt:.2} s per million packets · {:.0} % of a core", share * 100.0)?;
            }
            _ => writeln!(f, "server CPU  not known: the server is not a child of this process")?,
        }
        if let Some(bytes) = self.rss_bytes_per_subscriber {
            writeln!(f, "memory      {} kB per subscriber", bytes / 1_000)?;
        }
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
    /// Share of the time from which waiting for a core shows in the server's latencies.
    const WAITED: f64 = 0.02;

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
    use std::path::PathBuf;

    #[test]
    fn the_names_that_scripts_rely_on_are_there() {
        let report = Report::new(&Options::new(PathBuf::new()));
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
    fn a_generator_at_its_limit_says_so() {
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
