//! The driver: a thread, a UDP port and a [`Worker`] per core, and the handle that the embedding process holds.
//!
//! ```text
//!   Sfu ── Command ──► queue + wakeup ─────┐
//!                                          ▼
//!   UDP port ── recvmmsg, GRO ──► Worker (one thread) ── sendmmsg, GSO ──► UDP port
//!                                          │
//!   on_event(worker, Event) ◄──────────────┘
//! ```
//! Workers share nothing. A room lives on one worker. The embedder picks it and sends it all commands about the room's
//! participants. Batched system calls are for Linux; [`SocketIo::Plain`] works everywhere.

mod core_wait;
mod cpu;
mod driver;
mod inbox;
#[cfg(target_os = "linux")]
mod linux;
mod plain;
mod poll;
mod socket;
mod socket_io;
mod stopwatch;
#[cfg(test)]
mod tests;
mod thread_clock;

use crate::{
    SPEAKERS,
    command::{CommandError, Request},
    event::Event,
    metrics::{Counters, Gauge, Histograms, Published, WorkerMetrics},
    transport::{Identity, IdentityError},
    units::Bitrate,
    worker::{Worker, WorkerConfig},
};
use core_wait::CoreWait;
use cpu::CpuClock;
use driver::Driver;
use inbox::Commands;
use poll::{Poll, Wakeup};
use socket::Bound;
pub use socket_io::SocketIo;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use stopwatch::Stopwatch;

/// Configuration of an SFU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SfuConfig {
    /// Number of workers, each with a thread; at least one. Use one per core.
    pub workers: usize,
    /// Address of the workers' sockets. An unspecified address serves all interfaces; on a machine with several
    /// addresses name one, since the kernel picks which of them it answers from.
    pub bind: IpAddr,
    /// Port of the first worker; the next one has the next port. With 0 the system picks each.
    pub port: u16,
    /// Addresses in the candidates for clients, with the worker's port. Empty: the bound address, which must be specified.
    pub advertise: Vec<IpAddr>,
    /// Accept only packets that this machine sent to itself, whichever of its addresses they were sent to. Only where
    /// [`Sfu::can_be_local_only`].
    pub local_only: bool,
    /// Maximum number of participants of a worker, over all its rooms.
    pub max_participants: usize,
    /// Maximum bitrate of all video to one receiver, in kbit/s. Slots whose tracks have several layers get those that it
    /// holds; a track with one layer is sent whole.
    pub max_video_kbps_per_subscriber: u32,
    /// Whether video to a receiver is also kept to what its downlink is estimated to carry, from its transport-wide feedback.
    /// Probes find out how much that is.
    pub adapt_video: bool,
    /// Number of a room's loudest speakers that slots can play ([`SlotSource::Speaker`](crate::SlotSource::Speaker)), 1 or
    /// more.
    pub speakers: u8,
    /// How workers receive and send datagrams.
    pub io: SocketIo,
}

impl Default for SfuConfig {
    /// One worker on the loopback address, on a port that the system picks.
    fn default() -> Self {
        Self {
            workers: 1,
            bind: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            advertise: Vec::new(),
            local_only: false,
            max_participants: 2_000,
            max_video_kbps_per_subscriber: 4_000,
            adapt_video: false,
            speakers: SPEAKERS,
            io: SocketIo::default(),
        }
    }
}

/// Why an SFU did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The certificate could not be generated.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// [`SfuConfig::bind`] is unspecified and [`SfuConfig::advertise`] is empty.
    #[error("an SFU that is bound to all interfaces needs an address to advertise")]
    NoAdvertisedAddress,
    /// The port of a worker would be above 65535.
    #[error("there is no port for worker {worker}: the first port is too high")]
    NoPort {
        /// Number of the worker.
        worker: usize,
    },
    /// A socket could not be bound.
    #[error("cannot bind a UDP socket to {address}")]
    Socket {
        /// Number of the worker.
        worker: usize,
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// A worker's thread could not be started.
    #[error("cannot start a worker's thread")]
    Thread(#[source] io::Error),
}

/// A running SFU. Dropping it sends close_notify to all clients and stops the threads.
#[derive(Debug)]
pub struct Sfu {
    workers: Vec<WorkerHandle>,
}

#[derive(Debug)]
struct WorkerHandle {
    commands: Commands,
    wakeup: Arc<Wakeup>,
    stop: Arc<AtomicBool>,
    published: Arc<Published>,
    buffers: (usize, usize),
    cpu: Option<CpuClock>,
    port: u16,
    thread: Option<thread::JoinHandle<()>>,
}

impl WorkerHandle {
    fn start(
        number: usize,
        worker: Worker,
        mut bound: Bound,
        io: SocketIo,
        on_event: impl Fn(Event) + Send + 'static,
    ) -> io::Result<Self> {
        let address = bound.socket.local_addr()?;
        let (poll, wakeup) = Poll::new()?;
        poll.register(&mut bound.socket)?;
        let wakeup = Arc::new(wakeup);
        let (receiver, sender) = socket_io::open(&bound.socket, io, address.is_ipv6());
        let (commands, inbox) = inbox::queue(wakeup.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let published = Arc::new(Published::default());
        let driver = Driver {
            worker,
            socket: bound.socket,
            local: address,
            poll,
            receiver,
            sender,
            inbox,
            stop: stop.clone(),
            published: published.clone(),
            stopwatch: Stopwatch::new(),
            core_wait: CoreWait::default(),
            deadline: None,
            on_event,
        };
        let thread = driver.spawn(number)?;
        let (buffers, cpu) = (bound.buffers, CpuClock::of(&thread));
        Ok(Self { commands, wakeup, stop, published, buffers, cpu, port: address.port(), thread: Some(thread) })
    }
}

impl Sfu {
    /// Binds the sockets and starts the threads. `on_event` is called on the worker's thread, with the worker's number;
    /// it must not block. If it panics, that event is lost and counted as a fault.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(
        config: &SfuConfig,
        on_event: impl Fn(usize, Event) + Send + Clone + 'static,
    ) -> Result<Self, StartError> {
        let identity = Identity::generate()?;
        let addresses = match &config.advertise[..] {
            [] if config.bind.is_unspecified() => return Err(StartError::NoAdvertisedAddress),
            [] => vec![config.bind],
            addresses => addresses.to_vec(),
        };
        let mut sfu = Self { workers: Vec::new() };
        for number in 0..config.workers.max(1) {
            let port = match config.port {
                0 => 0,
                first => {
                    let port = u16::try_from(number).ok().and_then(|number| first.checked_add(number));
                    port.ok_or(StartError::NoPort { worker: number })?
                }
            };
            let address = SocketAddr::new(config.bind, port);
            let socket_error = |source| StartError::Socket { worker: number, address, source };
            let bound = socket::bind(address, config.local_only).map_err(socket_error)?;
            let port = bound.socket.local_addr().map_err(socket_error)?.port();
            let worker = Worker::new(WorkerConfig {
                identity: identity.clone(),
                candidates: addresses.iter().map(|address| SocketAddr::new(*address, port)).collect(),
                max_participants: config.max_participants,
                max_video_rate: Bitrate::from_kbps(config.max_video_kbps_per_subscriber.into()),
                adapt_video: config.adapt_video,
                speakers: config.speakers,
            });
            let on_event = on_event.clone();
            let handle = WorkerHandle::start(number, worker, bound, config.io, move |event| on_event(number, event));
            let handle = handle.map_err(StartError::Thread)?;
            sfu.workers.push(handle);
        }
        Ok(sfu)
    }

    /// Whether this platform supports [`SfuConfig::local_only`].
    #[must_use]
    pub const fn can_be_local_only() -> bool {
        cfg!(target_os = "linux")
    }

    /// Number of workers; they are numbered from 0.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// The workers' UDP ports.
    #[must_use]
    pub fn local_ports(&self) -> Vec<u16> {
        self.workers.iter().map(|worker| worker.port).collect()
    }

    /// Sends a command to a worker. The worker answers or refuses it by an event.
    ///
    /// # Errors
    /// [`CommandError::Overloaded`] if [`COMMANDS`](crate::limits::COMMANDS) are queued for the worker, unless the command
    /// removes something. [`CommandError::Unavailable`] if there is no such worker. The command is not executed then.
    pub fn command(&self, worker: usize, request: impl Into<Request>) -> Result<(), CommandError> {
        self.workers.get(worker).ok_or(CommandError::Unavailable)?.commands.send(request.into())
    }

    /// The counters of one worker, since it started.
    #[must_use]
    pub fn counters(&self, worker: usize) -> Counters {
        self.workers.get(worker).map(|worker| worker.published.counters()).unwrap_or_default()
    }

    /// Number of datagrams that a worker received and sent in the last second.
    #[must_use]
    pub fn packet_rate(&self, worker: usize) -> u64 {
        self.workers.get(worker).map(|worker| worker.published.gauges().get(Gauge::PacketRate)).unwrap_or_default()
    }

    /// Whether a worker limits video because it has more to send than it can, and has had no time to spare for seconds. It should
    /// get no more participants.
    #[must_use]
    pub fn is_overloaded(&self, worker: usize) -> bool {
        let gauges = self.workers.get(worker).map(|worker| worker.published.gauges());
        gauges.is_some_and(|gauges| gauges.get(Gauge::Overloaded) > 0)
    }

    /// All measurements of one worker; `None` if there is no such worker.
    #[must_use]
    pub fn metrics(&self, worker: usize) -> Option<WorkerMetrics> {
        let worker = self.workers.get(worker)?;
        let Histograms {
            forwarding,
            audio_forwarding,
            audio_forwarding_on_core,
            first_media,
            downlink_estimate,
            downlink_queue,
        } = worker.published.histograms();
        Some(WorkerMetrics {
            counters: worker.published.counters(),
            gauges: worker.published.gauges(),
            forwarding,
            audio_forwarding,
            audio_forwarding_on_core,
            first_media,
            downlink_estimate,
            downlink_queue,
            cpu: worker.cpu.and_then(CpuClock::read),
            receive_buffer: worker.buffers.0 as u64,
            send_buffer: worker.buffers.1 as u64,
        })
    }

    /// The counters of all workers together.
    #[must_use]
    pub fn stats(&self) -> Counters {
        let mut total = Counters::default();
        for worker in &self.workers {
            total.merge(&worker.published.counters());
        }
        total
    }
}

/// The refusal of a request that [`Sfu::command`] did not accept, for an embedder that handles it like a refusal by the
/// worker.
#[must_use]
pub fn refusal(request: &Request, error: CommandError) -> Event {
    Event::Refused { command: request.id, participant: request.command.participant(), error }
}

impl Drop for Sfu {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.stop.store(true, Ordering::Relaxed);
            worker.wakeup.wake();
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // A panic of the thread was printed when it happened.
                let _ = thread.join();
            }
        }
    }
}
