//! All rooms of the server, each a task of its own around an I/O-free [`Room`].
//!
//! A room waits for nobody: what it has to say is put into bounded outboxes, and whoever does not empty its own is
//! closed. If a room panics its participants are closed and no other room notices.

use crate::{
    access_hash::AccessHash,
    config::Config,
    media::{MediaEventQueue, MediaPlane},
    metrics::Metrics,
    outbox::{Outbox, Outgoing},
    placement::{Place, Placement},
    random::random,
    room::{Output, Room},
};
use sfu_api::{Command, Event, event::TransportState};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tacet_proto::{
    CallId, ClientMessage, CloseCode, ParticipantId, RoomId, binary::ClientBinary, bytes::Fixed, client::Credential,
};
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
    /// A binary message, with its request number.
    Binary(ParticipantId, Option<u32>, ClientBinary),
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
    /// The credential does not admit to this room.
    #[error("the credential does not admit to this room")]
    WrongCredential,
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
    pub(crate) async fn binary(&self, id: Option<u32>, message: ClientBinary) -> Result<(), Ended> {
        self.put(Input::Binary(self.participant, id, message)).await
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
    placement: Placement,
    metrics: Arc<Metrics>,
    directory: Mutex<Directory>,
    participants: AtomicU32,
    tracks: Arc<AtomicU32>,
    numbers: AtomicU64,
}

#[derive(Debug, Default)]
struct Directory {
    rooms: HashMap<RoomId, Entry>,
    numbers: HashMap<sfu_api::RoomId, mpsc::Sender<Input>>,
    participants: HashMap<ParticipantId, mpsc::Sender<Input>>,
}

#[derive(Debug)]
struct Entry {
    access_hash: AccessHash,
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
    pub(crate) fn new(
        config: Arc<Config>,
        media: Arc<dyn MediaPlane>,
        events: MediaEventQueue,
        metrics: Arc<Metrics>,
    ) -> Self {
        let placement = Placement::new(media.workers());
        let shared = Arc::new(Shared {
            config,
            media,
            placement,
            metrics,
            directory: Mutex::default(),
            participants: AtomicU32::new(1),
            tracks: Arc::new(AtomicU32::new(1)),
            numbers: AtomicU64::new(1),
        });
        tokio::spawn(route(Arc::clone(&shared), events));
        Self(shared)
    }

    /// Creates a room for everyone who has the access token of this hash.
    ///
    /// # Errors
    /// See [`CreateError`].
    pub fn create(&self, access_hash: AccessHash) -> Result<RoomId, CreateError> {
        let id = RoomId(Fixed(random().map_err(|_| CreateError::NoRandomness)?));
        let number = sfu_api::RoomId(self.0.numbers.fetch_add(1, Ordering::Relaxed));
        let mut directory = self.0.directory();
        if directory.rooms.len() >= self.0.config.rooms {
            return Err(CreateError::TooMany);
        }
        let inputs = directory.register(id, number, access_hash);
        drop(directory);
        tokio::spawn(supervise(Arc::clone(&self.0), id, number, access_hash, inputs));
        Ok(id)
    }

    /// Number of rooms.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.directory().rooms.len()
    }

    /// Number of participants, over all rooms.
    #[must_use]
    pub fn participants(&self) -> usize {
        self.0.directory().participants.len()
    }

    /// Lets somebody in who has the token.
    pub(crate) async fn enter(
        &self,
        room: RoomId,
        credential: &Credential,
        outbox: Outbox,
    ) -> Result<Attachment, EnterError> {
        let inbox = {
            let directory = self.0.directory();
            let entry = directory.rooms.get(&room).ok_or(EnterError::NoRoom)?;
            let Credential::GuestAccess { token } = credential;
            if !entry.access_hash.admits(token) {
                return Err(EnterError::WrongCredential);
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
                | Event::Refused { participant, .. }
                | Event::LimitExceeded { participant, .. } => directory.participants.get(participant).cloned(),
                _ => None,
            }
        };
        if let Some(inbox) = inbox {
            let _ = inbox.send(Input::Media(event)).await;
        }
    }
}

impl Directory {
    /// Puts a room's new inbox into the directory, and gives its other end.
    fn register(&mut self, id: RoomId, number: sfu_api::RoomId, access_hash: AccessHash) -> mpsc::Receiver<Input> {
        let (inbox, inputs) = mpsc::channel(INBOX);
        self.rooms.insert(id, Entry { access_hash, inbox: inbox.clone() });
        self.numbers.insert(number, inbox);
        inputs
    }
}

/// Runs a room until nobody has used it for long. If it panics those in it are closed, and its link opens an empty room
/// again.
async fn supervise(
    shared: Arc<Shared>,
    id: RoomId,
    number: sfu_api::RoomId,
    access_hash: AccessHash,
    mut inputs: mpsc::Receiver<Input>,
) {
    loop {
        let task = Task {
            room: Room::new(number, shared.config.room, Arc::clone(&shared.tracks)),
            worker: 0,
            guests: HashMap::new(),
            shared: Arc::clone(&shared),
        };
        let ended = tokio::spawn(task.run(inputs, shared.config.room_idle)).await;
        let mut directory = shared.directory();
        match ended {
            Err(error) if error.is_panic() => {
                shared.metrics.room_faults.fetch_add(1, Ordering::Relaxed);
                tracing::error!("a room panicked; those in it were disconnected");
                inputs = directory.register(id, number, access_hash);
            }
            _ => {
                directory.rooms.remove(&id);
                directory.numbers.remove(&number);
                return;
            }
        }
    }
}

/// A room with those in it; whoever is left when the task ends is closed.
struct Task {
    room: Room,
    /// Where the call is, while there is one.
    worker: usize,
    guests: HashMap<ParticipantId, Guest>,
    shared: Arc<Shared>,
}

/// Somebody in a room, or on its doorstep.
struct Guest {
    outbox: Outbox,
    /// Counts as load while it is here.
    _place: Place,
    /// When it joined, until its media are connected.
    joining: Option<Instant>,
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
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>, idle: Duration) {
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
                if self.room.is_empty() {
                    self.worker = self.shared.placement.least_loaded(&*self.shared.media);
                }
                let call = self.room.enter(participant, fresh);
                let place = self.shared.placement.enter(self.worker);
                self.guests.insert(participant, Guest { outbox, _place: place, joining: None });
                if reply.send(call).is_err() {
                    self.gone(now, participant);
                }
            }
            Input::Request(participant, id, message) => self.room.request(now, participant, id, message),
            Input::Binary(participant, id, message) => self.room.binary(now, participant, id, message),
            Input::Leave(participant, reply) => {
                self.gone(now, participant);
                let _ = reply.send(());
            }
            Input::Media(event) => {
                if let Event::TransportState { participant, state: TransportState::Connected } = event
                    && let Some(guest) = self.guests.get_mut(&participant)
                    && let Some(since) = guest.joining.take()
                {
                    self.shared.metrics.connected(now.saturating_duration_since(since));
                }
                self.room.media(now, event);
            }
        }
    }

    fn gone(&mut self, now: Instant, participant: ParticipantId) {
        self.room.leave(now, participant);
        self.guests.remove(&participant);
    }

    /// Does what the room wants done. Those who do not read leave on the way, which makes more to do.
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
                    if let Command::AddParticipant { participant, .. } = request.command
                        && let Some(guest) = self.guests.get_mut(&participant)
                    {
                        guest.joining = Some(Alarm::now().into_std());
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
            outbox.close(CloseCode::IdleOrSlow, "the client does not read");
            self.gone(Alarm::now().into_std(), participant);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{media, outbox::outbox};
    use sfu_api::Request;
    use std::sync::atomic::AtomicBool;
    use tacet_proto::{
        binary::ANNOUNCE_BYTES,
        bytes::Base64,
        client::{Join, Ping},
    };

    const ACCESS: [u8; 32] = [3; 32];
    const CREDENTIAL: Credential = Credential::GuestAccess { token: Fixed(ACCESS) };

    /// Two workers. Panics at the next participant when told to, inside the room's task.
    #[derive(Default)]
    struct Fragile {
        breaks: AtomicBool,
        /// Workers that participants were added to.
        added: Mutex<Vec<usize>>,
    }

    impl MediaPlane for Fragile {
        fn workers(&self) -> usize {
            2
        }

        fn command(&self, worker: usize, request: Request) {
            if matches!(request.command, Command::AddParticipant { .. }) {
                assert!(!self.breaks.swap(false, Ordering::Relaxed), "a fault in a room, on purpose");
                self.added.lock().unwrap().push(worker);
            }
        }
    }

    fn rooms(config: Config) -> (Rooms, Arc<Fragile>) {
        let media = Arc::new(Fragile::default());
        (Rooms::new(Arc::new(config), Arc::clone(&media) as _, media::events().1, Arc::default()), media)
    }

    fn join() -> ClientMessage {
        ClientMessage::Join(Join { announce: Base64(vec![0; ANNOUNCE_BYTES]), display: Base64(vec![]) })
    }

    async fn code(outbox: &Outbox) -> CloseCode {
        crate::outbox::ended(&mut outbox.closing()).await.unwrap().code
    }

    #[tokio::test]
    async fn who_does_not_read_is_closed_and_leaves_the_room() {
        let (rooms, _) = rooms(Config::default());
        let room = rooms.create(AccessHash::of(&ACCESS)).unwrap();
        let (slow, _unread) = outbox();
        let slow_guest = rooms.enter(room, &CREDENTIAL, slow.clone()).await.unwrap();
        for _ in 0..=crate::outbox::QUEUE {
            slow_guest.request(Some(1), ClientMessage::Ping(Ping { ms: 1 })).await.unwrap();
        }
        assert_eq!(code(&slow).await, CloseCode::IdleOrSlow);
        let call = slow_guest.call;
        let (other, _queue) = outbox();
        let guest = rooms.enter(room, &CREDENTIAL, other).await.unwrap();
        assert_ne!(guest.call, call, "nobody was there any more");
    }

    #[tokio::test]
    async fn a_panic_ends_one_call_and_its_room_opens_again() {
        let (rooms, media) = rooms(Config::default());
        let [broken, sound] = [0, 1].map(|_| rooms.create(AccessHash::of(&ACCESS)).unwrap());
        let ((ada, _ada), (bo, mut heard)) = (outbox(), outbox());
        let in_broken = rooms.enter(broken, &CREDENTIAL, ada.clone()).await.unwrap();
        let in_sound = rooms.enter(sound, &CREDENTIAL, bo).await.unwrap();
        media.breaks.store(true, Ordering::Relaxed);
        in_broken.request(Some(1), join()).await.unwrap();
        assert_eq!(code(&ada).await, CloseCode::Internal);

        in_sound.request(Some(1), join()).await.unwrap();
        assert!(heard.queue.recv().await.is_some(), "the other room goes on");
        loop {
            // The supervisor needs a moment to open the room again.
            let (cy, _cy) = outbox();
            if rooms.enter(broken, &CREDENTIAL, cy).await.is_ok() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_call_goes_to_the_least_loaded_worker_when_it_begins_and_stays_there() {
        let (rooms, media) = rooms(Config::default());
        let [first, second, third] = [0; 3].map(|_| rooms.create(AccessHash::of(&ACCESS)).unwrap());
        let mut heard = Vec::new();
        let mut guests = Vec::new();
        for room in [second, first, second, second] {
            let (outbox, queue) = outbox();
            heard.push(queue);
            let guest = rooms.enter(room, &CREDENTIAL, outbox).await.unwrap();
            guest.request(Some(1), join()).await.unwrap();
            heard.last_mut().unwrap().queue.recv().await.unwrap();
            guests.push(guest);
        }
        assert_eq!(*media.added.lock().unwrap(), [0, 1, 0, 0], "rooms were made in another order than calls began");
        assert_eq!(rooms.participants(), 4);
        for guest in guests.drain(..) {
            guest.leave().await;
        }
        for room in [third, second] {
            let (outbox, mut queue) = outbox();
            let guest = rooms.enter(room, &CREDENTIAL, outbox).await.unwrap();
            guest.request(Some(1), join()).await.unwrap();
            queue.queue.recv().await.unwrap();
            heard.push(queue);
            guests.push(guest);
        }
        assert_eq!(media.added.lock().unwrap()[4..], [0, 1], "a room whose call has ended may move");
    }

    #[tokio::test]
    async fn a_room_that_nobody_uses_ends() {
        let (rooms, _) = rooms(Config { room_idle: Duration::ZERO, ..Config::default() });
        rooms.create(AccessHash::of(&ACCESS)).unwrap();
        while rooms.count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn there_are_no_more_rooms_than_allowed() {
        let (rooms, _) = rooms(Config { rooms: 1, ..Config::default() });
        rooms.create(AccessHash::of(&ACCESS)).unwrap();
        assert_eq!(rooms.create(AccessHash::of(&ACCESS)), Err(CreateError::TooMany));
    }
}
