//! Rooms on their tasks.

#![allow(clippy::unwrap_used)]

use super::{
    registry::{CallRecord, MemoryRegistry},
    *,
};
use crate::{outbox::Frame, room::Change};
use e2ee_core::{Primitives, Standard};
use sfu_api::{Command, Event, Request, TransportState};
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};
use tacet_proto::{
    CloseCode,
    binary::{ANNOUNCE_BYTES, ANNOUNCE_CALL, ANNOUNCE_DEVICE_KEY, ANNOUNCE_DISPLAY_HASH, ANNOUNCE_ROOM},
    bytes::Base64,
    client::{Assign, Empty, Join, Lock, Ping},
};

const ACCESS: [u8; 32] = [3; 32];

/// Two workers. On request, panics at the next participant, inside the room's task.
#[derive(Default)]
struct Fragile {
    breaks: AtomicBool,
    /// Number of overloaded workers, from the first.
    overloaded: AtomicUsize,
    /// Workers that participants were added to.
    added: Mutex<Vec<usize>>,
}

impl MediaPlane for Fragile {
    fn workers(&self) -> usize {
        2
    }

    fn command(&self, worker: usize, request: Request) {
        if matches!(request.command, Command::AddParticipant { .. }) {
            assert!(!self.breaks.swap(false, Ordering::Relaxed), "an intended fault in a room");
            self.added.lock().unwrap().push(worker);
        }
    }

    fn is_overloaded(&self, worker: usize) -> bool {
        worker < self.overloaded.load(Ordering::Relaxed)
    }
}

fn rooms(config: Config) -> (Rooms, Arc<Fragile>) {
    let media = Arc::new(Fragile::default());
    let kept = Kept::nothing(&config).unwrap();
    (Rooms::new(Arc::new(config), Arc::clone(&media) as _, MediaEvents::default(), Arc::default(), kept), media)
}

/// A registry on a disk that is full on request.
#[derive(Debug)]
struct Disk {
    full: AtomicBool,
    rooms: MemoryRegistry,
}

impl Disk {
    fn fill(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    fn writable(&self) -> Result<&MemoryRegistry, RegistryError> {
        if self.full.load(Ordering::Relaxed) { Err(RegistryError::Storage("full".into())) } else { Ok(&self.rooms) }
    }
}

impl Registry for Disk {
    fn insert(&self, room: RoomId, record: RoomRecord) -> Result<(), RegistryError> {
        self.writable()?.insert(room, record)
    }

    fn get(&self, room: RoomId) -> Option<RoomRecord> {
        self.rooms.get(room)
    }

    fn update(&self, room: RoomId, change: &mut dyn FnMut(&mut RoomRecord)) -> Result<(), RegistryError> {
        self.writable()?.update(room, change)
    }

    fn remove(&self, room: RoomId) -> Result<(), RegistryError> {
        self.writable()?.remove(room)
    }

    fn remove_idle(&self, room: RoomId) -> Result<bool, RegistryError> {
        self.writable()?.remove_idle(room)
    }

    fn evict(&self) -> Result<Option<RoomId>, RegistryError> {
        self.writable()?.evict()
    }

    fn capacity(&self) -> usize {
        self.rooms.capacity()
    }

    fn rooms(&self) -> Vec<RoomId> {
        self.rooms.rooms()
    }

    fn count(&self) -> usize {
        self.rooms.count()
    }
}

/// A room in which guests are hosts, on a disk.
fn room_on_a_disk() -> (Rooms, RoomId, Arc<Disk>) {
    let config = Config::default();
    let disk = Arc::new(Disk { full: AtomicBool::new(false), rooms: MemoryRegistry::new(config.rooms) });
    let kept = Kept { registry: Arc::clone(&disk) as _, ..Kept::nothing(&config).unwrap() };
    let media = Arc::new(Fragile::default());
    let rooms = Rooms::new(Arc::new(config), media, MediaEvents::default(), Arc::default(), kept);
    let (room, policy) = (RoomId(Fixed([6; 16])), RoomPolicy { guests: Some(Role::Host), locked: false });
    rooms.create_as(room, AccessHash::of(&ACCESS), Maker::Operator, policy).unwrap();
    (rooms, room, disk)
}

/// A connection in a room.
struct Connected {
    room: RoomId,
    attachment: Attachment,
    outgoings: Outgoings,
    closer: Closer,
}

impl Connected {
    async fn request(&self, message: ClientMessage) {
        self.attachment.request(Some(1), message).await.unwrap();
    }

    /// Joins as a separate device.
    async fn join(&self) {
        let Entered { participant, call, .. } = self.attachment.entered;
        let mut announce = vec![0; ANNOUNCE_BYTES];
        announce[ANNOUNCE_ROOM].copy_from_slice(&self.room.0.0);
        announce[ANNOUNCE_CALL].copy_from_slice(&call.0.0);
        announce[ANNOUNCE_DEVICE_KEY][..4].copy_from_slice(&participant.0.to_be_bytes());
        announce[ANNOUNCE_DISPLAY_HASH].copy_from_slice(&Standard::digest(&[]));
        let (announce, display) = (Base64(announce), Base64(vec![]));
        self.request(ClientMessage::Join(Join { announce, display, expects: vec![] })).await;
    }

    async fn text(&mut self) -> String {
        match self.outgoings.recv().await.frame {
            Frame::Text(text) => text.to_string(),
            Frame::Binary(_) => panic!("a binary message"),
        }
    }

    /// Whether a request is carried out, which the answer says after all that came before.
    async fn done(&mut self, message: ClientMessage) -> bool {
        self.request(message).await;
        loop {
            let Frame::Text(text) = self.outgoings.recv().await.frame else { continue };
            if text.contains(r#""t":"ok""#) || text.contains(r#""t":"error""#) {
                return text.contains(r#""t":"ok""#);
            }
        }
    }

    async fn closed(&self) -> CloseCode {
        crate::outbox::ended(&mut self.closer.closing()).await.unwrap().code
    }

    async fn leave(self) {
        self.request(ClientMessage::Leave(Empty {})).await;
        assert_eq!(self.closed().await, CloseCode::Normal);
    }
}

async fn try_enter(rooms: &Rooms, room: RoomId) -> Result<Connected, EnterError> {
    let (closer, origins) = (Closer::default(), Origins::default());
    let credential = Credential::GuestAccess { token: Fixed(ACCESS) };
    let hello = Hello { room, credential, client: String::new(), features: vec![], resume: None };
    let arrival = Arrival { hello: &hello, nonce: [0; 32], origins: &origins, closer: closer.clone() };
    let mut attachment = rooms.enter(arrival).await?;
    let outgoings = attachment.outgoings.take().unwrap();
    Ok(Connected { room, attachment, outgoings, closer })
}

async fn enter(rooms: &Rooms, room: RoomId) -> Connected {
    try_enter(rooms, room).await.unwrap()
}

#[tokio::test]
async fn client_that_does_not_read_is_closed_and_leaves() {
    let (rooms, _) = rooms(Config::default());
    let room = rooms.create(AccessHash::of(&ACCESS)).unwrap();
    let slow = enter(&rooms, room).await;
    for _ in 0..=crate::outbox::CAPACITY {
        slow.request(ClientMessage::Ping(Ping { ms: 1 })).await;
    }
    assert_eq!(slow.closed().await, CloseCode::IdleOrSlow);
    let guest = enter(&rooms, room).await;
    assert_ne!(guest.attachment.entered.call, slow.attachment.entered.call, "the first call had ended");
}

#[tokio::test]
async fn panic_disconnects_one_call_and_its_room_reopens() {
    let (rooms, media) = rooms(Config::default());
    let [broken, intact] = [0, 1].map(|_| rooms.create(AccessHash::of(&ACCESS)).unwrap());
    let in_broken = enter(&rooms, broken).await;
    let mut in_intact = enter(&rooms, intact).await;
    media.breaks.store(true, Ordering::Relaxed);
    in_broken.join().await;
    assert_eq!(in_broken.closed().await, CloseCode::Internal);

    in_intact.join().await;
    assert!(in_intact.text().await.contains("joined"), "the other room goes on");
    let again = loop {
        // The supervisor reopens the room soon.
        match try_enter(&rooms, broken).await {
            Ok(guest) => break guest,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let calls = [&again, &in_broken].map(|guest| guest.attachment.entered.call);
    assert_eq!(calls[0], calls[1], "the call goes on, for those who return to it");
    assert_eq!(rooms.0.metrics.gathering.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn call_begins_on_the_least_loaded_worker_and_stays() {
    let (rooms, media) = rooms(Config::default());
    let [first, second, third] = [0; 3].map(|_| rooms.create(AccessHash::of(&ACCESS)).unwrap());
    let mut guests = Vec::new();
    for room in [second, first, second, second] {
        let mut guest = enter(&rooms, room).await;
        guest.join().await;
        guest.text().await;
        guests.push(guest);
    }
    assert_eq!(*media.added.lock().unwrap(), [0, 1, 0, 0], "rooms were created in another order than calls began");
    assert_eq!(rooms.participants(), 4);
    for guest in guests.drain(..) {
        guest.leave().await;
    }
    for room in [third, second] {
        let mut guest = enter(&rooms, room).await;
        guest.join().await;
        guest.text().await;
        guests.push(guest);
    }
    assert_eq!(media.added.lock().unwrap()[4..], [0, 1], "a room whose call has ended may move");
}

#[tokio::test]
async fn newcomers_to_an_overloaded_worker_are_refused() {
    let (rooms, media) = rooms(Config::default());
    let [here, elsewhere, nowhere] = [0; 3].map(|_| rooms.create(AccessHash::of(&ACCESS)).unwrap());
    let mut guest = enter(&rooms, here).await;
    guest.join().await;
    guest.text().await;
    media.overloaded.store(1, Ordering::Relaxed);
    assert_eq!(try_enter(&rooms, here).await.err(), Some(EnterError::Overloaded));
    let mut other = enter(&rooms, elsewhere).await;
    other.join().await;
    other.text().await;
    assert_eq!(*media.added.lock().unwrap(), [0, 1], "a new call begins on the other worker");
    media.overloaded.store(2, Ordering::Relaxed);
    assert_eq!(try_enter(&rooms, nowhere).await.err(), Some(EnterError::Overloaded));
    media.overloaded.store(0, Ordering::Relaxed);
    enter(&rooms, here).await;
}

/// A goodbye is recorded before it is answered, and so is a call before it is entered.
#[tokio::test]
async fn call_and_goodbyes_are_recorded_before_they_are_answered() {
    let (rooms, _) = rooms(Config::default());
    let room = rooms.create(AccessHash::of(&ACCESS)).unwrap();
    let record = || rooms.0.registry.get(room).unwrap().call;
    assert_eq!(record(), None);
    let (ada, bo) = (enter(&rooms, room).await, enter(&rooms, room).await);
    let Entered { call, participant, .. } = ada.attachment.entered;
    assert_eq!(record(), Some(CallRecord::new(call)));
    ada.join().await;
    ada.leave().await;
    assert_eq!(record(), Some(CallRecord { gone: vec![participant], ..CallRecord::new(call) }));
    bo.leave().await;
    while record().is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn removal_that_cannot_be_written_is_answered_so() {
    let (rooms, room, disk) = room_on_a_disk();
    let (_ada, bo, cy) = (enter(&rooms, room).await, enter(&rooms, room).await, enter(&rooms, room).await);
    let [bo_id, cy_id] = [&bo, &cy].map(|connected| connected.attachment.entered.participant);
    disk.fill(true);
    assert_eq!(rooms.kick(room, bo_id, true).await, Err(KickError::NotWritten));
    assert_eq!(bo.closed().await, CloseCode::Removed, "it is gone all the same");
    assert_eq!(rooms.kick(room, bo_id, true).await, Err(KickError::NoParticipant));
    disk.fill(false);
    assert_eq!(rooms.kick(room, cy_id, false).await, Ok(()));
    assert_eq!(disk.get(room).unwrap().call.unwrap().gone, [cy_id]);
}

/// The operator locks the room while a moderator, whose room has not heard of it, removes someone.
#[test]
fn removal_undoes_no_lock() {
    let mut record = RoomRecord::new(AccessHash::of(&ACCESS));
    let removal = |locks| Change::Removed {
        call: CallId(Fixed([1; 16])),
        participants: vec![ParticipantId(2)],
        bans: vec![],
        locks,
    };
    for (before, locks, after) in [(true, false, true), (true, true, true), (false, false, false), (false, true, true)]
    {
        record.policy.locked = before;
        task::apply(&mut record, &removal(locks));
        assert_eq!(record.policy.locked, after);
    }
}

/// What a full disk took is written when it is asked for again, although the room has long been so.
#[tokio::test]
async fn repeated_change_is_written_if_it_was_not() {
    let (rooms, room, disk) = room_on_a_disk();
    let (mut ada, bo) = (enter(&rooms, room).await, enter(&rooms, room).await);
    let Entered { participant, call, .. } = bo.attachment.entered;
    let assign = ClientMessage::Role(Assign { participant, role: Role::Listener });
    let lock = |locked| ClientMessage::Lock(Lock { locked });
    ada.join().await;
    bo.join().await;
    disk.fill(true);
    assert!(!ada.done(lock(true)).await);
    assert!(!ada.done(assign.clone()).await);
    assert!(!ada.done(lock(true)).await && !ada.done(assign.clone()).await, "still full");
    disk.fill(false);
    for _ in 0..2 {
        assert!(ada.done(lock(true)).await && ada.done(assign.clone()).await);
        let record = disk.get(room).unwrap();
        assert!(record.policy.locked);
        let roles = vec![(participant, Role::Listener)];
        assert_eq!(record.call, Some(CallRecord { roles, ..CallRecord::new(call) }));
    }
}

#[tokio::test]
async fn unused_room_ends() {
    let (rooms, _) = rooms(Config { room_idle: Duration::ZERO, ..Config::default() });
    rooms.create(AccessHash::of(&ACCESS)).unwrap();
    while rooms.count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn rooms_are_limited() {
    let (rooms, _) = rooms(Config { rooms: 1, ..Config::default() });
    rooms.create(AccessHash::of(&ACCESS)).unwrap();
    assert!(matches!(rooms.create(AccessHash::of(&ACCESS)), Err(CreateError::TooMany)));
}

/// A plane whose commands about one room block until the test ends it.
struct Stuck {
    room: sfu_api::RoomId,
    released: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl MediaPlane for Stuck {
    fn workers(&self) -> usize {
        1
    }

    fn command(&self, _: usize, request: Request) {
        if matches!(request.command, Command::AddParticipant { room, .. } if room == self.room) {
            let _ = self.released.lock().unwrap().recv();
        }
    }
}

/// Far more events than a room's inbox holds wait for a room that does not run; those of another room still arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stuck_room_does_not_delay_events_of_others() {
    let (release, released) = std::sync::mpsc::channel();
    let media = Arc::new(Stuck { room: sfu_api::RoomId(1), released: Mutex::new(released) });
    let events = MediaEvents::default();
    let kept = Kept::nothing(&Config::default()).unwrap();
    let rooms = Rooms::new(Arc::default(), media, events.clone(), Arc::default(), kept);
    let [stuck, lively] = [0, 1].map(|_| rooms.create(AccessHash::of(&ACCESS)).unwrap());
    let (ada, mut bob) = (enter(&rooms, stuck).await, enter(&rooms, lively).await);
    bob.join().await;
    assert!(bob.text().await.contains("joined"));
    ada.join().await;

    let connected = |guest: &Connected| {
        let participant = guest.attachment.entered.participant;
        Event::TransportState { participant, state: TransportState::Connected }
    };
    for _ in 0..10_000 {
        events.send(connected(&ada));
    }
    events.send(connected(&bob));
    assert!(bob.text().await.contains("transport.state"));
    release.send(()).unwrap();
}
