//! `tacet-peers`: see the library.

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use peers::{
    Comparison, FloodPlan, FloodReport, Kind, Load, Machine, MemberKind, PeerName, Plan, Setup, Times, floor, pin,
    str0m_sfu,
};
use std::{fs, path::PathBuf, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// The same load through other forwarding servers, side by side
#[derive(Parser, Debug)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Runs the same loads through all servers in turn, and prints one table
    Compare(Compare),
    /// Searches the maximum rate that each server forwards from one core without loss
    Limit(LimitSearch),
    /// Floods this project's server, as a stranger and as a member, and prints the loss of its call and what it sends back
    Flood(Flood),
    /// Prints the table of a comparison that was written with --json
    Table {
        /// The JSON file
        file: PathBuf,
    },
    /// One of the servers
    #[command(hide = true)]
    Str0m,
    /// One of the servers
    #[command(hide = true)]
    Floor {
        /// Packets of one message to the kernel
        #[arg(long)]
        segments: usize,
    },
}

#[derive(Args, Debug)]
struct Programs {
    /// Servers to run, in this order
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = PeerName::value_variants().to_vec())]
    peers: Vec<PeerName>,
    /// The release binary of this project
    #[arg(long, value_name = "FILE", default_value = "target/release/tacet")]
    tacet: PathBuf,
    /// Janus
    #[arg(long, value_name = "FILE", default_value = "janus")]
    janus: PathBuf,
    /// LiveKit
    #[arg(long, value_name = "FILE", default_value = "target/peers/livekit-server")]
    livekit: PathBuf,
    /// Write every run to this file, in JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How long media flows before it is measured
    #[arg(long, value_name = "S", default_value_t = 2)]
    warmup: u64,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 5)]
    seconds: u64,
}

#[derive(Args, Debug)]
struct Compare {
    #[command(flatten)]
    programs: Programs,
    /// Shapes of traffic
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Load::value_variants().to_vec())]
    loads: Vec<Load>,
    /// Numbers of subscribers
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 25, 100])]
    subscribers: Vec<usize>,
    /// Runs of each
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
}

#[derive(Args, Debug)]
struct LimitSearch {
    #[command(flatten)]
    programs: Programs,
    /// Number of subscribers
    #[arg(long, value_name = "N", default_value_t = 100)]
    subscribers: usize,
    /// Packets sent at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    burst: u32,
}

#[derive(Args, Debug)]
struct Flood {
    #[command(flatten)]
    programs: Programs,
    /// Kinds of floods by strangers
    #[arg(long, value_enum, value_delimiter = ',', num_args = 0.., default_values_t = Kind::value_variants().to_vec())]
    kinds: Vec<Kind>,
    /// Kinds of floods by a member
    #[arg(long, value_enum, value_delimiter = ',', num_args = 0.., default_values_t = MemberKind::value_variants().to_vec())]
    member_kinds: Vec<MemberKind>,
    /// Datagrams of strangers a second
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    rate: u64,
    /// Number of subscribers
    #[arg(long, value_name = "N", default_value_t = 25)]
    subscribers: usize,
}

impl Programs {
    /// Describes the machine, and moves this process to the load's core.
    fn prepare(&self, subscribers: usize) -> anyhow::Result<(Setup, Machine, Times)> {
        let setup = Setup {
            own: std::env::current_exe().context("cannot find this program")?,
            tacet: self.tacet.clone(),
            janus: self.janus.clone(),
            livekit: self.livekit.clone(),
            cores: pin::Cores::of_this_machine()?,
            subscribers,
        };
        let machine = Machine::look(&setup);
        match setup.cores {
            Some(cores) => pin::move_to(cores.load)?,
            None => eprintln!("There is one core only: server and load share it."),
        }
        let times = Times { warmup: Duration::from_secs(self.warmup), measure: Duration::from_secs(self.seconds) };
        Ok((setup, machine, times))
    }

    fn write(&self, result: &impl serde::Serialize) -> anyhow::Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        fs::write(path, serde_json::to_vec_pretty(result)?).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Runs `work`, and drops it when this program is asked to end: servers and folders go with it.
fn until_interrupted<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    // Signaling only; the bots have threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = work => Ok(result),
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
        }
    })
}

#[allow(clippy::print_stdout, reason = "the result is this program's output")]
fn main() -> anyhow::Result<()> {
    let progress = |line: &str| eprintln!("{line}");
    match Cli::parse().command {
        Command::Str0m => Ok(str0m_sfu::run()?),
        Command::Floor { segments } => Ok(floor::run(segments)?),
        Command::Table { file } => {
            let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let comparison: Comparison = serde_json::from_slice(&text).context("this is no comparison")?;
            print!("{comparison}");
            Ok(())
        }
        Command::Compare(Compare { programs, loads, subscribers, runs }) => {
            let (setup, machine, times) = programs.prepare(subscribers.iter().copied().max().unwrap_or_default())?;
            let plan = Plan { peers: programs.peers.clone(), loads, subscribers, runs, times };
            let rows = until_interrupted(peers::compare(&plan, &setup, progress))?;
            let comparison = Comparison { machine, rows };
            print!("{comparison}");
            programs.write(&comparison)
        }
        Command::Flood(Flood { programs, kinds, member_kinds, rate, subscribers }) => {
            // The publisher, the member that floods.
            let (setup, machine, times) = programs.prepare(subscribers + 1)?;
            let plan = FloodPlan { kinds, member_kinds, rate, subscribers, times };
            let (runs, amplifications) = until_interrupted(async {
                let runs = peers::flood(&plan, &setup, progress).await?;
                Ok::<_, peers::PeerError>((runs, peers::amplifications(&setup).await?))
            })??;
            let report = FloodReport { machine, subscribers, runs, amplifications };
            print!("{report}");
            programs.write(&report)
        }
        Command::Limit(LimitSearch { programs, subscribers, burst }) => {
            let (setup, machine, times) = programs.prepare(subscribers)?;
            let search = peers::find_limits(&programs.peers, burst, subscribers, &setup, times, progress);
            let limits = until_interrupted(search)?;
            println!("{machine}\n\nOne publisher to {subscribers}, {burst} at once\n");
            print!("{}", peers::limits_table(&limits));
            programs.write(&limits)
        }
    }
}
