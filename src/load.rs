//! `tacet load`: load tests with bots.

mod bar;
mod flags;
mod limit;
mod output;
mod plan;
mod repeat;

use anyhow::bail;
use bar::Bar;
use clap::Args;
use flags::{ScenarioFlags, ServerFlags};
use limit::LimitFlags;
use loadtest::Options;
use output::{Findings, OutputFlags};
use plan::PlanFlags;
use repeat::RepeatFlags;

/// Load-test a call server and measure latency, loss and CPU
///
/// Bots join rooms with real signaling and keys, send sealed frames, and count and open what they receive. Without
/// --server, a server is started for the run, and its CPU and memory are measured as well. A few extra bots
/// ("canaries") use an independent WebRTC stack and are reported separately.
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLES:
  tacet load                                          single packets to twenty viewers, on a new server
  tacet load --scenario everyone --participants 8     a meeting of eight with audio and video
  tacet load --scenario rooms --rooms 50 --threads 4  fifty meetings of four
  tacet load --scenario webinar --subscribers 100     ten speakers, a hundred listeners
  tacet load --print-scenario churn > mine.toml       a scenario file to edit, for --scenario mine.toml
  tacet load --subscribers 500 --light                as many as one generator core can serve
  tacet load --burst 16 --pps 960                     key-frame-like bursts
  tacet load --runs 5 --html report.html              five runs, their spread, and an HTML report
  tacet load --sweep 25,50,100,200 --runs 3           CPU and latency against load
  tacet load --find-limit --light                     the maximum that one core of the server forwards
  tacet load --overload                               what happens to audio and video beyond that
  tacet load --plan                                   cost per packet, and machines for a million participants
  tacet load --server 'http://127.0.0.1:8800/r/…#…'   a server that is already running")]
pub(crate) struct Load {
    #[command(flatten)]
    scenario: ScenarioFlags,
    #[command(flatten)]
    server: ServerFlags,
    #[command(flatten)]
    repeat: RepeatFlags,
    #[command(flatten)]
    limit: LimitFlags,
    #[command(flatten)]
    plan: PlanFlags,
    #[command(flatten)]
    output: OutputFlags,
}

impl Load {
    fn options(&self) -> anyhow::Result<Options> {
        let (threads, pin_threads) = self.server.threads();
        Ok(Options {
            scenario: self.scenario.scenario()?,
            server: self.server.server()?,
            threads,
            pin_threads,
            // Bots beside it would take the time that it needs.
            server_core: self.server.core().or(self.scenario.overload.then_some(0)),
        })
    }

    /// Runs the load test and prints the result.
    ///
    /// # Errors
    /// If there is no result, nothing was delivered, or the server ended meanwhile.
    #[allow(clippy::print_stdout, reason = "the result is this command's output")]
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if self.scenario.list_scenarios {
            print!("{}", flags::list());
            return Ok(());
        }
        if let Some(name) = &self.scenario.print_scenario {
            print!("{}", flags::print(name)?);
            return Ok(());
        }
        let options = self.options()?;
        self.output.check()?;
        // Media runs on its own threads; two are enough for signaling and canaries.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let bar = Bar::new(self.output.quiet);
        let mut findings = Findings::default();
        if self.plan.plan {
            findings.plan = Some(runtime.block_on(self.plan.plan(&options, &bar))?);
        } else if self.limit.find_limit {
            findings.limit = Some(runtime.block_on(self.limit.search(&options, &bar))?);
        } else {
            findings.loads = runtime.block_on(self.repeat.run(&options, &bar))?;
        }
        bar.end();
        self.output.write(&findings)?;
        let mut runs = findings.loads.iter().flat_map(|load| load.runs());
        if !findings.loads.is_empty() && !runs.any(loadtest::Report::delivered_anything) {
            bail!("nothing was delivered");
        }
        if findings.loads.iter().flat_map(|load| load.runs()).any(|report| report.server_lost) {
            bail!("the server ended while it was measured");
        }
        Ok(())
    }
}
