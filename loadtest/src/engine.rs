//! A thread that runs light bots: their sockets, transports, and what stands behind them.
//!
//! ```text
//!   Order ──► Engine ── epoll ──► socket ──► Path (ICE, DTLS, SRTP) ──► Receiver │ Sender
//!                 └── when due: burst, feedback, checks ──► Path (SRTP seal) ──► socket
//! ```
//! Publishers have a thread of their own, so that sending on time does not depend on how much is received.

use crate::{
    clock::now_ns,
    latencies::Latencies,
    path::{Datagrams, Input, Path, PathState},
    receiver::{Receiver, StreamSsrc},
    sender::{Sender, SenderStats},
    socket::{BATCH, BotSocket, ReceiveBatch},
    tally::Counts,
    wait::{Waiter, Waker, make_timers_exact, thread_cpu_ns},
};
use sfu::transport::srtp::Profile;
use std::{
    io,
    os::fd::AsRawFd,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How often every bot's feedback and checks are looked at.
const TICK: Duration = Duration::from_millis(20);
/// System calls for one socket before the others have their turn.
const TURNS: usize = 8;

/// Number of a bot in its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BotId(pub(crate) usize);

/// What a bot does with media.
#[derive(Debug)]
pub(crate) enum Role {
    Receive(Box<Receiver>),
    Send(Box<Sender>),
}

/// A bot to run.
#[derive(Debug)]
pub(crate) struct Bot {
    pub(crate) socket: BotSocket,
    pub(crate) path: Path,
    pub(crate) role: Role,
    /// Told when the path is up, or has failed.
    pub(crate) connected: Option<oneshot::Sender<bool>>,
}

enum Order {
    Add(Box<Bot>, oneshot::Sender<BotId>),
    Streams(BotId, Vec<StreamSsrc>),
    Start,
    StopSending,
    MeasureCpu,
    StopCpu,
    Finish,
}

/// What an engine's bots did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) latencies: Latencies,
    pub(crate) counts: Counts,
    /// By publishing bot.
    pub(crate) senders: Vec<SenderStats>,
    pub(crate) receive_drops: u64,
    /// SRTP protection profile of the first bot.
    pub(crate) profile: Option<Profile>,
    /// CPU time of wall time, between [`Engine::measure_cpu`] and [`Engine::stop_cpu`].
    pub(crate) busy: f64,
}

/// A handle on the thread.
#[derive(Debug)]
pub(crate) struct Engine {
    orders: mpsc::Sender<Order>,
    waker: Waker,
    thread: JoinHandle<io::Result<Outcome>>,
}

impl Engine {
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let waiter = Waiter::new()?;
        let waker = waiter.waker();
        let (orders, queue) = mpsc::channel();
        let thread =
            thread::Builder::new().name(name.to_owned()).spawn(move || EngineThread::new(waiter, queue).run())?;
        Ok(Self { orders, waker, thread })
    }

    fn order(&self, order: Order) {
        // A thread that has ended says why when it is joined.
        let _ = self.orders.send(order);
        self.waker.wake();
    }

    /// Runs a bot; `None` when the thread has ended.
    pub(crate) async fn add(&self, bot: Bot) -> Option<BotId> {
        let (sender, id) = oneshot::channel();
        self.order(Order::Add(Box::new(bot), sender));
        id.await.ok()
    }

    /// Streams that a receiving bot will get.
    pub(crate) fn add_streams(&self, bot: BotId, streams: Vec<StreamSsrc>) {
        self.order(Order::Streams(bot, streams));
    }

    /// Lets every publisher send.
    pub(crate) fn start_sending(&self) {
        self.order(Order::Start);
    }

    /// Lets every publisher stop.
    pub(crate) fn stop_sending(&self) {
        self.order(Order::StopSending);
    }

    /// Counts CPU time from now on.
    pub(crate) fn measure_cpu(&self) {
        self.order(Order::MeasureCpu);
    }

    /// Counts CPU time no longer.
    pub(crate) fn stop_cpu(&self) {
        self.order(Order::StopCpu);
    }

    /// Ends the thread and gives what its bots did.
    pub(crate) fn finish(self) -> io::Result<Outcome> {
        self.order(Order::Finish);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("a bot thread panicked")))
    }
}

struct Running {
    socket: BotSocket,
    path: Path,
    role: Role,
    connected: Option<oneshot::Sender<bool>>,
    dropped: u32,
}

struct EngineThread {
    waiter: Waiter,
    orders: mpsc::Receiver<Order>,
    bots: Vec<Running>,
    batch: ReceiveBatch,
    out: Datagrams,
    latencies: Latencies,
    next_tick: Instant,
    cpu: (u64, Instant),
    busy: f64,
}

impl EngineThread {
    fn new(waiter: Waiter, orders: mpsc::Receiver<Order>) -> Self {
        let now = Instant::now();
        Self {
            waiter,
            orders,
            bots: Vec::new(),
            batch: ReceiveBatch::new(),
            out: Datagrams::default(),
            latencies: Latencies::new(),
            next_tick: now,
            cpu: (0, now),
            busy: 0.0,
        }
    }

    fn run(mut self) -> io::Result<Outcome> {
        make_timers_exact();
        let mut ready = Vec::new();
        loop {
            while let Ok(order) = self.orders.try_recv() {
                if let Order::Finish = order {
                    return Ok(self.outcome());
                }
                self.obey(order)?;
            }
            self.send_bursts();
            self.tick();
            ready.clear();
            self.waiter.wait(self.idle_ns(), &mut ready)?;
            for token in &ready {
                self.send_bursts();
                self.receive(*token)?;
            }
        }
    }

    /// How long nothing is due, in nanoseconds.
    fn idle_ns(&self) -> u64 {
        let tick = self.next_tick.saturating_duration_since(Instant::now()).as_nanos() as u64;
        let due = self.bots.iter().filter_map(|bot| match &bot.role {
            Role::Send(sender) => sender.due_at(),
            Role::Receive(_) => None,
        });
        due.min().map_or(tick, |due| tick.min(due.saturating_sub(now_ns())))
    }

    fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Add(bot, reply) => {
                let id = self.bots.len();
                self.waiter.add(bot.socket.as_raw_fd(), id as u64)?;
                let Bot { socket, path, role, connected } = *bot;
                self.bots.push(Running { socket, path, role, connected, dropped: 0 });
                self.next_tick = Instant::now();
                let _ = reply.send(BotId(id));
            }
            Order::Streams(BotId(bot), streams) => {
                if let Some(Running { role: Role::Receive(receiver), .. }) = self.bots.get_mut(bot) {
                    receiver.add_streams(&streams);
                }
            }
            Order::Start => {
                let now = now_ns();
                let publishers = self.senders().count().max(1) as u64;
                // Spread over a millisecond, so that publishers do not send in lockstep.
                for (n, sender) in self.senders().enumerate() {
                    sender.start(now + n as u64 * 1_000_000 / publishers);
                }
            }
            Order::StopSending => self.senders().for_each(|sender| sender.stop()),
            Order::MeasureCpu => self.cpu = (thread_cpu_ns(), Instant::now()),
            Order::StopCpu => {
                let (cpu, since) = self.cpu;
                let wall = since.elapsed().as_nanos().max(1) as f64;
                self.busy = thread_cpu_ns().saturating_sub(cpu) as f64 / wall;
            }
            Order::Finish => {}
        }
        Ok(())
    }

    fn senders(&mut self) -> impl Iterator<Item = &mut Box<Sender>> {
        self.bots.iter_mut().filter_map(|bot| match &mut bot.role {
            Role::Send(sender) => Some(sender),
            Role::Receive(_) => None,
        })
    }

    fn send_bursts(&mut self) {
        for bot in &mut self.bots {
            let Role::Send(sender) = &mut bot.role else { continue };
            while sender.due_at().is_some_and(|due| due <= now_ns()) {
                let path = &mut bot.path;
                let out = &mut self.out;
                let made = sender.burst(now_ns(), |header, payload| path.seal_rtp(header, payload, out));
                if !made {
                    break;
                }
                sender.leaving(now_ns());
                sender.stats.errors += flush(&bot.socket, &mut self.out);
            }
        }
    }

    /// Feedback and checks of every bot.
    fn tick(&mut self) {
        let now = Instant::now();
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        for bot in &mut self.bots {
            bot.path.tick(now, &mut self.out);
            let (path, out) = (&mut bot.path, &mut self.out);
            if path.state() == PathState::Connected {
                match &mut bot.role {
                    Role::Receive(receiver) => receiver.tick(now_ns(), |packet| path.seal_rtcp(packet, out)),
                    Role::Send(sender) => {
                        if let Some(report) = sender.report(now_ns()) {
                            path.seal_rtcp(&report, out);
                        }
                    }
                }
            }
            bot.tell_state();
            flush(&bot.socket, &mut self.out);
        }
    }

    fn receive(&mut self, token: u64) -> io::Result<()> {
        let Some(bot) = usize::try_from(token).ok().and_then(|id| self.bots.get_mut(id)) else { return Ok(()) };
        for _ in 0..TURNS {
            let (count, dropped) = match self.batch.receive(&bot.socket, now_ns()) {
                Ok(received) => received,
                // ICMP of a server that has gone: its end shows in the counts.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(()),
                Err(error) => return Err(error),
            };
            bot.dropped = dropped.unwrap_or(bot.dropped);
            let now = Instant::now();
            for (datagram, arrived_ns) in self.batch.datagrams() {
                match (bot.path.handle(now, datagram, &mut self.out), &mut bot.role) {
                    (Some(Input::Rtp(packet)), Role::Receive(receiver)) => {
                        receiver.packet(packet, arrived_ns, &mut self.latencies);
                    }
                    (Some(Input::Rtcp(packet)), Role::Send(sender)) => {
                        let (path, out) = (&mut bot.path, &mut self.out);
                        sender.feedback(packet, |header, payload| path.seal_rtp(header, payload, out));
                    }
                    _ => {}
                }
            }
            bot.tell_state();
            flush(&bot.socket, &mut self.out);
            if count < BATCH {
                break;
            }
        }
        Ok(())
    }

    fn outcome(mut self) -> Outcome {
        let mut counts = Counts::default();
        let mut senders = Vec::new();
        let receive_drops = self.bots.iter().map(|bot| u64::from(bot.dropped)).sum();
        let profile = self.bots.first().and_then(|bot| bot.path.profile());
        let now = Instant::now();
        for mut bot in self.bots {
            bot.path.close(now, &mut self.out);
            flush(&bot.socket, &mut self.out);
            match bot.role {
                Role::Receive(receiver) => counts.add(&receiver.tally.counts),
                Role::Send(mut sender) => {
                    sender.stop();
                    senders.push(sender.stats);
                }
            }
        }
        Outcome { latencies: self.latencies, counts, senders, receive_drops, profile, busy: self.busy }
    }
}

impl Running {
    /// Tells whoever waits that the path is up or has failed.
    fn tell_state(&mut self) {
        let up = match self.path.state() {
            PathState::Connecting => return,
            PathState::Connected => true,
            PathState::Failed => false,
        };
        if let Some(waiting) = self.connected.take() {
            let _ = waiting.send(up);
        }
    }
}

/// Sends what was made; gives how many packets the kernel refused.
fn flush(socket: &BotSocket, out: &mut Datagrams) -> u64 {
    let datagrams = out.as_slice();
    let refused = if datagrams.is_empty() {
        0
    } else {
        datagrams.len() as u64 - socket.send(datagrams).unwrap_or_default() as u64
    };
    out.clear();
    refused
}
