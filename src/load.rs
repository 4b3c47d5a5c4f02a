//! `tacet load`: load tests with bots.

mod bar;
mod flags;
mod limit;
mod output;
mod plan;
mod repeat;

use crate::stop::StopSignal;
use anyhow::{Context, bail};
use bar::Bar;
use clap::Args;
use flags::{ScenarioFlags, ServerFlags};
use limit::LimitFlags;
use loadtest::{Options, Stopper};
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
    fn options(&self, stop: loadtest::Stop) -> anyhow::Result<Options> {
        let (threads, pin_threads) = self.server.threads();
        Ok(Options {
            scenario: self.scenario.scenario()?,
            server: self.server.server()?,
            threads,
            pin_threads,
            // Bots beside it would take the time that it needs.
            server_core: self.server.core().or(self.scenario.overload.then_some(0)),
            stop,
        })
    }

    /// Runs the load test and prints the result.
    ///
    /// # Errors
    /// If there is no result, nothing was delivered, the server ended meanwhile, or the run was stopped.
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
        let (stopper, stop) = Stopper::new();
        let options = self.options(stop)?;
        self.output.check()?;
        // Media runs on its own threads; two are enough for signaling and canaries.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let bar = Bar::new(self.output.quiet);
        let findings = runtime.block_on(async {
            tokio::select! {
                findings = self.findings(&options, &bar) => findings,
                stopped = stop_on_signals(&stopper, &bar) => stopped,
            }
        });
        // A look at the server that still goes on would be waited for.
        runtime.shutdown_background();
        bar.end();
        let findings = findings?;
        self.output.write(&findings)?;
        let mut runs = findings.loads.iter().flat_map(|load| load.runs());
        if !findings.loads.is_empty() && !runs.any(loadtest::Report::delivered_anything) {
            bail!("nothing was delivered");
        }
        if findings.loads.iter().flat_map(|load| load.runs()).any(|report| report.server_lost) {
            bail!("the server ended while it was measured");
        }
        if options.stop.is_requested() {
            bail!("stopped before the end");
        }
        Ok(())
    }

    async fn findings(&self, options: &Options, bar: &Bar) -> anyhow::Result<Findings> {
        let mut findings = Findings::default();
        if self.plan.plan {
            findings.plan = Some(self.plan.plan(options, bar).await?);
        } else if self.limit.find_limit {
            findings.limit = Some(self.limit.search(options, bar).await?);
        } else {
            findings.loads = self.repeat.run(options, bar).await?;
        }
        Ok(findings)
    }
}

/// Lets bots leave when the process is asked to stop. Returns when it is asked again.
async fn stop_on_signals(stopper: &Stopper, bar: &Bar) -> anyhow::Result<Findings> {
    let mut signal = StopSignal::new().context("signals")?;
    signal.received().await;
    bar.note("stopping: bots leave their rooms; Ctrl-C again ends at once");
    stopper.stop();
    signal.received().await;
    bail!("stopped at once: the server lists bots that have not left until it misses them")
}
