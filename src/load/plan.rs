//! `--plan`: capacity planning from short runs or from result files.

use super::bar::Bar;
use anyhow::{Context, bail};
use clap::Args;
use loadtest::{
    Options, json,
    plan::{MachineSize, Plan, Point, Wishes, survey, workloads},
};
use std::{fs, path::PathBuf};

/// What is planned.
#[derive(Args, Debug)]
#[command(next_help_heading = "Plan")]
pub(crate) struct PlanFlags {
    /// Measure the cost of packets and participants in short runs, and plan machines for many participants
    #[arg(long, conflicts_with = "find_limit")]
    pub(crate) plan: bool,
    /// Plan from files that `tacet load --json` printed, with or without --plan, instead of measuring. May be repeated
    #[arg(long, value_name = "FILE", requires = "plan")]
    from: Vec<PathBuf>,
    /// Number of concurrent participants
    #[arg(long, value_name = "N", default_value_t = 1e6, requires = "plan", value_parser = positive)]
    plan_participants: f64,
    /// Minutes that a participant stays
    #[arg(long, value_name = "MINUTES", default_value_t = 30.0, requires = "plan", value_parser = positive)]
    plan_stay: f64,
    /// Mean utilisation of each core and link, in percent; the rest is headroom for peaks
    #[arg(long, value_name = "PERCENT", default_value_t = 70.0, requires = "plan", value_parser = positive)]
    plan_use: f64,
    /// Cores per machine
    #[arg(long, value_name = "N", default_value_t = 32.0, requires = "plan", value_parser = positive)]
    plan_cores: f64,
    /// Gbit/s of a machine's link, in each direction
    #[arg(long, value_name = "N", default_value_t = 25.0, requires = "plan", value_parser = positive)]
    plan_gbits: f64,
    /// Memory per machine, in GB
    #[arg(long, value_name = "N", default_value_t = 64.0, requires = "plan", value_parser = positive)]
    plan_memory: f64,
    /// Duration of each short run, in seconds
    #[arg(long, value_name = "S", default_value_t = 4.0, requires = "plan", value_parser = positive)]
    plan_seconds: f64,
}

fn positive(text: &str) -> Result<f64, &'static str> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("must be a number greater than 0"),
    }
}

impl PlanFlags {
    /// Plans from files, or from runs on the server of the options.
    ///
    /// # Errors
    /// If a run fails, a file is invalid, or the measurements do not determine the costs.
    pub(crate) async fn plan(&self, options: &Options, bar: &Bar) -> anyhow::Result<Plan> {
        let points = if self.from.is_empty() { self.measure(options, bar).await? } else { self.read()? };
        let wishes = Wishes {
            participants: self.plan_participants,
            core_use: self.plan_use / 100.0,
            link_use: self.plan_use / 100.0,
            stay_minutes: self.plan_stay,
            machine: MachineSize { cores: self.plan_cores, gbits: self.plan_gbits, memory_gb: self.plan_memory },
        };
        Ok(Plan::new(points, &wishes, &workloads())?)
    }

    fn read(&self) -> anyhow::Result<Vec<Point>> {
        let mut points = Vec::new();
        for path in &self.from {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let read = || Ok::<_, anyhow::Error>(json::points(&fs::read_to_string(path)?, &name)?);
            points.extend(read().with_context(|| format!("cannot plan from {}", path.display()))?);
        }
        Ok(points)
    }

    async fn measure(&self, options: &Options, bar: &Bar) -> anyhow::Result<Vec<Point>> {
        let runs = survey(self.plan_seconds, options.scenario.seed);
        let mut points = Vec::new();
        for (n, run) in runs.iter().enumerate() {
            let name = run.scenario.name.as_str();
            bar.next(&format!("run {} of {}: {name}", n + 1, runs.len()));
            let options = Options { scenario: run.scenario.clone(), ..options.clone() };
            let report = loadtest::run(&options, bar).await.with_context(|| name.to_owned())?;
            if options.stop.is_requested() {
                bail!("stopped in run {} of {}, before the costs were known", n + 1, runs.len());
            }
            let Some(point) = Point::of(name, &report) else {
                bail!("the server's CPU is unknown: omit --server, or add --metrics");
            };
            points.push(Point { held_out: run.held_out, ..point });
        }
        Ok(points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_or_invalid_numbers_are_rejected() {
        assert_eq!(positive("1e6"), Ok(1e6));
        for text in ["0", "-1", "inf", "NaN", "many", ""] {
            assert!(positive(text).is_err(), "{text}");
        }
    }
}
