//! `tacet serve`: SFU, signaling and call page in one process.

use crate::{
    certificate::{CurrentCertificate, FileCertificate, SelfSigned},
    config::{Flags, Settings},
    data, descriptors,
    hangup::Hangup,
    link::{Invite, room_link},
    log,
    metrics::Exposition,
    page,
    stop::StopSignal,
    upkeep::{self, Keys, Source, Tls, Upkeep},
};
use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use sfu::net::{Sfu, SfuConfig, StartError};
use signaling::{
    DailyKeys, FileRegistry, Kept, Maker, MediaEvents, MediaPlane, MonthlyTokenKeys, PageSource, PublicUrl, Registry,
    Rooms, Signaling, api::ApiRecords,
};
use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
    time::SystemTime,
};
use tacet_data::DataDirectory;

/// Start a call server
///
/// On loopback it creates a room and prints its link. A server for others creates none, since the program that draws
/// a link's secret knows it: `tacet room` does that on a machine of yours.
///
/// Every flag can also be a TACET_* variable or a line of the configuration file, which has further limits of rooms and
/// addresses. Flags override variables, and variables override the file.
#[derive(Args, Debug)]
#[command(
    next_line_help = true,
    after_help = "\
EXAMPLES:
  tacet serve                                        calls on this machine, for a first try
  tacet serve --bind 192.168.1.5                     calls in the local network
  tacet serve --bind 0.0.0.0 --advertise 203.0.113.7 a public server, behind NAT or not
  tacet serve --bind 0.0.0.0 --listen 127.0.0.1 --trusted-proxy 127.0.0.1 --public-url https://call.example.org
                                                     a public server behind a proxy on the same machine
  tacet serve --config /etc/tacet.toml               settings from a file

PORTS: TCP 8800 for the call page and signaling; UDP 8801 and up for media, one per worker; TCP 9464 on\nloopback for metrics."
)]
pub(crate) struct Serve {
    #[command(flatten)]
    flags: Flags,
    /// Print one line of JSON instead of text: url, link and room on loopback, media_ports, metrics, pid, data
    #[arg(long)]
    json: bool,
}

/// The line that `--json` prints when the server listens.
#[derive(Serialize)]
struct Ready<'a> {
    url: &'a str,
    /// Link and id of a new room, on loopback and if one could be created.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    media_ports: Vec<u16>,
    /// URL of the metrics, if they are exposed.
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<String>,
    pid: u32,
    /// The data folder, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    /// SHA-256 of the certificate if it is self-signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

/// The SFU as signaling's media plane. A command that the SFU does not accept is answered as if its worker had refused it.
struct SfuPlane {
    sfu: Arc<Sfu>,
    events: MediaEvents,
}

impl MediaPlane for SfuPlane {
    fn workers(&self) -> usize {
        self.sfu.workers()
    }

    fn command(&self, worker: usize, request: sfu::Request) {
        if let Err(error) = self.sfu.command(worker, request.clone()) {
            self.events.send(sfu::net::refusal(&request, error));
        }
    }

    fn packet_rate(&self, worker: usize) -> u64 {
        self.sfu.packet_rate(worker)
    }

    fn is_overloaded(&self, worker: usize) -> bool {
        self.sfu.is_overloaded(worker)
    }
}

impl Serve {
    /// Serves until SIGINT or SIGTERM.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let settings = self.flags.settings()?;
        log::start(QUIET_LIBRARIES, &settings.log)?;
        // The media plane has its own threads; two are enough for signaling.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(serve(settings, self.json))
    }
}

async fn serve(settings: Settings, json: bool) -> anyhow::Result<()> {
    descriptors::raise();
    let data = data::open(settings.data.clone())?;
    let address = SocketAddr::new(settings.listen, settings.port);
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on TCP {address} (--port)"))?;
    let port = listener.local_addr()?.port();
    let metrics = crate::metrics::listen(settings.metrics)?;
    let media = Media::of(&settings)?;
    let host = media.host(&settings);
    let tls = tls(&settings, data.as_ref(), host)?;
    let url = match &settings.signaling.public_url {
        Some(public) => public.origin().to_owned(),
        None => format!("{}://{}", if tls.is_some() { "https" } else { "http" }, SocketAddr::new(host, port)),
    };

    let events = MediaEvents::default();
    let sfu = Arc::new(media.start(&settings, &events)?);
    let media_ports = sfu.local_ports();
    let plane = SfuPlane { sfu: Arc::clone(&sfu), events: events.clone() };
    let (kept, keys) = storage(data.as_ref(), &settings.signaling)?;
    let rooms_made_by = RoomsMadeBy::of(&settings);
    let mut config = settings.signaling;
    config.sockets = descriptors::connections(config.sockets);
    for name in tls.as_ref().map(|tls| tls.current.get().names()).unwrap_or_default() {
        config.hosts = config.hosts.with(&name);
    }
    if !config.exempt.is_empty() {
        tracing::warn!(networks = ?config.exempt, "these networks are exempt from the limits per address");
    }
    let hosts = config.hosts.clone();
    let signaling = Signaling::new(config, Arc::new(plane), events, kept);
    let exposition = Exposition::new(sfu, signaling.rooms().clone(), Arc::clone(signaling.metrics()));
    // The process that draws a secret knows it, and its output ends up in journals: that is for a server whose one user is
    // its operator.
    let first = if settings.alone { first_room(signaling.rooms(), &url)? } else { None };
    // Installed before the server is announced, since it may be signalled immediately after that.
    let (mut stop, hangup) = (StopSignal::new()?, Hangup::new()?);
    let self_signed = tls.as_ref().filter(|tls| matches!(tls.source, Source::SelfSigned(_)));
    let ready = Ready {
        url: &url,
        link: first.as_ref().map(|(_, link)| link.clone()),
        room: first.map(|(room, _)| room),
        media_ports,
        metrics: metrics.as_ref().map(crate::metrics::url),
        pid: std::process::id(),
        data: data.as_ref().map(|data| data.path().display().to_string()),
        fingerprint: self_signed.map(|tls| tls.current.get().fingerprint()),
    };
    announce(&ready, json, rooms_made_by)?;

    let page = settings.page.then(|| Arc::new(page::file) as Arc<dyn PageSource>);
    let config = tls.as_ref().map(|tls| tls.current.tls());
    let showing = metrics.map(|listener| tokio::spawn(exposition.serve(listener, hosts)));
    let upkeep = Upkeep { tls, keys };
    let stopping = async move {
        tokio::select! {
            () = stop.received() => {}
            () = upkeep.run(hangup) => {}
        }
    };
    let served = signaling.serve(listener, config, page, stopping).await.context("the server failed");
    if let Some(showing) = showing {
        // It holds a reference to the media plane, which closes all transports when the last one is dropped.
        showing.abort();
        let _ = showing.await;
    }
    served?;
    tracing::info!("stopped");
    Ok(())
}

/// The certificate of the listener, unless that speaks plain HTTP.
fn tls(settings: &Settings, data: Option<&DataDirectory>, host: IpAddr) -> anyhow::Result<Option<Tls>> {
    let now = SystemTime::now();
    let (source, certificate) = match &settings.tls {
        Some((chain, key)) => {
            let (files, certificate) = FileCertificate::read(chain.clone(), key.clone())?;
            upkeep::warn_of(&certificate, now);
            (Source::Files(files), certificate)
        }
        None if settings.plain_http => return Ok(None),
        None => {
            let public = settings.signaling.public_url.as_ref().map(PublicUrl::host);
            let public = public.map(|host| host.trim_matches(['[', ']']).to_owned());
            let names = public.into_iter().chain([host.to_string(), "localhost".to_owned()]).collect();
            let (own, certificate) = SelfSigned::open(data, names, now)?;
            (Source::SelfSigned(own), certificate)
        }
    };
    Ok(Some(Tls { current: CurrentCertificate::new(certificate), source }))
}

/// Rooms and keys: those of the data folder, or none yet.
fn storage(data: Option<&DataDirectory>, config: &signaling::Config) -> anyhow::Result<(Kept, Option<Keys>)> {
    let Some(data) = data else {
        return Ok((Kept::nothing(config).context("this system provides no random numbers")?, None));
    };
    let registry = FileRegistry::open(data, config.rooms).context("cannot read the rooms in the data folder")?;
    let now = SystemTime::now();
    let resume = DailyKeys::open(data, now).context("cannot keep the key of resume tokens")?;
    let tokens = MonthlyTokenKeys::open(data, now).context("cannot keep the key of room tokens")?;
    let api = ApiRecords::open(data).context("cannot read the records of the HTTP API in the data folder")?;
    tracing::info!(rooms = registry.count(), folder = %data.path().display(), "data folder opened");
    let kept = Kept {
        registry: Arc::new(registry),
        resume_keys: Arc::clone(resume.keys()),
        token_keys: Arc::clone(tokens.keys()),
        api: Arc::new(api),
    };
    Ok((kept, Some(Keys { resume, tokens })))
}

/// Creates a room. A server that has no space for it serves those that it has.
fn first_room(rooms: &Rooms, url: &str) -> anyhow::Result<Option<(String, String)>> {
    let invite = Invite::random()?;
    match rooms.create_by(invite.access_hash(), Maker::Start) {
        Ok(room) => Ok(Some((room.to_string(), room_link(url, room, &invite)))),
        Err(error) => {
            tracing::error!(error = crate::one_line(&error.into()), "cannot create a room; existing rooms are served");
            Ok(None)
        }
    }
}

/// Addresses of the media plane.
pub(crate) struct Media {
    /// Address of its sockets.
    bind: IpAddr,
    /// Addresses that clients are given.
    candidates: Vec<IpAddr>,
    /// Whether it accepts packets of this machine only.
    local_only: bool,
}

impl Media {
    pub(crate) fn of(settings: &Settings) -> anyhow::Result<Self> {
        let bind = settings.bind;
        if !settings.advertise.is_empty() {
            return Ok(Self { bind, candidates: settings.advertise.clone(), local_only: false });
        }
        if bind.is_unspecified() {
            let Some(own) = own_address(bind) else {
                bail!("cannot find this machine's address: set it with --advertise IP")
            };
            return Ok(Self { bind, candidates: vec![own], local_only: false });
        }
        // Firefox connects to no loopback address, so browsers on this machine also get another one of its addresses. The
        // sockets accept no packet that came from elsewhere.
        let own = own_address(Ipv4Addr::UNSPECIFIED.into()).filter(|own| !own.is_loopback());
        if let (true, IpAddr::V4(_), true, Some(own)) = (bind.is_loopback(), bind, Sfu::can_be_local_only(), own) {
            let candidates = vec![bind, own];
            return Ok(Self { bind: Ipv4Addr::UNSPECIFIED.into(), candidates, local_only: true });
        }
        Ok(Self { bind, candidates: vec![bind], local_only: false })
    }

    /// The addresses that clients are given.
    pub(crate) fn candidates(&self) -> &[IpAddr] {
        &self.candidates
    }

    /// The address in links.
    fn host(&self, settings: &Settings) -> IpAddr {
        // A page on loopback or on one address is only reachable there, even if media is advertised elsewhere on the
        // machine, as for a relay.
        let elsewhere = settings.listen == settings.bind && !settings.listen.is_loopback();
        let first = self.candidates.first().copied().filter(|_| elsewhere || settings.listen.is_unspecified());
        first.unwrap_or(settings.listen)
    }

    fn start(self, settings: &Settings, events: &MediaEvents) -> anyhow::Result<Sfu> {
        let local_only = self.local_only;
        match self.try_start(settings, events) {
            Err(error) if local_only => {
                tracing::debug!(error = crate::one_line(&error), "media only on loopback, which Firefox does not use");
                let plain = Self { bind: settings.bind, candidates: vec![settings.bind], local_only: false };
                plain.try_start(settings, events)
            }
            started => started,
        }
    }

    fn try_start(self, settings: &Settings, events: &MediaEvents) -> anyhow::Result<Sfu> {
        let config = SfuConfig {
            workers: settings.workers,
            bind: self.bind,
            port: settings.media_port,
            advertise: self.candidates,
            local_only: self.local_only,
            max_video_kbps_per_subscriber: settings.max_video_kbps_per_subscriber,
            adapt_video: settings.adapt_video,
            speakers: settings.signaling.room.speakers,
            ..SfuConfig::default()
        };
        let events = events.clone();
        Sfu::start(&config, move |_, event| events.send(event)).map_err(|error| match error {
            StartError::Socket { worker, address, source } => anyhow::Error::new(source).context(format!(
                "cannot bind UDP {}, the port of media worker {} of {} (--media-port {}, --workers)",
                SocketAddr::new(settings.bind, address.port()),
                worker + 1,
                settings.workers,
                settings.media_port
            )),
            error => anyhow::Error::new(error).context("cannot start media (--media-port)"),
        })
    }
}

/// The address from which this machine reaches others, by its routing table.
fn own_address(family: IpAddr) -> Option<IpAddr> {
    // Connecting a UDP socket sends nothing; it only selects the local address. 192.0.2.0/24 and 2001:db8::/32 are
    // reserved for documentation.
    let beyond = if family.is_ipv4() { "192.0.2.1:9" } else { "[2001:db8::1]:9" };
    let socket = UdpSocket::bind(SocketAddr::new(family, 0)).ok()?;
    socket.connect(beyond).ok()?;
    socket.local_addr().ok().map(|own| own.ip()).filter(|own| !own.is_unspecified())
}

/// Who can create rooms, as the announcement explains it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RoomsMadeBy {
    /// This process has created one, and its user may create more.
    ThisUser,
    /// Visitors of the page, and `tacet room`.
    Anyone,
    /// Who has the API key.
    KeyHolders,
    /// There is no way.
    NoOne,
}

impl RoomsMadeBy {
    fn of(settings: &Settings) -> Self {
        match (settings.alone, settings.signaling.open_rooms, &settings.signaling.api_key) {
            (true, ..) => Self::ThisUser,
            (_, true, _) => Self::Anyone,
            (.., Some(_)) => Self::KeyHolders,
            _ => Self::NoOne,
        }
    }
}

fn announce(ready: &Ready<'_>, json: bool, rooms_made_by: RoomsMadeBy) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(ready)?)?;
        out.flush()?;
        return Ok(());
    }
    writeln!(out, "Server: {}", ready.url)?;
    if let Some(fingerprint) = &ready.fingerprint {
        let changes = if ready.data.is_some() { "" } else { " and changes at every start" };
        writeln!(out, "The certificate is self-signed{changes}; browsers will warn. SHA-256:")?;
        writeln!(out, "  {fingerprint}")?;
    }
    match &ready.data {
        Some(folder) => writeln!(out, "Rooms are kept in {folder}.")?,
        None => writeln!(out, "Nothing is kept (--data none): when the server stops, all links end.")?,
    }
    let pin = ready.fingerprint.as_ref().map(|pin| format!(" --pin {}", pin.replace(':', ""))).unwrap_or_default();
    let command = format!("  tacet room --server {}{pin}", ready.url);
    match rooms_made_by {
        RoomsMadeBy::ThisUser => match &ready.link {
            Some(link) => writeln!(out, "\nRoom: {link}\n\nAnyone with the link can join.")?,
            None => writeln!(out, "There is no new room; the log says why.")?,
        },
        RoomsMadeBy::Anyone => {
            writeln!(out, "\nAnyone can create a room on the page, or with this command on a machine of theirs:")?;
            writeln!(out, "{command}")?;
        }
        RoomsMadeBy::KeyHolders => {
            writeln!(
                out,
                "\nTo create a room, run this on your own machine, with TACET_API_KEY set there too. The server"
            )?;
            writeln!(out, "never gets the secret in the link:")?;
            writeln!(out, "{command}")?;
        }
        RoomsMadeBy::NoOne => {
            writeln!(
                out,
                "\nNo one can create a room yet. Start the server with TACET_API_KEY set to a secret such as"
            )?;
            writeln!(out, "  head -c 24 /dev/urandom | base64")?;
            writeln!(out, "and run this on your own machine with the same variable set:")?;
            writeln!(out, "{command}")?;
        }
    }
    writeln!(out, "Press Ctrl-C to stop.")?;
    out.flush()?;
    Ok(())
}

/// Libraries that log a line for each unexpected packet and could fill the log. `--log` may enable them.
const QUIET_LIBRARIES: &str = "is=error,dimpl=error";
