//! `tacet load`: bots against a server, and what they measured.

mod flags;

use anyhow::bail;
use clap::Args;
use flags::{ScenarioFlags, ServerFlags};
use loadtest::{Options, Silent};

/// Puts load on a call server and measures latency, loss and CPU
///
/// Bots join rooms with real signaling and real keys, send sealed frames, count and open them. Without --server a server
/// is started for the run, and its CPU and memory are measured too. A few more bots use an independent WebRTC stack and
/// are reported apart ("canaries").
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLES:
  tacet load                                          single packets to twenty viewers, on a server of its own
  tacet load --scenario everyone --participants 8     a meeting of eight, sound and pictures
  tacet load --scenario rooms --rooms 50 --threads 4  fifty meetings of four
  tacet load --scenario webinar --subscribers 100     ten speakers, a hundred listeners
  tacet load --print-scenario churn > mine.toml       a file to start from, for --scenario mine.toml
  tacet load --subscribers 500 --light                as many as one generator core can take
  tacet load --burst 16 --pps 960                     key-frame-like bursts
  tacet load --server 'http://127.0.0.1:8800/r/…#…'   a server that runs already")]
pub(crate) struct Load {
    #[command(flatten)]
    scenario: ScenarioFlags,
    #[command(flatten)]
    server: ServerFlags,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

impl Load {
    fn options(&self) -> anyhow::Result<Options> {
        let (threads, pin_threads) = self.server.threads();
        Ok(Options {
            scenario: self.scenario.scenario()?,
            server: self.server.server()?,
            threads,
            pin_threads,
            server_core: self.server.core(),
        })
    }

    /// Runs the load and prints the result.
    ///
    /// # Errors
    /// When there is no result, or when nothing was delivered at all.
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
        // Media has threads of its own; signaling and canaries are content with two.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let report = runtime.block_on(loadtest::run(&options, &Silent))?;
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print!("{report}");
        }
        if !report.delivered_anything() {
            bail!("nothing was delivered");
        }
        Ok(())
    }
}
