//! One run of a search: whether the load was carried, and if not, whether the server or the generator is to blame.
//!
//! The generator is blamed unless the server is shown to be the limit: either no note speaks against the generator,
//! or the server used its whole core and the failure remains when the generator's own drops are taken away.

use super::criteria::Criteria;
use crate::report::Report;
use serde::{Deserialize, Serialize};

/// Share of its core from which a server counts as saturated.
const FULL_CORE: f64 = 0.95;
/// Share of the packets that may stay unsent in a run that still counts as this load.
const UNSENT: f64 = 0.01;

/// The result of one run of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was carried.
    Pass,
    /// It was not carried, because of the server.
    Server,
    /// It was not carried, or not even offered, possibly because of the generator.
    Generator,
}

/// One run of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The load, in the unit that is searched.
    pub load: u64,
    /// Packets a second that the server forwarded.
    pub forwarded_pps: f64,
    /// Share of the packets that did not arrive.
    pub loss: f64,
    /// 99th percentile of the one-way latency, in microseconds.
    pub p99_us: u64,
    /// CPU of the server, of one core; `null` when not known.
    pub server_cpu: Option<f64>,
    /// Verdict on the run.
    pub verdict: Verdict,
    /// Reasons of a verdict that is no pass.
    pub why: Vec<String>,
}

impl Sample {
    /// Judges a run.
    #[must_use]
    pub fn of(load: u64, report: &Report, criteria: &Criteria) -> Self {
        let share = |part: u64| if report.expected == 0 { 1.0 } else { part as f64 / report.expected as f64 };
        let (loss, p99_us) = (share(report.lost), report.latency_us.p99);
        let generator = &report.generator;
        let (verdict, why) = if report.expected == 0 {
            (Verdict::Generator, vec!["no packet was sent".to_owned()])
        } else if unsent(report) > UNSENT {
            let percent = unsent(report) * 100.0;
            (Verdict::Generator, vec![format!("the generator did not send {percent:.1} % of the load")])
        } else if criteria.met_by(loss, p99_us) {
            (Verdict::Pass, Vec::new())
        } else {
            let mut why = criteria.broken_by(loss, p99_us);
            let without_drops = share(report.lost.saturating_sub(generator.receive_drops));
            let full = report.server_cpu.filter(|&cpu| cpu >= FULL_CORE);
            match full {
                _ if generator.limits.is_empty() => (Verdict::Server, why),
                Some(cpu) if !criteria.met_by(without_drops, p99_us) => {
                    why.push(format!("the server used {:.0} % of its core", cpu * 100.0));
                    (Verdict::Server, why)
                }
                _ => {
                    why.extend(generator.limits.iter().cloned());
                    (Verdict::Generator, why)
                }
            }
        };
        Self { load, forwarded_pps: report.forwarded_pps, loss, p99_us, server_cpu: report.server_cpu, verdict, why }
    }

    /// A run without result, which proves nothing about the server.
    #[must_use]
    pub fn unmeasured(load: u64, why: String) -> Self {
        Self {
            load,
            forwarded_pps: 0.0,
            loss: 1.0,
            p99_us: 0,
            server_cpu: None,
            verdict: Verdict::Generator,
            why: vec![why],
        }
    }
}

/// Share of the load that was due and not sent.
fn unsent(report: &Report) -> f64 {
    let due = report.publishers as f64 * f64::from(report.pps) * report.seconds;
    let unsent = report.generator.skipped.saturating_add(report.generator.send_errors);
    if due > 0.0 { unsent as f64 / due } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::GeneratorReport;

    fn report(lost: u64, p99_us: u64) -> Report {
        let mut report = Report { publishers: 1, pps: 500, seconds: 10.0, ..Report::default() };
        report.expected = 100_000;
        report.delivered = 100_000 - lost;
        report.lost = lost;
        report.latency_us.p99 = p99_us;
        report.server_cpu = Some(0.7);
        report
    }

    fn verdict(report: &Report) -> (Verdict, Vec<String>) {
        let sample = Sample::of(20, report, &Criteria::default());
        (sample.verdict, sample.why)
    }

    fn busy_generator(receive_drops: u64) -> GeneratorReport {
        let mut generator = GeneratorReport { busiest_thread: 0.97, receive_drops, ..Default::default() };
        generator.judge();
        generator
    }

    #[test]
    fn carried_load_passes_despite_busy_generator() {
        assert_eq!(verdict(&report(9, 4_000)), (Verdict::Pass, vec![]));
        let busy = Report { generator: busy_generator(0), ..report(9, 4_000) };
        assert_eq!(verdict(&busy).0, Verdict::Pass);
    }

    #[test]
    fn loss_with_idle_generator_is_the_servers() {
        let (lossy, why) = verdict(&report(10, 100));
        assert_eq!(lossy, Verdict::Server);
        assert!(why.iter().any(|why| why.contains("loss 0.0100 %")), "{why:?}");
        assert_eq!(verdict(&report(0, 5_000)).0, Verdict::Server);
    }

    #[test]
    fn loss_with_busy_generator_is_the_generators() {
        let busy = Report { generator: busy_generator(0), ..report(500, 100) };
        let (blamed, why) = verdict(&busy);
        assert_eq!(blamed, Verdict::Generator);
        assert!(why.iter().any(|why| why.contains("bot thread")), "{why:?}");
        let full = Report { server_cpu: Some(0.99), ..busy };
        assert_eq!(verdict(&full).0, Verdict::Server);
    }

    #[test]
    fn generator_drops_are_not_server_loss() {
        let dropping = Report { generator: busy_generator(495), server_cpu: Some(0.99), ..report(500, 100) };
        assert_eq!(verdict(&dropping).0, Verdict::Generator);
    }

    #[test]
    fn unsent_load_does_not_pass() {
        let mut halved = report(0, 100);
        halved.generator.skipped = 2_500;
        assert_eq!(verdict(&halved).0, Verdict::Generator);
        let nothing = Report { expected: 0, ..report(0, 0) };
        assert_eq!(verdict(&nothing).0, Verdict::Generator);
        assert_eq!(Sample::unmeasured(3, "no".into()).verdict, Verdict::Generator);
    }
}
