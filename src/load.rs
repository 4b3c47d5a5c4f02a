//! `tacet load`: bots against a server, and what they measured.

mod bar;
mod limit;
mod output;
mod repeat;

use crate::pin::pin;
use anyhow::{Context, bail};
use bar::Bar;
use clap::Args;
use limit::LimitFlags;
use loadtest::{Options, RoomLink, Server, Trust};
use output::{Findings, OutputFlags};
use repeat::RepeatFlags;
use std::{path::PathBuf, time::Duration};

/// Puts load on a call server and measures latency, loss and CPU
///
/// Bots join a room with real signaling and real keys, publishers send sealed frames, subscribers count and open them.
/// Without --server a server is started for the run, and its CPU and memory are measured too. A few more bots use an
/// independent WebRTC stack and are reported apart ("canaries").
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLES:
  tacet load                                          one camera to twenty viewers, on a server of its own
  tacet load --publishers 4 --subscribers 4           a small call
  tacet load --subscribers 500 --light                as many as one generator core can take
  tacet load --burst 16 --pps 960                     key-frame-like bursts
  tacet load --server 'http://127.0.0.1:8800/r/…#…'   a server that runs already")]
pub(crate) struct Load {
    /// Bots that send one video stream each
    #[arg(long, value_name = "N", default_value_t = 1)]
    publishers: usize,
    /// Bots that receive every stream
    #[arg(long, value_name = "N", default_value_t = 20)]
    subscribers: usize,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    seconds: f64,
    /// How long media flows before it is measured
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    warmup: f64,
    /// Room link of a server that runs already; put it in quotes, its part behind # matters
    // Not parsed by clap, whose error would repeat the link with its secret.
    #[arg(long, value_name = "LINK")]
    server: Option<String>,
    /// SHA-256 of that server's self-signed certificate, as it prints it at its start
    #[arg(long, value_name = "HEX", requires = "server", value_parser = pin)]
    pin: Option<[u8; 32]>,
    /// Packets a second of each publisher
    #[arg(long, value_name = "N", default_value_t = 500)]
    pps: u32,
    /// Bytes of RTP payload in each packet
    #[arg(long, value_name = "BYTES", default_value_t = 1_100)]
    size: usize,
    /// Packets sent at once, like those of one large frame
    #[arg(long, value_name = "N", default_value_t = 1)]
    burst: u32,
    /// Subscribers authenticate packets but open no frames: for many subscribers
    #[arg(long)]
    light: bool,
    /// Bots on the independent stack [default: 2, without subscribers to compare them with 0]
    #[arg(long, value_name = "N")]
    canaries: Option<usize>,
    #[command(flatten)]
    repeat: RepeatFlags,
    #[command(flatten)]
    limit: LimitFlags,
    #[command(flatten)]
    output: OutputFlags,
}

fn seconds(name: &str, value: f64) -> anyhow::Result<Duration> {
    Duration::try_from_secs_f64(value).with_context(|| format!("--{name} {value} is no time"))
}

impl Load {
    fn options(&self) -> anyhow::Result<Options> {
        let server = match &self.server {
            Some(link) => Server::Running {
                link: link.parse::<RoomLink>().context("--server is not a room link")?,
                trust: self.pin.map_or(Trust::PublicAuthorities, Trust::Pinned),
            },
            None => Server::Child { program: own_program()? },
        };
        Ok(Options {
            publishers: self.publishers,
            subscribers: self.subscribers,
            canaries: self.canaries.unwrap_or(if self.subscribers >= 2 { 2 } else { 0 }),
            measure: seconds("seconds", self.seconds)?,
            warmup: seconds("warmup", self.warmup)?,
            pps: self.pps,
            size: self.size,
            burst: self.burst,
            light: self.light,
            server,
        })
    }

    /// Runs the load and prints the result.
    ///
    /// # Errors
    /// When there is no result, or when no frame was delivered at all.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let options = self.options()?;
        self.output.check()?;
        // Media has threads of its own; signaling and canaries are content with two.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let bar = Bar::new(self.output.quiet);
        let mut findings = Findings::default();
        if self.limit.find_limit {
            findings.limit = Some(runtime.block_on(self.limit.search(&options, &bar)));
        } else {
            findings.loads = runtime.block_on(self.repeat.run(&options, &bar))?;
        }
        bar.end();
        self.output.write(&findings)?;
        let mut runs = findings.loads.iter().flat_map(|load| load.runs());
        if !findings.loads.is_empty() && !runs.any(loadtest::Report::delivered_anything) {
            bail!("no frame was delivered");
        }
        Ok(())
    }
}

/// The same load with more or fewer receivers.
fn with_size(options: &Options, size: usize) -> Options {
    Options { subscribers: size, ..options.clone() }
}

fn own_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find this program to start a server from; name one with --server")
}
