//! A worker: the state machine of one core, with its rooms and their transports. It does no I/O and reads no clock.
//!
//! ```text
//!   receive(now, datagram) ─► demux ─► transport: open ─► room            queues packets
//!   forward(now, flush) ────► room ─► egress: seal ─► outbox()
//!   command(now, command) ──► transport, room
//!   tick(now) ──────────────► handshakes, consent, rooms; forwards, too
//!
//!   poll_output() ◄────────── events, answers to commands; then the time of the next tick
//! ```
//! Workers share nothing.
//!
//! **Overload.** A worker that has more to send than it can forwards audio first, and limits the video to each receiver until
//! it can.
//!
//! **Faults.** Each call runs under `catch_unwind`. A panic in a room removes the room with its transports, and
//! [`Event::RoomFailed`] says so; a panic in a transport fails that transport. All others go on.

mod commands;
mod demux;
mod egress;
mod fault;
mod meter;
mod overload;
mod queue;
mod receive;
mod rooms;
mod survey;
mod timers;
mod transports;

#[cfg(test)]
mod tests;

use crate::{
    allowance::Notice,
    command::Request,
    event::Event,
    media::Kind,
    metrics::{Counter, Counters, Gauges, Histogram},
    room::Room,
    transport::{Datagram, Identity, Outbox, ServerTransport, TransportEvent},
    units::Bitrate,
};
use demux::Demux;
use egress::{Flush, Sealing};
#[cfg(test)]
pub(crate) use fault::Fault;
use fault::FaultScope;
use meter::Meter;
pub use overload::ThreadTime;
use overload::{Load, Overload};
use queue::ForwardQueue;
use rooms::{RoomKey, Rooms};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    ops::ControlFlow,
    time::{Duration, Instant},
};
use survey::Survey;
use transports::{TransportKey, Transports};

/// Between two checks of all transports for consent, and between two surveys.
const SWEEP: Duration = Duration::from_secs(1);

/// Configuration of a worker.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Certificate of its DTLS endpoints.
    pub identity: Identity,
    /// Addresses at which clients reach its socket.
    pub candidates: Vec<SocketAddr>,
    /// Maximum number of participants, over all rooms.
    pub max_participants: usize,
    /// Maximum bitrate of all video to one receiver.
    pub max_video_rate: Bitrate,
    /// Whether video to a receiver is kept to what its downlink is estimated to carry.
    pub adapt_video: bool,
    /// Number of speakers that a participant hears in slots that play them, 1 or more.
    pub speakers: u8,
}

/// What a worker has for its driver. Packets leave by [`Worker::outbox`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// An event for the embedding application: an answer to a command, its refusal, or a change.
    Event(Event),
    /// There are no more events, and [`Worker::tick`] is due at this time. `None`: not before the next input.
    Deadline(Option<Instant>),
}

impl Output {
    /// The event, if it is one.
    #[must_use]
    pub fn event(self) -> Option<Event> {
        match self {
            Self::Event(event) => Some(event),
            Self::Deadline(_) => None,
        }
    }
}

/// The state machine of one core.
#[derive(Debug)]
pub struct Worker {
    transports: Transports,
    demux: Demux,
    rooms: Rooms,
    queue: ForwardQueue,
    outbox: Outbox,
    events: VecDeque<Event>,
    meter: Meter,
    survey: Survey,
    overload: Overload,
    /// Whether that was logged.
    is_limited: bool,
    /// Handshakes that had completed at the last decision.
    connected: u64,
    scope: FaultScope,
    next_sweep: Option<Instant>,
    /// Limits the log of checks that name no transport.
    unknown_check: Notice,
    /// Buffers of `tick` and `forward`.
    due_rooms: Vec<RoomKey>,
    due_transports: Vec<TransportKey>,
    /// Makes steps panic.
    #[cfg(test)]
    fault: Fault,
}

impl Worker {
    /// An empty worker.
    #[must_use]
    pub fn new(config: WorkerConfig) -> Self {
        Self {
            rooms: Rooms::new(config.max_video_rate, config.adapt_video, config.speakers),
            demux: Demux::default(),
            queue: ForwardQueue::default(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            meter: Meter::new(),
            survey: Survey::new(),
            overload: Overload::new(config.max_video_rate),
            is_limited: false,
            connected: 0,
            transports: Transports::new(config),
            scope: FaultScope::Step,
            next_sweep: None,
            unknown_check: Notice::default(),
            due_rooms: Vec::new(),
            due_transports: Vec::new(),
            #[cfg(test)]
            fault: Fault::default(),
        }
    }

    /// Takes a datagram, which is decrypted in place. Media is queued for [`forward`](Self::forward).
    pub fn receive(&mut self, now: Instant, datagram: Datagram<'_>) {
        self.meter.received(datagram.bytes.len());
        self.guarded(|worker| worker.dispatch(now, datagram));
    }

    /// Number of packets that were queued for [`forward`](Self::forward) since its last call.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.packets()
    }

    /// Whether the last call of [`forward`](Self::forward) was interrupted: packets wait for the next one.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.queue.is_interrupted()
    }

    /// Forwards all queued packets. Whenever the outbox is full, `flush` is called to send it; what is left at the end
    /// stays in the outbox. After [`ControlFlow::Break`], the rest waits for the next call, which begins with the audio that
    /// was received meanwhile.
    pub fn forward(&mut self, now: Instant, mut flush: impl FnMut(&Outbox, &mut Counters) -> ControlFlow<()>) {
        let wait = self.queue.since().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.overload.on_wait(wait);
        self.forward_queued(now, Some(&mut flush));
    }

    /// The driver waited for datagrams for this time.
    pub fn on_poll(&mut self, time: Duration) {
        self.overload.on_poll(time);
    }

    /// Whether [`tick`](Self::tick) will decide how much video can be sent. That takes [`ThreadTime`], where the system counts
    /// it: some times a second at most.
    #[must_use]
    pub fn takes_thread_time(&self, now: Instant) -> bool {
        self.overload.is_due(now)
    }

    /// What the thread that drives the worker has run until now.
    pub fn on_thread_time(&mut self, time: ThreadTime) {
        self.overload.on_thread_time(time);
    }

    /// Executes a command. Answers and refusals are events with its id.
    pub fn command(&mut self, now: Instant, request: impl Into<Request>) {
        let Request { id, command } = request.into();
        // Packets that arrived before the command are forwarded as they were meant then.
        self.forward_queued(now, None);
        let participant = command.participant();
        self.guarded(|worker| {
            if let Err(error) = worker.execute(now, id, command) {
                worker.events.push_back(Event::Refused { command: id, participant, error });
            }
        });
    }

    /// Forwards all queued packets, unless that was interrupted, and does what is due. It may be called at any time, and must be when the deadline of
    /// [`poll_output`](Self::poll_output) has come.
    pub fn tick(&mut self, now: Instant) {
        self.forward_queued(now, None);
        let mut due = std::mem::take(&mut self.due_transports);
        self.transports.take_due_handshakes(now, &mut due);
        for key in due.drain(..) {
            self.guarded(|worker| {
                worker.transport_step(key, |transport, outbox| transport.handle_handshake_timeout(now, outbox));
            });
        }
        self.transports.take_due_checks(now, &mut due);
        for key in due.drain(..) {
            self.guarded(|worker| {
                worker.transport_step(key, |transport, outbox| transport.handle_check_timeout(now, outbox));
            });
        }
        self.due_transports = due;
        if self.next_sweep.is_some_and(|at| at <= now) {
            self.next_sweep = (!self.transports.is_empty()).then(|| now + SWEEP);
            self.guarded(|worker| worker.sweep(now));
        }
        let mut due = std::mem::take(&mut self.due_rooms);
        self.rooms.take_due(now, &mut due);
        for key in due.drain(..) {
            self.guarded(|worker| {
                worker.room_step(now, key, None, |room, egress| room.expire_timers(now, egress));
            });
        }
        self.due_rooms = due;
        if self.overload.is_due(now) {
            let load = self.load();
            if self.overload.decide(now, load) {
                self.limit_video(now);
            }
        }
        self.survey.set_limit(self.overload.limit(), self.overload.is_full());
    }

    /// The next event; when there are no more, the time at which [`tick`](Self::tick) is due. To be polled after each
    /// other call.
    pub fn poll_output(&mut self) -> Output {
        match self.events.pop_front() {
            Some(event) => Output::Event(event),
            None => Output::Deadline(self.next_deadline()),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.queue.since(),
            self.transports.deadline(),
            self.next_sweep,
            self.rooms.deadline(),
            self.overload.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Packets to send. They are cleared by the caller that has sent them.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Packets to send, and the counters of what happens to them.
    pub fn outgoing(&mut self) -> (&mut Outbox, &mut Counters) {
        (&mut self.outbox, self.meter.counters_mut())
    }

    /// Numbers of rooms, participants and so on, as of the last second.
    #[must_use]
    pub fn gauges(&self) -> &Gauges {
        self.survey.gauges()
    }

    /// Times from joining to the first media.
    #[must_use]
    pub fn first_media(&self) -> &Histogram {
        self.meter.first_media()
    }

    /// Bitrates that downlinks are estimated to carry, and times in their queues: one of each downlink and second.
    #[must_use]
    pub fn downlinks(&self) -> (&Histogram, &Histogram) {
        self.survey.downlinks()
    }

    /// The counters; those of rooms are as of the last second.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        self.meter.counters()
    }

    /// The counters, for what happens to datagrams outside of the worker.
    pub fn counters_mut(&mut self) -> &mut Counters {
        self.meter.counters_mut()
    }

    /// Sends `close_notify` to all clients. Nothing follows it.
    pub fn close(&mut self, now: Instant) {
        for key in self.transports.keys() {
            self.guarded(|worker| {
                worker.transport_step(key, |transport, outbox| transport.close(now, outbox));
            });
        }
    }

    fn sweep(&mut self, now: Instant) {
        for key in self.transports.keys() {
            self.transport_step(key, |transport, outbox| transport.check_consent(now, outbox));
        }
        self.scope = FaultScope::Step;
        self.survey.take(now, &mut self.rooms, &self.transports, self.meter.counters_mut());
    }

    /// What the worker does, as far as its overload depends on it.
    fn load(&mut self) -> Load {
        let counters = self.meter.counters();
        let (sent, connected) = (counters.get(Counter::BytesOut), counters.get(Counter::Connected));
        let newly = connected.wrapping_sub(std::mem::replace(&mut self.connected, connected));
        let handshakes = self.transports.handshakes().saturating_add(usize::try_from(newly).unwrap_or(usize::MAX));
        let is_limited = self.overload.limit().is_some();
        let [paused, better] = if is_limited { self.rooms.limited() } else { [0; 2] };
        Load { sent, receivers: self.transports.len(), handshakes, paused, better }
    }

    /// Limits the video to each receiver as the overload demands, from now on.
    fn limit_video(&mut self, now: Instant) {
        let limit = self.overload.limit();
        let pauses = limit.is_some_and(|limit| limit.pauses);
        match limit.map(|limit| limit.rate.bps() / 1_000) {
            Some(kbps) if self.is_limited => tracing::debug!(kbps, pauses, "video to each receiver is limited"),
            Some(kbps) => tracing::warn!(kbps, pauses, "there is more to send than this worker can: video is limited"),
            None => tracing::warn!("video is no longer limited: the worker can send all"),
        }
        self.is_limited = limit.is_some();
        for key in self.rooms.set_sendable(limit) {
            self.guarded(|worker| {
                worker.room_step(now, key, None, |room, egress| room.limit_video(now, limit, egress));
            });
        }
    }

    /// Forwards all queued packets; without `flush`, the outbox grows until then, and what was interrupted waits.
    fn forward_queued(&mut self, now: Instant, mut flush: Option<Flush<'_>>) {
        let was_interrupted = self.queue.is_interrupted();
        if self.queue.since().is_none() || (was_interrupted && flush.is_none()) {
            return;
        }
        let mut rooms = std::mem::take(&mut self.due_rooms);
        self.queue.take(&mut rooms);
        let mut interrupted = None;
        if was_interrupted {
            // What is left of a large fan-out of video would delay the audio of all rooms.
            interrupted = self.forward_rooms(now, &rooms, Some(Kind::Audio), &mut flush);
            if let Some(flush) = flush.as_mut().filter(|_| self.outbox.packets() > 0) {
                // A break holds for what follows, which asks again.
                let _: ControlFlow<()> = flush(&self.outbox, self.meter.counters_mut());
                self.outbox.clear();
            }
        }
        if interrupted.is_none() {
            interrupted = self.forward_rooms(now, &rooms, None, &mut flush);
        }
        // The others are next.
        rooms.rotate_left(interrupted.map_or(0, |position| position + 1));
        for key in rooms.drain(..) {
            if self.rooms.is_queued(key) {
                let since = self.rooms.get_mut(key).and_then(|entry| entry.room.waits_since());
                self.queue.put_back(key, since);
            }
        }
        self.due_rooms = rooms;
    }

    /// Forwards what rooms have queued, all or of one kind. Returns the position of the room in which that was interrupted.
    fn forward_rooms(
        &mut self,
        now: Instant,
        rooms: &[RoomKey],
        kind: Option<Kind>,
        flush: &mut Option<Flush<'_>>,
    ) -> Option<usize> {
        rooms.iter().position(|&key| {
            let (mut is_done, flush) = (true, flush.as_mut().map(|flush| &mut **flush as Flush<'_>));
            self.guarded(|worker| {
                let step = worker.room_step(now, key, flush, |room, egress| match kind {
                    Some(kind) => room.forward_kind(now, kind, egress),
                    None => room.forward(now, egress),
                });
                is_done = step.unwrap_or(true);
            });
            if is_done && kind.is_none() {
                self.rooms.set_queued(key, false);
            }
            !is_done
        })
    }

    /// Runs a step of a transport, then takes its events and its deadlines.
    fn transport_step<T>(
        &mut self,
        key: TransportKey,
        step: impl FnOnce(&mut ServerTransport, &mut Outbox) -> T,
    ) -> Option<T> {
        self.scope = FaultScope::Transport(key);
        let result = step(&mut self.transports.get_mut(key)?.transport, &mut self.outbox);
        self.transports.arm(key);
        self.take_events(key);
        Some(result)
    }

    /// Moves the events of a transport to those of the worker.
    fn take_events(&mut self, key: TransportKey) {
        let Self { transports, events, meter, .. } = self;
        let Some(entry) = transports.get_mut(key) else { return };
        let participant = entry.transport.participant();
        meter.ice(entry.transport.take_ice_counts());
        if entry.transport.take_moved() {
            entry.path.downlink.on_path_change();
        }
        while let Some(event) = entry.transport.poll_event() {
            meter.transport(event);
            events.push_back(match event {
                TransportEvent::LimitExceeded(limit) => Event::LimitExceeded { participant, limit },
                event => match event.state() {
                    Some(state) => Event::TransportState { participant, state },
                    None => continue,
                },
            });
        }
    }

    /// Runs a step of a room, then takes its events and its deadline.
    fn room_step<T>(
        &mut self,
        now: Instant,
        key: RoomKey,
        flush: Option<Flush<'_>>,
        step: impl FnOnce(&mut Room, &mut Sealing<'_>) -> T,
    ) -> Option<T> {
        self.scope = FaultScope::Room(key);
        #[cfg(test)]
        self.inject_fault();
        let Self { transports, rooms, outbox, meter, events, .. } = self;
        let room = &mut rooms.get_mut(key)?.room;
        let flush = flush.map(|flush| flush as Flush<'_>);
        let mut egress =
            Sealing { now, transports, outbox, meter, flush, batch: None, is_interrupted: false, last: None };
        let result = step(room, &mut egress);
        events.extend(std::iter::from_fn(|| room.poll_event()));
        let deadline = room.next_timer();
        rooms.arm(key, deadline);
        self.scope = FaultScope::Step;
        Some(result)
    }
}
