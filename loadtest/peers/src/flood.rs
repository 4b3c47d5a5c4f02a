//! The effect of floods on a call, by strangers and by members: `tacet-peers flood`.
//!
//! ```text
//!   load's core:    publisher ──┐            ┌──► subscribers: measure loss
//!                               ├─► server ──┘
//!                   flood ──────┘   on its own core
//! ```
//! Each kind of flood runs against a fresh server. At the end one probe measures what the server [sends
//! back](crate::amplification) for a datagram of each kind. Floods that spoof the publisher's address need a raw socket: root,
//! or a user namespace (`clients/web/e2e/namespace`).

use crate::{
    amplification::{Amplification, Sample},
    machine::Machine,
    measure::Times,
    member_flood::{MemberFlood, MemberKind},
    peer::{Peer, PeerError, Setup, Tacet},
};
use clap::ValueEnum;
use dtls_srtp::dtls::{Dtls, Role};
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
pub(crate) const PORTION: Duration = Duration::from_millis(1);
/// Time from the start of the flood to the start of the measurement.
const SETTLE: Duration = Duration::from_millis(500);
/// Length of the IP and UDP headers, in bytes.
pub(crate) const HEADERS: usize = 28;
/// Datagrams by which the amplification of one kind is measured.
const SAMPLES: usize = 100;

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
    /// First flights of DTLS handshakes.
    Hellos,
    /// SRTP packets.
    Packets,
    /// Connectivity checks with the publisher's own credentials, from other addresses.
    ForgedSources,
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
            Self::Hellos => "DTLS handshakes from unknown addresses",
            Self::ForgedSources => "STUN of a member from other addresses",
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
            Self::UnknownUser => return check("unknown0", GUESS, victim, identity),
            Self::GuessedPassword | Self::ForgedChecks => return check(&victim.ufrag, GUESS, victim, identity),
            Self::ForgedSources => return check(&victim.ufrag, &victim.pwd, victim, identity),
            Self::Hellos => return hello(identity),
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
    /// What the publisher knows besides: the password, and its own credentials.
    pwd: String,
    local: Credentials,
    address: SocketAddr,
}

const GUESS: &str = "a-password-that-is-guessed";

/// The first flight of a handshake.
pub(crate) fn hello(identity: &Identity) -> Result<Vec<u8>, PeerError> {
    let (mut hello, now) = (Vec::new(), Instant::now());
    Dtls::new(identity, Role::Client, now).handle_timeout(now, |record| hello.extend_from_slice(record));
    if hello.is_empty() { Err(PeerError::Random) } else { Ok(hello) }
}

/// A connectivity check with this password.
fn check(ufrag: &str, pwd: &str, victim: &Victim, identity: &Identity) -> Result<Vec<u8>, PeerError> {
    let server = RemoteParameters {
        ufrag: ufrag.to_owned(),
        pwd: pwd.to_owned(),
        fingerprint: [0; 32],
        candidates: vec![victim.server],
    };
    let now = Instant::now();
    let mut client = RtcClient::with_credentials(now, identity, victim.local.clone(), server);
    client.tick(now);
    client.poll_transmit().ok_or(PeerError::Random)
}

/// Parameters of a flood measurement.
#[derive(Clone, Debug)]
pub struct FloodPlan {
    /// Floods by strangers, in the order in which they run.
    pub kinds: Vec<Kind>,
    /// Floods by a member, which run after them.
    pub member_kinds: Vec<MemberKind>,
    /// Datagrams of strangers per second.
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
    pub flood: Flooding,
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

/// A flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flooding {
    /// By strangers.
    Strangers(Kind),
    /// By a member.
    Member(MemberKind),
}

impl Flooding {
    fn title(self) -> String {
        match self {
            Self::Strangers(kind) => kind.title().to_owned(),
            Self::Member(kind) => format!("a member's {}", kind.title()),
        }
    }
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
    /// What comes back for a datagram of each kind.
    pub amplifications: Vec<Amplification>,
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
    let strangers = plan.kinds.iter().map(|kind| Flooding::Strangers(*kind));
    for flood in strangers.chain(plan.member_kinds.iter().map(|kind| Flooding::Member(*kind))) {
        if let Flooding::Strangers(kind) = flood
            && kind.is_forged()
            && let Err(error) = raw_socket()
        {
            progress(&format!("{}: {error}", kind.title()));
            continue;
        }
        let mut peer = Tacet::start(setup).await?;
        let run = run(flood, plan, &mut peer).await;
        peer.stop().await;
        let run = run?;
        progress(&format!("{}: {:.2} % lost", flood.title(), run.seen.loss() * 100.0));
        runs.push(run);
    }
    Ok(runs)
}

/// Measures what the server sends back for a datagram of each kind.
///
/// # Errors
/// [`PeerError`].
pub async fn amplifications(setup: &Setup) -> Result<Vec<Amplification>, PeerError> {
    let mut peer = Tacet::start(setup).await?;
    let results = async {
        let mut fanout = Fanout::start(Rate { pps: 500, burst: 1, size: 1_164 })?;
        peer.publish(&fanout).await?.connected().await?;
        fanout.start_sending();
        peer.subscribe(&mut fanout, None).await?.connected().await?;
        let (mut probe, _) = peer.member(false).await?;
        let measure = move || Sample::ALL.into_iter().map(|sample| probe.measure(sample, SAMPLES)).collect();
        tokio::task::spawn_blocking(measure).await.map_err(io::Error::other)?
    };
    let results = results.await;
    peer.stop().await;
    results
}

/// A flood under way.
enum Running {
    Strangers(Flood),
    Member(MemberFlood),
}

impl Running {
    async fn start(flood: Flooding, plan: &FloodPlan, peer: &mut Tacet, victim: Victim) -> Result<Self, PeerError> {
        match flood {
            Flooding::Strangers(kind) => Flood::start(kind, victim, plan.rate).map(Self::Strangers),
            Flooding::Member(kind) => {
                let (probe, media) = peer.member(kind == MemberKind::Subscriptions).await?;
                Ok(Self::Member(MemberFlood::start(kind, probe, media)?))
            }
        }
    }

    fn sent(&self) -> u64 {
        match self {
            Self::Strangers(flood) => flood.sent(),
            Self::Member(flood) => flood.sent(),
        }
    }

    fn stop(self) -> Result<(), PeerError> {
        match self {
            Self::Strangers(flood) => flood.stop(),
            Self::Member(flood) => flood.stop(),
        }
    }
}

async fn run(flood: Flooding, plan: &FloodPlan, peer: &mut Tacet) -> Result<FloodRun, PeerError> {
    // Single packets, so that one lost datagram is one lost packet.
    let mut fanout = Fanout::start(Rate { pps: 500, burst: 1, size: 1_164 })?;
    let publisher = peer.publish(&fanout).await?;
    let address = publisher.address();
    publisher.connected().await?;
    fanout.start_sending();
    for _ in 0..plan.subscribers {
        peer.subscribe(&mut fanout, None).await?.connected().await?;
    }
    let (local, server) = peer.publisher_path().ok_or_else(|| PeerError::Answer("no media path".to_owned()))?;
    let candidate = server.candidates.first().ok_or_else(|| PeerError::Answer("no media path".to_owned()))?;
    let victim = Victim { server: *candidate, ufrag: server.ufrag, pwd: server.pwd, local, address };
    let running = Running::start(flood, plan, peer, victim).await?;
    sleep(SETTLE).await;
    let mark = || (peer.usage(), running.sent(), Instant::now());
    let (seen, [start, end]) = fanout.measure(plan.times.warmup, plan.times.measure, mark).await?;
    running.stop()?;
    let seconds = end.2.duration_since(start.2).as_secs_f64();
    Ok(FloodRun {
        flood,
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
                let (from, to) = due(begin, rate, done);
                for (number, datagram) in (from..to).zip(&mut datagrams) {
                    counting.fetch_add(u64::from(source.send(number, datagram)?), Ordering::Relaxed);
                }
                done = to;
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

/// The numbers of the datagrams that are due now, of a flood of `rate` per second that has sent those up to `done`. Those
/// that could not be sent in time are skipped: this is a rate, not an amount.
pub(crate) fn due(begin: Instant, rate: u64, done: u64) -> (u64, u64) {
    let due = (begin.elapsed().as_micros() * u128::from(rate) / 1_000_000) as u64;
    (done.max(due.saturating_sub(rate / 100)), due)
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
                run.flood.title(),
                run.flood_per_s,
                seen.loss() * 100.0,
                seen.p50_us,
                seen.p99_us,
                run.server_busy * 100.0,
                run.memory_grown / 1_000,
            )?;
        }
        writeln!(f, "\n| datagram | bytes sent | bytes returned | factor |")?;
        writeln!(f, "|---|---|---|---|")?;
        for amplification in &self.amplifications {
            let Amplification { sample, sent, returned } = amplification;
            writeln!(f, "| {} | {sent} | {returned} | {:.2} |", sample.title(), amplification.factor())?;
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
        Victim {
            server,
            ufrag: "known000".to_owned(),
            pwd: "a-password-that-is-known".to_owned(),
            local: Credentials::random().unwrap(),
            address: "127.0.0.1:9".parse().unwrap(),
        }
    }

    #[test]
    fn datagrams_match_their_kind() {
        let (victim, identity) = (victim("127.0.0.1:9".parse().unwrap()), Identity::generate().unwrap());
        let protocol = |kind: Kind| DatagramKind::of(&kind.datagram(&victim, &identity, 7).unwrap());
        for kind in [Kind::UnknownUser, Kind::GuessedPassword, Kind::ForgedChecks, Kind::ForgedSources] {
            assert_eq!(protocol(kind), Some(DatagramKind::Stun), "{kind:?}");
        }
        assert_eq!(protocol(Kind::Records), Some(DatagramKind::Dtls));
        assert_eq!(protocol(Kind::Hellos), Some(DatagramKind::Dtls));
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
            flood: Flooding::Strangers(Kind::Noise),
            flood_per_s: 199_999.6,
            server_busy: 0.25,
            memory_grown: 8_192,
            seen: seen(10_000, 9_990),
        };
        let machine = Machine { cpu: "a CPU".to_owned(), cores: 2, kernel: "6".to_owned(), versions: vec![], at: 0 };
        let amplifications = vec![Amplification { sample: Sample::ForgedSource, sent: 1_000, returned: 2_500 }];
        let text = FloodReport { machine, subscribers: 25, runs: vec![run], amplifications }.to_string();
        assert!(text.contains("| random bytes | 200000 | 0.100 % | 100 / 200 | 25 % | 8 kB |\n"), "{text}");
        assert!(text.ends_with("| STUN of a member under a forged address | 1000 | 2500 | 2.50 |\n"), "{text}");
    }
}
