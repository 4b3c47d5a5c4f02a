//! `--runs` and `--sweep`: repeats loads in turn, so that changes of the machine affect them all.

use super::bar::Bar;
use clap::Args;
use loadtest::{LoadError, Options, repeats::Repeats};

/// Number of repetitions, and sizes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Repeats")]
pub(crate) struct RepeatFlags {
    /// Repeat the whole run, and report the median and spread
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    runs: u16,
    /// Run several sizes in turn, for CPU and latency by load: numbers of subscribers, participants or rooms,
    /// whichever determines the size of the scenario
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', num_args = 1..)]
    sweep: Vec<usize>,
}

impl RepeatFlags {
    /// Runs all sizes in turn, then all again, until the options' stop is requested.
    ///
    /// # Errors
    /// That of the first run that fails, or a size that cannot be.
    pub(crate) async fn run(&self, options: &Options, bar: &Bar) -> Result<Vec<Repeats>, LoadError> {
        let loads: Vec<Options> = if self.sweep.is_empty() {
            vec![options.clone()]
        } else {
            let sized = |&size| Options { scenario: options.scenario.with_size(size), ..options.clone() };
            self.sweep.iter().map(sized).collect()
        };
        loads.iter().try_for_each(Options::check)?;
        let mut repeats = vec![Repeats::default(); loads.len()];
        let of = usize::from(self.runs) * loads.len();
        'rounds: for round in 0..usize::from(self.runs) {
            for (n, (load, repeats)) in loads.iter().zip(&mut repeats).enumerate() {
                let run = round * loads.len() + n + 1;
                bar.next(&if of > 1 { format!("run {run} of {of}") } else { String::new() });
                // A run that was cut short is worth something only if there is no other.
                match loadtest::run(load, bar).await {
                    Ok(report) if run == 1 || report.seconds >= load.scenario.seconds => repeats.push(report),
                    Ok(_) => {}
                    Err(LoadError::Stopped) if run > 1 => {}
                    Err(error) => return Err(error),
                }
                if load.stop.is_requested() {
                    break 'rounds;
                }
            }
        }
        repeats.retain(|load| !load.runs().is_empty());
        Ok(repeats)
    }
}
