//! The maximum rate at which a server forwards packets within the [`Criteria`]; `--find-limit`.
//!
//! ```text
//!   search ──► Try(load) ──► a run ──► Sample (pass, or what failed) ──► search ──► … ──► Done ──► LimitReport
//! ```
//! [`Search`] decides and runs nothing; [`find`] drives it with whatever runs a load. The limit is a rate that was
//! measured, twice, and never one between two measurements. If the generator was exhausted before the server, no limit
//! is reported, only a rate that the server carries *at least*, and the reason.

mod criteria;
mod sample;
mod search;
#[cfg(test)]
mod synthetic;

pub use criteria::Criteria;
pub use sample::{Sample, Verdict};
pub use search::{Bounds, End, Search, SearchSettings, Step};

use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// The parameter that varies the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knob {
    /// Number of subscribers.
    #[default]
    Subscribers,
    /// Number of participants of one room, all sending and receiving.
    Participants,
    /// Number of rooms.
    Rooms,
    /// Packets per second of each publisher.
    Pps,
}

impl Display for Knob {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subscribers => "subscribers",
            Self::Participants => "participants",
            Self::Rooms => "rooms",
            Self::Pps => "packets/s of each publisher",
        })
    }
}

/// The lowest load that was not carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failing {
    /// The load.
    pub load: u64,
    /// Packets a second that were forwarded nevertheless, in the better of its runs.
    pub forwarded_pps: f64,
    /// Whether the server or the generator failed.
    pub by: Verdict,
    /// Why its last failing run failed.
    pub why: Vec<String>,
}

/// The result of a search. The names of the fields are stable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitReport {
    /// Maximum packets a second that the server forwarded within the criteria; `null` when the server was not shown
    /// to be the limit.
    pub limit_pps: Option<f64>,
    /// Packets a second that it forwarded in two runs while it kept the criteria: the limit is not below.
    pub at_least_pps: Option<f64>,
    /// Why there is no limit.
    pub reason: Option<String>,
    /// The parameter that was varied.
    pub knob: Knob,
    /// Its value at the limit, or at what was carried at least.
    pub load: Option<u64>,
    /// The lowest load that failed.
    pub failed: Option<Failing>,
    /// The criteria of the search.
    pub criteria: Criteria,
    /// The core that the server had to itself; `null` when it was not pinned.
    pub server_core: Option<usize>,
    /// All runs, in order.
    pub samples: Vec<Sample>,
}

impl LimitReport {
    /// Summarizes the outcome of a search.
    #[must_use]
    pub fn new(search: &Search, bounds: Bounds, knob: Knob, criteria: Criteria, server_core: Option<usize>) -> Self {
        let samples = search.samples();
        let at_least_pps = bounds.passed.and_then(|load| {
            let passes = samples.iter().filter(|sample| sample.load == load && sample.verdict == Verdict::Pass);
            // The smaller of its passes: both were carried.
            passes.map(|sample| sample.forwarded_pps).min_by(f64::total_cmp)
        });
        let failed = bounds.failed.and_then(|(load, by)| {
            let runs = || samples.iter().filter(move |sample| sample.load == load);
            Some(Failing {
                load,
                forwarded_pps: runs().map(|sample| sample.forwarded_pps).max_by(f64::total_cmp)?,
                by,
                why: runs().rev().find(|sample| sample.verdict == by)?.why.clone(),
            })
        });
        let reason = match (bounds.end, bounds.failed) {
            (End::Found, Some((_, Verdict::Server))) => None,
            (End::Found, _) => Some("the generator was the limit before the server was".to_owned()),
            (End::MostPassed, _) => Some("the highest load that was to be tried was carried".to_owned()),
            (End::LeastFailed, _) => Some("not even the smallest load was carried".to_owned()),
            (End::RunsUsed, _) => Some(format!("no end after {} runs", samples.len())),
        };
        let limit_pps = if reason.is_none() { at_least_pps } else { None };
        let samples = samples.to_vec();
        Self { limit_pps, at_least_pps, reason, knob, load: bounds.passed, failed, criteria, server_core, samples }
    }
}

/// Searches with runs made by `run`, which takes a load and the number of the run, and returns the sample.
///
/// # Errors
/// The first one of `run`, which ends the search.
pub async fn find<E>(
    settings: SearchSettings,
    mut run: impl AsyncFnMut(u64, usize) -> Result<Sample, E>,
) -> Result<(Search, Bounds), E> {
    let mut search = Search::new(settings);
    loop {
        match search.step() {
            Step::Try(load) => {
                let sample = run(load, search.samples().len() + 1).await?;
                search.record(sample);
            }
            Step::Done(bounds) => return Ok((search, bounds)),
        }
    }
}

impl Display for LimitReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { knob, criteria, .. } = self;
        match self.server_core {
            Some(core) => writeln!(f, "server      pinned to core {core}")?,
            None => writeln!(f, "server      not pinned to a core")?,
        }
        let (loss, p99) = (criteria.loss * 100.0, criteria.p99_us as f64 / 1e3);
        writeln!(f, "criteria    loss below {loss} % · p99 below {p99} ms")?;
        writeln!(f, "runs        {} · changed: {knob}", self.samples.len())?;
        for (n, sample) in self.samples.iter().enumerate() {
            let verdict = match sample.verdict {
                Verdict::Pass => "pass".to_owned(),
                Verdict::Server => format!("fail: {}", sample.why.join("; ")),
                Verdict::Generator => format!("no verdict: {}", sample.why.join("; ")),
            };
            writeln!(
                f,
                "  {:>2}  load {:>6} · {:>9.0} packets/s · loss {:.4} % · p99 {} µs{} · {verdict}",
                n + 1,
                sample.load,
                sample.forwarded_pps,
                sample.loss * 100.0,
                sample.p99_us,
                sample.server_cpu.map(|cpu| format!(" · CPU {:.0} %", cpu * 100.0)).unwrap_or_default()
            )?;
        }
        match (self.limit_pps, self.at_least_pps, self.load) {
            (Some(pps), _, Some(load)) => writeln!(f, "limit       {pps:.0} packets/s at {load} {knob}")?,
            (None, Some(pps), Some(load)) => writeln!(f, "limit       at least {pps:.0} packets/s, at {load} {knob}")?,
            _ => writeln!(f, "limit       not found")?,
        }
        if let Some(failed) = &self.failed {
            writeln!(f, "next        {} {knob}: {}", failed.load, failed.why.join("; "))?;
        }
        if let Some(reason) = &self.reason {
            writeln!(f, "note        {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{
        synthetic::{Noise, Server},
        *,
    };

    async fn limit(server: Server, settings: SearchSettings) -> LimitReport {
        let run = async |load, _| Ok::<_, std::convert::Infallible>(server.run(load, &mut Noise::none()));
        let Ok((search, bounds)) = find(settings, run).await;
        LimitReport::new(&search, bounds, Knob::Subscribers, Criteria::default(), Some(0))
    }

    #[tokio::test]
    async fn limit_is_a_measured_rate() {
        let report = limit(Server { capacity: 400.0, ..Server::default() }, SearchSettings::from(20)).await;
        let pps = report.limit_pps.unwrap();
        let measured = |sample: &&Sample| sample.verdict == Verdict::Pass && sample.forwarded_pps == pps;
        assert_eq!(report.samples.iter().filter(measured).count(), 2);
        assert_eq!(report.reason, None);
        let failed = report.failed.as_ref().unwrap();
        assert!(failed.load > report.load.unwrap() && failed.by == Verdict::Server);
        let text = report.to_string();
        assert!(text.contains(&format!("limit       {pps:.0} packets/s")), "{text}");
    }

    #[tokio::test]
    async fn exhausted_generator_reports_at_least() {
        let server = Server { capacity: 1_000.0, generator: 100.0, ..Server::default() };
        let report = limit(server, SearchSettings::from(20)).await;
        assert_eq!(report.limit_pps, None);
        assert!(report.at_least_pps.unwrap() > 45_000.0, "{report:?}");
        assert!(report.reason.as_ref().unwrap().contains("generator"));
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["limit_pps"].is_null() && json["at_least_pps"].is_number(), "{json}");
        assert!(report.to_string().contains("at least"), "{report}");
    }

    #[tokio::test]
    async fn aborted_search_has_no_limit() {
        let settings = SearchSettings { most_runs: 3, ..SearchSettings::from(20) };
        let report = limit(Server { capacity: 1e6, ..Server::default() }, settings).await;
        assert_eq!((report.limit_pps, report.samples.len()), (None, 3));
        assert!(report.reason.unwrap().contains("3 runs"));
    }

    #[tokio::test]
    async fn json_round_trip() {
        let report = limit(Server::default(), SearchSettings::from(7)).await;
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<LimitReport>(&text).unwrap(), report);
    }
}
