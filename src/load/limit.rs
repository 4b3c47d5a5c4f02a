//! `--find-limit`: increases the load until the server no longer sustains it.

use super::bar::Bar;
use anyhow::bail;
use clap::{Args, ValueEnum};
use loadtest::{
    Options, Server,
    limit::{Criteria, Knob, LimitReport, Sample, SearchSettings, find},
    scenario::{Packets, Scenario},
};
use std::thread;

/// What is searched.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limit")]
pub(crate) struct LimitFlags {
    /// Search the maximum packets per second that the server forwards on one core with loss under 0.01 % and p99 under
    /// 5 ms
    #[arg(long, conflicts_with_all = ["runs", "sweep", "csv"])]
    pub(crate) find_limit: bool,
    /// What to increase
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Grows::Size, requires = "find_limit")]
    limit_by: Grows,
    /// Stop when the sustained load and the lowest failed one differ by less than this, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5, requires = "find_limit",
        value_parser = clap::value_parser!(u8).range(1..=100))]
    limit_within: u8,
    /// Stop after this many runs
    #[arg(long, value_name = "N", default_value_t = 40, requires = "find_limit",
        value_parser = clap::value_parser!(u16).range(1..))]
    limit_runs: u16,
}

/// What is changed to change the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Grows {
    /// Subscribers, participants or rooms, whichever determines the size of the scenario
    Size,
    /// Packets per second of each publisher (scenarios of single packets)
    Pps,
}

impl LimitFlags {
    /// Searches the limit, starting with the load of the options. A server that is started for the search has its own
    /// core.
    ///
    /// # Errors
    /// If the scenario has nothing to increase in this way.
    pub(crate) async fn search(&self, options: &Options, bar: &Bar) -> anyhow::Result<LimitReport> {
        let scenario = &options.scenario;
        let (knob, start) = match (self.limit_by, scenario) {
            (Grows::Pps, Scenario { packets: Some(packets), .. }) => (Knob::Pps, u64::from(packets.per_second)),
            (Grows::Pps, _) => bail!("--limit-by pps is for single packets; {} sends audio or video", scenario.name),
            (Grows::Size, Scenario { rooms: 2.., .. }) => (Knob::Rooms, scenario.size() as u64),
            (Grows::Size, Scenario { participants: 1.., .. }) => (Knob::Participants, scenario.size() as u64),
            (Grows::Size, _) => (Knob::Subscribers, scenario.size() as u64),
        };
        let spare_core = thread::available_parallelism().is_ok_and(|cores| cores.get() >= 2);
        let own = matches!(options.server, Server::Child { .. });
        let server_core = options.server_core.or((own && spare_core).then_some(0));
        let max_load = max_load(|load| at(scenario, knob, load).check().is_ok());
        let resolution = f64::from(self.limit_within) / 100.0;
        let settings = SearchSettings { start, most: max_load, resolution, most_runs: usize::from(self.limit_runs) };
        let criteria = Criteria::default();
        let (search, bounds) = find(settings, async |load, run| {
            bar.next(&format!("run {run}: {load} {knob}"));
            let options = Options { scenario: at(scenario, knob, load), server_core, ..options.clone() };
            let result = loadtest::run(&options, bar).await;
            if options.stop.is_requested() {
                bail!("stopped in run {run}, before the search had ended");
            }
            Ok(match result {
                Ok(report) => Sample::of(load, &report, &criteria),
                Err(error) => Sample::unmeasured(load, error.to_string()),
            })
        })
        .await?;
        Ok(LimitReport::new(&search, bounds, knob, criteria, server_core))
    }
}

/// The scenario with another load.
fn at(scenario: &Scenario, knob: Knob, load: u64) -> Scenario {
    match (knob, scenario.packets) {
        (Knob::Pps, Some(packets)) => {
            let per_second = u32::try_from(load).unwrap_or(u32::MAX);
            Scenario { packets: Some(Packets { per_second, ..packets }), ..scenario.clone() }
        }
        _ => scenario.with_size(usize::try_from(load).unwrap_or(usize::MAX)),
    }
}

/// The highest load for which `can_be` holds; it must hold for all lower ones.
fn max_load(can_be: impl Fn(u64) -> bool) -> u64 {
    let (mut yes, mut no) = (1, u64::from(u32::MAX));
    while no - yes > 1 {
        let middle = u64::midpoint(yes, no);
        if can_be(middle) {
            yes = middle;
        } else {
            no = middle;
        }
    }
    yes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use loadtest::scenario::builtin;

    #[test]
    fn search_stays_within_valid_scenarios() {
        for (name, knob) in [("packets", Knob::Subscribers), ("packets", Knob::Pps), ("rooms", Knob::Rooms)] {
            let (scenario, _) = builtin(name).unwrap();
            let max_load = max_load(|load| at(&scenario, knob, load).check().is_ok());
            assert!(max_load > 100 && at(&scenario, knob, max_load).check().is_ok(), "{name} {max_load}");
            assert!(at(&scenario, knob, max_load + 1).check().is_err(), "{name} {max_load}");
        }
    }
}
