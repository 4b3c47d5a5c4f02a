//! All rooms of the server, each a task of its own around an I/O-free [`Room`].
//!
//! A room waits for nobody: what it has to say is put into bounded outboxes, and whoever does not empty its own is
//! closed. If a room panics its participants are closed and no other room notices.

use crate::{
    access::{AccessHash, random},
    config::Config,
    media::{MediaEventQueue, MediaPlane},
    outbox::{Outbox, Outgoing},
    room::{Output, Room},
};
use sfu::Event;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Instant,
};
use tacet_proto::{CallId, ClientMessage, CloseCode, ParticipantId, RoomId, bytes::Fixed};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant as Alarm, sleep_until},
};

/// Inputs that wait for a room at most. Connections wait for space; rooms never wait, so it is soon there.
const INBOX: usize = 1_024;

/// What happens to a room.
#[derive(Debug)]
pub(crate) enum Input {
    /// Somebody with the right token is on the doorstep. A call that begins with it gets the fresh label.
    Enter { participant: ParticipantId, outbox: Outbox, fresh: CallId, reply: oneshot::Sender<CallId> },
    /// A request.
    Request(ParticipantId, Option<u32>, ClientMessage),
    /// A binary message.
    Binary(ParticipantId, Vec<u8>),
    /// A connection ended. It waits for the answer, so that what it asked for before is answered before it closes.
    Leave(ParticipantId, oneshot::Sender<()>),
    /// The media plane speaks.
    Media(Event),
}

/// A room cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// There are as many rooms as there may be.
    #[error("the server has as many rooms as it may")]
    TooMany,
    /// The operating system gives no randomness.
    #[error("no randomness")]
    NoRandomness,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnterError {
    /// There is no such room, or it has just ended.
    #[error("no such room")]
    NoRoom,
    /// The access token is another room's, or nobody's.
    #[error("wrong access token")]
    WrongAccess,
    /// The operating system gives no randomness.
    #[error("no randomness")]
    NoRandomness,
}

/// A place on the doorstep of a room; `leave` it.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) participant: ParticipantId,
    pub(crate) call: CallId,
    inbox: mpsc::Sender<Input>,
    rooms: Arc<Shared>,
}

/// The room's task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the room has ended")]
pub(crate) struct Ended;

impl Attachment {
    /// Hands a request to the room.
    pub(crate) async fn request(&self, id: Option<u32>, message: ClientMessage) -> Result<(), Ended> {
        self.put(Input::Request(self.participant, id, message)).await
    }

    /// Hands a binary message to the room.
    pub(crate) async fn binary(&self, message: Vec<u8>) -> Result<(), Ended> {
        self.put(Input::Binary(self.participant, message)).await
    }

    /// Tells the room that the connection has ended.
    pub(crate) async fn leave(self) {
        let (reply, left) = oneshot::channel();
        if self.put(Input::Leave(self.participant, reply)).await.is_ok() {
            let _ = left.await;
        }
        self.rooms.directory().participants.remove(&self.participant);
    }

    async fn put(&self, input: Input) -> Result<(), Ended> {
        self.inbox.send(input).await.map_err(|_| Ended)
    }
}

/// The rooms. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rooms(Arc<Shared>);

struct Shared {
    config: Arc<Config>,
    media: Arc<dyn MediaPlane>,
    directory: Mutex<Directory>,
    participants: AtomicU32,
    tracks: Arc<AtomicU32>,
    numbers: AtomicU64,
}

#[derive(Debug, Default)]
struct Directory {
    rooms: HashMap<RoomId, Entry>,
    numbers: HashMap<sfu::RoomId, mpsc::Sender<Input>>,
    participants: HashMap<ParticipantId, mpsc::Sender<Input>>,
}

#[derive(Debug)]
struct Entry {
    access: AccessHash,
    inbox: mpsc::Sender<Input>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rooms").finish_non_exhaustive()
    }
}

impl Shared {
    fn directory(&self) -> MutexGuard<'_, Directory> {
        // Every critical section leaves the directory whole, so a panic in one is no reason to stop.
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    /// No rooms yet. Must be called inside a tokio runtime.
    #[must_use]
    pub fn new(config: Arc<Config>, media: Arc<dyn MediaPlane>, events: MediaEventQueue) -> Self {
        let shared = Arc::new(Shared {
            config,
            media,
            directory: Mutex::default(),
            participants: AtomicU32::new(1),
            tracks: Arc::new(AtomicU32::new(1)),
            numbers: AtomicU64::new(1),
        });
        tokio::spawn(route(Arc::clone(&shared), events));
        Self(shared)
    }

    /// Makes a room that whoever has the token of this hash may enter.
    ///
    /// # Errors
    /// See [`CreateError`].
    pub fn create(&self, access: AccessHash) -> Result<RoomId, CreateError> {
        let id = RoomId(Fixed(random().map_err(|_| CreateError::NoRandomness)?));
        let number = sfu::RoomId(self.0.numbers.fetch_add(1, Ordering::Relaxed));
        let (inbox, inputs) = mpsc::channel(INBOX);
        let mut directory = self.0.directory();
        if directory.rooms.len() >= self.0.config.rooms {
            return Err(CreateError::TooMany);
        }
        directory.rooms.insert(id, Entry { access, inbox: inbox.clone() });
        directory.numbers.insert(number, inbox);
        drop(directory);
        let task = Task {
            room: Room::new(number, self.0.config.room, Arc::clone(&self.0.tracks)),
            worker: usize::try_from(number.0).unwrap_or(0) % self.0.media.workers().max(1),
            outboxes: HashMap::new(),
            media: Arc::clone(&self.0.media),
        };
        let registration = Registration { shared: Arc::clone(&self.0), id, number };
        tokio::spawn(task.run(inputs, registration));
        Ok(id)
    }

    /// Number of rooms.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.directory().rooms.len()
    }

    /// Lets somebody in who has the token.
    pub(crate) async fn enter(
        &self,
        room: RoomId,
        access: &Fixed<32>,
        outbox: Outbox,
    ) -> Result<Attachment, EnterError> {
        let inbox = {
            let directory = self.0.directory();
            let entry = directory.rooms.get(&room).ok_or(EnterError::NoRoom)?;
            if !entry.access.admits(access) {
                return Err(EnterError::WrongAccess);
            }
            entry.inbox.clone()
        };
        let fresh = CallId(Fixed(random().map_err(|_| EnterError::NoRandomness)?));
        let participant = ParticipantId(self.0.participants.fetch_add(1, Ordering::Relaxed));
        self.0.directory().participants.insert(participant, inbox.clone());
        let (reply, call) = oneshot::channel();
        let entered = inbox.send(Input::Enter { participant, outbox, fresh, reply }).await.is_ok();
        match call.await {
            Ok(call) if entered => Ok(Attachment { participant, call, inbox, rooms: Arc::clone(&self.0) }),
            _ => {
                self.0.directory().participants.remove(&participant);
                Err(EnterError::NoRoom)
            }
        }
    }
}

/// Brings the media plane's events to the rooms that they concern.
async fn route(shared: Arc<Shared>, mut events: MediaEventQueue) {
    while let Some(event) = events.0.recv().await {
        let inbox = {
            let directory = shared.directory();
            match &event {
                Event::Speakers { room, .. } | Event::RoomFailed { room, .. } => directory.numbers.get(room).cloned(),
                Event::Transport { participant, .. }
                | Event::SlotAdded { participant, .. }
                | Event::TransportState { participant, .. }
                | Event::Refused { participant, .. } => {
                    directory.participants.get(&ParticipantId(participant.0)).cloned()
                }
            }
        };
        if let Some(inbox) = inbox {
            let _ = inbox.send(Input::Media(event)).await;
        }
    }
}

/// A room's entry in the directory; goes with the room's task, however that ends.
struct Registration {
    shared: Arc<Shared>,
    id: RoomId,
    number: sfu::RoomId,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut directory = self.shared.directory();
        directory.rooms.remove(&self.id);
        directory.numbers.remove(&self.number);
    }
}

/// The outboxes of a room; whoever is left when the room's task ends is closed.
struct Task {
    room: Room,
    worker: usize,
    outboxes: HashMap<ParticipantId, Outbox>,
    media: Arc<dyn MediaPlane>,
}

impl Drop for Task {
    fn drop(&mut self) {
        for (participant, outbox) in self.outboxes.drain() {
            outbox.close(CloseCode::Internal, "the room has ended");
            let participant = sfu::ParticipantId(participant.0);
            self.media.command(self.worker, sfu::Command::RemoveParticipant { participant });
        }
    }
}

impl Task {
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>, registration: Registration) {
        let idle = registration.shared.config.room_idle;
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
                () = sleep_until(alarm) => {
                    let now = Alarm::now();
                    if self.room.is_empty() && now >= idle_since + idle {
                        tracing::debug!("a room that nobody used has ended");
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
                let call = self.room.enter(participant, fresh);
                self.outboxes.insert(participant, outbox);
                if reply.send(call).is_err() {
                    self.gone(now, participant);
                }
            }
            Input::Request(participant, id, message) => self.room.request(now, participant, id, message),
            Input::Binary(participant, message) => self.room.binary(now, participant, &message),
            Input::Leave(participant, reply) => {
                self.gone(now, participant);
                let _ = reply.send(());
            }
            Input::Media(event) => self.room.media(now, event),
        }
    }

    fn gone(&mut self, now: Instant, participant: ParticipantId) {
        self.room.leave(now, participant);
        self.outboxes.remove(&participant);
    }

    /// Does what the room wants done. Those who do not read leave on the way, which makes more to do.
    fn act(&mut self) {
        while let Some(output) = self.room.poll() {
            match output {
                Output::Send(participant, outgoing) => self.send(participant, outgoing),
                Output::Hint(participant, message) => {
                    if let Some(outbox) = self.outboxes.get(&participant) {
                        outbox.hint(message);
                    }
                }
                Output::Command(command) => self.media.command(self.worker, command),
                Output::Close(participant, closing) => {
                    if let Some(outbox) = self.outboxes.get(&participant) {
                        outbox.close(closing.code, closing.reason);
                    }
                }
            }
        }
    }

    fn send(&mut self, participant: ParticipantId, outgoing: Outgoing) {
        let Some(outbox) = self.outboxes.get(&participant) else { return };
        if outbox.send(outgoing).is_err() {
            outbox.close(CloseCode::IdleOrSlow, "the client does not read");
            self.gone(Alarm::now().into_std(), participant);
        }
    }
}
