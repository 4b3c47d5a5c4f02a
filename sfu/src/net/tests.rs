//! Faults in a running driver, with clients on loopback sockets: what they end, and what goes on.

use super::*;
use crate::{
    command::{Command, Publication},
    event::TransportState,
    ids::{Mid, ParticipantId, RoomId, Ssrc, TrackId},
    media::Codec,
    metrics::Counter,
    worker::Fault,
};
use rtc_client::{ClientState, Received, RtcClient};
use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::mpsc,
    time::{Duration, Instant},
};

/// Far more than is needed: only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

struct Client {
    socket: UdpSocket,
    transport: RtcClient,
    heard: u32,
}

impl Client {
    fn turn(&mut self) {
        self.transport.tick(Instant::now());
        let mut buffer = [0; 2_048];
        loop {
            while let Some(datagram) = self.transport.poll_transmit() {
                self.socket.send(&datagram).unwrap();
            }
            let Ok(length) = self.socket.recv(&mut buffer) else { return };
            let received = self.transport.handle(Instant::now(), &mut buffer[..length]);
            self.heard += u32::from(matches!(received, Ok(Received::Rtp(_))));
        }
    }
}

/// A worker with its thread; participants are numbered by room and place.
struct Call {
    handle: WorkerHandle,
    events: mpsc::Receiver<Event>,
    fault: Fault,
    clients: Vec<(ParticipantId, Client)>,
    spoken: u16,
}

impl Call {
    fn start(io: SocketIo, on_event: impl Fn(&Event) + Send + 'static) -> Self {
        let bound = socket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = bound.socket.local_addr().unwrap().port();
        let worker = Worker::new(WorkerConfig {
            identity: Identity::generate().unwrap(),
            candidates: vec![(Ipv4Addr::LOCALHOST, port).into()],
            max_participants: 10,
        });
        let fault = worker.fault();
        let (sender, events) = mpsc::channel();
        let handle = WorkerHandle::start(0, worker, bound, io, move |event| {
            on_event(&event);
            let _ = sender.send(event);
        });
        let handle = handle.unwrap();
        Self { handle, events, fault, clients: Vec::new(), spoken: 0 }
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

    /// Two clients in a room, of whom the first is heard by the second.
    fn pair(&mut self, room: u32) {
        let identity = Identity::generate().unwrap();
        for place in 0..2 {
            let participant = ParticipantId(10 * room + place);
            self.command(Command::AddParticipant { room: RoomId(room.into()), participant });
            let local = self.event(|event| match event {
                Event::Transport { local, .. } => Some(local),
                _ => None,
            });
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.connect(local.candidates[0]).unwrap();
            socket.set_nonblocking(true).unwrap();
            let transport = RtcClient::new(Instant::now(), &identity, &local).unwrap();
            self.command(Command::Connect { participant, remote: transport.local().into() });
            self.clients.push((participant, Client { socket, transport, heard: 0 }));
        }
        self.turn_until(|clients| clients.iter().all(|(_, c)| c.transport.state() == ClientState::Connected));
        let (speaker, listener) = (ParticipantId(10 * room), ParticipantId(10 * room + 1));
        let (mid, track) = (Mid::new("a0").unwrap(), TrackId(room));
        let publication = Publication { codec: Codec::Opus, mid, ssrc: Ssrc(7), rtx: None };
        self.command(Command::Publish { participant: speaker, track, publication });
        self.command(Command::AddSlot { participant: listener, mid, codec: Codec::Opus });
        self.command(Command::SetSlot { participant: listener, mid, track: Some(track) });
        self.command(Command::ActivateSlot { participant: listener, mid });
        self.event(|event| matches!(event, Event::SlotAdded { .. }).then_some(()));
    }

    fn turn_until(&mut self, mut done: impl FnMut(&[(ParticipantId, Client)]) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done(&self.clients) {
            assert!(Instant::now() < until, "nothing more comes");
            self.clients.iter_mut().for_each(|(_, client)| client.turn());
            thread::yield_now();
        }
    }

    fn speak(&mut self, room: u32) {
        self.spoken += 1;
        let speaker = self.clients.iter_mut().find(|(id, _)| *id == ParticipantId(10 * room)).unwrap();
        let header = [&[0x80, 111][..], &self.spoken.to_be_bytes(), &[0; 4], &7u32.to_be_bytes()].concat();
        let mut packet = Vec::new();
        speaker.1.transport.seal_rtp(&header, b"sealed", &mut packet).unwrap();
        speaker.1.socket.send(&packet).unwrap();
    }

    /// Speaks in a room until it is heard, since the first packet may come before the slot is active.
    fn is_heard(&mut self, room: u32) {
        let listener = ParticipantId(10 * room + 1);
        let heard =
            |clients: &[(ParticipantId, Client)]| clients.iter().find(|(id, _)| *id == listener).unwrap().1.heard;
        let (before, until) = (heard(&self.clients), Instant::now() + PATIENCE);
        while heard(&self.clients) == before {
            assert!(Instant::now() < until, "room {room} is not heard");
            self.speak(room);
            self.clients.iter_mut().for_each(|(_, client)| client.turn());
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
    call.fault.in_room(0);
    call.speak(1);
    let failed = call.event(|event| match event {
        Event::RoomFailed { room, participants } => Some((room, participants)),
        _ => None,
    });
    assert_eq!(failed, (RoomId(1), vec![ParticipantId(10), ParticipantId(11)]));
    call.is_heard(2);
    call.fault.mend();
    // The room can be made again, by the same people.
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
    assert_eq!(call.faults(), 2, "one for each who has connected");
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
