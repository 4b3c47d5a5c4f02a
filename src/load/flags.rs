//! What `tacet load` runs, and against what: a scenario by name or file, flags over it, and the server.

use crate::pin::pin;
use anyhow::{Context, bail};
use clap::Args;
use loadtest::{
    ApiKey, Origin, RoomLink, Rooms, Server, Threads, Trust,
    scenario::{self, Packets, Scenario},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The load.
#[derive(Args, Debug)]
#[command(next_help_heading = "Load")]
pub(super) struct ScenarioFlags {
    /// A scenario that comes with the program, or a file of one [default: packets]
    #[arg(long, value_name = "NAME|FILE")]
    scenario: Option<String>,
    /// List the scenarios that come with the program
    #[arg(long)]
    pub(super) list_scenarios: bool,
    /// Print a scenario as a file to start from
    #[arg(long, value_name = "NAME")]
    pub(super) print_scenario: Option<String>,
    /// Rooms
    #[arg(long, value_name = "N")]
    rooms: Option<usize>,
    /// Bots of each room that send and do not receive
    #[arg(long, value_name = "N")]
    publishers: Option<usize>,
    /// Bots of each room that receive and do not send
    #[arg(long, value_name = "N")]
    subscribers: Option<usize>,
    /// Bots of each room that send and receive
    #[arg(long, value_name = "N")]
    participants: Option<usize>,
    /// How long to measure
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// How long media flows before it is measured
    #[arg(long, value_name = "S")]
    warmup: Option<f64>,
    /// Packets a second of each publisher, where single packets are sent
    #[arg(long, value_name = "N")]
    pps: Option<u32>,
    /// Bytes of RTP payload in each packet, likewise
    #[arg(long, value_name = "BYTES")]
    size: Option<usize>,
    /// Packets sent at once, like those of one large frame, likewise
    #[arg(long, value_name = "N")]
    burst: Option<u32>,
    /// Bots authenticate packets but open no frames: for many of them
    #[arg(long)]
    light: bool,
    /// Bots on the independent stack
    #[arg(long, value_name = "N")]
    canaries: Option<usize>,
    /// Decides frame sizes, who speaks when, and how long people stay
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl ScenarioFlags {
    /// The scenario with flags over it.
    pub(super) fn scenario(&self) -> anyhow::Result<Scenario> {
        let mut scenario = match &self.scenario {
            None => named("packets")?,
            Some(name) => match scenario::builtin(name) {
                Some((scenario, _)) => scenario,
                None if Path::new(name).exists() => read(Path::new(name))?,
                None => named(name)?,
            },
        };
        fn over<T: Copy>(value: &mut T, flag: Option<T>) {
            *value = flag.unwrap_or(*value);
        }
        over(&mut scenario.rooms, self.rooms);
        over(&mut scenario.publishers, self.publishers);
        over(&mut scenario.subscribers, self.subscribers);
        over(&mut scenario.participants, self.participants);
        over(&mut scenario.seconds, self.seconds);
        over(&mut scenario.warmup, self.warmup);
        over(&mut scenario.canaries, self.canaries);
        over(&mut scenario.seed, self.seed);
        scenario.light |= self.light;
        match &mut scenario.packets {
            Some(Packets { per_second, bytes, burst }) => {
                over(per_second, self.pps);
                over(bytes, self.size);
                over(burst, self.burst);
            }
            None if self.pps.is_some() || self.size.is_some() || self.burst.is_some() => {
                bail!("--pps, --size and --burst are for single packets; {} sends sound or pictures", scenario.name);
            }
            None => {}
        }
        // Over a storm or a short measured time of the file, flags may cut: the storm is cut with it.
        if let (Some(seconds), scenario::Join::Storm { over_s }) = (self.seconds, &mut scenario.join) {
            *over_s = over_s.min(seconds);
        }
        scenario.check().map_err(|error| anyhow::anyhow!("{}", self.explain(&error)))?;
        Ok(scenario)
    }

    /// An error in the terms of flags, where there is one for the field.
    fn explain(&self, error: &scenario::ScenarioError) -> String {
        let flag = match error.field {
            "packets.per_second" => "--pps",
            "packets.bytes" => "--size",
            "packets.burst" => "--burst",
            field @ ("rooms" | "publishers" | "subscribers" | "participants" | "seconds" | "warmup") => {
                return format!("--{field} {}", error.must);
            }
            _ => return error.to_string(),
        };
        format!("{flag} {}", error.must)
    }
}

fn named(name: &str) -> anyhow::Result<Scenario> {
    let names: Vec<String> = scenario::builtins().map(|(scenario, _)| scenario.name).collect();
    match scenario::builtin(name) {
        Some((scenario, _)) => Ok(scenario),
        None => bail!("no scenario and no file is called {name}; there are {}", names.join(", ")),
    }
}

fn read(path: &Path) -> anyhow::Result<Scenario> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    scenario::parse(&text).with_context(|| format!("in {}", path.display()))
}

/// A line for each scenario that comes with the program.
pub(super) fn list() -> String {
    scenario::builtins().map(|(scenario, _)| format!("{:<12} {}\n", scenario.name, scenario.about)).collect()
}

/// The text of one of them.
pub(super) fn print(name: &str) -> anyhow::Result<&'static str> {
    match scenario::builtin(name) {
        Some((_, text)) => Ok(text),
        None => named(name).map(|_| ""),
    }
}

/// The server under test, and the generator's threads.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server and generator")]
pub(super) struct ServerFlags {
    /// A server that runs already: a room's link, in quotes since its part behind # matters, or the address of a server
    /// on which rooms may be made
    // Not parsed by clap, whose error would repeat the link with its secret.
    #[arg(long, value_name = "LINK|URL")]
    server: Option<String>,
    /// File with a room link on each line, instead of --server
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    links: Option<PathBuf>,
    /// That server's key for making rooms, if it wants one
    #[arg(long, value_name = "KEY", env = "TACET_API_KEY", hide_env_values = true, requires = "server")]
    api_key: Option<String>,
    /// SHA-256 of that server's self-signed certificate, as it prints it at its start
    #[arg(long, value_name = "HEX", value_parser = pin)]
    pin: Option<[u8; 32]>,
    /// Where that server shows its metrics in the Prometheus format; without, its CPU and memory are not known
    #[arg(long, value_name = "URL")]
    metrics: Option<String>,
    /// Pin the server that is started for the run to this core, and keep the bots off it
    #[arg(long, value_name = "CORE", conflicts_with_all = ["server", "links"])]
    server_core: Option<usize>,
    /// Threads of light bots, a quarter of them for those that only send; two or more
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
    /// Give each of these threads a core of its own, as far as there are
    #[arg(long)]
    pin_threads: bool,
}

impl ServerFlags {
    /// The core of a server of our own.
    pub(super) fn core(&self) -> Option<usize> {
        self.server_core
    }

    /// The generator's threads, and whether they are pinned.
    pub(super) fn threads(&self) -> (Threads, bool) {
        (Threads::of(self.threads), self.pin_threads)
    }

    /// The server, a child of this program if none is named.
    pub(super) fn server(&self) -> anyhow::Result<Server> {
        let rooms = match (&self.server, &self.links) {
            (Some(server), _) if server.contains("/r/") || server.contains('#') => {
                Rooms::Links(vec![server.parse::<RoomLink>().context("--server is not a room link")?])
            }
            (Some(server), _) => Rooms::Make {
                origin: server.trim_end_matches('/').parse::<Origin>().context("--server is no address")?,
                api_key: self.api_key.clone().map(ApiKey),
            },
            (None, Some(file)) => Rooms::Links(read_links(file)?),
            (None, None) if self.pin.is_some() || self.metrics.is_some() => {
                bail!("--pin and --metrics are for a server that runs already: name it with --server or --links")
            }
            (None, None) => {
                let program = std::env::current_exe()
                    .context("cannot find this program to start a server from; name one with --server")?;
                return Ok(Server::Child { program });
            }
        };
        let metrics = self.metrics.as_deref().map(str::parse).transpose().context("--metrics is no address")?;
        Ok(Server::Running { rooms, trust: self.pin.map_or(Trust::PublicAuthorities, Trust::Pinned), metrics })
    }
}

/// Links hold secrets: errors name lines, and never what stands in them.
fn read_links(file: &Path) -> anyhow::Result<Vec<RoomLink>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(n, line)| {
            line.parse().with_context(|| format!("{}, line {}, is not a room link", file.display(), n + 1))
        })
        .collect()
}
