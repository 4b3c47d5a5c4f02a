//! Settings of `tacet serve`: flags, then `TACET_*` variables, then the configuration file, then defaults.

use crate::data::DataSetting;
use anyhow::{Context, anyhow, bail};
use clap::{Args, builder::BoolishValueParser};
use serde::Deserialize;
use sfu::limits::SLOTS;
use signaling::{
    PublicUrl, SecurityContact,
    config::{ApiKey, Hosts, IpNet, MAX_SPEAKERS, RoomLimits, WebhookSettings},
};
use std::{
    fs,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    thread,
    time::Duration,
};

/// Less video to a participant than the lowest layer of one camera is none.
const MIN_VIDEO_KBPS: u32 = 150;

/// Settings from the command line or the environment.
#[derive(Args, Debug, Default)]
pub(crate) struct Flags {
    /// Configuration file (TOML); docs/tacet.toml documents every setting
    #[arg(long, value_name = "FILE", env = "TACET_CONFIG")]
    config: Option<PathBuf>,
    /// Folder for what must survive a restart: rooms, the key of resume tokens, the self-signed certificate. "none" keeps
    /// everything in memory, and links end with the process [default: $STATE_DIRECTORY, or the user's data folder]
    #[arg(long, value_name = "DIR", env = "TACET_DATA")]
    data: Option<DataSetting>,
    /// Address for media, and for HTTP unless --listen is given. Beyond loopback the server uses HTTPS
    /// [default: 127.0.0.1]
    #[arg(long, value_name = "IP", env = "TACET_BIND")]
    bind: Option<IpAddr>,
    /// Address for the call page and signaling, if it is not that of --bind: 127.0.0.1 for a proxy on this machine
    #[arg(long, value_name = "IP", env = "TACET_LISTEN")]
    listen: Option<IpAddr>,
    /// URL under which people reach the server, for links and for browsers' origin checks: https://call.example.org
    #[arg(long, value_name = "URL", env = "TACET_PUBLIC_URL")]
    public_url: Option<PublicUrl>,
    /// Host name under which the server is reached besides that of the public URL and those in its certificate. May be
    /// repeated. Requests for other names are refused
    #[arg(long, value_name = "NAME", env = "TACET_ALLOW_HOST", value_delimiter = ',')]
    allow_host: Vec<String>,
    /// Network that limits per address do not concern, for load tests. May be repeated
    #[arg(long, value_name = "CIDR", env = "TACET_EXEMPT", value_delimiter = ',', value_parser = network)]
    exempt: Vec<IpNet>,
    /// Reverse proxy, or network of proxies, that is believed what it says about its clients. May be repeated
    #[arg(long, value_name = "CIDR", env = "TACET_TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    trusted_proxy: Vec<IpNet>,
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
    /// Maximum bitrate of all video to one participant, in kbit/s, at least 150: layers of simulcast and SVC that exceed it
    /// are not sent [default: 4000]
    #[arg(long, value_name = "KBPS", env = "TACET_MAX_VIDEO_PER_SUBSCRIBER")]
    max_video_per_subscriber: Option<u32>,
    /// Whether video to a participant is also kept to what the path to it is estimated to carry [default: true]
    #[arg(long, value_name = "BOOL", env = "TACET_ADAPT_VIDEO", num_args = 0..=1, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new())]
    adapt_video: Option<bool>,
    /// Certificate chain for HTTPS (PEM)
    #[arg(long, value_name = "FILE", env = "TACET_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", env = "TACET_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Web origin that may connect and use the HTTP API in addition to the server's own, such as https://example.org. May be repeated
    #[arg(long, value_name = "ORIGIN", env = "TACET_ALLOW_ORIGIN", value_delimiter = ',')]
    allow_origin: Vec<String>,
    /// Do not serve the call page
    #[arg(long, env = "TACET_NO_PAGE")]
    no_page: bool,
    /// Whether visitors may create rooms. Beyond loopback this lets anyone use the server as a relay
    #[arg(long, value_name = "BOOL", env = "TACET_OPEN_ROOMS", num_args = 0..=1, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new())]
    open_rooms: Option<bool>,
    /// Key that allows creating rooms over HTTP. Other users of this machine can read flags: prefer the variable
    #[arg(long, value_name = "KEY", env = "TACET_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Whether webhooks may lead to http and to addresses that are not public: to this machine and the networks that it reaches
    #[arg(long, value_name = "BOOL", env = "TACET_PRIVATE_WEBHOOKS", num_args = 0..=1, default_missing_value = "true")]
    #[arg(value_parser = BoolishValueParser::new())]
    private_webhooks: Option<bool>,
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
    data: Option<DataSetting>,
    bind: Option<IpAddr>,
    listen: Option<IpAddr>,
    public_url: Option<String>,
    trusted_proxies: Vec<String>,
    port: Option<u16>,
    media_port: Option<u16>,
    advertise: Vec<IpAddr>,
    workers: Option<usize>,
    max_video_per_subscriber: Option<u32>,
    adapt_video: Option<bool>,
    page: Option<bool>,
    allow_origin: Vec<String>,
    allow_host: Vec<String>,
    metrics: Option<MetricsAddress>,
    log: Option<String>,
    tls: TlsFiles,
    rooms: RoomSettings,
    limits: LimitSettings,
    api: ApiSettings,
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
    strict_transport: Option<bool>,
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
    speakers: Option<u8>,
    audio_levels: Option<bool>,
    idle_hours: Option<u32>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitSettings {
    sockets: Option<usize>,
    sockets_per_address: Option<usize>,
    connections_per_address: Option<usize>,
    handshakes_per_second: Option<u32>,
    exempt: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ApiSettings {
    private_webhooks: Option<bool>,
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
    /// The data folder; `None` if it is not set.
    pub(crate) data: Option<DataSetting>,
    /// Address for media.
    pub(crate) bind: IpAddr,
    /// Address for HTTP.
    pub(crate) listen: IpAddr,
    /// Whether the server is for this machine only: HTTP and media on loopback, and no other name for it.
    pub(crate) alone: bool,
    /// Whether HTTP is served without TLS.
    pub(crate) plain_http: bool,
    pub(crate) port: u16,
    pub(crate) media_port: u16,
    pub(crate) advertise: Vec<IpAddr>,
    pub(crate) workers: usize,
    /// Maximum bitrate of all video to one participant, in kbit/s.
    pub(crate) max_video_kbps_per_subscriber: u32,
    /// Whether video is kept to what paths carry.
    pub(crate) adapt_video: bool,
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
        let listen = self.listen.or(file.listen).unwrap_or(bind);
        let advertise = either(self.advertise, file.advertise);
        check_families(bind, &advertise)?;
        let public_url = match (self.public_url, &file.public_url) {
            (None, Some(text)) => Some(text.parse().context("public_url")?),
            (flag, _) => flag,
        };
        let trusted_proxies = either(self.trusted_proxy, networks(&file.trusted_proxies).context("trusted_proxies")?);
        let exempt = either(self.exempt, networks(&file.limits.exempt).context("exempt")?);
        // A server that a proxy or a name makes reachable is not for this machine only.
        let local = listen.is_loopback() && public_url.is_none() && trusted_proxies.is_empty();
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
            speakers: file.rooms.speakers.unwrap_or(room.speakers),
            audio_levels: file.rooms.audio_levels.unwrap_or(room.audio_levels),
        };
        if !(1..=4_096).contains(&room.participants) {
            bail!("the number of participants in a room must be 1 to 4096");
        }
        if !(1..=MAX_SPEAKERS).contains(&room.speakers) {
            bail!("[rooms] speakers must be 1 to {MAX_SPEAKERS}");
        }
        if !(2..=SLOTS).contains(&room.slots_per_participant) {
            bail!("[rooms] slots_per_participant must be 2 to {SLOTS}: at least one for audio and one for video");
        }
        let behind_proxies = !trusted_proxies.is_empty() && trusted_proxies.iter().all(is_near);
        let plain_http = tls.is_none()
            && (listen.is_loopback() || behind_proxies && (listen.is_unspecified() || is_near(&listen.into())));
        let defaults = signaling::Config::default();
        // Twice the participants of a full room: a connection that broke counts until the server notices.
        let connections = file.limits.connections_per_address;
        let connections = connections.or(defaults.connections_per_address.map(|most| most.max(2 * room.participants)));
        if connections.is_some_and(|most| most < room.participants) {
            bail!(
                "[limits] connections_per_address is below the {} participants of a room, who may share an address",
                room.participants
            );
        }
        // Each of these participants may be loading the page, for which browsers open six connections.
        let sockets = connections.map(|most| most + 6 * room.participants);
        let sockets_per_address = file.limits.sockets_per_address.or(sockets);
        if sockets_per_address.is_some_and(|most| most < room.participants) {
            bail!(
                "[limits] sockets_per_address is below the {} participants of a room, who may share an address",
                room.participants
            );
        }
        let names = either(self.allow_host, file.allow_host);
        let alone = local && names.is_empty() && [bind].iter().chain(&advertise).all(IpAddr::is_loopback);
        let hosts = if local { Hosts::Loopback(names) } else { Hosts::Beyond(names) };
        let api_key = self.api_key.or(file.rooms.api_key).filter(|key| !key.is_empty());
        let api_key = api_key.map(|key| ApiKey::new(&key)).transpose().context("--api-key")?;
        // A browser that ignored the warning of a self-signed certificate could not do so any more.
        let has_certificate = tls.is_some() || public_url.as_ref().is_some_and(PublicUrl::is_https) && plain_http;
        let idle = file.rooms.idle_hours.map(|hours| Duration::from_secs(u64::from(hours) * 3_600));
        let signaling = signaling::Config {
            allowed_origins: either(self.allow_origin, file.allow_origin),
            public_url,
            hosts,
            strict_transport: has_certificate && file.tls.strict_transport.unwrap_or(true),
            trusted_proxies,
            proxies_only: plain_http && !listen.is_loopback(),
            open_rooms: self.open_rooms.or(file.rooms.open).unwrap_or(local),
            api_key,
            webhooks: WebhookSettings {
                private: self.private_webhooks.or(file.api.private_webhooks).unwrap_or(defaults.webhooks.private),
                ..defaults.webhooks
            },
            security_contact: file.security.contact()?,
            rooms: file.rooms.most.unwrap_or(defaults.rooms),
            room_idle: idle.unwrap_or(defaults.room_idle),
            room,
            sockets: file.limits.sockets.unwrap_or(defaults.sockets),
            sockets_per_address,
            exempt,
            connections_per_address: connections,
            handshakes_per_second: file.limits.handshakes_per_second.or(defaults.handshakes_per_second),
            timing: defaults.timing,
        };
        let max_video = self.max_video_per_subscriber.or(file.max_video_per_subscriber).unwrap_or(4_000);
        if max_video < MIN_VIDEO_KBPS {
            bail!("the maximum bitrate of video to a participant must be {MIN_VIDEO_KBPS} kbit/s or more");
        }
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Settings {
            data: self.data.or(file.data),
            bind,
            listen,
            alone,
            plain_http,
            port: self.port.or(file.port).unwrap_or(8_800),
            media_port: self.media_port.or(file.media_port).unwrap_or(8_801),
            advertise,
            workers: self.workers.or(file.workers).filter(|workers| *workers > 0).unwrap_or(cores),
            max_video_kbps_per_subscriber: max_video,
            adapt_video: self.adapt_video.or(file.adapt_video).unwrap_or(true),
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

/// Refuses addresses at which clients would find nothing.
fn check_families(bind: IpAddr, advertise: &[IpAddr]) -> anyhow::Result<()> {
    let name = |address: &IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" };
    for address in advertise {
        if address.is_unspecified() || address.is_multicast() {
            bail!("clients cannot connect to {address} (--advertise)");
        }
        // An unspecified IPv6 address serves both families.
        if bind.is_ipv4() != address.is_ipv4() && bind != IpAddr::from(Ipv6Addr::UNSPECIFIED) {
            bail!(
                "--advertise {address} is an address of {}, and --bind {bind} is of {}: nothing would listen there. \
                 Use --bind :: for both",
                name(address),
                name(&bind)
            );
        }
    }
    Ok(())
}

/// An address, or a network in CIDR notation.
fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
    text.parse()
        .ok()
        .or_else(address)
        .ok_or_else(|| format!("{text} is neither an address nor a network like 10.0.0.0/8"))
}

fn networks(texts: &[String]) -> anyhow::Result<Vec<IpNet>> {
    texts.iter().map(|text| network(text).map_err(|error| anyhow!(error))).collect()
}

/// Whether a network is part of this machine or of a private network (RFC 1918, RFC 4193).
fn is_near(network: &IpNet) -> bool {
    let near = ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"];
    near.iter().filter_map(|text| text.parse::<IpNet>().ok()).any(|near| near.contains(network))
}

fn either<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    if first.is_empty() { second } else { first }
}

fn read(path: &Path) -> anyhow::Result<File> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("in {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<File> {
    toml::from_str(text).map_err(|error| {
        // Without the line itself, which may hold a key.
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let (line, column) = (before.matches('\n').count() + 1, before.rsplit('\n').next().map_or(0, str::len) + 1);
        anyhow!("line {line}, column {column}: {}", error.message())
    })
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
        assert!(file.data.is_some() && file.listen.is_some() && file.public_url.is_some());
        assert!(!file.trusted_proxies.is_empty());
        assert!(file.metrics.is_some() && !file.advertise.is_empty() && !file.allow_origin.is_empty());
        assert!(!file.limits.exempt.is_empty() && file.limits.sockets.is_some() && !file.allow_host.is_empty());
    }

    /// Variables in files of containers and services are 1 and 0 as often as true and false.
    #[test]
    fn switches_take_the_usual_words() {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            flags: Flags,
        }
        let adapts = |value: &str| {
            let command = <Command as clap::Parser>::try_parse_from(["serve", &format!("--adapt-video={value}")]);
            command.ok().and_then(|command| command.flags.adapt_video)
        };
        for (value, expected) in [("1", true), ("true", true), ("yes", true), ("on", true), ("0", false), ("no", false)]
        {
            assert_eq!(adapts(value), Some(expected), "{value}");
        }
        assert_eq!(adapts("2"), None);
    }

    #[test]
    fn flags_override_file_and_file_overrides_defaults() {
        let flags = Flags { port: Some(1), ..Flags::default() };
        let settings =
            settings(flags, "port = 2\nmedia_port = 3\nmax_video_per_subscriber = 900\n[rooms]\nparticipants = 4");
        assert_eq!(settings.max_video_kbps_per_subscriber, 900);
        assert_eq!((settings.port, settings.media_port), (1, 3));
        assert_eq!((settings.signaling.room.participants, settings.signaling.rooms), (4, 1_000));
        assert_eq!(settings.signaling.room.speakers, 6);
        assert!(settings.signaling.room.audio_levels);
        let hidden = self::settings(Flags::default(), "[rooms]\naudio_levels = false");
        assert!(!hidden.signaling.room.audio_levels);
    }

    #[test]
    fn beyond_loopback_rooms_are_closed_and_addresses_limited() {
        let local = settings(Flags::default(), "");
        assert!(local.signaling.open_rooms);
        assert_eq!(local.signaling.connections_per_address, Some(100), "a page of any site can reach loopback");
        assert_eq!(local.signaling.hosts, Hosts::Loopback(vec![]));
        let public = settings(Flags { bind: Some("192.0.2.1".parse().unwrap()), ..Flags::default() }, "");
        assert!(!public.signaling.open_rooms);
        assert_eq!(public.signaling.connections_per_address, Some(100));
        assert_eq!(public.signaling.handshakes_per_second, Some(10));
        assert_eq!(public.signaling.hosts, Hosts::Beyond(vec![]));
        assert!(public.signaling.exempt.is_empty());
        let exempt = settings(Flags::default(), "[limits]\nexempt = ['127.0.0.0/8']");
        assert_eq!(exempt.signaling.exempt, ["127.0.0.0/8".parse().unwrap()]);
    }

    #[test]
    fn browsers_keep_to_https_where_the_certificate_is_no_surprise() {
        let strict = |file: &str| settings(Flags::default(), file).signaling.strict_transport;
        assert!(!strict("") && !strict("bind = '192.0.2.1'"), "self-signed");
        assert!(!strict("bind = '192.0.2.1'\npublic_url = 'https://call.example.org'"), "self-signed, with a name");
        let files = "bind = '192.0.2.1'\n[tls]\ncert = 'a'\nkey = 'b'\n";
        assert!(strict(files) && !strict(&format!("{files}strict_transport = false")));
        assert!(strict("public_url = 'https://call.example.org'"), "by the proxy's certificate");
    }

    #[test]
    fn limits_admit_a_full_room_from_one_address() {
        let public = |file: &str| parse(&format!("bind = '192.0.2.1'\n{file}")).unwrap();
        let large = Flags::default().over(public("[rooms]\nparticipants = 300")).unwrap();
        assert_eq!(large.signaling.connections_per_address, Some(600));
        assert_eq!(large.signaling.sockets_per_address, Some(2_400));
        let error = Flags::default().over(public("[limits]\nconnections_per_address = 49")).unwrap_err();
        assert!(error.to_string().contains("50 participants"), "{error}");
    }

    #[test]
    fn server_behind_a_proxy_is_public() {
        for file in ["trusted_proxies = ['127.0.0.1']", "public_url = 'https://call.example.org'"] {
            let proxied = settings(Flags::default(), file);
            assert!(proxied.plain_http && !proxied.signaling.open_rooms && !proxied.signaling.proxies_only, "{file}");
            assert_eq!(proxied.signaling.handshakes_per_second, Some(10), "{file}");
        }
        let error = Flags::default().over(parse("public_url = 'https://example.org/call'").unwrap()).unwrap_err();
        assert!(format!("{error:#}").contains("/call"), "{error:#}");
        assert!(Flags::default().over(parse("trusted_proxies = ['proxy']").unwrap()).is_err());
    }

    #[test]
    fn plain_http_needs_loopback_or_a_private_proxy() {
        let plain = |listen: &str, proxies: &str| {
            let file = format!("bind = '0.0.0.0'\nlisten = '{listen}'\ntrusted_proxies = [{proxies}]");
            let settings = settings(Flags::default(), &file);
            assert_eq!(settings.signaling.proxies_only, settings.plain_http && listen != "127.0.0.1", "{file}");
            settings.plain_http
        };
        assert!(plain("127.0.0.1", ""));
        assert!(plain("10.0.0.2", "'10.0.0.1'") && plain("0.0.0.0", "'172.17.0.0/16'"));
        assert!(plain("fd00::2", "'fd00::1', '127.0.0.1'"));
        assert!(!plain("10.0.0.2", "") && !plain("203.0.113.2", "'10.0.0.1'") && !plain("10.0.0.2", "'203.0.113.1'"));
        assert!(!plain("0.0.0.0", "'10.0.0.0/7'"), "a network that is private in part");
    }

    #[test]
    fn addresses_of_another_family_are_refused() {
        let check = |bind: &str, advertise: &str| check_families(bind.parse().unwrap(), &[advertise.parse().unwrap()]);
        let error = check("0.0.0.0", "::1").unwrap_err().to_string();
        assert!(error.contains("IPv6") && error.contains("--bind 0.0.0.0 is of IPv4"), "{error}");
        assert!(check("::1", "127.0.0.1").is_err() && check("0.0.0.0", "0.0.0.0").is_err());
        assert!(check("::", "192.0.2.1").is_ok() && check("::", "2001:db8::1").is_ok());
        assert!(check("10.0.0.1", "192.0.2.1").is_ok());
    }

    #[test]
    fn unknown_setting_is_an_error() {
        let error = format!("{:#}", parse("prot = 8800").unwrap_err());
        assert!(error.contains("prot"), "{error}");
        assert!(parse("[rooms]\nopened = true").is_err());
        assert!(Flags::default().over(parse("[tls]\ncert = 'a.pem'").unwrap()).is_err(), "a key is missing");
        assert!(Flags::default().over(parse("[rooms]\nparticipants = 0").unwrap()).is_err());
        for slots in [0, 1, 201] {
            let file = parse(&format!("[rooms]\nslots_per_participant = {slots}")).unwrap();
            assert!(Flags::default().over(file).is_err());
        }
        for speakers in [0, 11] {
            assert!(Flags::default().over(parse(&format!("[rooms]\nspeakers = {speakers}")).unwrap()).is_err());
        }
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
        let settings = settings(Flags::default(), "[rooms]\napi_key = 'hidden but long enough'");
        assert!(!format!("{settings:?}").contains("hidden"));
        let short = Flags::default().over(parse("[rooms]\napi_key = 'hidden'").unwrap()).unwrap_err();
        let short = format!("{short:#}");
        assert!(short.contains("6 bytes, and at least 16") && !short.contains("hidden"), "{short}");
    }
}
