//! Flags of `tacet load` for the scenario and the server under test.

use crate::pin::pin;
use anyhow::{Context, bail};
use clap::{Args, error::ErrorKind};
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
    /// Built-in scenario, or a scenario file [default: packets]
    #[arg(long, value_name = "NAME|FILE")]
    scenario: Option<String>,
    /// Give the server twice as much to send as it can: the scenario "overload", with a core for the server alone
    #[arg(long, conflicts_with_all = ["scenario", "server", "links"])]
    pub(super) overload: bool,
    /// List the built-in scenarios
    #[arg(long)]
    pub(super) list_scenarios: bool,
    /// Print a built-in scenario, as a file to edit
    #[arg(long, value_name = "NAME")]
    pub(super) print_scenario: Option<String>,
    /// Number of rooms
    #[arg(long, value_name = "N")]
    rooms: Option<usize>,
    /// Bots per room that only send
    #[arg(long, value_name = "N")]
    publishers: Option<usize>,
    /// Bots per room that only receive
    #[arg(long, value_name = "N")]
    subscribers: Option<usize>,
    /// Bots per room that send and receive
    #[arg(long, value_name = "N")]
    participants: Option<usize>,
    /// Duration of the measurement
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Duration of media before the measurement
    #[arg(long, value_name = "S")]
    warmup: Option<f64>,
    /// Packets per second of each publisher (scenarios of single packets)
    #[arg(long, value_name = "N")]
    pps: Option<u32>,
    /// RTP payload of each packet, in bytes (scenarios of single packets)
    #[arg(long, value_name = "BYTES")]
    size: Option<usize>,
    /// Packets sent at once, as for one large frame (scenarios of single packets)
    #[arg(long, value_name = "N")]
    burst: Option<u32>,
    /// Bots authenticate packets but do not open frames: for large numbers of bots
    #[arg(long)]
    light: bool,
    /// Number of bots on the independent WebRTC stack
    #[arg(long, value_name = "N")]
    canaries: Option<usize>,
    /// Random seed for frame sizes, talk spurts and durations of stay
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl ScenarioFlags {
    /// The scenario with the flags applied.
    pub(super) fn scenario(&self) -> anyhow::Result<Scenario> {
        let mut scenario = match &self.scenario {
            None if self.overload => named("overload")?,
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
                let name = &scenario.name;
                bail!(invalid(&format!(
                    "--pps, --size and --burst are for single packets; {name} sends audio or video"
                )));
            }
            None => {}
        }
        // A shorter duration also shortens the join storm.
        if let (Some(seconds), scenario::Join::Storm { over_s }) = (self.seconds, &mut scenario.join) {
            *over_s = over_s.min(seconds);
        }
        scenario.check().map_err(|error| invalid(&self.explain(&error)))?;
        Ok(scenario)
    }

    /// An error that names the flag instead of the field, if there is one.
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

/// An error in the arguments, which ends the program as those do that clap finds.
pub(super) fn invalid(text: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{text}\n"))
}

fn named(name: &str) -> anyhow::Result<Scenario> {
    let names: Vec<String> = scenario::builtins().map(|(scenario, _)| scenario.name).collect();
    match scenario::builtin(name) {
        Some((scenario, _)) => Ok(scenario),
        None => bail!("no scenario or file is called {name}; scenarios are {}", names.join(", ")),
    }
}

fn read(path: &Path) -> anyhow::Result<Scenario> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    scenario::parse(&text).with_context(|| format!("in {}", path.display()))
}

/// One line per built-in scenario.
pub(super) fn list() -> String {
    scenario::builtins().map(|(scenario, _)| format!("{:<12} {}\n", scenario.name, scenario.about)).collect()
}

/// Text of a built-in scenario.
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
    /// Running server: a room link, quoted because of its #, or the address of a server that allows creating rooms
    // Not parsed by clap, whose error would repeat the link with its secret.
    #[arg(long, value_name = "LINK|URL")]
    server: Option<String>,
    /// File with one room link per line, instead of --server
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    links: Option<PathBuf>,
    /// The server's key for creating rooms, if it requires one
    #[arg(long, value_name = "KEY", env = "TACET_API_KEY", hide_env_values = true, requires = "server")]
    api_key: Option<String>,
    /// SHA-256 of the server's self-signed certificate, as the server prints it at startup
    #[arg(long, value_name = "HEX", value_parser = pin)]
    pin: Option<[u8; 32]>,
    /// URL of the server's Prometheus metrics; without it, CPU and memory of the server are unknown
    #[arg(long, value_name = "URL")]
    metrics: Option<String>,
    /// Pin the server that is started for the run to this core, and keep the bots off it
    #[arg(long, value_name = "CORE", conflicts_with_all = ["server", "links"])]
    server_core: Option<usize>,
    /// Threads of light bots, a quarter of them for bots that only send
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(2..=Threads::MAX_OF_BOTH as i64))]
    threads: u16,
    /// Pin each of these threads to its own core, while there are cores
    #[arg(long)]
    pin_threads: bool,
}

impl ServerFlags {
    /// The core to which the started server is pinned.
    pub(super) fn core(&self) -> Option<usize> {
        self.server_core
    }

    /// The generator's threads, and whether they are pinned.
    pub(super) fn threads(&self) -> (Threads, bool) {
        (Threads::of(usize::from(self.threads)), self.pin_threads)
    }

    /// The server under test; started as a child of this program if none is given.
    pub(super) fn server(&self) -> anyhow::Result<Server> {
        let rooms = match (&self.server, &self.links) {
            (Some(server), _) if server.contains("/r/") || server.contains('#') => {
                Rooms::Links(vec![server.parse::<RoomLink>().context("--server is not a room link")?])
            }
            (Some(server), _) => Rooms::Make {
                origin: server.trim_end_matches('/').parse::<Origin>().context("--server is not a valid address")?,
                api_key: self.api_key.clone().map(ApiKey),
            },
            (None, Some(file)) => Rooms::Links(read_links(file)?),
            (None, None) if self.pin.is_some() || self.metrics.is_some() => {
                bail!("--pin and --metrics require a running server: use --server or --links")
            }
            (None, None) => {
                let program = std::env::current_exe()
                    .context("cannot find this program's file to start a server; use --server")?;
                return Ok(Server::Child { program });
            }
        };
        let metrics =
            self.metrics.as_deref().map(str::parse).transpose().context("--metrics is not a valid address")?;
        Ok(Server::Running { rooms, trust: self.pin.map_or(Trust::PublicAuthorities, Trust::Pinned), metrics })
    }
}

/// Links contain secrets: errors name lines, never their contents.
fn read_links(file: &Path) -> anyhow::Result<Vec<RoomLink>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(n, line)| {
            line.parse().with_context(|| format!("{}, line {}, is not a room link", file.display(), n + 1))
        })
        .collect()
}
