//! One worker: rooms, the transports of their participants, and nothing of the outside world.
//!
//! ```text
//!   receive(now, from, datagram) ─► demux ─► open ─► room          as many as there are
//!   forward(now, full) ───────────► room ─► seal ─► outbox()       then, subscriber by subscriber
//!   command(now, command) ────────► transport, room ──────────────► poll_event()
//!   tick(now), due at next_deadline() ─► handshakes, consent, rooms; forwards, too
//! ```
//! It is told the time with every call and reads no clock. Workers share nothing.
//!
//! **Faults.** Each call runs under `catch_unwind`. After a panic the room whose turn it was is dropped with its
//! transports and [`Event::RoomFailed`] is given; outside of a room's turn the transport concerned fails alone. All
//! others go on.

mod outlet;
mod rooms;
mod survey;
mod transports;

#[cfg(test)]
mod fault;
#[cfg(test)]
mod tests;

use crate::{
    CommandId,
    command::{Command, CommandError, Request},
    event::Event,
    ids::{ParticipantId, RoomId},
    metrics::{Counter, Counters, Gauges, Histogram},
    room::Room,
    transport::{Clear, Identity, Outbox},
};
#[cfg(test)]
pub(crate) use fault::Fault;
use outlet::Outlet;
use rooms::Rooms;
use std::{
    collections::VecDeque,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};
use survey::Survey;
use transports::Transports;

/// How often silent clients are looked for, and everything is counted.
const SWEEP: Duration = Duration::from_secs(1);

/// What a worker must know.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Its certificate.
    pub identity: Identity,
    /// Where clients find it.
    pub candidates: Vec<SocketAddr>,
    /// Most participants, over all rooms.
    pub max_participants: usize,
}

/// A worker's state machine.
#[derive(Debug)]
pub struct Worker {
    transports: Transports,
    rooms: Rooms,
    events: VecDeque<Event>,
    turn: Turn,
    next_sweep: Option<Instant>,
    /// Rooms in which packets wait to be forwarded.
    to_forward: Vec<usize>,
    /// The packets in them, and when the first of them came.
    waiting: usize,
    waiting_since: Option<Instant>,
    survey: Survey,
    /// Scratch space of `tick` and `forward`.
    due: Vec<usize>,
    /// Whose next turn panics.
    #[cfg(test)]
    fault: fault::Fault,
}

/// Whose turn it is: whom a panic ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Nobody,
    Transport(usize),
    Room(usize),
}

impl Worker {
    /// An empty worker.
    #[must_use]
    pub fn new(config: WorkerConfig) -> Self {
        Self {
            transports: Transports::new(config),
            rooms: Rooms::default(),
            events: VecDeque::new(),
            turn: Turn::Nobody,
            next_sweep: None,
            survey: Survey::default(),
            to_forward: Vec::new(),
            waiting: 0,
            waiting_since: None,
            due: Vec::new(),
            #[cfg(test)]
            fault: fault::Fault::default(),
        }
    }

    /// Takes a datagram, which is decrypted in place. What is to be forwarded waits for [`forward`](Self::forward).
    pub fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        self.transports.begin_step(now);
        let counters = self.transports.counters_mut();
        counters.add(Counter::DatagramsIn, 1);
        counters.add(Counter::BytesIn, datagram.len() as u64);
        self.guarded(|worker| worker.dispatch(now, from, datagram));
    }

    /// How many packets wait for [`forward`](Self::forward).
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Forwards everything that was received since the last time. Whenever the outbox has enough for a turn of the
    /// kernel, `full` gets it, to send it; what is left at the end stays in the outbox.
    pub fn forward(&mut self, now: Instant, mut full: impl FnMut(&Outbox, &mut Counters)) {
        self.transports.begin_step(now);
        self.turn_of_waiting(|room, transports| room.forward(now, &mut Outlet::new(transports, &mut full)));
    }

    /// Carries out a command. Answers and refusals are events that repeat its id.
    pub fn command(&mut self, now: Instant, request: impl Into<Request>) {
        let Request { id, command } = request.into();
        self.transports.begin_step(now);
        // What came before the command is not touched by it.
        self.forward_all(now);
        let participant = command.participant();
        self.guarded(|worker| {
            if let Err(error) = worker.execute(now, id, command) {
                worker.events.push_back(Event::Refused { command: id, participant, error });
            }
        });
    }

    /// Does what is due, and forwards what waits. To be called when [`next_deadline`](Self::next_deadline) has come;
    /// any time is right.
    pub fn tick(&mut self, now: Instant) {
        self.transports.begin_step(now);
        self.forward_all(now);
        let mut due = std::mem::take(&mut self.due);
        self.transports.collect_due_handshakes(now, &mut due);
        for key in due.drain(..) {
            self.guarded(|worker| {
                worker.turn = Turn::Transport(key);
                worker.transports.handle_handshake_timeout(now, key, &mut worker.events);
            });
        }
        if self.next_sweep.is_some_and(|at| at <= now) {
            self.next_sweep = (!self.transports.is_empty()).then(|| now + SWEEP);
            self.guarded(|worker| {
                worker.transports.check_consent(now, &mut worker.events);
                worker.survey.take(now, &mut worker.rooms, &mut worker.transports);
            });
        }
        self.rooms.collect_due(now, &mut due);
        for key in due.drain(..) {
            self.guarded(|worker| {
                worker.room_turn(key, |room, egress| room.tick(now, egress));
            });
        }
        self.due = due;
    }

    /// When [`tick`](Self::tick) is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let deadlines =
            [self.waiting_since, self.transports.handshake_deadline(), self.next_sweep, self.rooms.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// What is to be sent; whoever sends it clears it.
    pub fn outbox(&mut self) -> &mut Outbox {
        self.outgoing().0
    }

    /// What is to be sent, and where to count what becomes of it.
    pub fn outgoing(&mut self) -> (&mut Outbox, &mut Counters) {
        self.transports.outgoing()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is there, as of the last second.
    #[must_use]
    pub fn gauges(&self) -> &Gauges {
        self.survey.gauges()
    }

    /// How long participants have waited for their first media.
    #[must_use]
    pub fn first_media(&self) -> &Histogram {
        self.transports.first_media()
    }

    /// What was counted; what rooms count, as of the last second.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        self.transports.counters()
    }

    /// To count what happens to datagrams outside.
    pub fn counters_mut(&mut self) -> &mut Counters {
        self.transports.counters_mut()
    }

    /// Says good-bye to all clients, as the last act.
    pub fn close(&mut self, now: Instant) {
        for key in self.transports.keys() {
            self.guarded(|worker| {
                worker.turn = Turn::Transport(key);
                worker.transports.close(now, key);
            });
        }
    }

    fn dispatch(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        let Self { transports, turn, events, .. } = self;
        let Some((key, clear)) = transports.receive(now, from, datagram, events, |key| *turn = Turn::Transport(key))
        else {
            return;
        };
        let Some((participant, room)) = transports.owner(key) else { return };
        match clear {
            Clear::Rtp(packet) => {
                let waiting = self.room_turn(room, |room, egress| {
                    let before = room.waiting();
                    room.receive_rtp(now, participant, packet, egress);
                    (before, room.waiting())
                });
                if let Some((before, after)) = waiting.filter(|(before, after)| before < after) {
                    if before == 0 {
                        self.to_forward.push(room);
                    }
                    self.waiting += after - before;
                    self.waiting_since.get_or_insert(now);
                }
            }
            Clear::Rtcp(packet) => {
                self.room_turn(room, |room, egress| room.receive_rtcp(now, participant, packet, egress));
            }
        }
    }

    fn execute(&mut self, now: Instant, id: CommandId, command: Command) -> Result<(), CommandError> {
        match command {
            Command::AddParticipant { room, participant } => self.add_participant(now, id, room, participant),
            Command::Connect { participant, remote } => {
                let key = self.transports.key_of(participant)?;
                self.turn = Turn::Transport(key);
                self.transports.connect(now, key, remote, &mut self.events)
            }
            Command::Publish { participant, track, publication } => {
                self.room_command(participant, |room, _| room.publish(participant, track, publication))
            }
            Command::Unpublish { participant, track } => {
                self.room_command(participant, |room, _| room.unpublish(participant, track))
            }
            Command::SetMuted { participant, track, muted } => {
                self.room_command(participant, |room, _| room.set_muted(participant, track, muted))
            }
            Command::AddSlot { participant, mid, codec } => {
                let (ssrc, rtx) = self.room_command(participant, |room, _| room.add_slot(participant, mid, codec))?;
                self.events.push_back(Event::SlotAdded { command: id, participant, mid, ssrc, rtx });
                Ok(())
            }
            Command::ActivateSlot { participant, mid } => {
                self.room_command(participant, |room, egress| room.activate_slot(now, participant, mid, egress))
            }
            Command::SetSlot { participant, mid, track } => {
                self.room_command(participant, |room, egress| room.set_slot(now, participant, mid, track, egress))
            }
            Command::RemoveParticipant { participant } => {
                let key = self.transports.room_of(participant)?;
                self.transports.remove(now, participant);
                self.room_turn(key, |room, _| room.remove_participant(participant));
                self.rooms.left(key);
                Ok(())
            }
            _ => Err(CommandError::Unsupported),
        }
    }

    fn add_participant(
        &mut self,
        now: Instant,
        id: CommandId,
        room: RoomId,
        participant: ParticipantId,
    ) -> Result<(), CommandError> {
        self.transports.check_new(participant)?;
        let key = self.rooms.enter(room);
        let added = self.transports.add(now, participant, key);
        let added = added.and_then(|local| {
            self.room_command(participant, |room, _| room.add_participant(participant)).map(|()| local)
        });
        match added {
            Ok(local) => {
                self.rooms.joined(key);
                self.next_sweep.get_or_insert(now + SWEEP);
                self.events.push_back(Event::Transport { command: id, participant, local });
                Ok(())
            }
            Err(error) => {
                self.transports.discard(participant);
                self.rooms.leave_if_empty(key);
                Err(error)
            }
        }
    }

    /// Forwards what waits, however long the outbox becomes.
    fn forward_all(&mut self, now: Instant) {
        if self.waiting > 0 {
            self.turn_of_waiting(|room, transports| room.forward(now, transports));
        }
    }

    /// Gives all rooms in which packets wait their turn.
    fn turn_of_waiting(&mut self, mut turn: impl FnMut(&mut Room, &mut Transports)) {
        self.waiting = 0;
        self.waiting_since = None;
        let mut due = std::mem::take(&mut self.due);
        std::mem::swap(&mut due, &mut self.to_forward);
        for key in due.drain(..) {
            self.guarded(|worker| {
                worker.room_turn(key, &mut turn);
            });
        }
        self.due = due;
    }

    /// Carries out a command in the participant's room.
    fn room_command<T>(
        &mut self,
        participant: ParticipantId,
        turn: impl FnOnce(&mut Room, &mut Transports) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let key = self.transports.room_of(participant)?;
        self.room_turn(key, turn).unwrap_or(Err(CommandError::NoParticipant))
    }

    /// Gives a room its turn.
    fn room_turn<T>(&mut self, key: usize, turn: impl FnOnce(&mut Room, &mut Transports) -> T) -> Option<T> {
        self.turn = Turn::Room(key);
        #[cfg(test)]
        assert!(!self.fault.is_of(self.turn), "a fault that the test asked for");
        let Self { transports, rooms, events, .. } = self;
        let result = rooms.turn(key, |room| turn(room, transports), |event| events.push_back(event));
        self.turn = Turn::Nobody;
        result
    }

    /// Runs a step, and contains a panic in it.
    fn guarded(&mut self, step: impl FnOnce(&mut Self)) {
        self.turn = Turn::Nobody;
        // State that a panic leaves half changed belongs to the room or the transport, and goes with it; the outbox
        // shows no packet that is not whole.
        if catch_unwind(AssertUnwindSafe(|| step(self))).is_err() {
            self.contain();
        }
    }

    fn contain(&mut self) {
        self.counters_mut().add(Counter::Faults, 1);
        match self.turn {
            Turn::Nobody => tracing::error!("a fault was contained"),
            Turn::Transport(key) => {
                tracing::error!("a fault ended a transport");
                self.transports.fail(key, &mut self.events);
            }
            Turn::Room(key) => {
                tracing::error!("a fault ended a room");
                let Some((id, room)) = self.rooms.remove(key) else { return };
                drop_contained(room);
                let participants = self.transports.participants_in(key);
                for participant in &participants {
                    drop_contained(self.transports.discard(*participant));
                }
                self.events.push_back(Event::RoomFailed { room: id, participants });
            }
        }
    }
}

/// Drops what is broken, and so may panic once more.
fn drop_contained<T>(broken: T) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
}
