//! Faults in a running driver with clients on loopback sockets: what they end, and what continues.

use super::*;
use crate::{
    SPEAKERS,
    command::{Command, Publication},
    event::TransportState,
    ids::{Mid, ParticipantId, RoomId, Ssrc, TrackId},
    limits::VIDEO_RATE,
    media::Codec,
    metrics::Counter,
    worker::Fault,
};
use rtc_client::ClientState;
use sfu_testing::{LoopbackClient, PATIENCE, subscribe};
use std::{net::Ipv4Addr, sync::mpsc, time::Instant};

/// A running worker. Participants are numbered by room: ten times its number, and one more.
struct Call {
    handle: WorkerHandle,
    events: mpsc::Receiver<Event>,
    fault: Fault,
    clients: Vec<(ParticipantId, LoopbackClient)>,
    seq: u16,
}

impl Call {
    fn start(io: SocketIo, on_event: impl Fn(&Event) + Send + 'static) -> Self {
        let bound = socket::bind((Ipv4Addr::LOCALHOST, 0).into(), false).unwrap();
        let port = bound.socket.local_addr().unwrap().port();
        let worker = Worker::new(WorkerConfig {
            identity: Identity::generate().unwrap(),
            candidates: vec![(Ipv4Addr::LOCALHOST, port).into()],
            max_participants: 10,
            max_video_rate: VIDEO_RATE,
            adapt_video: false,
            speakers: SPEAKERS,
        });
        let fault = worker.fault();
        let (sender, events) = mpsc::channel();
        let handle = WorkerHandle::start(0, worker, bound, io, move |event| {
            on_event(&event);
            let _ = sender.send(event);
        });
        let handle = handle.unwrap();
        Self { handle, events, fault, clients: Vec::new(), seq: 0 }
    }

    fn command(&self, command: Command) {
        self.handle.commands.send(command.into()).unwrap();
    }

    fn event<T>(&self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if let Some(found) = wanted(self.events.recv_timeout(left).unwrap()) {
                return found;
            }
        }
    }

    /// Adds two clients to a room; the second receives the first.
    fn pair(&mut self, room: u32) {
        for place in 0..2 {
            let participant = ParticipantId(10 * room + place);
            self.command(Command::AddParticipant { room: RoomId(room.into()), participant });
            let local = self.event(|event| match event {
                Event::Transport { local, .. } => Some(local),
                _ => None,
            });
            let client = LoopbackClient::new(&local);
            self.command(Command::Connect { participant, remote: client.transport.local().into() });
            self.clients.push((participant, client));
        }
        self.run_until(|clients| clients.iter().all(|(_, c)| c.transport.state() == ClientState::Connected));
        let (speaker, listener) = (ParticipantId(10 * room), ParticipantId(10 * room + 1));
        let (mid, track) = (Mid::new("a0").unwrap(), TrackId(room));
        let publication = Publication::single(Codec::Opus, mid, Ssrc(7), None);
        self.command(Command::Publish { participant: speaker, track, publication });
        for command in subscribe(listener, mid, Codec::Opus, track) {
            self.command(command);
        }
        self.event(|event| matches!(event, Event::SlotAdded { .. }).then_some(()));
    }

    fn run_until(&mut self, mut done: impl FnMut(&[(ParticipantId, LoopbackClient)]) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done(&self.clients) {
            assert!(Instant::now() < until, "nothing more arrives");
            self.clients.iter_mut().for_each(|(_, client)| client.step());
            thread::yield_now();
        }
    }

    fn speak(&mut self, room: u32) {
        self.seq += 1;
        let (_, speaker) = self.clients.iter_mut().find(|(id, _)| *id == ParticipantId(10 * room)).unwrap();
        speaker.speak(7, self.seq, b"sealed");
    }

    /// Sends in a room until a packet is received: the first ones may arrive before the slot is active.
    fn is_heard(&mut self, room: u32) {
        let listener = ParticipantId(10 * room + 1);
        let heard = |clients: &[(ParticipantId, LoopbackClient)]| {
            clients.iter().find(|(id, _)| *id == listener).unwrap().1.rtp.len()
        };
        let (before, until) = (heard(&self.clients), Instant::now() + PATIENCE);
        while heard(&self.clients) == before {
            assert!(Instant::now() < until, "room {room} is not heard");
            self.speak(room);
            self.clients.iter_mut().for_each(|(_, client)| client.step());
            thread::yield_now();
        }
    }

    fn faults(&self) -> u64 {
        self.handle.published.counters().get(Counter::Faults)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.handle.stop.store(true, Ordering::Relaxed);
        self.handle.wakeup.wake();
        self.handle.thread.take().unwrap().join().expect("the worker's thread ends by itself");
    }
}

fn room_fault(io: SocketIo) {
    let mut call = Call::start(io, |_| ());
    call.pair(1);
    call.pair(2);
    call.is_heard(1);
    call.is_heard(2);
    call.fault.in_room(RoomId(1));
    call.speak(1);
    let failed = call.event(|event| match event {
        Event::RoomFailed { room, participants } => Some((room, participants)),
        _ => None,
    });
    assert_eq!(failed, (RoomId(1), vec![ParticipantId(10), ParticipantId(11)]));
    call.is_heard(2);
    call.fault.mend();
    // The same participants can create the room again.
    call.clients.retain(|(id, _)| id.0 >= 20);
    call.pair(1);
    call.is_heard(1);
    call.is_heard(2);
    assert_eq!(call.faults(), 1);
}

fn event_handler_fault(io: SocketIo) {
    let mut call = Call::start(io, |event| {
        let connected = matches!(event, Event::TransportState { state: TransportState::Connected, .. });
        assert!(!connected, "a fault that the test asked for");
    });
    call.pair(1);
    call.is_heard(1);
    assert_eq!(call.faults(), 2, "one for each connected participant");
}

/// A fault in a room ends it; other rooms go on.
#[test]
fn room_fault_is_contained() {
    room_fault(SocketIo::Batched);
}

#[test]
fn room_fault_is_contained_with_plain_io() {
    room_fault(SocketIo::Plain);
}

/// A panic in the embedder's event handler loses one event.
#[test]
fn event_handler_fault_loses_one_event() {
    event_handler_fault(SocketIo::Batched);
}

#[test]
fn event_handler_fault_loses_one_event_with_plain_io() {
    event_handler_fault(SocketIo::Plain);
}
