//! `tacet relay`: a bad network between clients and a server, on purpose.

use crate::stop::StopSignal;
use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use std::{
    io::{self, BufRead, Write},
    net::SocketAddr,
    thread,
    time::Duration,
};
use tacet_impair::{Impairment, Relay as UdpRelay, RelayConfig, RelayStats};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

/// Puts a bad network between clients and a server: loss, delay, jitter, reordering, a rate
///
/// Datagrams that come to --listen go to --to, and the answers back. Each client gets an address of its own towards the
/// server. Settings hold for both directions; --up and --down change them for one.
///
/// Commands while it runs, one a line: "stats"; "change-addresses" gives every client a new address towards the server,
/// as a NAT does that has forgotten its clients; "set SETTINGS", "set up SETTINGS", "set down SETTINGS".
#[derive(Args, Debug)]
#[command(
    next_line_help = true,
    after_help = "\
EXAMPLES:
  tacet serve --advertise 127.0.0.2 --workers 1       a server that sends its clients to the relay
  tacet relay --listen 127.0.0.2:8801 --to 127.0.0.1:8801 --loss 5% --burst 3
  tacet relay … --preset 4g                           a phone
  tacet relay … --rate 800kbit --queue 60kB           a line too slow for video
  tacet relay … --delay 20ms --up loss=10%            bad in one direction
  tacet relay … --down-for 3s --down-every 30s        out of reach at times
  tacet relay … --change-every 20s                    a new address towards the server each 20 s

SETTINGS of --up, --down and \"set\": a preset, then the options as NAME=VALUE, with commas: 4g,loss=5%,burst=3
PRESETS: perfect, wifi, 4g, congested, lossy"
)]
pub(crate) struct Relay {
    /// Address that clients send to; the server must advertise its IP, and media ports are the same on both
    #[arg(long, value_name = "IP:PORT")]
    listen: SocketAddr,
    /// Media address of the server
    #[arg(long, value_name = "IP:PORT")]
    to: SocketAddr,
    /// Ports to relay, from these on: a server has one for each worker
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    ports: u16,
    #[command(flatten)]
    path: Settings,
    /// Other settings from clients to the server
    #[arg(long, value_name = "SETTINGS")]
    up: Option<String>,
    /// Other settings from the server to clients
    #[arg(long, value_name = "SETTINGS")]
    down: Option<String>,
    /// Give every client a new address towards the server so often
    #[arg(long, value_name = "TIME", value_parser = time)]
    change_every: Option<Duration>,
    /// Names the run: the same datagrams meet the same fates [default: random]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print lines of JSON: one when the relay listens, one for each command and one at the end
    #[arg(long)]
    json: bool,
}

/// The settings of the model, as options.
#[derive(Args, Debug)]
struct Settings {
    /// Begin with the settings of this name
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Share of packets lost, such as 5%
    #[arg(long, value_name = "SHARE")]
    loss: Option<String>,
    /// Mean length of bursts of loss, in packets
    #[arg(long, value_name = "N")]
    burst: Option<String>,
    /// Loss by the four parameters of the model, instead: TO_BAD/TO_GOOD/LOSS_IN_GOOD/LOSS_IN_BAD
    #[arg(long, value_name = "SHARES", conflicts_with_all = ["loss", "burst"])]
    gilbert_elliott: Option<String>,
    /// What every packet needs, such as 20ms
    #[arg(long, value_name = "TIME")]
    delay: Option<String>,
    /// Up to so much more; packets keep their order
    #[arg(long, value_name = "TIME")]
    jitter: Option<String>,
    /// Jitter lets packets overtake
    #[arg(long)]
    jitter_reorders: bool,
    /// Rate of the slowest link, such as 2mbit
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
    /// Bytes that may wait before that link, such as 64kB [default: 100 ms at its rate]
    #[arg(long, value_name = "SIZE")]
    queue: Option<String>,
    /// Share of packets held back, so that others overtake
    #[arg(long, value_name = "SHARE")]
    reorder: Option<String>,
    /// For how long they are held back [default: 20ms]
    #[arg(long, value_name = "TIME")]
    held_back: Option<String>,
    /// Share of packets that arrive twice
    #[arg(long, value_name = "SHARE")]
    duplicate: Option<String>,
    /// When the first outage begins, after a client's first packet
    #[arg(long, value_name = "TIME")]
    down_after: Option<String>,
    /// How long an outage lasts
    #[arg(long, value_name = "TIME")]
    down_for: Option<String>,
    /// From one outage to the next
    #[arg(long, value_name = "TIME")]
    down_every: Option<String>,
}

impl Settings {
    /// The path that they describe: options are settings by the same names.
    fn impairment(&self) -> anyhow::Result<Impairment> {
        let base = match &self.preset {
            Some(name) => Impairment::preset(name).with_context(|| format!("--preset: there is no `{name}`"))?,
            None => Impairment::PERFECT,
        };
        let settings = [
            ("loss", &self.loss),
            ("burst", &self.burst),
            ("gilbert-elliott", &self.gilbert_elliott),
            ("delay", &self.delay),
            ("jitter", &self.jitter),
            ("jitter-reorders", &self.jitter_reorders.then(|| "yes".to_owned())),
            ("rate", &self.rate),
            ("queue", &self.queue),
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

/// A time above zero.
fn time(text: &str) -> Result<Duration, String> {
    // The model reads times; an option of its own is read by the same rules.
    let path: Impairment =
        format!("delay={text}").parse().map_err(|error: tacet_impair::SpecError| error.to_string())?;
    Some(path.delay).filter(|time| !time.is_zero()).ok_or_else(|| "must be more than nothing".to_owned())
}

/// The line that `--json` prints once the relay listens.
#[derive(Serialize)]
struct Ready {
    /// Where clients send to, one for each port.
    listen: Vec<SocketAddr>,
    /// Where the server is.
    to: Vec<SocketAddr>,
    up: String,
    down: String,
    seed: u64,
    pid: u32,
}

/// What a command did, as a line of JSON.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Stats(RelayStats),
    /// Clients that have another address now.
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
        let both = self.path.impairment()?;
        let one_way = |settings: &Option<String>, name| match settings {
            Some(settings) => both.with(settings).with_context(|| format!("--{name}")),
            None => Ok(both),
        };
        let (up, down) = (one_way(&self.up, "up")?, one_way(&self.down, "down")?);
        let seed = match self.seed {
            Some(seed) => seed,
            // Short, as it may have to be typed.
            None => u64::from(getrandom::u32()?),
        };
        let relays = Relays::start(&self, &RelayConfig { up, down, ..RelayConfig::new(both, seed) })?;
        // Registered before anything is announced: whoever reads the announcement may stop the relay at once.
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
                Some(command) = commands.recv() => self.print(&relays.obey(&command))?,
                () = next(&mut changes) => {
                    let answer = relays.change_addresses();
                    self.print(&answer)?;
                }
                () = stop.received() => break,
            }
        }
        self.print(&Answer::Stats(relays.stats()))
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
            Answer::Changed(clients) => writeln!(out, "{clients} clients have another address now")?,
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
                bail!("--ports {}: there are no such ports", options.ports);
            };
            let config = RelayConfig { seed: config.seed.wrapping_add(n.into()), ..*config };
            relays.push(UdpRelay::start(listen, to, &config)?);
        }
        Ok(Self(relays))
    }

    fn obey(&self, command: &str) -> Answer {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["stats"] => Answer::Stats(self.stats()),
            ["change-addresses"] => self.change_addresses(),
            ["set", "up", settings] => self.set(Some(settings), None),
            ["set", "down", settings] => self.set(None, Some(settings)),
            ["set", settings] => self.set(Some(settings), Some(settings)),
            _ => Answer::Error(
                "commands are: stats, change-addresses, set SETTINGS, set up SETTINGS, set down SETTINGS".to_owned(),
            ),
        }
    }

    /// Changes settings; what they do not name stays. All relays are the same.
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

/// The address so many ports further; 0 stays 0, which is any port.
fn shifted(address: SocketAddr, by: u16) -> Option<SocketAddr> {
    let port = if address.port() == 0 { 0 } else { address.port().checked_add(by)? };
    Some(SocketAddr::new(address.ip(), port))
}

/// Done at the next tick; never without an interval.
async fn next(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

/// Lines of the standard input, read on a thread of its own that ends with the process.
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
    fn options_are_the_settings_of_the_same_name() {
        let options = "--preset 4g --loss 5% --burst 3 --delay 20ms --jitter 10ms --jitter-reorders --rate 2mbit \
                       --queue 9kB --reorder 1% --held-back 5ms --duplicate 2% --down-after 1s --down-for 2s \
                       --down-every 9s";
        let text = "4g,loss=5%,burst=3,delay=20ms,jitter=10ms,jitter-reorders,rate=2mbit,queue=9kB,reorder=1%,\
                    held-back=5ms,duplicate=2%,down-after=1s,down-for=2s,down-every=9s";
        assert_eq!(relay(options).path.impairment().unwrap(), text.parse().unwrap());
        let four = relay("--gilbert-elliott 1%/30%/0%/80%").path.impairment().unwrap();
        assert_eq!(four, "gilbert-elliott=1%/30%/0%/80%".parse().unwrap());
        assert!(relay("--preset 5g").path.impairment().is_err());
        assert!(relay("--loss 5").path.impairment().unwrap_err().to_string().contains("write 5%"));
    }

    #[test]
    fn commands_change_one_direction_or_both_and_errors_change_nothing() {
        let options = relay("--ports 2");
        let relays = Relays::start(&options, &RelayConfig::new(Impairment::PERFECT, 1)).unwrap();
        assert!(matches!(relays.obey("set loss=10%"), Answer::Set { .. }));
        assert!(matches!(relays.obey("set up delay=3ms"), Answer::Set { .. }));
        assert!(matches!(relays.obey("set down delay=9"), Answer::Error(_)));
        assert_eq!(relays.impairments(), ("loss=10%,delay=3ms".to_owned(), "loss=10%".to_owned()));
        assert!(relays.0.iter().all(|relay| relay.impairments() == relays.0[0].impairments()));
        assert!(matches!(relays.obey("change-addresses"), Answer::Changed(0)));
        assert!(matches!(relays.obey("stats"), Answer::Stats(stats) if stats == RelayStats::default()));
        assert!(matches!(relays.obey("stat"), Answer::Error(_)));
    }

    #[test]
    fn ports_beyond_the_last_are_refused() {
        let options = Relay { to: "127.0.0.1:65535".parse().unwrap(), ..relay("--ports 2") };
        assert!(Relays::start(&options, &RelayConfig::new(Impairment::PERFECT, 1)).is_err());
    }
}
