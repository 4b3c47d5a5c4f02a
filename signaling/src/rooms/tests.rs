//! Rooms on their tasks.

#![allow(clippy::unwrap_used)]

use super::{registry::MemoryRegistry, *};
use crate::outbox::{Frame, outbox};
use sfu_api::{Command, Event, Request, TransportState};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tacet_proto::{
    CloseCode,
    binary::ANNOUNCE_BYTES,
    bytes::Base64,
    client::{Join, Ping},
};

const ACCESS: [u8; 32] = [3; 32];
const CREDENTIAL: Credential = Credential::GuestAccess { token: Fixed(ACCESS) };

/// Two workers. On request, panics at the next participant, inside the room's task.
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
            assert!(!self.breaks.swap(false, Ordering::Relaxed), "an intended fault in a room");
            self.added.lock().unwrap().push(worker);
        }
    }
}

fn rooms(config: Config) -> (Rooms, Arc<Fragile>) {
    let media = Arc::new(Fragile::default());
    let registry = Arc::new(MemoryRegistry::new(config.rooms));
    (Rooms::new(Arc::new(config), Arc::clone(&media) as _, MediaEvents::default(), Arc::default(), registry), media)
}

fn join() -> ClientMessage {
    ClientMessage::Join(Join { announce: Base64(vec![0; ANNOUNCE_BYTES]), display: Base64(vec![]), expects: vec![] })
}

async fn code(outbox: &Outbox) -> CloseCode {
    crate::outbox::ended(&mut outbox.closing()).await.unwrap().code
}

#[tokio::test]
async fn client_that_does_not_read_is_closed_and_leaves() {
    let (rooms, _) = rooms(Config::default());
    let room = rooms.create(AccessHash::of(&ACCESS)).unwrap();
    let (slow, _unread) = outbox();
    let slow_guest = rooms.enter(room, &CREDENTIAL, slow.clone()).await.unwrap();
    for _ in 0..=crate::outbox::CAPACITY {
        slow_guest.request(Some(1), ClientMessage::Ping(Ping { ms: 1 })).await.unwrap();
    }
    assert_eq!(code(&slow).await, CloseCode::IdleOrSlow);
    let call = slow_guest.call;
    let (other, _queue) = outbox();
    let guest = rooms.enter(room, &CREDENTIAL, other).await.unwrap();
    assert_ne!(guest.call, call, "the first call had ended");
}

#[tokio::test]
async fn panic_ends_one_call_and_its_room_reopens() {
    let (rooms, media) = rooms(Config::default());
    let [broken, intact] = [0, 1].map(|_| rooms.create(AccessHash::of(&ACCESS)).unwrap());
    let ((ada, _ada), (bo, mut heard)) = (outbox(), outbox());
    let in_broken = rooms.enter(broken, &CREDENTIAL, ada.clone()).await.unwrap();
    let in_intact = rooms.enter(intact, &CREDENTIAL, bo).await.unwrap();
    media.breaks.store(true, Ordering::Relaxed);
    in_broken.request(Some(1), join()).await.unwrap();
    assert_eq!(code(&ada).await, CloseCode::Internal);

    in_intact.request(Some(1), join()).await.unwrap();
    assert!(matches!(heard.recv().await.frame, Frame::Text(_)), "the other room goes on");
    loop {
        // The supervisor reopens the room soon.
        let (cy, _cy) = outbox();
        if rooms.enter(broken, &CREDENTIAL, cy).await.is_ok() {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn call_begins_on_the_least_loaded_worker_and_stays() {
    let (rooms, media) = rooms(Config::default());
    let [first, second, third] = [0; 3].map(|_| rooms.create(AccessHash::of(&ACCESS)).unwrap());
    let mut heard = Vec::new();
    let mut guests = Vec::new();
    for room in [second, first, second, second] {
        let (outbox, queue) = outbox();
        heard.push(queue);
        let guest = rooms.enter(room, &CREDENTIAL, outbox).await.unwrap();
        guest.request(Some(1), join()).await.unwrap();
        heard.last_mut().unwrap().recv().await;
        guests.push(guest);
    }
    assert_eq!(*media.added.lock().unwrap(), [0, 1, 0, 0], "rooms were created in another order than calls began");
    assert_eq!(rooms.participants(), 4);
    for guest in guests.drain(..) {
        guest.leave().await;
    }
    for room in [third, second] {
        let (outbox, mut queue) = outbox();
        let guest = rooms.enter(room, &CREDENTIAL, outbox).await.unwrap();
        guest.request(Some(1), join()).await.unwrap();
        queue.recv().await;
        heard.push(queue);
        guests.push(guest);
    }
    assert_eq!(media.added.lock().unwrap()[4..], [0, 1], "a room whose call has ended may move");
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

/// A plane whose first command about one participant blocks until the test ends it.
struct Stuck {
    participant: ParticipantId,
    released: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl MediaPlane for Stuck {
    fn workers(&self) -> usize {
        1
    }

    fn command(&self, _: usize, request: Request) {
        if request.command.participant() == self.participant {
            let _ = self.released.lock().unwrap().recv();
        }
    }
}

/// Far more events than a room's inbox holds wait for a room that does not run; those of another room still arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stuck_room_does_not_delay_events_of_others() {
    let (release, released) = std::sync::mpsc::channel();
    let media = Arc::new(Stuck { participant: ParticipantId(1), released: Mutex::new(released) });
    let events = MediaEvents::default();
    let rooms = Rooms::new(Arc::default(), media, events.clone(), Arc::default(), Arc::new(MemoryRegistry::new(2)));
    let [stuck, lively] = [0, 1].map(|_| rooms.create(AccessHash::of(&ACCESS)).unwrap());
    let ((ada, _ada), (bob, mut heard)) = (outbox(), outbox());
    let ada = rooms.enter(stuck, &CREDENTIAL, ada).await.unwrap();
    let bob = rooms.enter(lively, &CREDENTIAL, bob).await.unwrap();
    bob.request(Some(1), join()).await.unwrap();
    assert!(matches!(heard.recv().await.frame, Frame::Text(text) if text.contains("joined")));
    ada.request(Some(1), join()).await.unwrap();

    let connected = |participant| Event::TransportState { participant, state: TransportState::Connected };
    for _ in 0..10_000 {
        events.send(connected(ada.participant));
    }
    events.send(connected(bob.participant));
    assert!(matches!(heard.recv().await.frame, Frame::Text(text) if text.contains("transport.state")));
    release.send(()).unwrap();
}
