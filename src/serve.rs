//! `tacet serve`: SFU, signaling and call page in one process.

use crate::{
    certificate::{self, Tls},
    config::{Flags, Settings},
    link::{Invite, room_link},
    log,
    metrics::Exposition,
    page,
    stop::StopSignal,
};
use anyhow::{Context, bail};
use clap::Args;
use qrcode::render::unicode::Dense1x2;
use serde::Serialize;
use sfu::net::{Sfu, SfuConfig};
use signaling::{Kept, MediaEvents, MediaPlane, PageSource, Signaling};
use std::{
    io::{self, Write},
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
};

/// Start a call server and print the link of a room
///
/// Every setting can be a flag, a TACET_* variable or a line of the configuration file. Flags override variables, and
/// variables override the file.
#[derive(Args, Debug)]
#[command(
    next_line_help = true,
    after_help = "\
EXAMPLES:
  tacet serve                                        calls on this machine, for a first try
  tacet serve --bind 192.168.1.5                     calls in the local network
  tacet serve --bind 0.0.0.0 --advertise 203.0.113.7 a public server, behind NAT or not
  tacet serve --config /etc/tacet.toml               settings from a file

PORTS: TCP 8800 for the call page and signaling; UDP 8801 and up for media, one per worker; TCP 9464 on\nloopback for metrics."
)]
pub(crate) struct Serve {
    #[command(flatten)]
    flags: Flags,
    /// Print one line of JSON instead of text: url, link, room, media_ports, metrics, pid
    #[arg(long)]
    json: bool,
}

/// The line that `--json` prints when the server listens.
#[derive(Serialize)]
struct Ready<'a> {
    url: &'a str,
    link: &'a str,
    room: String,
    media_ports: Vec<u16>,
    /// URL of the metrics, if they are exposed.
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<String>,
    pid: u32,
    /// SHA-256 of the certificate if it is self-signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a str>,
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
    let address = SocketAddr::new(settings.bind, settings.port);
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address} (--port)"))?;
    let port = listener.local_addr()?.port();
    let metrics = crate::metrics::listen(settings.metrics)?;
    let advertise = reachable(&settings)?;
    // The page on loopback is only reachable there, even if media is advertised elsewhere on the machine, as for a
    // relay.
    let host = advertise.first().copied().filter(|_| !settings.bind.is_loopback()).unwrap_or(settings.bind);

    let tls = match &settings.tls {
        Some((cert, key)) => Some(certificate::from_files(cert, key)?),
        None if settings.bind.is_loopback() => None,
        None => Some(certificate::self_signed(vec![host.to_string(), "localhost".to_owned()])?),
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", SocketAddr::new(host, port));

    let events = MediaEvents::default();
    let config = SfuConfig {
        workers: settings.workers,
        bind: settings.bind,
        port: settings.media_port,
        advertise,
        ..SfuConfig::default()
    };
    let of_workers = events.clone();
    let sfu = Sfu::start(&config, move |_, event| of_workers.send(event)).with_context(|| {
        format!("cannot start media on {} from UDP port {} (--media-port)", settings.bind, settings.media_port)
    })?;
    let media_ports = sfu.local_ports();

    let sfu = Arc::new(sfu);
    let plane = SfuPlane { sfu: Arc::clone(&sfu), events: events.clone() };
    let kept = Kept::nothing(&settings.signaling).context("this system provides no random numbers")?;
    let signaling = Signaling::new(settings.signaling, Arc::new(plane), events, kept);
    let exposition = Exposition::new(sfu, signaling.rooms().clone(), Arc::clone(signaling.metrics()));
    let invite = Invite::random()?;
    let room = signaling.rooms().create(invite.access_hash()).context("cannot create a room")?;
    let link = room_link(&url, room, &invite);
    let (config, fingerprint) = match tls {
        Some(Tls { config, fingerprint }) => (Some(config), fingerprint),
        None => (None, None),
    };
    // Installed before the server is announced, since it may be stopped immediately after that.
    let mut stop = StopSignal::new()?;
    let fingerprint = fingerprint.as_deref();
    let ready = Ready {
        url: &url,
        link: &link,
        room: room.to_string(),
        media_ports,
        metrics: metrics.as_ref().map(crate::metrics::url),
        pid: std::process::id(),
        fingerprint,
    };
    announce(&ready, json, !settings.bind.is_loopback())?;

    let page = settings.page.then(|| Arc::new(page::file) as Arc<dyn PageSource>);
    let showing = metrics.map(|listener| tokio::spawn(exposition.serve(listener)));
    let served = signaling
        .serve(listener, config, page, async move { stop.received().await })
        .await
        .context("the server failed");
    if let Some(showing) = showing {
        // It holds a reference to the media plane, which closes all transports when the last one is dropped.
        showing.abort();
        let _ = showing.await;
    }
    served?;
    tracing::info!("stopped");
    Ok(())
}

/// The addresses that clients receive for media. If the server listens on all addresses, that of the default route.
fn reachable(settings: &Settings) -> anyhow::Result<Vec<IpAddr>> {
    if !settings.advertise.is_empty() || !settings.bind.is_unspecified() {
        return Ok(settings.advertise.clone());
    }
    // Connecting a UDP socket sends nothing; it only selects the local address by the routing table. 192.0.2.0/24 and
    // 2001:db8::/32 are reserved for documentation.
    let beyond = if settings.bind.is_ipv4() { "192.0.2.1:9" } else { "[2001:db8::1]:9" };
    let own = UdpSocket::bind(SocketAddr::new(settings.bind, 0))
        .and_then(|socket| socket.connect(beyond).and_then(|()| socket.local_addr()));
    match own {
        Ok(own) if !own.ip().is_unspecified() => Ok(vec![own.ip()]),
        _ => bail!("cannot find this machine's address: set it with --advertise IP"),
    }
}

fn announce(ready: &Ready<'_>, json: bool, beyond_loopback: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(ready)?)?;
    } else {
        writeln!(out, "Server: {}", ready.url)?;
        if let Some(fingerprint) = ready.fingerprint {
            writeln!(out, "The certificate is self-signed and changes at every start; browsers will warn. SHA-256:")?;
            writeln!(out, "  {fingerprint}")?;
        }
        writeln!(out, "\nRoom: {}\n", ready.link)?;
        if beyond_loopback {
            let code = qrcode::QrCode::new(ready.link).context("cannot encode the link as a QR code")?;
            // Most terminals are dark: invert the colours.
            let (light, dark) = (Dense1x2::Dark, Dense1x2::Light);
            writeln!(out, "{}", code.render().light_color(light).dark_color(dark).build())?;
        }
        writeln!(out, "Anyone with the link can join. Press Ctrl-C to stop.")?;
    }
    out.flush()?;
    Ok(())
}

/// Libraries that log a line for each unexpected packet and could fill the log. `--log` may enable them.
const QUIET_LIBRARIES: &str = "is=error,dimpl=error";
