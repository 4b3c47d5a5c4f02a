//! The effect of floods of unauthenticated datagrams on a call: `tacet-peers flood`.
//!
//! ```text
//!   load's core:    publisher ──┐            ┌──► subscribers: measure loss
//!                               ├─► server ──┘
//!                   flood ──────┘   on its own core
//! ```
//! Each kind of flood runs against a fresh server. Floods that spoof the publisher's address need a raw socket: root,
//! or a user namespace (`clients/web/e2e/namespace`).

use crate::{
    machine::Machine,
    measure::Times,
    peer::{Peer, PeerError, Setup, Tacet},
};
use clap::ValueEnum;
use loadtest::fanout::{Fanout, FanoutReport, Rate};
use rtc_client::{Credentials, Identity, RemoteParameters, RtcClient};
use serde::{Deserialize, Serialize};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Number of sockets, and so of source addresses, of floods from unknown addresses.
const SOCKETS: usize = 64;
/// Interval between the bursts of a flood.
const PORTION: Duration = Duration::from_millis(1);
/// Time from the start of the flood to the start of the measurement.
const SETTLE: Duration = Duration::from_millis(500);
/// Length of the IP and UDP headers, in bytes.
const HEADERS: usize = 28;

/// Kinds of floods, by the datagrams that they send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing: the same call without a flood.
    None,
    /// Random bytes.
    Noise,
    /// Connectivity checks with an unknown username fragment.
    UnknownUser,
    /// Connectivity checks with the publisher's username fragment and a guessed password.
    GuessedPassword,
    /// DTLS records.
    Records,
    /// SRTP packets.
    Packets,
    /// SRTP packets from the publisher's spoofed address.
    ForgedPackets,
    /// Connectivity checks with a guessed password, from the publisher's spoofed address.
    ForgedChecks,
    /// DTLS records from the publisher's spoofed address.
    ForgedRecords,
}

impl Kind {
    fn title(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Noise => "random bytes",
            Self::UnknownUser => "STUN, unknown username",
            Self::GuessedPassword => "STUN, known username, wrong MAC",
            Self::Records => "DTLS from unknown addresses",
            Self::Packets => "SRTP from unknown addresses",
            Self::ForgedPackets => "forged SRTP under a client's address",
            Self::ForgedChecks => "STUN, wrong MAC, under a client's address",
            Self::ForgedRecords => "DTLS under a client's address",
        }
    }

    fn is_forged(self) -> bool {
        matches!(self, Self::ForgedPackets | Self::ForgedChecks | Self::ForgedRecords)
    }

    /// Builds a datagram. `number` makes datagrams differ where that matters.
    fn datagram(self, victim: &Victim, identity: &Identity, number: u32) -> Result<Vec<u8>, PeerError> {
        let mut bytes = vec![0; if matches!(self, Self::Packets | Self::ForgedPackets) { 1_200 } else { 200 }];
        getrandom::fill(&mut bytes).map_err(|_| PeerError::Random)?;
        match self {
            Self::None | Self::Noise => {}
            Self::UnknownUser => return check("unknown0", victim, identity),
            Self::GuessedPassword | Self::ForgedChecks => return check(&victim.ufrag, victim, identity),
            Self::Records | Self::ForgedRecords => {
                let record = [23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 0, 0, 187];
                bytes.splice(..record.len(), record);
            }
            Self::Packets | Self::ForgedPackets => {
                let [.., high, low] = number.to_be_bytes();
                let header = [0x80, 96, high, low, 0, 0, 0, 0];
                bytes.splice(..header.len(), header);
            }
        }
        Ok(bytes)
    }
}

/// The publisher under attack.
#[derive(Clone, Debug)]
struct Victim {
    server: SocketAddr,
    /// The server's username fragment for the publisher: all that an eavesdropper learns from its checks.
    ufrag: String,
    address: SocketAddr,
}

/// A connectivity check whose sender does not know the password.
fn check(ufrag: &str, victim: &Victim, identity: &Identity) -> Result<Vec<u8>, PeerError> {
    let server = RemoteParameters {
        ufrag: ufrag.to_owned(),
        pwd: "a-password-that-is-guessed".to_owned(),
        fingerprint: [0; 32],
        candidates: vec![victim.server],
    };
    let now = Instant::now();
    let local = Credentials::random().ok_or(PeerError::Random)?;
    let mut client = RtcClient::with_credentials(now, identity, local, server);
    client.tick(now);
    client.poll_transmit().ok_or(PeerError::Random)
}

/// Parameters of a flood measurement.
#[derive(Clone, Debug)]
pub struct FloodPlan {
    /// Floods, in the order in which they run.
    pub kinds: Vec<Kind>,
    /// Datagrams per second.
    pub rate: u64,
    /// Receivers of the call.
    pub subscribers: usize,
    /// Measured time of each flood.
    pub times: Times,
}

/// Result of one flood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FloodRun {
    /// Kind of the flood.
    pub kind: Kind,
    /// Datagrams of the flood that the kernel accepted, per second.
    pub flood_per_s: f64,
    /// CPU time of the server as a share of wall time.
    pub server_busy: f64,
    /// Growth of the server's resident memory during the measurement.
    pub memory_grown: u64,
    /// Loss and latency at the subscribers.
    #[serde(flatten)]
    pub seen: FanoutReport,
}

/// Results of all floods.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FloodReport {
    /// Machine of the measurement.
    pub machine: Machine,
    /// Receivers of the call.
    pub subscribers: usize,
    /// One result for each kind.
    pub runs: Vec<FloodRun>,
}

/// Measures the floods one after the other.
///
/// # Errors
/// [`PeerError`]; without the right to forge addresses, those kinds are left out with a line to `progress`.
pub async fn flood(
    plan: &FloodPlan,
    setup: &Setup,
    mut progress: impl FnMut(&str),
) -> Result<Vec<FloodRun>, PeerError> {
    let mut runs = Vec::new();
    for kind in &plan.kinds {
        if kind.is_forged()
            && let Err(error) = raw_socket()
        {
            progress(&format!("{}: {error}", kind.title()));
            continue;
        }
        let mut peer = Tacet::start(setup).await?;
        let run = run(*kind, plan, &mut peer).await;
        peer.stop().await;
        let run = run?;
        progress(&format!("{}: {:.2} % lost", kind.title(), run.seen.loss() * 100.0));
        runs.push(run);
    }
    Ok(runs)
}

async fn run(kind: Kind, plan: &FloodPlan, peer: &mut Tacet) -> Result<FloodRun, PeerError> {
    // Single packets, so that one lost datagram is one lost packet.
    let mut fanout = Fanout::start(Rate { pps: 500, burst: 1, size: 1_164 })?;
    let publisher = peer.publish(&fanout).await?;
    let address = publisher.address();
    publisher.connected().await?;
    fanout.start_sending();
    for _ in 0..plan.subscribers {
        peer.subscribe(&mut fanout).await?.connected().await?;
    }
    let (server, ufrag) = peer.publisher_path().ok_or_else(|| PeerError::Answer("no media path".to_owned()))?;
    let flood = Flood::start(kind, Victim { server, ufrag, address }, plan.rate)?;
    sleep(SETTLE).await;
    let mark = || (peer.usage(), flood.sent(), Instant::now());
    let (seen, [start, end]) = fanout.measure(plan.times.warmup, plan.times.measure, mark).await?;
    flood.stop()?;
    let seconds = end.2.duration_since(start.2).as_secs_f64();
    Ok(FloodRun {
        kind,
        flood_per_s: (end.1 - start.1) as f64 / seconds,
        server_busy: end.0.cpu_ns.saturating_sub(start.0.cpu_ns) as f64 / 1e9 / seconds,
        memory_grown: end.0.rss_bytes.saturating_sub(start.0.rss_bytes),
        seen,
    })
}

/// A thread that sends a flood.
struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<io::Result<()>>,
}

impl Flood {
    fn start(kind: Kind, victim: Victim, rate: u64) -> Result<Self, PeerError> {
        let identity = Identity::generate().map_err(io::Error::other)?;
        let datagrams: Result<Vec<_>, _> = (0..1_000).map(|number| kind.datagram(&victim, &identity, number)).collect();
        let (datagrams, rate) = (datagrams?, if kind == Kind::None { 0 } else { rate });
        let source = if kind.is_forged() { Source::forged(&victim)? } else { Source::strangers(&victim)? };
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopping, counting) = (stop.clone(), sent.clone());
        let thread = thread::Builder::new().name("flood".to_owned()).spawn(move || {
            let (begin, mut done) = (Instant::now(), 0u64);
            let mut datagrams = datagrams.iter().cycle();
            while !stopping.load(Ordering::Relaxed) {
                let due = (begin.elapsed().as_micros() * u128::from(rate) / 1_000_000) as u64;
                // Datagrams that could not be sent in time are skipped: this is a rate, not an amount.
                done = done.max(due.saturating_sub(rate / 100));
                for datagram in datagrams.by_ref().take((due - done) as usize) {
                    counting.fetch_add(u64::from(source.send(done, datagram)?), Ordering::Relaxed);
                    done += 1;
                }
                thread::sleep(PORTION);
            }
            Ok(())
        })?;
        Ok(Self { stop, sent, thread })
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn stop(self) -> Result<(), PeerError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the flood has ended"))??;
        Ok(())
    }
}

/// Source of a flood.
enum Source {
    Strangers(Vec<UdpSocket>),
    /// Addresses and lengths are written into each datagram.
    Forged {
        socket: socket2::Socket,
        to: socket2::SockAddr,
        headers: [u8; HEADERS],
    },
}

impl Source {
    fn strangers(victim: &Victim) -> io::Result<Self> {
        let socket = |_| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(victim.server)?;
            Ok(socket)
        };
        (0..SOCKETS).map(socket).collect::<io::Result<_>>().map(Self::Strangers)
    }

    fn forged(victim: &Victim) -> io::Result<Self> {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (victim.address.ip(), victim.server.ip()) else {
            return Err(io::Error::other("the server is not at an address of IPv4"));
        };
        let mut headers = [0; HEADERS];
        // RFC 791: version and length of the header, time to live, UDP; the kernel fills in lengths and checksum.
        (headers[0], headers[8], headers[9]) = (0x45, 64, 17);
        headers[12..16].copy_from_slice(&from.octets());
        headers[16..20].copy_from_slice(&to.octets());
        // RFC 768: 0 means no checksum.
        headers[20..22].copy_from_slice(&victim.address.port().to_be_bytes());
        headers[22..24].copy_from_slice(&victim.server.port().to_be_bytes());
        Ok(Self::Forged { socket: raw_socket()?, to: SocketAddrV4::new(to, 0).into(), headers })
    }

    /// Sends one datagram. Returns false if the kernel was too busy.
    fn send(&self, number: u64, datagram: &[u8]) -> io::Result<bool> {
        let sent = match self {
            Self::Strangers(sockets) => match sockets.get(number as usize % SOCKETS) {
                Some(socket) => socket.send(datagram),
                None => return Ok(false),
            },
            Self::Forged { socket, to, headers } => {
                let mut packet = [&headers[..], datagram].concat();
                let length = u16::try_from(8 + datagram.len()).map_err(io::Error::other)?;
                packet[24..26].copy_from_slice(&length.to_be_bytes());
                socket.send_to(&packet, to)
            }
        };
        match sent {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused) => {
                Ok(false)
            }
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A socket that sends packets including their IP header.
fn raw_socket() -> io::Result<socket2::Socket> {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::RAW, Some(nix::libc::IPPROTO_RAW.into()))
}

impl fmt::Display for FloodReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.machine)?;
        writeln!(f, "One publisher of 500 packets/s to {} subscribers\n", self.subscribers)?;
        writeln!(f, "| flood | datagrams/s | lost of the call | p50 / p99 µs | server's core busy | memory grown |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for run in &self.runs {
            let seen = &run.seen;
            let own = if seen.receive_drops > 0 { " (load's own drops)" } else { "" };
            writeln!(
                f,
                "| {} | {:.0} | {:.3} %{own} | {} / {} | {:.0} % | {} kB |",
                run.kind.title(),
                run.flood_per_s,
                seen.loss() * 100.0,
                seen.p50_us,
                seen.p99_us,
                run.server_busy * 100.0,
                run.memory_grown / 1_000,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::measure::tests::seen;
    use rtc_client::DatagramKind;

    fn victim(server: SocketAddr) -> Victim {
        Victim { server, ufrag: "known000".to_owned(), address: "127.0.0.1:9".parse().unwrap() }
    }

    #[test]
    fn datagrams_match_their_kind() {
        let (victim, identity) = (victim("127.0.0.1:9".parse().unwrap()), Identity::generate().unwrap());
        let protocol = |kind: Kind| DatagramKind::of(&kind.datagram(&victim, &identity, 7).unwrap());
        for kind in [Kind::UnknownUser, Kind::GuessedPassword, Kind::ForgedChecks] {
            assert_eq!(protocol(kind), Some(DatagramKind::Stun), "{kind:?}");
        }
        assert_eq!(protocol(Kind::Records), Some(DatagramKind::Dtls));
        assert_eq!(protocol(Kind::ForgedPackets), Some(DatagramKind::Rtp));
    }

    #[test]
    fn flood_keeps_rate() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let flood = Flood::start(Kind::Noise, victim(server.local_addr().unwrap()), 10_000).unwrap();
        let begin = Instant::now();
        while flood.sent() < 1_000 {
            server.recv(&mut [0; 2_000]).unwrap();
        }
        assert!(begin.elapsed() >= Duration::from_millis(90));
        flood.stop().unwrap();
    }

    #[test]
    fn table_has_every_flood() {
        let run = FloodRun {
            kind: Kind::Noise,
            flood_per_s: 199_999.6,
            server_busy: 0.25,
            memory_grown: 8_192,
            seen: seen(10_000, 9_990),
        };
        let machine = Machine { cpu: "a CPU".to_owned(), cores: 2, kernel: "6".to_owned(), versions: vec![], at: 0 };
        let text = FloodReport { machine, subscribers: 25, runs: vec![run] }.to_string();
        assert!(text.ends_with("| random bytes | 200000 | 0.100 % | 100 / 200 | 25 % | 8 kB |\n"), "{text}");
    }
}
