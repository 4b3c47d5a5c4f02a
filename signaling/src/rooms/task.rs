//! The task of a room: a [`Room`] with its clock, the outboxes of its participants, and the media plane.
//!
//! ```text
//!   connections ──► inputs ─┐
//!   media plane ──► events ─┼─► Room ──► outboxes, media plane
//!   clock ──────────────────┘
//! ```
//!
//! A room never waits: messages go into bounded outboxes, and a participant that does not read its own is closed.

use super::{Door, Shared, join_times::JoinTimes};
use crate::{
    outbox::{Outbox, Outgoing},
    placement::Place,
    room::{Output, Room},
};
use sfu_api::{Command, Event, TransportState};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};
use tacet_proto::{CallId, ClientMessage, CloseCode, ParticipantId, RoomId, binary::ClientBinary};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant as Alarm, sleep_until},
};
use tracing::Instrument;

/// Maximum number of inputs that wait for a room. Connections wait for space; rooms never wait, so it is soon there.
const INBOX: usize = 1_024;

/// What connections do to a room.
#[derive(Debug)]
pub(super) enum Input {
    /// A client with a valid credential enters. A call that begins with it gets the fresh label.
    Enter { participant: ParticipantId, outbox: Outbox, fresh: CallId, reply: oneshot::Sender<CallId> },
    /// A request.
    Request(ParticipantId, Option<u32>, ClientMessage),
    /// A binary message, with its request number.
    Binary(ParticipantId, Option<u32>, ClientBinary),
    /// A connection ended. It waits for the reply, so that its earlier requests are answered before it closes.
    Leave(ParticipantId, oneshot::Sender<()>),
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
        let task = Task {
            room: Room::new(number, shared.config.room, shared.ids.tracks()),
            worker: 0,
            guests: HashMap::new(),
            join_times: JoinTimes::default(),
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
    /// The worker of the current call.
    worker: usize,
    guests: HashMap<ParticipantId, Guest>,
    join_times: JoinTimes,
    /// Where the media plane sends events about participants of this room.
    events: mpsc::UnboundedSender<Event>,
    shared: Arc<Shared>,
}

/// A participant that has entered, whether or not it has joined the call.
struct Guest {
    outbox: Outbox,
    /// Counts as load while it is held.
    _place: Place,
    /// Leads events about the participant here while it is held.
    _route: crate::media_events::Route,
}

impl Drop for Task {
    fn drop(&mut self) {
        for (participant, guest) in self.guests.drain() {
            guest.outbox.close(CloseCode::Internal, "the room has ended");
            self.shared.media.command(self.worker, Command::RemoveParticipant { participant }.into());
        }
    }
}

impl Task {
    async fn run(mut self, Inbox { mut inputs, mut events }: Inbox) {
        let idle = self.shared.config.room_idle;
        let mut idle_since = Alarm::now();
        loop {
            let alarm = match self.room.deadline() {
                Some(deadline) => Alarm::from_std(deadline),
                None => idle_since + idle,
            };
            tokio::select! {
                input = inputs.recv() => {
                    let Some(input) = input else { return };
                    let now = Alarm::now();
                    self.handle(now.into_std(), input);
                    idle_since = now;
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
                }
            }
            self.act();
        }
    }

    fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Enter { participant, outbox, fresh, reply } => {
                if self.room.is_empty() {
                    self.worker = self.shared.placement.least_loaded(&*self.shared.media);
                }
                let call = self.room.enter(participant, fresh);
                let guest = Guest {
                    outbox,
                    _place: self.shared.placement.enter(self.worker),
                    _route: self.shared.events.route_participant(participant, self.events.clone()),
                };
                self.guests.insert(participant, guest);
                if reply.send(call).is_err() {
                    self.leave(now, participant);
                }
            }
            Input::Request(participant, id, message) => self.room.request(now, participant, id, message),
            Input::Binary(participant, id, message) => self.room.binary(now, participant, id, message),
            Input::Leave(participant, reply) => {
                self.leave(now, participant);
                let _ = reply.send(());
            }
        }
    }

    fn event(&mut self, now: Instant, event: Event) {
        if let Event::TransportState { participant, state: TransportState::Connected } = event {
            self.join_times.connected(now, participant, &self.shared.metrics);
        }
        self.room.media(now, event);
    }

    fn leave(&mut self, now: Instant, participant: ParticipantId) {
        if self.guests.contains_key(&participant) {
            tracing::debug!(participant = participant.0, "left");
        }
        self.room.leave(now, participant);
        self.guests.remove(&participant);
        self.join_times.left(participant);
    }

    /// Carries out the room's outputs. Participants that do not read leave meanwhile, which can add outputs.
    fn act(&mut self) {
        while let Some(output) = self.room.poll() {
            match output {
                Output::Send(participant, outgoing) => self.send(participant, outgoing),
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
                Output::Close(participant, closing) => {
                    if let Some(guest) = self.guests.get(&participant) {
                        guest.outbox.close(closing.code, closing.reason);
                    }
                }
            }
        }
    }

    fn send(&mut self, participant: ParticipantId, outgoing: Outgoing) {
        let Some(Guest { outbox, .. }) = self.guests.get(&participant) else { return };
        if outbox.send(outgoing).is_err() {
            tracing::debug!(participant = participant.0, "outbox full: the client does not read");
            outbox.close(CloseCode::IdleOrSlow, "the client does not read");
            self.leave(Alarm::now().into_std(), participant);
        }
    }
}
