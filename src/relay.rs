//! `tacet relay`: an impaired network between clients and a server.

use crate::stop::StopSignal;
use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use std::{
    io::{self, BufRead, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use tacet_impair::{Bottleneck, Impairment, PRESETS, RateSchedule, Relay as UdpRelay, RelayConfig, RelayStats};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

/// Simulate a bad network between clients and a server
///
/// Forwards datagrams from --listen to --to, and the responses back. Each client has its own address towards the
/// server. Settings apply to both directions; --up and --down change them for one.
///
/// Commands on standard input, one per line: "stats"; "change-addresses", which changes every client's address towards
/// the server, as a NAT does when its bindings expire; "set SETTINGS", "set up SETTINGS", "set down SETTINGS". Settings
/// that "set" does not name stay as they are; a preset such as "perfect" in front resets them.
#[derive(Args, Debug)]
#[command(
    next_line_help = true,
    after_help = "\
EXAMPLES:
  tacet serve --advertise 127.0.0.2 --workers 1       a server whose clients use the relay
  tacet relay --listen 127.0.0.2:8801 --to 127.0.0.1:8801 --loss 5% --burst 3
  tacet relay … --preset 4g                           a mobile connection
  tacet relay … --rate 800kbit --queue 300ms          a link too slow for video
  tacet relay … --rate 2mbit:500kbit@20s:2mbit@40s    a rate that changes 20 s after the first packet, and back
  tacet relay … --rate 2mbit --shared                 one line for all clients
  tacet relay … --delay 20ms --up loss=10%            impaired in one direction
  tacet relay … --down-for 3s --down-every 30s        regular outages
  tacet relay … --change-every 20s                    a new address towards the server every 20 s

SETTINGS of --up, --down and \"set\": a preset and options as NAME=VALUE, separated by commas: 4g,loss=5%,burst=3
PRESETS: perfect, wifi, 4g, congested, lossy"
)]
pub(crate) struct Relay {
    /// Address that clients send to. The server must advertise its IP; media ports are the same on both
    #[arg(long, value_name = "IP:PORT")]
    listen: SocketAddr,
    /// Media address of the server
    #[arg(long, value_name = "IP:PORT")]
    to: SocketAddr,
    /// Number of consecutive ports to relay, one for each media worker
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    ports: u16,
    #[command(flatten)]
    path: Settings,
    /// Let all clients share the bottleneck of each direction
    #[arg(long)]
    shared: bool,
    /// File of rates from clients to the server, if different
    #[arg(long, value_name = "FILE")]
    up_rate_trace: Option<PathBuf>,
    /// File of rates from the server to clients, if different
    #[arg(long, value_name = "FILE")]
    down_rate_trace: Option<PathBuf>,
    /// Settings from clients to the server, if different
    #[arg(long, value_name = "SETTINGS")]
    up: Option<String>,
    /// Settings from the server to clients, if different
    #[arg(long, value_name = "SETTINGS")]
    down: Option<String>,
    /// Change every client's address towards the server at this interval
    #[arg(long, value_name = "TIME", value_parser = time)]
    change_every: Option<Duration>,
    /// Random seed: runs with the same seed impair the same datagrams [default: random]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print JSON: one line when the relay listens, one per command, and one at the end
    #[arg(long)]
    json: bool,
}

/// The settings of the network model, as options.
#[derive(Args, Debug)]
struct Settings {
    /// Start from a preset
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Fraction of packets lost, such as 5%
    #[arg(long, value_name = "SHARE")]
    loss: Option<String>,
    /// Mean length of loss bursts, in packets
    #[arg(long, value_name = "N")]
    burst: Option<String>,
    /// Loss by the four parameters of the Gilbert-Elliott model: TO_BAD/TO_GOOD/LOSS_IN_GOOD/LOSS_IN_BAD
    #[arg(long, value_name = "SHARES", conflicts_with_all = ["loss", "burst"])]
    gilbert_elliott: Option<String>,
    /// Delay of every packet, such as 20ms
    #[arg(long, value_name = "TIME")]
    delay: Option<String>,
    /// Maximum additional random delay, or "gauss SIGMA": a Gaussian one around three SIGMA, cut at zero and at six;
    /// packets stay in order
    #[arg(long, value_name = "TIME")]
    jitter: Option<String>,
    /// Let jitter reorder packets
    #[arg(long)]
    jitter_reorders: bool,
    /// Rate of the bottleneck, such as 2mbit, or a schedule such as 2mbit:500kbit@20s
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
    /// File of rates of the bottleneck, one a line, each for 100 ms; repeats
    #[arg(long, value_name = "FILE", conflicts_with = "rate")]
    rate_trace: Option<PathBuf>,
    /// Queue size of the bottleneck, such as 64kB or 300ms [default: 100 ms at its rate, at least 15 kB]
    #[arg(long, value_name = "SIZE")]
    queue: Option<String>,
    /// Active queue management: codel, which drops early what waits long, or none
    #[arg(long, value_name = "NAME")]
    aqm: Option<String>,
    /// Fraction of packets held back, so that later ones overtake them
    #[arg(long, value_name = "SHARE")]
    reorder: Option<String>,
    /// How long they are held back [default: 20ms]
    #[arg(long, value_name = "TIME")]
    held_back: Option<String>,
    /// Fraction of packets duplicated
    #[arg(long, value_name = "SHARE")]
    duplicate: Option<String>,
    /// When the first outage begins, after a client's first packet
    #[arg(long, value_name = "TIME")]
    down_after: Option<String>,
    /// Duration of an outage
    #[arg(long, value_name = "TIME")]
    down_for: Option<String>,
    /// Interval from one outage to the next
    #[arg(long, value_name = "TIME")]
    down_every: Option<String>,
}

impl Settings {
    /// The impairment that these options describe: each is a setting of the same name.
    fn impairment(&self) -> anyhow::Result<Impairment> {
        let mut base = match &self.preset {
            Some(name) => Impairment::preset(name).with_context(|| {
                format!("--preset: `{name}` is none of {}", PRESETS.map(|(name, _)| name).join(", "))
            })?,
            None => Impairment::PERFECT,
        };
        if let Some(file) = &self.rate_trace {
            base = base.rate(trace("--rate-trace", file)?);
        }
        let settings = [
            ("loss", &self.loss),
            ("burst", &self.burst),
            ("gilbert-elliott", &self.gilbert_elliott),
            ("delay", &self.delay),
            ("jitter", &self.jitter),
            ("jitter-reorders", &self.jitter_reorders.then(|| "yes".to_owned())),
            ("rate", &self.rate),
            ("queue", &self.queue),
            ("aqm", &self.aqm),
            ("reorder", &self.reorder),
            ("held-back", &self.held_back),
            ("duplicate", &self.duplicate),
            ("down-after", &self.down_after),
            ("down-for", &self.down_for),
            ("down-every", &self.down_every),
        ];
        let written = settings.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
        Ok(base.with(&written.collect::<Vec<_>>().join(","))?)
    }
}

/// Reads the file of an option.
fn trace(option: &str, file: &Path) -> anyhow::Result<RateSchedule> {
    let of_file = || format!("{option} {}", file.display());
    let text = std::fs::read_to_string(file).with_context(of_file)?;
    RateSchedule::trace(&text).with_context(of_file)
}

/// A time above zero.
fn time(text: &str) -> Result<Duration, String> {
    // Parsed by the network model, so that times have the same syntax everywhere.
    let path: Impairment =
        format!("delay={text}").parse().map_err(|error: tacet_impair::SpecError| error.to_string())?;
    Some(path.delay).filter(|time| !time.is_zero()).ok_or_else(|| "must be greater than zero".to_owned())
}

/// The line that `--json` prints when the relay listens.
#[derive(Serialize)]
struct Ready {
    /// Where clients send to, one address per port.
    listen: Vec<SocketAddr>,
    /// Where the server is.
    to: Vec<SocketAddr>,
    up: String,
    down: String,
    seed: u64,
    pid: u32,
}

/// Result of a command, as a line of JSON.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Stats(RelayStats),
    /// Number of clients whose address has changed.
    Changed(usize),
    Set {
        up: String,
        down: String,
    },
    Error(String),
}

/// A relay for each port.
struct Relays(Vec<UdpRelay>);

impl Relay {
    /// Relays until SIGINT or SIGTERM.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.relay())
    }

    async fn relay(self) -> anyhow::Result<()> {
        let (both, up, down) = self.impairments()?;
        let seed = match self.seed {
            Some(seed) => seed,
            // Short, since it may have to be typed.
            None => u64::from(getrandom::u32()?),
        };
        let relays =
            Relays::start(&self, &RelayConfig { up, down, shared: self.shared, ..RelayConfig::new(both, seed) })?;
        // Installed before the relay is announced, since it may be stopped immediately after that.
        let mut stop = StopSignal::new()?;
        self.announce(&relays, seed)?;

        let mut commands = commands()?;
        let mut changes = self.change_every.map(interval);
        if let Some(changes) = &mut changes {
            changes.set_missed_tick_behavior(MissedTickBehavior::Delay);
            changes.tick().await;
        }
        loop {
            tokio::select! {
                Some(command) = commands.recv() => self.print(&relays.run_command(&command))?,
                () = next(&mut changes) => {
                    let answer = relays.change_addresses();
                    self.print(&answer)?;
                }
                () = stop.received() => break,
            }
        }
        self.print(&Answer::Stats(relays.stats()))
    }

    /// The network of both directions, and that of each.
    fn impairments(&self) -> anyhow::Result<(Impairment, Impairment, Impairment)> {
        let both = self.path.impairment()?;
        let one_way = |name: &str, file: &Option<PathBuf>, settings: &Option<String>| {
            let mut path = both.clone();
            if let Some(file) = file {
                let line = Bottleneck::new(trace(&format!("--{name}-rate-trace"), file)?);
                // The queue that is set for both directions holds for a trace of one, too.
                path.bottleneck = Some(match path.bottleneck {
                    Some(both) => Bottleneck { rate: line.rate, ..both },
                    None => line,
                });
            }
            path.with(settings.as_deref().unwrap_or_default()).with_context(|| format!("--{name}"))
        };
        let up = one_way("up", &self.up_rate_trace, &self.up)?;
        let down = one_way("down", &self.down_rate_trace, &self.down)?;
        Ok((both, up, down))
    }

    fn announce(&self, relays: &Relays, seed: u64) -> anyhow::Result<()> {
        let (up, down) = relays.impairments();
        let listen: Vec<SocketAddr> = relays.0.iter().map(UdpRelay::local_addr).collect();
        let to = (0..self.ports).map_while(|n| shifted(self.to, n)).collect();
        let mut out = io::stdout().lock();
        if self.json {
            let ready = Ready { listen, to, up, down, seed, pid: std::process::id() };
            writeln!(out, "{}", serde_json::to_string(&ready)?)?;
        } else {
            for (listen, to) in listen.iter().zip(&to) {
                writeln!(out, "Relaying {listen} to {to}")?;
            }
            writeln!(out, "Up:   {up}\nDown: {down}\nSeed: {seed}")?;
            writeln!(out, "Commands: stats, change-addresses, set SETTINGS. Stop with Ctrl-C.")?;
        }
        out.flush()?;
        Ok(())
    }

    fn print(&self, answer: &Answer) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        match answer {
            answer if self.json => writeln!(out, "{}", serde_json::to_string(answer)?)?,
            Answer::Stats(stats) => writeln!(out, "{stats}")?,
            Answer::Changed(clients) => writeln!(out, "{clients} clients have a new address")?,
            Answer::Set { up, down } => writeln!(out, "up:   {up}\ndown: {down}")?,
            Answer::Error(error) => writeln!(out, "error: {error}")?,
        }
        out.flush()?;
        Ok(())
    }
}

impl Relays {
    fn start(options: &Relay, config: &RelayConfig) -> anyhow::Result<Self> {
        let mut relays = Vec::new();
        for n in 0..options.ports {
            let (Some(listen), Some(to)) = (shifted(options.listen, n), shifted(options.to, n)) else {
                bail!("--ports {}: port number above 65535", options.ports);
            };
            let config = RelayConfig { seed: config.seed.wrapping_add(n.into()), ..config.clone() };
            relays.push(UdpRelay::start(listen, to, &config)?);
        }
        Ok(Self(relays))
    }

    fn run_command(&self, command: &str) -> Answer {
        // Settings may contain spaces: `set jitter=gauss 5ms`.
        let (word, rest) = command.trim().split_once(char::is_whitespace).unwrap_or((command.trim(), ""));
        match (word, rest.trim()) {
            ("stats", "") => Answer::Stats(self.stats()),
            ("change-addresses", "") => self.change_addresses(),
            ("set", settings) if !settings.is_empty() => match settings.split_once(char::is_whitespace) {
                Some(("up", settings)) => self.set(Some(settings), None),
                Some(("down", settings)) => self.set(None, Some(settings)),
                _ => self.set(Some(settings), Some(settings)),
            },
            _ => Answer::Error(
                "commands are: stats, change-addresses, set SETTINGS, set up SETTINGS, set down SETTINGS".to_owned(),
            ),
        }
    }

    /// Changes settings; others keep their values. All relays have the same settings.
    fn set(&self, up: Option<&str>, down: Option<&str>) -> Answer {
        for relay in &self.0 {
            let (old_up, old_down) = relay.impairments();
            let changed =
                old_up.with(up.unwrap_or_default()).and_then(|up| Ok((up, old_down.with(down.unwrap_or_default())?)));
            match changed {
                Ok((up, down)) => {
                    relay.set_up(up);
                    relay.set_down(down);
                }
                Err(error) => return Answer::Error(error.to_string()),
            }
        }
        let (up, down) = self.impairments();
        Answer::Set { up, down }
    }

    fn change_addresses(&self) -> Answer {
        match self.0.iter().map(UdpRelay::change_addresses).sum::<io::Result<usize>>() {
            Ok(clients) => Answer::Changed(clients),
            Err(error) => Answer::Error(error.to_string()),
        }
    }

    fn stats(&self) -> RelayStats {
        self.0.iter().map(UdpRelay::stats).sum()
    }

    fn impairments(&self) -> (String, String) {
        let first = self.0.first().map(UdpRelay::impairments).unwrap_or_default();
        (first.0.to_string(), first.1.to_string())
    }
}

/// The address `by` ports higher; port 0 stays 0.
fn shifted(address: SocketAddr, by: u16) -> Option<SocketAddr> {
    let port = if address.port() == 0 { 0 } else { address.port().checked_add(by)? };
    Some(SocketAddr::new(address.ip(), port))
}

/// Waits for the next tick; forever without an interval.
async fn next(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

/// Lines of standard input, read on a separate thread that ends with the process.
fn commands() -> anyhow::Result<mpsc::UnboundedReceiver<String>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::Builder::new().name("commands".to_owned()).spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if !line.trim().is_empty() && sender.send(line).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        relay: Relay,
    }

    fn relay(options: &str) -> Relay {
        let line = format!("relay --listen 127.0.0.1:0 --to 127.0.0.1:9 {options}");
        Line::try_parse_from(line.split_whitespace()).unwrap().relay
    }

    #[test]
    fn options_match_settings() {
        let options = "--preset 4g --loss 5% --burst 3 --delay 20ms --jitter 10ms --jitter-reorders --rate 2mbit \
                       --queue 9kB --reorder 1% --held-back 5ms --duplicate 2% --down-after 1s --down-for 2s \
                       --down-every 9s";
        let text = "4g,loss=5%,burst=3,delay=20ms,jitter=10ms,jitter-reorders,rate=2mbit,queue=9kB,reorder=1%,\
                    held-back=5ms,duplicate=2%,down-after=1s,down-for=2s,down-every=9s";
        assert_eq!(relay(options).path.impairment().unwrap(), text.parse().unwrap());
        let four = relay("--gilbert-elliott 1%/30%/0%/80%").path.impairment().unwrap();
        assert_eq!(four, "gilbert-elliott=1%/30%/0%/80%".parse().unwrap());
        let changing = relay("--rate 2mbit:500kbit@20s --queue 300ms --aqm codel").path.impairment().unwrap();
        assert_eq!(changing, "rate=2mbit:500kbit@20s,queue=300ms,aqm=codel".parse().unwrap());
        let error = relay("--preset 5g").path.impairment().unwrap_err().to_string();
        assert_eq!(error, "--preset: `5g` is none of perfect, wifi, 4g, congested, lossy");
        assert!(relay("--loss 5").path.impairment().unwrap_err().to_string().contains("write 5%"));
    }

    #[test]
    fn rate_trace_is_read_from_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "1mbit\n0\n2mbit\n").unwrap();
        let path = relay(&format!("--rate-trace {} --queue 300ms", file.path().display())).path.impairment().unwrap();
        assert_eq!(path, "rate=1mbit:0@100ms:2mbit@200ms@@300ms,queue=300ms".parse().unwrap());
        std::fs::write(file.path(), "1 parsec\n").unwrap();
        let error = relay(&format!("--rate-trace {}", file.path().display())).path.impairment().unwrap_err();
        assert!(error.to_string().contains("--rate-trace"), "{error}");
        assert!(format!("{error:#}").contains("line 1: `1 parsec`"), "{error:#}");
    }

    #[test]
    fn each_direction_may_have_a_trace() {
        let files = ["1mbit\n2mbit\n", "8mbit\n0\n"].map(|rates| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), rates).unwrap();
            file
        });
        let [up, down] = files.each_ref().map(|file| file.path().display().to_string());
        let paths = |options: &str| relay(&format!("--delay 5ms --down-rate-trace {down} {options}")).impairments();
        let (both, plain, of_down) = paths("").unwrap();
        assert_eq!((&both, &plain), (&"delay=5ms".parse().unwrap(), &"delay=5ms".parse().unwrap()));
        assert_eq!(of_down, "delay=5ms,rate=8mbit:0@100ms@@200ms".parse().unwrap());
        let (_, of_up, of_down) =
            paths(&format!("--rate 3mbit --queue 300ms --up-rate-trace {up} --up loss=1%")).unwrap();
        assert_eq!(of_up, "delay=5ms,rate=1mbit:2mbit@100ms@@200ms,queue=300ms,loss=1%".parse().unwrap());
        assert_eq!(of_down, "delay=5ms,rate=8mbit:0@100ms@@200ms,queue=300ms".parse().unwrap());
        std::fs::write(&up, "1mbit\n\nfast\n").unwrap();
        let error = paths(&format!("--up-rate-trace {up}")).unwrap_err();
        assert!(
            format!("{error:#}").contains("--up-rate-trace") && format!("{error:#}").contains("line 3"),
            "{error:#}"
        );
    }

    #[test]
    fn set_changes_directions_and_errors_change_nothing() {
        let options = relay("--ports 2");
        let relays = Relays::start(&options, &RelayConfig::new(Impairment::PERFECT, 1)).unwrap();
        assert!(matches!(relays.run_command("set loss=10%"), Answer::Set { .. }));
        assert!(matches!(relays.run_command("set up delay=3ms"), Answer::Set { .. }));
        assert!(matches!(relays.run_command("set down delay=9"), Answer::Error(_)));
        assert!(matches!(relays.run_command("set"), Answer::Error(_)));
        assert_eq!(relays.impairments(), ("loss=10%,delay=3ms".to_owned(), "loss=10%".to_owned()));
        assert!(relays.0.iter().all(|relay| relay.impairments() == relays.0[0].impairments()));
        assert!(matches!(relays.run_command("set down jitter=gauss 5ms"), Answer::Set { .. }));
        assert_eq!(relays.impairments().1, "loss=10%,jitter=gauss 5ms");
        assert!(matches!(relays.run_command("change-addresses"), Answer::Changed(0)));
        assert!(matches!(relays.run_command("stats"), Answer::Stats(stats) if stats == RelayStats::default()));
        assert!(matches!(relays.run_command("stat"), Answer::Error(_)));
    }

    #[test]
    fn ports_above_65535_are_rejected() {
        let options = Relay { to: "127.0.0.1:65535".parse().unwrap(), ..relay("--ports 2") };
        assert!(Relays::start(&options, &RelayConfig::new(Impairment::PERFECT, 1)).is_err());
    }
}
