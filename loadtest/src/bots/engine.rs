//! A thread that runs light bots: their sockets, transports, and what stands behind them.
//!
//! ```text
//!   Order ──► Engine ── epoll ──► socket ──► Path (ICE, DTLS, SRTP) ──► Receiver, Senders
//!                 └── when due: burst, feedback, checks ──► Path (SRTP seal) ──► socket
//! ```
//! Bots that only send have threads of their own, so that sending on time does not depend on how much is received.

use crate::{
    bots::path::{Datagrams, Input, Path, PathState},
    bots::receiver::{Receiver, SlotChange, SlotStream},
    bots::sender::{Sender, TransportSequence},
    bots::socket::{BATCH, BotSocket, ReceiveBatch},
    bots::wait::{Waiter, Waker, make_timers_exact, thread_cpu_ns},
    measure::affinity,
    measure::clock::now_ns,
    measure::latencies::Latencies,
    measure::statistics::Statistics,
};
use rtc_client::srtp::Profile;
use slab::Slab;
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
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
/// Over how long the beginnings of streams are spread, so that publishers do not send in lockstep.
const SPREAD_NS: u64 = 1_000_000;

/// Number of a bot in its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BotId(usize);

/// A bot to run.
#[derive(Debug)]
pub(crate) struct Bot {
    pub(crate) socket: BotSocket,
    pub(crate) path: Path,
    pub(crate) senders: Vec<Sender>,
    pub(crate) receiver: Option<Box<Receiver>>,
    /// Told when the path is up, or has failed.
    pub(crate) connected: Option<oneshot::Sender<bool>>,
}

enum Order {
    Add(Box<Bot>, oneshot::Sender<BotId>),
    Streams(BotId, Vec<SlotStream>),
    Changes(BotId, Vec<SlotChange>),
    Start(BotId),
    StartAll,
    Stop(BotId),
    StopAll,
    Retire(BotId),
    Remove(BotId),
    Measure,
    StopMeasuring,
    Finish,
}

/// What an engine's bots did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) statistics: Statistics,
    /// Frames that were due in the measured time and not sent.
    pub(crate) skipped: u64,
    /// Packets that the kernel refused in it.
    pub(crate) send_errors: u64,
    /// How late bursts were in it.
    pub(crate) lag: Latencies,
    /// Datagrams that arrived since its beginning and were not read in time.
    pub(crate) receive_drops: u64,
    /// SRTP protection profile of the first bot that ended.
    pub(crate) profile: Option<Profile>,
    /// Share of the time, between [`Engine::measure`] and [`Engine::stop_measuring`], for which the thread ran.
    pub(crate) busy: f64,
    /// Share of the same for which it could have run and had no core.
    pub(crate) waited: f64,
}

impl Outcome {
    /// Takes what the bots of another thread did.
    pub(crate) fn add(&mut self, other: &Self) {
        self.statistics.add(&other.statistics);
        self.skipped += other.skipped;
        self.send_errors += other.send_errors;
        self.lag.add(&other.lag);
        self.receive_drops += other.receive_drops;
        self.profile = self.profile.or(other.profile);
        self.busy = self.busy.max(other.busy);
        self.waited = self.waited.max(other.waited);
    }
}

/// A handle on the thread.
#[derive(Debug)]
pub(crate) struct Engine {
    orders: mpsc::Sender<Order>,
    waker: Waker,
    thread: JoinHandle<io::Result<Outcome>>,
}

impl Engine {
    /// Starts a thread, on a core of its own if one is named.
    pub(crate) fn start(name: &str, core: Option<usize>) -> io::Result<Self> {
        let waiter = Waiter::new()?;
        let waker = waiter.waker();
        let (orders, queue) = mpsc::channel();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Some(core) = core {
                affinity::set(0, &[core])?;
            }
            EngineThread::new(waiter, queue).run()
        })?;
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
    pub(crate) fn add_streams(&self, bot: BotId, streams: Vec<SlotStream>) {
        self.order(Order::Streams(bot, streams));
    }

    /// What is in its slots from now on.
    pub(crate) fn slots_changed(&self, bot: BotId, changes: Vec<SlotChange>) {
        self.order(Order::Changes(bot, changes));
    }

    /// Lets a bot send.
    pub(crate) fn start_bot(&self, bot: BotId) {
        self.order(Order::Start(bot));
    }

    /// Lets every bot send that does not yet.
    pub(crate) fn start_sending(&self) {
        self.order(Order::StartAll);
    }

    /// Lets a bot stop sending; retransmissions go on.
    pub(crate) fn stop_bot(&self, bot: BotId) {
        self.order(Order::Stop(bot));
    }

    /// Lets every bot stop sending.
    pub(crate) fn stop_sending(&self) {
        self.order(Order::StopAll);
    }

    /// Lets a bot count nothing that is sent from now on: it will leave.
    pub(crate) fn retire(&self, bot: BotId) {
        self.order(Order::Retire(bot));
    }

    /// Ends a bot; what it counted is kept.
    pub(crate) fn remove(&self, bot: BotId) {
        self.order(Order::Remove(bot));
    }

    /// Statistics the thread itself from now on.
    pub(crate) fn measure(&self) {
        self.order(Order::Measure);
    }

    /// Statistics the thread no longer.
    pub(crate) fn stop_measuring(&self) {
        self.order(Order::StopMeasuring);
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
    senders: Vec<Sender>,
    receiver: Option<Box<Receiver>>,
    transport: TransportSequence,
    connected: Option<oneshot::Sender<bool>>,
    /// Datagrams that its socket dropped so far, and before the measured time.
    dropped: u32,
    dropped_before: u32,
}

/// When a stream of a bot has something to send.
type Due = Reverse<(u64, usize, usize)>;

struct EngineThread {
    waiter: Waiter,
    orders: mpsc::Receiver<Order>,
    bots: Slab<Running>,
    due: BinaryHeap<Due>,
    batch: ReceiveBatch,
    out: Datagrams,
    outcome: Outcome,
    next_tick: Instant,
    began: Option<(ThreadTime, Instant)>,
}

/// What a thread has used: nanoseconds run, and waited for a core.
#[derive(Clone, Copy)]
struct ThreadTime {
    ran: u64,
    waited: u64,
}

impl ThreadTime {
    fn now() -> Self {
        let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let waited = schedstat.split_whitespace().nth(1).and_then(|field| field.parse().ok()).unwrap_or_default();
        Self { ran: thread_cpu_ns(), waited }
    }
}

impl EngineThread {
    fn new(waiter: Waiter, orders: mpsc::Receiver<Order>) -> Self {
        Self {
            waiter,
            orders,
            bots: Slab::new(),
            due: BinaryHeap::new(),
            batch: ReceiveBatch::new(),
            out: Datagrams::default(),
            outcome: Outcome::default(),
            next_tick: Instant::now(),
            began: None,
        }
    }

    fn run(mut self) -> io::Result<Outcome> {
        make_timers_exact();
        let mut ready = Vec::new();
        loop {
            while let Ok(order) = self.orders.try_recv() {
                if let Order::Finish = order {
                    let all: Vec<usize> = self.bots.iter().map(|(id, _)| id).collect();
                    all.into_iter().for_each(|id| self.remove(id));
                    return Ok(self.outcome);
                }
                self.obey(order)?;
            }
            self.send_due();
            self.tick();
            ready.clear();
            self.waiter.wait(self.idle_ns(), &mut ready)?;
            for token in &ready {
                self.send_due();
                self.receive(*token)?;
            }
        }
    }

    /// How long nothing is due, in nanoseconds.
    fn idle_ns(&self) -> u64 {
        let tick = self.next_tick.saturating_duration_since(Instant::now()).as_nanos() as u64;
        self.due.peek().map_or(tick, |Reverse((due, ..))| tick.min(due.saturating_sub(now_ns())))
    }

    fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Add(bot, reply) => {
                let entry = self.bots.vacant_entry();
                let id = entry.key();
                self.waiter.add(bot.socket.as_raw_fd(), id as u64)?;
                let Bot { socket, path, senders, receiver, connected } = *bot;
                let transport = TransportSequence::default();
                let bot =
                    Running { socket, path, senders, receiver, transport, connected, dropped: 0, dropped_before: 0 };
                entry.insert(bot);
                self.next_tick = Instant::now();
                let _ = reply.send(BotId(id));
            }
            Order::Streams(BotId(bot), streams) => {
                if let Some(receiver) = self.receiver(bot) {
                    receiver.add_streams(&streams);
                }
            }
            Order::Changes(BotId(bot), changes) => {
                if let Some(receiver) = self.receiver(bot) {
                    receiver.slots_changed(&changes, now_ns());
                }
            }
            Order::Start(BotId(bot)) => self.start(&[bot]),
            Order::StartAll => {
                let all: Vec<usize> = self.bots.iter().map(|(id, _)| id).collect();
                self.start(&all);
            }
            Order::Stop(BotId(bot)) => {
                let senders = self.bots.get_mut(bot).into_iter().flat_map(|bot| &mut bot.senders);
                senders.for_each(|sender| sender.feed.stop());
            }
            Order::StopAll => {
                let senders = self.bots.iter_mut().flat_map(|(_, bot)| &mut bot.senders);
                senders.for_each(|sender| sender.feed.stop());
            }
            Order::Retire(BotId(bot)) => {
                if let Some(receiver) = self.receiver(bot) {
                    receiver.accounting.retire();
                }
            }
            Order::Remove(BotId(bot)) => self.remove(bot),
            Order::Measure => {
                // What went wrong while bots joined is not the measured time's.
                for (_, bot) in &mut self.bots {
                    bot.dropped_before = bot.dropped;
                    for sender in &mut bot.senders {
                        sender.errors = 0;
                        sender.feed.forget_skipped();
                    }
                }
                self.began = Some((ThreadTime::now(), Instant::now()));
            }
            Order::StopMeasuring => {
                if let Some((before, since)) = self.began.take() {
                    let (now, wall) = (ThreadTime::now(), since.elapsed().as_nanos().max(1) as f64);
                    self.outcome.busy = now.ran.saturating_sub(before.ran) as f64 / wall;
                    self.outcome.waited = now.waited.saturating_sub(before.waited) as f64 / wall;
                }
            }
            Order::Finish => {}
        }
        Ok(())
    }

    fn receiver(&mut self, bot: usize) -> Option<&mut Receiver> {
        self.bots.get_mut(bot)?.receiver.as_deref_mut()
    }

    /// Lets bots send, those that do not yet.
    fn start(&mut self, bots: &[usize]) {
        let now = now_ns();
        for (n, bot) in bots.iter().enumerate() {
            let Some(running) = self.bots.get_mut(*bot) else { continue };
            for (stream, sender) in running.senders.iter_mut().enumerate() {
                if sender.feed.due_at().is_some() {
                    continue;
                }
                // One bot alone has its place by its number.
                let place = if bots.len() == 1 { (*bot as u64 * 37) % 100 } else { n as u64 * 100 / bots.len() as u64 };
                sender.feed.start(now + place * SPREAD_NS / 100);
                self.due.extend(sender.feed.due_at().map(|due| Reverse((due, *bot, stream))));
            }
        }
    }

    fn send_due(&mut self) {
        while let Some(Reverse((due, id, stream))) = self.due.peek().copied()
            && due <= now_ns()
        {
            self.due.pop();
            let Some(bot) = self.bots.get_mut(id) else { continue };
            let Running { socket, path, senders, transport, .. } = bot;
            let Some(sender) = senders.get_mut(stream) else { continue };
            let out = &mut self.out;
            let lag = sender.burst(now_ns(), transport, |header, payload| path.seal_rtp(header, payload, out));
            if let Some(lag_ns) = lag {
                if self.began.is_some() {
                    self.outcome.lag.record(lag_ns / 1_000);
                }
                sender.feed.leaving(now_ns());
                sender.errors += flush(socket, out);
            }
            self.due.extend(sender.feed.due_at().map(|due| Reverse((due, id, stream))));
        }
    }

    /// Feedback and checks of every bot.
    fn tick(&mut self) {
        let now = Instant::now();
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        for (_, bot) in &mut self.bots {
            let out = &mut self.out;
            bot.path.tick(now, out);
            let path = &mut bot.path;
            if path.state() == PathState::Connected {
                if let Some(receiver) = &mut bot.receiver {
                    receiver.tick(now_ns(), &mut self.outcome.statistics, |packet| path.seal_rtcp(packet, out));
                }
                for report in bot.senders.iter_mut().filter_map(|sender| sender.report(now_ns())) {
                    path.seal_rtcp(&report, out);
                }
            }
            bot.tell_state();
            flush(&bot.socket, out);
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
                let Running { path, senders, receiver, transport, .. } = &mut *bot;
                let out = &mut self.out;
                match path.handle(now, datagram, out) {
                    Some(Input::Rtp(packet)) => {
                        if let Some(receiver) = receiver {
                            receiver.packet(packet, arrived_ns, &mut self.outcome.statistics);
                        }
                    }
                    Some(Input::Rtcp(packet)) => {
                        if let Some(receiver) = receiver {
                            receiver.feedback(packet, arrived_ns);
                        }
                        for sender in senders {
                            sender.feedback(packet, transport, |header, payload| path.seal_rtp(header, payload, out));
                        }
                    }
                    None => {}
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

    /// Ends a bot and keeps what it counted.
    fn remove(&mut self, id: usize) {
        let Some(mut bot) = self.bots.try_remove(id) else { return };
        // Its number may be given to another, whose streams are not due.
        self.due.retain(|Reverse((_, bot, _))| *bot != id);
        self.outcome.profile = self.outcome.profile.or(bot.path.profile());
        bot.path.close(Instant::now(), &mut self.out);
        flush(&bot.socket, &mut self.out);
        self.outcome.receive_drops += u64::from(bot.dropped.wrapping_sub(bot.dropped_before));
        if let Some(receiver) = &mut bot.receiver {
            receiver.accounting.finish(&mut self.outcome.statistics);
        }
        for sender in &mut bot.senders {
            sender.feed.stop();
            self.outcome.skipped += sender.feed.skipped;
            self.outcome.send_errors += sender.errors;
        }
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
