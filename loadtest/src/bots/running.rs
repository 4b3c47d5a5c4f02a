//! The bots of one thread, and what becomes due for them.
//!
//! ```text
//!   readable ──► socket ──► Path (ICE, DTLS, SRTP) ──► Receiver, Senders
//!   due ──► burst of a sender, RTCP, checks ──► Path (SRTP) ──► socket
//! ```

use crate::{
    bots::{
        path::{Datagrams, Input, Path, PathState},
        receiver::Receiver,
        rtcp,
        sender::{Sender, TransportSequence},
        socket::{BATCH, BotSocket, ReceiveBatch},
    },
    measure::{
        accounting::LayerChange, clock::Time, latencies::Latencies, statistics::Statistics, thread_time::ThreadTime,
    },
};
use polling::{Event, PollMode, Poller};
use rtc_client::srtp::Profile;
use slab::Slab;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Interval of feedback and checks of a bot.
const TICK: Duration = Duration::from_millis(20);
/// Receiving system calls for one socket before the next socket is served.
const BATCHES: usize = 8;
/// Bots start spread over this time, so that publishers do not send in lockstep: frames of video are further apart only at low
/// rates.
const SPREAD: Duration = Duration::from_millis(60);
/// Step between the starts of two bots in percent of [`SPREAD`]: the golden ratio, by which no two of many come close.
const SPREAD_STEP: usize = 62;

/// Key of a bot in its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BotId(usize);

#[derive(Debug)]
struct Bot {
    socket: BotSocket,
    path: Path,
    senders: Vec<Sender>,
    receiver: Option<Box<Receiver>>,
    transport_sequence: TransportSequence,
    /// Notified once the path is up or has failed.
    connected: Option<oneshot::Sender<bool>>,
    /// Datagrams that its socket has dropped, as the kernel counts them, and how many of them before the measured time.
    dropped: u32,
    dropped_before: u32,
}

/// Counts of the bots of a thread.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) statistics: Statistics,
    /// Frames that were due in the measured time and not sent.
    pub(crate) skipped: u64,
    /// Packets that the kernel refused in the measured time.
    pub(crate) send_errors: u64,
    /// How late bursts were sent in the measured time, in microseconds.
    pub(crate) lag: Latencies,
    /// Datagrams that arrived since the start of the measured time and were not read in time.
    pub(crate) receive_drops: u64,
    /// SRTP protection profile of the first bot that ended.
    pub(crate) profile: Option<Profile>,
    /// Shares of the measured time for which the thread ran, and for which it was runnable without a core.
    pub(crate) busy: f64,
    pub(crate) waited: f64,
}

impl Outcome {
    /// Adds the counts of another thread.
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

/// The bots of one thread.
pub(crate) struct Bots {
    poller: Arc<Poller>,
    bots: Slab<Bot>,
    /// When each sending stream is due, by bot and index of the stream.
    due: BinaryHeap<Reverse<(Time, BotId, usize)>>,
    batch: ReceiveBatch,
    out: Datagrams,
    outcome: Outcome,
    /// The next tick of each bot, in the order of time. Each has another time, so that feedback does not leave all at once.
    ticks: VecDeque<(Instant, BotId)>,
    measuring_since: Option<(ThreadTime, Instant)>,
}

impl Bots {
    pub(crate) fn new(poller: Arc<Poller>) -> Self {
        Self {
            poller,
            bots: Slab::new(),
            due: BinaryHeap::new(),
            batch: ReceiveBatch::new(),
            out: Datagrams::default(),
            outcome: Outcome::default(),
            ticks: VecDeque::new(),
            measuring_since: None,
        }
    }

    pub(crate) fn poller(&self) -> &Poller {
        &self.poller
    }

    pub(crate) fn add(
        &mut self,
        socket: BotSocket,
        path: Path,
        senders: Vec<Sender>,
        receiver: Option<Box<Receiver>>,
        connected: oneshot::Sender<bool>,
    ) -> io::Result<BotId> {
        let entry = self.bots.vacant_entry();
        let id = entry.key();
        // SAFETY: `remove` deletes the socket from the poller before it closes it; when the whole thread ends, so does
        // the poller.
        unsafe { self.poller.add_with_mode(&socket, Event::readable(id), PollMode::Level)? };
        entry.insert(Bot {
            socket,
            path,
            senders,
            receiver,
            transport_sequence: TransportSequence::default(),
            connected: Some(connected),
            dropped: 0,
            dropped_before: 0,
        });
        let now = Instant::now();
        self.tick_of(BotId(id), now);
        self.ticks.push_back((now + TICK, BotId(id)));
        Ok(BotId(id))
    }

    /// The receiving half of a bot, if it is still there and has one.
    pub(crate) fn receiver(&mut self, BotId(bot): BotId) -> Option<&mut Receiver> {
        self.bots.get_mut(bot)?.receiver.as_deref_mut()
    }

    /// Passes on what the server says of the layers in a receiver's slots.
    pub(crate) fn layers_changed(&mut self, bot: BotId, changes: &[LayerChange]) {
        let Some(receiver) = self.bots.get_mut(bot.0).and_then(|bot| bot.receiver.as_deref_mut()) else { return };
        receiver.accounting().layers_changed(changes, Time::now(), &mut self.outcome.statistics);
    }

    /// Sets which encodings of the track with this index a bot sends.
    pub(crate) fn set_active(&mut self, bot: BotId, track: usize, active: &[bool]) {
        let sender = self.bots.get_mut(bot.0).and_then(|bot| bot.senders.get_mut(track));
        sender.into_iter().for_each(|sender| sender.feed.set_active(active));
    }

    /// Starts the streams of a bot.
    pub(crate) fn start(&mut self, bot: BotId) {
        self.start_at(bot, (bot.0 * SPREAD_STEP % 100) as u32);
    }

    /// Starts every stream that is idle.
    pub(crate) fn start_all(&mut self) {
        let all: Vec<BotId> = self.bots.iter().map(|(id, _)| BotId(id)).collect();
        for (n, bot) in all.iter().enumerate() {
            self.start_at(*bot, (n * SPREAD_STEP % 100) as u32);
        }
    }

    /// Starts the idle streams of a bot, at this percentage of [`SPREAD`] from now.
    fn start_at(&mut self, id: BotId, percent: u32) {
        let Some(bot) = self.bots.get_mut(id.0) else { return };
        for (stream, sender) in bot.senders.iter_mut().enumerate() {
            if sender.feed.due_at().is_none() {
                sender.feed.start(Time::now() + SPREAD * percent / 100);
                self.due.extend(sender.feed.due_at().map(|due| Reverse((due, id, stream))));
            }
        }
    }

    /// Prepares a bot for leaving: it sends nothing new, still answers NACKs, and counts nothing that is sent from now on.
    pub(crate) fn retire(&mut self, id: BotId) {
        let Some(bot) = self.bots.get_mut(id.0) else { return };
        bot.senders.iter_mut().for_each(|sender| sender.feed.stop());
        if let Some(receiver) = &mut bot.receiver {
            receiver.accounting().retire();
        }
    }

    /// Stops all streams.
    pub(crate) fn stop_all(&mut self) {
        let senders = self.bots.iter_mut().flat_map(|(_, bot)| &mut bot.senders);
        senders.for_each(|sender| sender.feed.stop());
    }

    /// Begins the measured time for the thread and its sockets.
    pub(crate) fn start_measuring(&mut self) {
        for (_, bot) in &mut self.bots {
            bot.dropped_before = bot.dropped;
            for sender in &mut bot.senders {
                sender.errors = 0;
                sender.feed.forget_skipped();
            }
        }
        self.measuring_since = Some((ThreadTime::now(), Instant::now()));
    }

    pub(crate) fn stop_measuring(&mut self) {
        if let Some((before, since)) = self.measuring_since.take() {
            (self.outcome.busy, self.outcome.waited) = ThreadTime::now().shares_since(&before, since.elapsed());
        }
    }

    /// Time until something is due.
    pub(crate) fn idle(&self) -> Duration {
        let next_tick = self.ticks.front().map(|(at, _)| at.saturating_duration_since(Instant::now()));
        let tick = next_tick.unwrap_or(TICK);
        let due = self.due.peek().map(|Reverse((due, ..))| due.since(Time::now()));
        due.map_or(tick, |due| due.min(tick))
    }

    /// Sends the bursts that are due.
    pub(crate) fn send_due(&mut self) {
        while let Some(Reverse((due, id, stream))) = self.due.peek().copied()
            && due <= Time::now()
        {
            self.due.pop();
            let Some(bot) = self.bots.get_mut(id.0) else { continue };
            let Bot { socket, path, senders, transport_sequence, .. } = bot;
            let Some(sender) = senders.get_mut(stream) else { continue };
            let out = &mut self.out;
            let seal = |header: &[u8], payload: &[u8]| path.seal_rtp(header, payload, out);
            if let Some(lag) = sender.burst(Time::now(), transport_sequence, seal) {
                if self.measuring_since.is_some() {
                    self.outcome.lag.record(lag.as_micros() as u64);
                }
                sender.feed.leaving(Time::now());
                sender.errors += flush(socket, out);
            }
            self.due.extend(sender.feed.due_at().map(|due| Reverse((due, id, stream))));
        }
    }

    /// Feedback and checks of the bots for which they are due.
    pub(crate) fn tick(&mut self) {
        let now = Instant::now();
        while let Some((_, id)) = self.ticks.pop_front_if(|(at, _)| *at <= now) {
            self.tick_of(id, now);
            self.ticks.push_back((now + TICK, id));
        }
    }

    fn tick_of(&mut self, id: BotId, now: Instant) {
        let Some(bot) = self.bots.get_mut(id.0) else { return };
        let out = &mut self.out;
        bot.path.tick(now, out);
        let path = &mut bot.path;
        if path.state() == PathState::Connected {
            if let Some(receiver) = &mut bot.receiver {
                receiver.tick(Time::now(), &mut self.outcome.statistics, |packet| path.seal_rtcp(packet, out));
            }
            for report in bot.senders.iter_mut().flat_map(|sender| sender.reports(Time::now())) {
                path.seal_rtcp(&report, out);
            }
        }
        bot.notify_state();
        flush(&bot.socket, out);
    }

    /// Reads the socket of a bot.
    pub(crate) fn receive(&mut self, id: usize) -> io::Result<()> {
        let Some(bot) = self.bots.get_mut(id) else { return Ok(()) };
        for _ in 0..BATCHES {
            let (count, dropped) = match self.batch.receive(&bot.socket, Time::now()) {
                Ok(received) => received,
                // ICMP of a server that has gone: its end shows in the counts.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(()),
                Err(error) => return Err(error),
            };
            bot.dropped = dropped.unwrap_or(bot.dropped);
            let now = Instant::now();
            for (datagram, arrived_at) in self.batch.datagrams() {
                let Bot { path, senders, receiver, transport_sequence, .. } = &mut *bot;
                let out = &mut self.out;
                match path.handle(now, datagram, out) {
                    Some(Input::Rtp(packet)) => {
                        if let Some(receiver) = receiver {
                            receiver.packet(packet, arrived_at, &mut self.outcome.statistics);
                        }
                    }
                    Some(Input::Rtcp(packet)) => {
                        let feedback = rtcp::read(packet);
                        if let Some(receiver) = receiver {
                            receiver.feedback(&feedback, arrived_at);
                        }
                        for sender in senders {
                            let seal = |header: &[u8], payload: &[u8]| path.seal_rtp(header, payload, out);
                            sender.feedback(&feedback, transport_sequence, seal);
                        }
                    }
                    None => {}
                }
            }
            bot.notify_state();
            flush(&bot.socket, &mut self.out);
            if count < BATCH {
                break;
            }
        }
        Ok(())
    }

    /// Ends a bot and keeps what it counted.
    pub(crate) fn remove(&mut self, id: BotId) {
        let Some(mut bot) = self.bots.try_remove(id.0) else { return };
        let _ = self.poller.delete(&bot.socket);
        // Another bot may get its key, and none of its streams is due.
        self.due.retain(|Reverse((_, bot, _))| *bot != id);
        self.ticks.retain(|(_, bot)| *bot != id);
        self.outcome.profile = self.outcome.profile.or(bot.path.profile());
        bot.path.close(Instant::now(), &mut self.out);
        flush(&bot.socket, &mut self.out);
        self.outcome.receive_drops += u64::from(bot.dropped.wrapping_sub(bot.dropped_before));
        if let Some(receiver) = &mut bot.receiver {
            receiver.accounting().finish(&mut self.outcome.statistics);
        }
        for sender in &mut bot.senders {
            sender.feed.stop();
            self.outcome.skipped += sender.feed.skipped;
            self.outcome.send_errors += sender.errors;
        }
    }

    /// Ends all bots.
    pub(crate) fn finish(mut self) -> Outcome {
        let all: Vec<usize> = self.bots.iter().map(|(id, _)| id).collect();
        all.into_iter().for_each(|id| self.remove(BotId(id)));
        self.outcome
    }
}

impl Bot {
    /// Notifies the task of the bot once the path is up or has failed.
    fn notify_state(&mut self) {
        let up = match self.path.state() {
            PathState::Connecting => return,
            PathState::Connected => true,
            PathState::Failed => false,
        };
        if let Some(task) = self.connected.take() {
            let _ = task.send(up);
        }
    }
}

/// Sends the datagrams and returns how many of them the kernel refused.
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
