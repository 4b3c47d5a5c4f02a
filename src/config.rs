//! Settings of `tacet serve`: flags, then `TACET_*` variables, then the configuration file, then defaults.

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use signaling::{
    SecurityContact,
    config::{ApiKey, RoomLimits},
};
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    thread,
    time::Duration,
};

/// Settings from the command line or the environment.
#[derive(Args, Debug, Default)]
pub(crate) struct Flags {
    /// Configuration file (TOML); docs/tacet.toml documents every setting
    #[arg(long, value_name = "FILE", env = "TACET_CONFIG")]
    config: Option<PathBuf>,
    /// Address for HTTP and media. Beyond loopback the server uses HTTPS [default: 127.0.0.1]
    #[arg(long, value_name = "IP", env = "TACET_BIND")]
    bind: Option<IpAddr>,
    /// TCP port of the call page and signaling; 0 picks a free one [default: 8800]
    #[arg(long, value_name = "PORT", env = "TACET_PORT")]
    port: Option<u16>,
    /// UDP port of the first media worker; the others use the following ports. 0 picks free ones [default: 8801]
    #[arg(long, value_name = "PORT", env = "TACET_MEDIA_PORT")]
    media_port: Option<u16>,
    /// Address that clients connect to for media, if it is not the bound one (for servers behind NAT). May be repeated
    #[arg(long, value_name = "IP", env = "TACET_ADVERTISE", value_delimiter = ',')]
    advertise: Vec<IpAddr>,
    /// Number of media workers, each with its own thread and port [default: one per core]
    #[arg(long, value_name = "N", env = "TACET_WORKERS")]
    workers: Option<usize>,
    /// Certificate chain for HTTPS (PEM)
    #[arg(long, value_name = "FILE", env = "TACET_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", env = "TACET_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Web origin that may connect in addition to the server's own, such as https://example.org. May be repeated
    #[arg(long, value_name = "ORIGIN", env = "TACET_ALLOW_ORIGIN", value_delimiter = ',')]
    allow_origin: Vec<String>,
    /// Do not serve the call page
    #[arg(long, env = "TACET_NO_PAGE")]
    no_page: bool,
    /// Whether visitors may create rooms. Beyond loopback this lets anyone use the server as a relay
    #[arg(long, value_name = "BOOL", env = "TACET_OPEN_ROOMS", num_args = 0..=1, default_missing_value = "true")]
    open_rooms: Option<bool>,
    /// Key that allows creating rooms over HTTP. Other users of this machine can read flags: prefer the variable
    #[arg(long, value_name = "KEY", env = "TACET_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Maximum number of participants in a room [default: 50]
    #[arg(long, value_name = "N", env = "TACET_PARTICIPANTS")]
    participants: Option<usize>,
    /// Address of the Prometheus metrics, or "off". There is no authentication: beyond loopback, use a firewall
    /// [default: 127.0.0.1:9464, if it is free]
    #[arg(long, value_name = "IP:PORT", env = "TACET_METRICS")]
    metrics: Option<MetricsAddress>,
    /// Log filter for standard error: a level, or levels by module [default: info]
    #[arg(long, value_name = "FILTER", env = "TACET_LOG")]
    log: Option<String>,
}

/// The configuration file. Unknown settings are errors.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    bind: Option<IpAddr>,
    port: Option<u16>,
    media_port: Option<u16>,
    advertise: Vec<IpAddr>,
    workers: Option<usize>,
    page: Option<bool>,
    allow_origin: Vec<String>,
    metrics: Option<MetricsAddress>,
    log: Option<String>,
    tls: TlsFiles,
    rooms: RoomSettings,
    limits: LimitSettings,
    security: SecuritySettings,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SecuritySettings {
    contact: Option<String>,
    expires: Option<toml::value::Datetime>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TlsFiles {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RoomSettings {
    open: Option<bool>,
    api_key: Option<String>,
    most: Option<usize>,
    participants: Option<usize>,
    tracks_per_participant: Option<usize>,
    slots_per_participant: Option<usize>,
    idle_hours: Option<u32>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitSettings {
    connections_per_address: Option<usize>,
    handshakes_per_second: Option<u32>,
}

/// Address of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum MetricsAddress {
    Off,
    At(SocketAddr),
}

impl FromStr for MetricsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| "expected \"off\" or an address such as 127.0.0.1:9464".to_owned())
    }
}

impl TryFrom<String> for MetricsAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The resulting settings of the server.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) bind: IpAddr,
    pub(crate) port: u16,
    pub(crate) media_port: u16,
    pub(crate) advertise: Vec<IpAddr>,
    pub(crate) workers: usize,
    pub(crate) page: bool,
    /// Address of the metrics; `None` if it is not set.
    pub(crate) metrics: Option<MetricsAddress>,
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) log: String,
    pub(crate) signaling: signaling::Config,
}

impl Flags {
    /// Reads the configuration file, if there is one, and merges all settings.
    pub(crate) fn settings(self) -> anyhow::Result<Settings> {
        let file = match &self.config {
            Some(path) => read(path)?,
            None => File::default(),
        };
        self.over(file)
    }

    fn over(self, file: File) -> anyhow::Result<Settings> {
        let bind = self.bind.or(file.bind).unwrap_or(IpAddr::from([127, 0, 0, 1]));
        let local = bind.is_loopback();
        let tls = match (self.tls_cert.or(file.tls.cert), self.tls_key.or(file.tls.key)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => bail!("--tls-cert and --tls-key must be given together"),
        };
        let room = RoomLimits::default();
        let room = RoomLimits {
            participants: self.participants.or(file.rooms.participants).unwrap_or(room.participants),
            tracks_per_participant: file.rooms.tracks_per_participant.unwrap_or(room.tracks_per_participant),
            slots_per_participant: file.rooms.slots_per_participant.unwrap_or(room.slots_per_participant),
        };
        if !(1..=4_096).contains(&room.participants) {
            bail!("the number of participants in a room must be 1 to 4096");
        }
        let defaults = signaling::Config::default();
        // On loopback all bots of a load test have the same address, and there are no other clients.
        let (connections, handshakes) =
            if local { (None, None) } else { (defaults.connections_per_address, defaults.handshakes_per_second) };
        let idle = file.rooms.idle_hours.map(|hours| Duration::from_secs(u64::from(hours) * 3_600));
        let signaling = signaling::Config {
            allowed_origins: either(self.allow_origin, file.allow_origin),
            open_rooms: self.open_rooms.or(file.rooms.open).unwrap_or(local),
            api_key: self.api_key.or(file.rooms.api_key).filter(|key| !key.is_empty()).map(ApiKey),
            security_contact: file.security.contact()?,
            rooms: file.rooms.most.unwrap_or(defaults.rooms),
            room_idle: idle.unwrap_or(defaults.room_idle),
            room,
            connections_per_address: file.limits.connections_per_address.or(connections),
            handshakes_per_second: file.limits.handshakes_per_second.or(handshakes),
            timing: defaults.timing,
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Settings {
            bind,
            port: self.port.or(file.port).unwrap_or(8_800),
            media_port: self.media_port.or(file.media_port).unwrap_or(8_801),
            advertise: either(self.advertise, file.advertise),
            workers: self.workers.or(file.workers).filter(|workers| *workers > 0).unwrap_or(cores),
            page: !self.no_page && file.page.unwrap_or(true),
            metrics: self.metrics.or(file.metrics),
            tls,
            log: self.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
            signaling,
        })
    }
}

impl SecuritySettings {
    fn contact(&self) -> anyhow::Result<Option<SecurityContact>> {
        match (&self.contact, &self.expires) {
            (Some(contact), Some(expires)) => Ok(Some(SecurityContact::new(contact, &expires.to_string())?)),
            (None, None) => Ok(None),
            _ => bail!("[security] contact and expires come together: set both or neither"),
        }
    }
}

fn either<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    if first.is_empty() { second } else { first }
}

fn read(path: &Path) -> anyhow::Result<File> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("in {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<File> {
    Ok(toml::from_str(text)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../docs/tacet.toml");

    fn settings(flags: Flags, file: &str) -> Settings {
        flags.over(parse(file).unwrap()).unwrap()
    }

    #[test]
    fn sample_file_equals_defaults() {
        let (sample, default) = (settings(Flags::default(), SAMPLE), settings(Flags::default(), ""));
        assert_eq!(format!("{sample:?}"), format!("{default:?}"));
    }

    #[test]
    fn sample_file_parses_with_every_line_in_use() {
        // Settings without a fixed default are commented out by "#" without a space.
        let all: String = SAMPLE
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#'])).unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        let file = parse(&all).unwrap();
        assert!(file.rooms.api_key.is_some() && file.tls.cert.is_some() && file.workers.is_some());
        assert!(file.limits.connections_per_address.is_some() && file.rooms.open.is_some());
        assert!(file.security.contact().unwrap().is_some());
        assert!(file.metrics.is_some() && !file.advertise.is_empty() && !file.allow_origin.is_empty());
    }

    #[test]
    fn flags_override_file_and_file_overrides_defaults() {
        let flags = Flags { port: Some(1), ..Flags::default() };
        let settings = settings(flags, "port = 2\nmedia_port = 3\n[rooms]\nparticipants = 4");
        assert_eq!((settings.port, settings.media_port), (1, 3));
        assert_eq!((settings.signaling.room.participants, settings.signaling.rooms), (4, 1_000));
    }

    #[test]
    fn beyond_loopback_rooms_are_closed_and_addresses_limited() {
        let local = settings(Flags::default(), "");
        assert!(local.signaling.open_rooms && local.signaling.connections_per_address.is_none());
        let public = settings(Flags { bind: Some("192.0.2.1".parse().unwrap()), ..Flags::default() }, "");
        assert!(!public.signaling.open_rooms);
        assert_eq!(public.signaling.connections_per_address, Some(40));
        assert_eq!(public.signaling.handshakes_per_second, Some(10));
    }

    #[test]
    fn unknown_setting_is_an_error() {
        let error = format!("{:#}", parse("prot = 8800").unwrap_err());
        assert!(error.contains("prot"), "{error}");
        assert!(parse("[rooms]\nopened = true").is_err());
        assert!(Flags::default().over(parse("[tls]\ncert = 'a.pem'").unwrap()).is_err(), "a key is missing");
        assert!(Flags::default().over(parse("[rooms]\nparticipants = 0").unwrap()).is_err());
        let contact = "[security]\ncontact = 'mailto:a@example.org'";
        assert!(Flags::default().over(parse(contact).unwrap()).is_err(), "the expiry is missing");
    }

    #[test]
    fn metrics_setting_parses() {
        let metrics = |file: &str| settings(Flags::default(), file).metrics;
        assert_eq!(metrics(""), None);
        assert_eq!(metrics("metrics = 'off'"), Some(MetricsAddress::Off));
        assert_eq!(metrics("metrics = '[::1]:9'"), Some(MetricsAddress::At("[::1]:9".parse().unwrap())));
        assert!(parse("metrics = '9464'").is_err() && parse("metrics = true").is_err());
    }

    #[test]
    fn debug_output_hides_the_api_key() {
        let settings = settings(Flags::default(), "[rooms]\napi_key = 'hidden'");
        assert!(!format!("{settings:?}").contains("hidden"));
    }
}
