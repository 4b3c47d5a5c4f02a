//! A UDP relay that puts a bad path between clients and a server, for machines without `netem`.
//!
//! ```text
//!   client A ──►┐  listen          ┌── up: Path ──► own socket of A ──►┐  target
//!               ├────── socket ────┤                                   ├────── server
//!   client B ──►┘  (one for all)   └── up: Path ──► own socket of B ──►┘
//!                                  ◄── down: Path, one for each client ◄──
//! ```
//! Each address that sends to the relay is a client with its own socket towards the server, which therefore sees as
//! many addresses as there are clients, as behind a NAT. [`Relay::change_addresses`] replaces these sockets while
//! clients run, which looks to the server like a NAT that has lost its bindings, or a phone that leaves the wireless
//! network.
//!
//! One thread does everything; it sleeps until the next datagram arrives or is due. Clients and held bytes are bounded.
//! Datagrams are never parsed.

mod overruns;
mod state;

use self::state::{Direction, State};
use crate::{counts::Counts, impairment::Impairment};
use polling::{Events, Poller};
use serde::Serialize;
use std::{
    fmt, io,
    iter::Sum,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

/// Readable sockets reported by one wait; the rest are reported by the next.
const EVENTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// How a relay treats its clients.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// From clients to the server.
    pub up: Impairment,
    /// From the server to clients.
    pub down: Impairment,
    /// Whether the clients share the bottleneck of each direction, as people of one home do. Otherwise each has its own.
    pub shared: bool,
    /// Seed of all random decisions, with the order in which clients come.
    pub seed: u64,
    /// Maximum number of clients. When one more comes, the one that has been silent longest is removed, if that is half a
    /// minute or more; otherwise the new one is refused.
    pub clients: usize,
    /// Maximum number of bytes held for all of them; datagrams beyond it are dropped and counted.
    pub held_bytes: usize,
}

impl RelayConfig {
    /// The same in both directions, for up to 4,096 clients and 256 MB.
    pub fn new(both: Impairment, seed: u64) -> Self {
        Self { up: both.clone(), down: both, shared: false, seed, clients: 4_096, held_bytes: 256_000_000 }
    }
}

/// Why a relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The address to listen on is unavailable.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// An IPv4 relay for an IPv6 server, or the reverse.
    #[error("the relay listens on {listen} and forwards to {target}: both must be of one family")]
    Families {
        /// Where clients send to.
        listen: SocketAddr,
        /// Where the server is.
        target: SocketAddr,
    },
    /// Threads, descriptors or memory are used up.
    #[error("the system refuses what the relay needs: {0}")]
    System(#[from] io::Error),
}

/// Counts of a relay since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RelayStats {
    /// From clients to the server, all clients together.
    pub up: Counts,
    /// From the server to clients.
    pub down: Counts,
    /// Current number of clients.
    pub clients: usize,
    /// Sockets towards the server that were replaced.
    pub address_changes: u64,
    /// Datagrams of refused clients.
    pub refused: u64,
    /// Datagrams dropped because the memory limit was reached.
    pub overflowed: u64,
    /// Forwarded datagrams that the kernel did not take.
    pub unsent: u64,
    /// Datagrams that the kernel dropped because the relay was late to read them, on its present sockets. They are in
    /// no other number.
    pub overruns: u64,
}

impl Sum for RelayStats {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum.up += one.up;
            sum.down += one.down;
            sum.clients += one.clients;
            sum.address_changes += one.address_changes;
            sum.refused += one.refused;
            sum.overflowed += one.overflowed;
            sum.unsent += one.unsent;
            sum.overruns += one.overruns;
            sum
        })
    }
}

impl fmt::Display for RelayStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "up:   {}", self.up)?;
        writeln!(f, "down: {}", self.down)?;
        write!(f, "{} clients, {} address changes", self.clients, self.address_changes)?;
        let troubles = [
            (self.refused, "refused"),
            (self.overflowed, "overflowed"),
            (self.unsent, "not taken by the kernel"),
            (self.overruns, "dropped by the kernel"),
        ];
        troubles.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

/// A running relay. Dropping it stops it and discards the datagrams that it holds.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
    local: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    poller: Poller,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay {
    /// Listens on an address, whose port may be 0, and forwards datagrams to the target. Replies are sent from the
    /// listening address, which therefore should not be the unspecified one.
    ///
    /// # Errors
    /// [`RelayError`]. A target that does not answer is not an error.
    pub fn start(listen: SocketAddr, target: SocketAddr, config: &RelayConfig) -> Result<Self, RelayError> {
        if listen.is_ipv4() != target.is_ipv4() {
            return Err(RelayError::Families { listen, target });
        }
        let poller = Poller::new()?;
        let state = State::new(listen, target, config, &poller)?;
        let local = state.local()?;
        let shared = Arc::new(Shared { poller, state: Mutex::new(state) });
        let of_thread = shared.clone();
        let thread = thread::Builder::new().name("relay".to_owned()).spawn(move || run(&of_thread))?;
        Ok(Self { shared, thread: Some(thread), local })
    }

    /// The listening address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Counts since the start.
    pub fn stats(&self) -> RelayStats {
        // The kernel's counters are read outside the lock, so that datagrams are not delayed.
        let (stats, sockets) = {
            let state = self.shared.state();
            (state.stats(), state.sockets())
        };
        RelayStats { overruns: overruns::of(&sockets), ..stats }
    }

    /// Current clients, by source address.
    pub fn clients(&self) -> Vec<SocketAddr> {
        self.shared.state().clients()
    }

    /// Assigns every client another address towards the server; the client's side stays. Datagrams that the server still
    /// sends to the old addresses are lost. Returns the number of clients.
    ///
    /// # Errors
    /// When the system has no sockets left; some clients may have changed.
    pub fn change_addresses(&self) -> io::Result<usize> {
        let mut state = self.shared.state();
        let clients = state.clients();
        clients.iter().try_for_each(|client| state.change_address(*client, &self.shared.poller).map(|_| ()))?;
        Ok(clients.len())
    }

    /// The same for one client; returns whether it is known.
    ///
    /// # Errors
    /// When the system has no sockets left; the client keeps its address.
    pub fn change_address_of(&self, client: SocketAddr) -> io::Result<bool> {
        self.shared.state().change_address(client, &self.shared.poller)
    }

    /// Changes the impairment of both directions from now on, for present and future clients.
    pub fn set_impairment(&self, both: Impairment) {
        self.set_up(both.clone());
        self.set_down(both);
    }

    /// Changes the direction from clients to the server.
    pub fn set_up(&self, up: Impairment) {
        self.shared.state().set_impairment(Direction::Up, up);
    }

    /// Changes the direction from the server to clients.
    pub fn set_down(&self, down: Impairment) {
        self.shared.state().set_impairment(Direction::Down, down);
    }

    /// The current impairments: up and down.
    pub fn impairments(&self) -> (Impairment, Impairment) {
        self.shared.state().impairments()
    }

    /// Stops the relay and returns its counts.
    ///
    /// # Errors
    /// The error that had stopped it before, if there was one.
    pub fn stop(mut self) -> io::Result<RelayStats> {
        self.end()?;
        Ok(self.stats())
    }

    fn end(&mut self) -> io::Result<()> {
        self.shared.state().stop();
        self.shared.poller.notify()?;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the relay's thread has panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn run(shared: &Shared) -> io::Result<()> {
    let mut events = Events::with_capacity(EVENTS);
    loop {
        let next = {
            let mut state = shared.state();
            if state.is_stopped() {
                return Ok(());
            }
            state.step(events.iter().map(|event| event.key), &shared.poller)
        };
        events.clear();
        shared.poller.wait(&mut events, next.map(|at| at.saturating_duration_since(Instant::now())))?;
    }
}
