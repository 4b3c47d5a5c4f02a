//! The task of a room: a [`Room`] with its clock, the outboxes of its participants, and the media plane.
//!
//! ```text
//!   connections ──► inputs ─┐
//!   media plane ──► events ─┼─► Room ──► outboxes, media plane
//!   clock ──────────────────┘
//! ```
//!
//! A room never waits: messages go into bounded outboxes, and a participant that does not read its own is closed.

use super::{
    Door, KickError, Present, Rooms, Shared, Source,
    attendance::Attendance,
    ids::{self, ClaimedId},
    join_times::JoinTimes,
    registry::{CallRecord, RoomRecord},
    stock,
};
use crate::{
    outbox::{Closer, Closing, Outbox, Outgoing, Outgoings, Overflow},
    placement::Place,
    rate::TypeRates,
    resume::{
        Proven,
        token::{self, Claims, TokenKind},
    },
    room::{Asker, Change, Entered, Entry, FreshIds, NotEntered, Output, RECENT, Room, RoomPolicy, Standing},
};
use sfu_api::{Command, Event, TransportState};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant, SystemTime},
};
use tacet_proto::{
    CallId, ClientMessage, CloseCode, ErrorCode, ParticipantId, RoomId, ServerMessage, SessionId,
    binary::ClientBinary,
    resume::{Continues, Tokens},
    server::{Bye, ByeReason, ErrorMessage, Ok as OkMessage, Pong},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::{Instant as Alarm, sleep_until},
};
use tracing::Instrument;

/// Maximum number of inputs that wait for a room. Connections wait for space; rooms never wait, so it is soon there.
const INBOX: usize = 1_024;
/// Maximum number of goodbyes, and of other departures, that are recorded of one call. The oldest are forgotten first;
/// tokens are forgotten earlier.
const MAX_DEPARTURES: usize = 4_096;

/// What connections do to a room.
#[derive(Debug)]
pub(super) enum Input {
    /// A client with a valid credential enters.
    Enter(Box<Enter>),
    /// How many participants are there?
    Count(oneshot::Sender<usize>),
    /// Who is there?
    List(oneshot::Sender<Vec<Present>>),
    /// The operator removes a participant. The reply comes once that is written.
    Remove { participant: ParticipantId, ban: bool, reply: oneshot::Sender<Result<(), KickError>> },
    /// The operator has changed who may come in.
    Policy(RoomPolicy),
    /// The room is no longer in the registry: it ends, for all.
    End,
    /// Which device has a session?
    Device { participant: ParticipantId, session: SessionId, reply: oneshot::Sender<Option<[u8; 32]>> },
    /// A request.
    Request(Source, Option<u32>, ClientMessage),
    /// A binary message, with its request number.
    Binary(Source, Option<u32>, ClientBinary),
    /// A connection ended. It waits for the reply, so that its earlier requests are answered before it closes.
    Detach(Source, oneshot::Sender<()>),
}

/// A client with a valid credential, and ids in case that it needs them.
#[derive(Debug)]
pub(super) struct Enter {
    /// The session that it has shown to be its own.
    pub(super) resumed: Option<Proven>,
    /// What its credential allows.
    pub(super) standing: Standing,
    pub(super) id: ClaimedId,
    pub(super) session: SessionId,
    pub(super) call: CallId,
    pub(super) connection: u64,
    pub(super) closer: Closer,
    pub(super) reply: oneshot::Sender<Result<Welcomed, NotWelcome>>,
}

/// Why a client does not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotWelcome {
    /// Its session cannot be continued.
    NotResumable,
    /// The worker of the call has more to send than it can.
    Overloaded,
    /// The room is locked.
    Locked,
    /// The holder of its token was banned.
    Banned,
}

/// A client that has entered.
#[derive(Debug)]
pub(super) struct Welcomed {
    pub(super) entered: Entered,
    pub(super) tokens: Tokens,
    pub(super) outbox: Outbox,
    pub(super) outgoings: Outgoings,
    pub(super) rates: Arc<Mutex<TypeRates>>,
}

/// Where a task receives.
#[derive(Debug)]
struct Inbox {
    inputs: mpsc::Receiver<Input>,
    /// Unbounded, because a media worker cannot wait. Events are answers to commands of rate-limited clients, and a few
    /// each second for the whole room.
    events: mpsc::UnboundedReceiver<Event>,
}

/// Starts the task of a room that is in the registry.
pub(super) fn start(shared: &Arc<Shared>, id: RoomId) {
    let number = shared.ids.room();
    let span = tracing::info_span!("room", room = number.0);
    let inputs = open(shared, id, number);
    let supervision = supervise(Arc::clone(shared), id, number, inputs);
    tokio::spawn(supervision.instrument(span));
}

/// Opens a room's way in, and returns its other end.
fn open(shared: &Shared, id: RoomId, number: sfu_api::RoomId) -> mpsc::Receiver<Input> {
    let (sender, receiver) = mpsc::channel(INBOX);
    shared.tasks().insert(id, Door { number, inputs: sender });
    receiver
}

/// Runs a room until it has been unused for long. If it panics, its participants are closed and its link opens an empty
/// room.
async fn supervise(shared: Arc<Shared>, id: RoomId, number: sfu_api::RoomId, mut inputs: mpsc::Receiver<Input>) {
    loop {
        let (sender, events) = mpsc::unbounded_channel();
        let route = shared.events.route_room(number, sender.clone());
        let record = shared.registry.get(id);
        let admittance = record.as_ref().map(RoomRecord::admittance).unwrap_or_default();
        let call = record.and_then(|record| record.call);
        let attendance = Attendance::new(Arc::clone(&shared.api), id, call.as_ref().map(|call| call.id));
        let numbers = Box::new(|| ids::id().unwrap_or(0));
        let task = Task {
            // Without random numbers ids are taken, and refused by the room.
            room: Room::new(Instant::now(), number, id, shared.config.room, admittance, call, numbers),
            id,
            worker: shared.placement.least_loaded(&*shared.media),
            held: 0,
            gathering: false,
            guests: HashMap::new(),
            removals: Vec::new(),
            join_times: JoinTimes::default(),
            attendance,
            events: sender,
            shared: Arc::clone(&shared),
        };
        let running = task.run(Inbox { inputs, events }).in_current_span();
        let ended = tokio::spawn(running).await;
        drop(route);
        match ended {
            Err(error) if error.is_panic() => {
                shared.metrics.room_faults.fetch_add(1, Ordering::Relaxed);
                tracing::error!("the room panicked; its participants were disconnected");
                inputs = open(&shared, id, number);
            }
            _ => {
                if let Err(error) = shared.registry.remove(id) {
                    tracing::warn!(%error, "an unused room stays in the registry");
                }
                shared.tasks().remove(&id);
                return;
            }
        }
    }
}

/// A room with its guests; those that are left when the task ends are closed.
struct Task {
    room: Room,
    id: RoomId,
    /// The worker of the current call.
    worker: usize,
    guests: HashMap<ParticipantId, Guest>,
    /// Replies to removals by the operator that are being written.
    removals: Vec<oneshot::Sender<Result<(), KickError>>>,
    join_times: JoinTimes,
    attendance: Attendance,
    /// What of this room is in the gauges.
    held: usize,
    gathering: bool,
    /// Where the media plane sends events about participants of this room.
    events: mpsc::UnboundedSender<Event>,
    shared: Arc<Shared>,
}

/// A participant that has entered, whether or not it has joined the call.
struct Guest {
    outbox: Outbox,
    /// What it may still send of each type of message.
    rates: Arc<Mutex<TypeRates>>,
    /// Number of its connection, the last one if it has none.
    connection: u64,
    closer: Closer,
    _id: ClaimedId,
    /// Counts as load while it is held.
    _place: Place,
    /// Leads events about the participant here while it is held.
    _route: crate::media_events::Route,
}

impl Drop for Task {
    fn drop(&mut self) {
        for (participant, guest) in self.guests.drain() {
            guest.closer.close(CloseCode::Internal, "the room has ended");
            self.shared.media.command(self.worker, Command::RemoveParticipant { participant }.into());
        }
        let metrics = &self.shared.metrics;
        metrics.held.fetch_sub(self.held as u64, Ordering::Relaxed);
        metrics.gathering.fetch_sub(u64::from(self.gathering), Ordering::Relaxed);
    }
}

impl Task {
    async fn run(mut self, Inbox { mut inputs, mut events }: Inbox) {
        let mut idle = self.kept_for();
        let mut idle_since = self.last_used();
        self.report();
        loop {
            let alarm = match self.room.deadline() {
                Some(deadline) => Alarm::from_std(deadline),
                None => idle_since + idle,
            };
            tokio::select! {
                input = inputs.recv() => {
                    let Some(input) = input else { return };
                    if let Input::End = input {
                        self.end();
                        return;
                    }
                    let now = Alarm::now();
                    self.handle(now.into_std(), input).await;
                    idle_since = now;
                    if !self.room.is_empty() {
                        idle = self.shared.config.room_idle;
                    }
                }
                Some(event) = events.recv() => {
                    let now = Alarm::now();
                    self.event(now.into_std(), event);
                    idle_since = now;
                }
                () = sleep_until(alarm) => {
                    let now = Alarm::now();
                    if self.room.is_empty() && now >= idle_since + idle {
                        tracing::debug!("the room was unused for long and has ended");
                        return;
                    }
                    if !self.room.is_empty() {
                        idle_since = now;
                    }
                    self.room.tick(now.into_std());
                    self.report();
                }
            }
            self.act();
        }
    }

    /// How long the room is kept until it is used.
    fn kept_for(&self) -> Duration {
        let unentered = self.shared.registry.get(self.id).and_then(|record| record.unentered);
        stock::kept_for(unentered, self.shared.config.room_idle)
    }

    /// When the room was last used, as far as the clocks can tell.
    fn last_used(&self) -> Alarm {
        let used = self.shared.registry.get(self.id).map_or_else(SystemTime::now, |record| record.used);
        let now = Alarm::now();
        now.checked_sub(used.elapsed().unwrap_or_default()).unwrap_or(now)
    }

    /// Keeps the gauges current.
    fn report(&mut self) {
        let metrics = &self.shared.metrics;
        let (held, gathering) = (self.room.held(), self.room.is_gathering());
        metrics.held.fetch_add(held as u64, Ordering::Relaxed);
        metrics.held.fetch_sub(self.held as u64, Ordering::Relaxed);
        metrics.gathering.fetch_add(u64::from(gathering), Ordering::Relaxed);
        metrics.gathering.fetch_sub(u64::from(self.gathering), Ordering::Relaxed);
        (self.held, self.gathering) = (held, gathering);
    }

    async fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Enter(enter) => {
                self.enter(now, *enter).await;
                self.report();
            }
            Input::Count(reply) => {
                let _ = reply.send(self.guests.len());
            }
            Input::List(reply) => {
                let _ = reply.send(
                    self.room
                        .present()
                        .map(|(participant, role, joined)| Present { participant, role, joined })
                        .collect(),
                );
            }
            Input::Remove { participant, ban, reply } => {
                self.removals.push(reply);
                if let Err(refused) = self.room.remove_by_operator(now, participant, ban)
                    && let Some(reply) = self.removals.pop()
                {
                    let _ = reply.send(Err(match refused.code {
                        ErrorCode::ServerBusy => KickError::BansFull,
                        _ => KickError::NoParticipant,
                    }));
                }
                self.report();
            }
            Input::Policy(policy) => self.room.set_policy(now, policy),
            // Seen to by the loop.
            Input::End => {}
            Input::Device { participant, session, reply } => {
                let claims = self.room.claims(participant).filter(|claims| claims.session == session);
                let _ = reply.send(claims.and_then(|claims| claims.device));
            }
            Input::Request(source, id, message) if self.is_current(source) => {
                self.room.request(now, source.participant, id, message);
            }
            Input::Binary(source, id, message) if self.is_current(source) => {
                self.room.binary(now, source.participant, id, message);
            }
            Input::Request(..) | Input::Binary(..) => {}
            Input::Detach(source, reply) => {
                if self.is_current(source) {
                    self.detach(now, source.participant);
                    self.report();
                }
                let _ = reply.send(());
            }
        }
    }

    /// Tells all participants that the room has ended.
    fn end(&mut self) {
        self.attendance.ended();
        for guest in self.guests.values() {
            guest.closer.close(CloseCode::RoomEnded, "the room has ended");
        }
        tracing::info!(participants = self.guests.len(), "the operator has ended the room");
    }

    /// Whether a connection is still that of its participant.
    fn is_current(&self, source: Source) -> bool {
        self.guests.get(&source.participant).is_some_and(|guest| guest.connection == source.connection)
    }

    async fn enter(&mut self, now: Instant, enter: Enter) {
        let Enter { resumed, standing, id, session, call, connection, closer, reply } = enter;
        if self.room.is_empty() {
            self.worker = self.shared.placement.least_loaded(&*self.shared.media);
        }
        // Those who were in a call come back to it.
        if resumed.is_none() && self.shared.media.is_overloaded(self.worker) {
            let _ = reply.send(Err(NotWelcome::Overloaded));
            return;
        }
        let entry = self.entry(resumed);
        // A participant that returns has its own id again, unless another one got it meanwhile.
        let mut id = Some(id);
        let mut returning = None;
        if let Some(Proven { opened, .. }) = resumed {
            let own = opened.claims.participant;
            returning = if self.guests.contains_key(&own) { None } else { self.shared.ids.claim(own) };
            if returning.is_none() && !self.guests.contains_key(&own) {
                let _ = reply.send(Err(NotWelcome::NotResumable));
                return;
            }
        }
        let fresh = FreshIds { participant: id.as_ref().map_or(ParticipantId(0), ClaimedId::id), session, call };
        let entered = match self.room.enter(now, entry, standing, fresh) {
            Ok(entered) => entered,
            Err(refused) => {
                let _ = reply.send(Err(match refused {
                    NotEntered::NotResumable => NotWelcome::NotResumable,
                    NotEntered::Locked => NotWelcome::Locked,
                    NotEntered::Banned => NotWelcome::Banned,
                }));
                return;
            }
        };
        let participant = entered.participant;
        let before = self.guests.remove(&participant);
        if let Some(before) = &before {
            before.closer.close(CloseCode::Replaced, "the session goes on on another connection");
        }
        let guest = match (before, entered.continues) {
            (Some(before), Continues::Session) => Guest { connection, closer, ..before },
            (before, _) => Guest {
                outbox: Outbox::new(),
                // The place of an earlier session is the sender's all the same.
                rates: before.as_ref().map(|before| Arc::clone(&before.rates)).unwrap_or_default(),
                connection,
                closer,
                _id: match before.map(|before| before._id).or(returning).or_else(|| id.take()) {
                    Some(id) => id,
                    None => return,
                },
                _place: self.shared.placement.enter(self.worker),
                _route: self.shared.events.route_participant(participant, self.events.clone()),
            },
        };
        let last_seq = match (entered.continues, resumed) {
            (Continues::Session, Some(Proven { last_seq, .. })) => last_seq,
            _ => 0,
        };
        let (outbox, rates) = (guest.outbox.clone(), Arc::clone(&guest.rates));
        self.guests.insert(participant, guest);
        if entered.begins && !record_call(Arc::clone(&self.shared), self.id, entered.call).await {
            // The room made space for another one at this moment. Without a reply the client learns that it cannot enter.
            self.detach(now, participant);
            return;
        }
        if entered.begins {
            self.attendance.started(entered.call);
        }
        if entered.continues == Continues::Seat {
            self.attendance.continued(participant);
        }
        let tokens = self.tokens(self.room.claims(participant)).ok_or(NotWelcome::NotResumable);
        let outgoings = outbox.attach(last_seq).map_err(|_| NotWelcome::NotResumable);
        let welcomed = tokens.and_then(|tokens| Ok(Welcomed { entered, tokens, outbox, outgoings: outgoings?, rates }));
        let failed = welcomed.is_err();
        if reply.send(welcomed).is_err() || failed {
            self.detach(now, participant);
        }
    }

    /// Lets a participant go on without a connection, or go if it has not joined.
    fn detach(&mut self, now: Instant, participant: ParticipantId) {
        self.room.detach(now, participant);
        if !self.room.has(participant) {
            self.guests.remove(&participant);
            self.attendance.left(participant);
        }
    }

    /// What a client shows, together with what its outbox has kept.
    fn entry(&self, resumed: Option<Proven>) -> Entry {
        let Some(Proven { opened, last_seq }) = resumed else { return Entry::Newcomer };
        let (claims, recent) = (opened.claims, opened.age <= RECENT);
        match opened.kind {
            TokenKind::Session => {
                let guest = self.guests.get(&claims.participant);
                let covered = guest.is_some_and(|guest| guest.outbox.covers(last_seq));
                Entry::Session { claims, covered, recent }
            }
            TokenKind::Reload => Entry::Reload { claims, recent },
        }
    }

    fn tokens(&self, claims: Option<Claims>) -> Option<Tokens> {
        token::issue(&self.shared.resume_keys, self.id, &claims?)
            .inspect_err(|_| tracing::error!("no random numbers for a token"))
            .ok()
    }

    /// Records that a call has ended, unless another one has begun.
    fn record_end(&self, call: CallId) {
        let (shared, room) = (Arc::clone(&self.shared), self.id);
        spawn_blocking(move || {
            let ended = shared.registry.update(room, &mut |record| {
                if record.call.as_ref().is_some_and(|current| current.id == call) {
                    record.call = None;
                    record.used = SystemTime::now();
                }
            });
            if let Err(error) = ended {
                tracing::warn!(%error, "the end of a call was not recorded");
            }
        });
    }

    /// Records that a session of a call has ended without a goodbye.
    fn record_departure(&self, session: SessionId, call: CallId) {
        let (shared, room) = (Arc::clone(&self.shared), self.id);
        spawn_blocking(move || {
            let recorded = shared.registry.update(room, &mut |record| {
                if let Some(current) = record.call.as_mut().filter(|current| current.id == call) {
                    push_bounded(&mut current.departed, session);
                }
            });
            if let Err(error) = recorded {
                tracing::warn!(%error, "the end of a session was not recorded");
            }
        });
    }

    /// Records a goodbye, and then answers it.
    fn record_goodbye(&self, participant: ParticipantId, re: Option<u32>, call: CallId, guest: Guest) {
        let (shared, room) = (Arc::clone(&self.shared), self.id);
        let recording = spawn_blocking(move || {
            let recorded = shared.registry.update(room, &mut |record| {
                if let Some(current) = record.call.as_mut().filter(|current| current.id == call) {
                    push_bounded(&mut current.gone, participant);
                }
            });
            if let Err(error) = recorded {
                tracing::warn!(%error, "a goodbye was not recorded");
            }
        });
        let answer = async move {
            let _ = recording.await;
            let _ = guest.outbox.pass(re, ServerMessage::Bye(Bye { reason: ByeReason::Left }));
            guest.closer.close(CloseCode::Normal, "left");
        };
        tokio::spawn(answer.in_current_span());
    }

    /// Writes a change into the room's record. Then it is answered, and the participants that it removes are closed.
    fn record(&mut self, asker: Asker, change: Change, removed: Vec<(Guest, Closing)>) {
        let (shared, room) = (Arc::clone(&self.shared), self.id);
        let recording = spawn_blocking(move || {
            let recorded = shared.registry.update(room, &mut |record| apply(record, &change));
            recorded.inspect_err(|error| tracing::error!(%error, "a change of a room was not recorded"))
        });
        let outbox = match asker {
            Asker::Member(by, re) => self.guests.get(&by).map(|guest| (guest.outbox.clone(), re)),
            Asker::Operator => None,
        };
        let reply = if asker == Asker::Operator { self.removals.pop() } else { None };
        let answer = async move {
            let written = matches!(recording.await, Ok(Ok(())));
            for (guest, Closing { code, reason }) in removed {
                guest.closer.close(code, reason);
            }
            if let Some(reply) = reply {
                let _ = reply.send(if written { Ok(()) } else { Err(KickError::NotWritten) });
            }
            let Some((outbox, Some(re))) = outbox else { return };
            let message = if written {
                ServerMessage::Ok(OkMessage {})
            } else {
                let detail = "it is done, but could not be written: a restart of the server may undo it".to_owned();
                ServerMessage::Error(ErrorMessage { code: ErrorCode::Internal, retry_ms: None, detail })
            };
            let _ = outbox.send(Outgoing::Message { re: Some(re), message });
        };
        tokio::spawn(answer.in_current_span());
    }

    /// Ends the room as the operator does. That is answered only if it fails.
    fn end_room(&self, by: ParticipantId, re: Option<u32>) {
        let (rooms, room) = (Rooms(Arc::clone(&self.shared)), self.id);
        let outbox = self.guests.get(&by).map(|guest| guest.outbox.clone());
        let span = tracing::Span::current();
        spawn_blocking(move || {
            let _entered = span.enter();
            let Err(error) = rooms.end(room) else { return };
            tracing::error!(%error, "the end of a room was not stored");
            if let (Some(outbox), Some(re)) = (outbox, re) {
                let detail = "the end of the room could not be written, so it goes on".to_owned();
                let message = ServerMessage::Error(ErrorMessage { code: ErrorCode::Internal, retry_ms: None, detail });
                let _ = outbox.send(Outgoing::Message { re: Some(re), message });
            }
        });
    }

    fn event(&mut self, now: Instant, event: Event) {
        if let Event::TransportState { participant, state: TransportState::Connected } = event {
            self.join_times.connected(now, participant, &self.shared.metrics);
        }
        self.room.media(now, event);
    }

    /// Carries out the room's outputs. Participants that do not read leave meanwhile, which can add outputs.
    fn act(&mut self) {
        while let Some(output) = self.room.poll() {
            match output {
                Output::Send(participant, outgoing) => self.send(participant, |outbox| outbox.send(outgoing)),
                Output::Joined { to, re, mut joined, claims } => {
                    self.attendance.joined(to);
                    joined.tokens = self.tokens(claims);
                    let outgoing = Outgoing::Message { re, message: ServerMessage::Joined(joined) };
                    self.send(to, |outbox| outbox.send(outgoing));
                }
                Output::Pong { to, re, ms, claims } => {
                    let pong = ServerMessage::Pong(Pong { ms, tokens: self.tokens(claims) });
                    self.send(to, |outbox| outbox.pass(re, pong));
                }
                Output::Hint(participant, message) => {
                    if let Some(guest) = self.guests.get(&participant) {
                        guest.outbox.hint(message);
                    }
                }
                Output::Command(request) => {
                    if let Command::AddParticipant { participant, .. } = request.command {
                        self.join_times.joined(Alarm::now().into_std(), participant);
                    }
                    self.shared.media.command(self.worker, request);
                }
                Output::End(participant, Closing { code, reason }) => {
                    self.join_times.left(participant);
                    self.attendance.left(participant);
                    if let Some(guest) = self.guests.remove(&participant) {
                        guest.closer.close(code, reason);
                    }
                }
                Output::Goodbye { from, re, call } => {
                    self.join_times.left(from);
                    self.attendance.left(from);
                    if let Some(guest) = self.guests.remove(&from) {
                        self.record_goodbye(from, re, call, guest);
                    }
                }
                Output::Record { asker, change, removes } => {
                    let removed = removes.into_iter().filter_map(|(participant, closing)| {
                        self.join_times.left(participant);
                        self.attendance.left(participant);
                        Some((self.guests.remove(&participant)?, closing))
                    });
                    let removed = removed.collect();
                    self.record(asker, change, removed);
                }
                Output::EndRoom { by, re } => self.end_room(by, re),
                Output::Departed { session, call } => self.record_departure(session, call),
                Output::CallEnded(call) => {
                    self.attendance.ended();
                    self.record_end(call);
                }
            }
        }
    }

    fn send(&mut self, participant: ParticipantId, put: impl FnOnce(&Outbox) -> Result<(), Overflow>) {
        let Some(Guest { outbox, .. }) = self.guests.get(&participant) else { return };
        if put(outbox).is_err() {
            tracing::debug!(participant = participant.0, "outbox full: the client does not read");
            self.room.expel(Alarm::now().into_std(), participant, CloseCode::IdleOrSlow, "the client does not read");
        }
    }
}

/// Changes the record of a room. What concerns a call is left out if another one goes on.
pub(super) fn apply(record: &mut RoomRecord, change: &Change) {
    let of = |record: &mut RoomRecord, call: &CallId, change: &mut dyn FnMut(&mut CallRecord)| {
        if let Some(current) = record.call.as_mut().filter(|current| current.id == *call) {
            change(current);
        }
    };
    match change {
        Change::Removed { call, participants, bans, locks } => {
            of(record, call, &mut |call| {
                participants.iter().for_each(|participant| push_bounded(&mut call.gone, *participant));
            });
            record.bans.extend(bans.iter().cloned());
            // The operator may have changed this meanwhile.
            record.policy.locked |= *locks;
        }
        Change::Locked(locked) => record.policy.locked = *locked,
        Change::Role { call, participant, role } => of(record, call, &mut |call| {
            if call.roles.contains(&(*participant, *role)) {
                return;
            }
            call.roles.retain(|(other, _)| other != participant);
            push_bounded(&mut call.roles, (*participant, *role));
        }),
    }
}

/// Appends to a list of a record, from which the oldest entries fall out.
fn push_bounded<T>(list: &mut Vec<T>, item: T) {
    if list.len() >= MAX_DEPARTURES {
        list.remove(0);
    }
    list.push(item);
}

/// Records that a call begins. The room is empty, so it may wait. Returns whether there still is such a room.
async fn record_call(shared: Arc<Shared>, room: RoomId, call: CallId) -> bool {
    let recorded = spawn_blocking(move || {
        let mut exists = false;
        let updated = shared.registry.update(room, &mut |record| {
            exists = true;
            record.enter(CallRecord::new(call));
        });
        updated.map(|()| exists)
    });
    match recorded.await {
        Ok(Ok(exists)) => exists,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a call was not recorded: it will not survive a restart");
            true
        }
        Err(_) => true,
    }
}
