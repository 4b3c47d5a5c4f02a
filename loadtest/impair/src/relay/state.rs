//! The relay's clients, and the datagrams that it holds.

use super::{RelayConfig, RelayError, RelayStats};
use crate::{
    bottleneck::Queue,
    counts::Counts,
    impairment::Impairment,
    path::{Fate, Path},
    random::Random,
    under_way::UnderWay,
};
use polling::{Event, PollMode, Poller};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

/// Datagrams read from a socket before the next one is served.
const BATCH: usize = 64;
/// No UDP datagram is larger.
const LARGEST: usize = 65_535;
/// Size of each socket buffer; bursts wait there while the relay is busy.
const BUFFER: usize = 4 << 20;
/// A client that was silent for this long may be replaced by a new one.
const SILENT: Duration = Duration::from_secs(30);
/// The token of the listening socket; clients have others.
const LISTENER: usize = 0;

/// Direction of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the server.
    Up,
    /// To the client.
    Down,
}

#[derive(Debug)]
struct Client {
    address: SocketAddr,
    /// Connected to the server.
    upstream: UdpSocket,
    up: Path,
    down: Path,
    heard: Instant,
}

impl Client {
    fn path(&mut self, direction: Direction) -> &mut Path {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

#[derive(Debug)]
struct Datagram {
    client: usize,
    direction: Direction,
    number: u64,
    bytes: Arc<[u8]>,
}

/// The bottlenecks of all clients, where they share them.
#[derive(Debug)]
struct SharedLine {
    up: Option<Queue>,
    down: Option<Queue>,
}

impl SharedLine {
    fn of(config: &RelayConfig) -> Option<Self> {
        let queue = |impairment: &Impairment| impairment.bottleneck.clone().map(Queue::new);
        config.shared.then(|| Self { up: queue(&config.up), down: queue(&config.down) })
    }

    fn queue(&mut self, direction: Direction) -> &mut Option<Queue> {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    fn set(&mut self, direction: Direction, impairment: &Impairment) {
        let queue = self.queue(direction);
        match (queue.as_mut(), impairment.bottleneck.clone()) {
            (Some(queue), Some(bottleneck)) => queue.set_bottleneck(bottleneck),
            (_, bottleneck) => *queue = bottleneck.map(Queue::new),
        }
    }
}

/// Everything but the thread.
#[derive(Debug)]
pub(super) struct State {
    listener: UdpSocket,
    target: SocketAddr,
    config: RelayConfig,
    shared: Option<SharedLine>,
    seeds: Random,
    clients: HashMap<usize, Client>,
    tokens: HashMap<SocketAddr, usize>,
    last_token: usize,
    under_way: UnderWay<Datagram>,
    held_bytes: usize,
    buffer: Box<[u8]>,
    /// Counts that are not sums over present clients.
    stats: RelayStats,
    stopped: bool,
}

impl State {
    pub(super) fn new(
        listen: SocketAddr,
        target: SocketAddr,
        config: &RelayConfig,
        poller: &Poller,
    ) -> Result<Self, RelayError> {
        let listener = bind(listen).map_err(|error| RelayError::Listen(listen, error))?;
        listen_to(poller, &listener, LISTENER)?;
        Ok(Self {
            listener,
            target,
            config: config.clone(),
            shared: SharedLine::of(config),
            seeds: Random::new(config.seed),
            clients: HashMap::new(),
            tokens: HashMap::new(),
            last_token: LISTENER,
            under_way: UnderWay::new(),
            held_bytes: 0,
            buffer: vec![0; LARGEST].into(),
            stats: RelayStats::default(),
            stopped: false,
        })
    }

    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn clients(&self) -> Vec<SocketAddr> {
        self.tokens.keys().copied().collect()
    }

    /// Everything but what the kernel has dropped.
    pub(super) fn stats(&self) -> RelayStats {
        let mut stats = RelayStats { clients: self.clients.len(), ..self.stats };
        for client in self.clients.values() {
            stats.up += client.up.counts();
            stats.down += client.down.counts();
        }
        stats
    }

    /// The addresses of all its sockets.
    pub(super) fn sockets(&self) -> Vec<SocketAddr> {
        let upstreams = self.clients.values().map(|client| &client.upstream);
        upstreams.chain([&self.listener]).filter_map(|socket| socket.local_addr().ok()).collect()
    }

    pub(super) fn impairments(&self) -> (Impairment, Impairment) {
        (self.config.up.clone(), self.config.down.clone())
    }

    pub(super) fn set_impairment(&mut self, direction: Direction, impairment: Impairment) {
        match direction {
            Direction::Up => self.config.up = impairment.clone(),
            Direction::Down => self.config.down = impairment.clone(),
        }
        if let Some(shared) = &mut self.shared {
            shared.set(direction, &impairment);
        }
        for client in self.clients.values_mut() {
            client.path(direction).set_impairment(impairment.clone());
        }
    }

    /// Replaces a client's socket towards the server; returns whether the client is known.
    pub(super) fn change_address(&mut self, client: SocketAddr, poller: &Poller) -> io::Result<bool> {
        let Some(token) = self.tokens.get(&client) else { return Ok(false) };
        let Some(client) = self.clients.get_mut(token) else { return Ok(false) };
        // The old socket is still there while the new one is bound: they cannot have the same port.
        let upstream = connect(self.target)?;
        listen_to(poller, &upstream, *token)?;
        poller.delete(&client.upstream)?;
        client.upstream = upstream;
        self.stats.address_changes += 1;
        Ok(true)
    }

    /// Reads these sockets and sends what is due; returns when the next datagram is due.
    pub(super) fn step(&mut self, ready: impl Iterator<Item = usize>, poller: &Poller) -> Option<Instant> {
        for token in ready {
            self.send_due(Instant::now());
            match token {
                LISTENER => self.receive_from_clients(poller),
                token => self.receive_from_server(token),
            }
        }
        self.send_due(Instant::now());
        self.under_way.next_at()
    }

    fn receive_from_clients(&mut self, poller: &Poller) {
        for _ in 0..BATCH {
            let (length, from) = match self.listener.recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => continue,
            };
            let now = Instant::now();
            let token = match self.tokens.get(&from) {
                Some(token) => Some(*token),
                None => self.admit(now, from, poller),
            };
            match token {
                Some(token) => self.take(now, token, Direction::Up, length),
                None => self.stats.refused += 1,
            }
        }
    }

    fn receive_from_server(&mut self, token: usize) {
        for _ in 0..BATCH {
            let Some(client) = self.clients.get(&token) else { return };
            match client.upstream.recv(&mut self.buffer) {
                Ok(length) => self.take(Instant::now(), token, Direction::Down, length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The target is not listening at the moment.
                Err(_) => {}
            }
        }
    }

    /// Adds a client; `None` if there is no room for it or no socket.
    fn admit(&mut self, now: Instant, address: SocketAddr, poller: &Poller) -> Option<usize> {
        if self.clients.len() >= self.config.clients {
            self.forget_silent(now, poller)?;
        }
        let token = self.last_token + 1;
        let upstream = connect(self.target).ok()?;
        listen_to(poller, &upstream, token).ok()?;
        self.last_token = token;
        let client = Client {
            address,
            upstream,
            up: Path::new(self.config.up.clone(), self.seeds.next(), now),
            down: Path::new(self.config.down.clone(), self.seeds.next(), now),
            heard: now,
        };
        self.clients.insert(token, client);
        self.tokens.insert(address, token);
        Some(token)
    }

    /// Removes the client that has been silent longest, if that is long enough.
    fn forget_silent(&mut self, now: Instant, poller: &Poller) -> Option<()> {
        let (&token, _) = self.clients.iter().min_by_key(|(_, client)| client.heard)?;
        let client = self.clients.get(&token)?;
        if now.saturating_duration_since(client.heard) < SILENT {
            return None;
        }
        let client = self.clients.remove(&token)?;
        let _ = poller.delete(&client.upstream);
        self.tokens.remove(&client.address);
        self.stats.up += client.up.counts();
        self.stats.down += client.down.counts();
        Some(())
    }

    /// Takes the datagram of this length from the buffer.
    fn take(&mut self, now: Instant, token: usize, direction: Direction, length: usize) {
        let Some(client) = self.clients.get_mut(&token) else { return };
        if direction == Direction::Up {
            client.heard = now;
        }
        // Twice, since there may be a copy.
        if self.held_bytes.saturating_add(2 * length) > self.config.held_bytes {
            self.stats.overflowed += 1;
            return;
        }
        let on_the_wire = length + headers(self.target);
        let shared = self.shared.as_mut().and_then(|shared| shared.queue(direction).as_mut());
        let path = client.path(direction);
        let fate = match shared {
            Some(queue) => path.send_through(queue, now, on_the_wire),
            None => path.send(now, on_the_wire),
        };
        let Fate::Arrives { number, at, again, .. } = fate else { return };
        let bytes: Arc<[u8]> = self.buffer.get(..length).unwrap_or_default().into();
        for at in [Some(at), again].into_iter().flatten() {
            self.held_bytes += length;
            self.under_way.push(at, Datagram { client: token, direction, number, bytes: bytes.clone() });
        }
    }

    fn send_due(&mut self, now: Instant) {
        while let Some(datagram) = self.under_way.pop(now) {
            self.held_bytes = self.held_bytes.saturating_sub(datagram.bytes.len());
            let Some(client) = self.clients.get_mut(&datagram.client) else {
                self.abandoned(datagram.direction);
                continue;
            };
            client.path(datagram.direction).forwarded(datagram.number);
            let send = || match datagram.direction {
                Direction::Up => client.upstream.send(&datagram.bytes),
                Direction::Down => self.listener.send_to(&datagram.bytes, client.address),
            };
            // A connected socket reports the ICMP error of an earlier datagram once, instead of sending.
            let sent = send().or_else(|error| match error.kind() {
                ErrorKind::ConnectionRefused => send(),
                _ => Err(error),
            });
            self.stats.unsent += u64::from(sent.is_err());
        }
    }

    /// Counts a datagram whose client has gone.
    fn abandoned(&mut self, direction: Direction) {
        let counts: &mut Counts = match direction {
            Direction::Up => &mut self.stats.up,
            Direction::Down => &mut self.stats.down,
        };
        counts.lost += 1;
    }
}

/// Reports the socket under this token whenever it is readable.
#[expect(unsafe_code, reason = "a poller must not outlive the registration of a source")]
fn listen_to(poller: &Poller, socket: &UdpSocket, token: usize) -> io::Result<()> {
    // SAFETY: a socket is deleted from the poller before it is closed, but for those that live as long as the relay; epoll
    // itself forgets a closed socket.
    unsafe { poller.add_with_mode(socket, Event::readable(token), PollMode::Level) }
}

/// Bytes of the IP and UDP headers, which a rate counts as well.
fn headers(target: SocketAddr) -> usize {
    if target.is_ipv4() { 28 } else { 48 }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // Beyond what the system allows everyone where the relay may, and as much as it allows otherwise: what a smaller
    // buffer drops when the machine is busy is counted.
    let _ =
        set_socket_recv_buffer_size_force(&socket, BUFFER).or_else(|_| set_socket_recv_buffer_size(&socket, BUFFER));
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// A socket with its own port, connected to the target.
fn connect(target: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = bind(SocketAddr::new(any, 0))?;
    socket.connect(target)?;
    Ok(socket)
}
