//! `--find-limit`: runs of a growing load, until the server no longer carries it.

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
    /// Search the most packets a second that the server forwards with loss under 0.01 % and p99 under 5 ms, on one core
    #[arg(long, conflicts_with_all = ["runs", "sweep", "csv"])]
    pub(crate) find_limit: bool,
    /// What grows
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Grows::Size, requires = "find_limit")]
    limit_by: Grows,
    /// How close the load that is carried and the one that is not shall come, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5, requires = "find_limit",
        value_parser = clap::value_parser!(u8).range(1..=100))]
    limit_within: u8,
    /// End after so many runs, whatever was found
    #[arg(long, value_name = "N", default_value_t = 40, requires = "find_limit",
        value_parser = clap::value_parser!(u16).range(1..))]
    limit_runs: u16,
}

/// What is changed to change the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Grows {
    /// Subscribers, or participants, or rooms: whatever makes the scenario large
    Size,
    /// Packets a second of each publisher, where single packets are sent
    Pps,
}

impl LimitFlags {
    /// Searches, beginning with the load of the options. A server of our own has a core to itself.
    ///
    /// # Errors
    /// When the scenario has nothing that grows in this way.
    pub(crate) async fn search(&self, options: &Options, bar: &Bar) -> anyhow::Result<LimitReport> {
        let scenario = &options.scenario;
        let (knob, start) = match (self.limit_by, scenario) {
            (Grows::Pps, Scenario { packets: Some(packets), .. }) => (Knob::Pps, u64::from(packets.per_second)),
            (Grows::Pps, _) => bail!("--limit-by pps is for single packets; {} sends sound or pictures", scenario.name),
            (Grows::Size, Scenario { rooms: 2.., .. }) => (Knob::Rooms, scenario.size() as u64),
            (Grows::Size, Scenario { participants: 1.., .. }) => (Knob::Participants, scenario.size() as u64),
            (Grows::Size, _) => (Knob::Subscribers, scenario.size() as u64),
        };
        let spare_core = thread::available_parallelism().is_ok_and(|cores| cores.get() >= 2);
        let own = matches!(options.server, Server::Child { .. });
        let server_core = options.server_core.or((own && spare_core).then_some(0));
        let most = most(|load| at(scenario, knob, load).check().is_ok());
        let resolution = f64::from(self.limit_within) / 100.0;
        let settings = SearchSettings { start, most, resolution, most_runs: usize::from(self.limit_runs) };
        let criteria = Criteria::default();
        let (search, bounds) = find(settings, async |load, run| {
            bar.next(&format!("run {run}: {load} {knob}"));
            let options = Options { scenario: at(scenario, knob, load), server_core, ..options.clone() };
            match loadtest::run(&options, bar).await {
                Ok(report) => Sample::of(load, &report, &criteria),
                Err(error) => Sample::unmeasured(load, error.to_string()),
            }
        })
        .await;
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

/// The highest load that can be, where all below it can.
fn most(can_be: impl Fn(u64) -> bool) -> u64 {
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
    fn the_search_stays_inside_what_a_scenario_may_be() {
        for (name, knob) in [("packets", Knob::Subscribers), ("packets", Knob::Pps), ("rooms", Knob::Rooms)] {
            let (scenario, _) = builtin(name).unwrap();
            let most = most(|load| at(&scenario, knob, load).check().is_ok());
            assert!(most > 100 && at(&scenario, knob, most).check().is_ok(), "{name} {most}");
            assert!(at(&scenario, knob, most + 1).check().is_err(), "{name} {most}");
        }
    }
}
