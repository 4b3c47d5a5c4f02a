//! `--find-limit`: runs of a growing load, until the server no longer carries it.

use super::bar::Bar;
use clap::{Args, ValueEnum};
use loadtest::{
    Options,
    limit::{Criteria, Knob, LimitReport, Sample, SearchSettings, find},
};

/// What is searched.
#[derive(Args, Debug)]
pub(crate) struct LimitFlags {
    /// Search the most packets a second that the server forwards with loss under 0.01 % and p99 under 5 ms
    #[arg(long)]
    pub(crate) find_limit: bool,
    /// What grows
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Grows::Subscribers, requires = "find_limit")]
    limit_by: Grows,
    /// How close the load that is carried and the one that is not shall come, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, requires = "find_limit")]
    limit_within: f64,
}

/// What is changed to change the load.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Grows {
    /// How many receive
    Subscribers,
    /// How many packets a second each publisher sends
    Pps,
}

impl LimitFlags {
    /// Searches, beginning with the load of the options.
    pub(crate) async fn search(&self, options: &Options, bar: &Bar) -> LimitReport {
        let criteria = Criteria::default();
        let (knob, start, most) = match self.limit_by {
            Grows::Subscribers => (Knob::Subscribers, options.subscribers as u64, u64::MAX),
            Grows::Pps => (Knob::Pps, u64::from(options.pps), u64::from(u32::MAX)),
        };
        let resolution = (self.limit_within / 100.0).clamp(0.001, 1.0);
        let settings = SearchSettings { resolution, most, ..SearchSettings::from(start) };
        let (search, bounds) = find(settings, async |load, run| {
            bar.next(&format!("run {run}: {load} {knob}"));
            match loadtest::run(&at(options, knob, load), bar).await {
                Ok(report) => Sample::of(load, &report, &criteria),
                Err(error) => Sample::unmeasured(load, error.to_string()),
            }
        })
        .await;
        LimitReport::new(&search, bounds, knob, criteria, None)
    }
}

fn at(options: &Options, knob: Knob, load: u64) -> Options {
    match knob {
        Knob::Subscribers => super::with_size(options, usize::try_from(load).unwrap_or(usize::MAX)),
        Knob::Pps => Options { pps: u32::try_from(load).unwrap_or(u32::MAX), ..options.clone() },
    }
}
