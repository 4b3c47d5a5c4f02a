//! `make memory`: what a participant who receives video and audio costs a server, by owner.
//!
//! Counts the bytes that the server's code has allocated and not freed, step by step, while participants go through them
//! together. The media plane runs in memory, with real handshakes; signaling on loopback sockets, over plain HTTP. What C code
//! allocates is not counted, nor what allocators and the kernel add.

#![allow(clippy::print_stdout, reason = "the table is what `make memory` is for")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use e2ee_frames::access_token;
use rtp_wire::{
    header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    rtcp::twcc::{self, Arrival},
    seq::SeqNum,
};
use sfu::{
    Command, Event, Mid, ParticipantId, Request, Ssrc, TrackId, command::Publication, event::LocalTransport,
    media::Codec, worker::Worker,
};
use sfu_testing::{Network, WorkerCore, subscribe};
use signaling::{AccessHash, Config, Kept, MediaEvents, MediaPlane, Signaling, config::RoomLimits};
use std::{
    net::{SocketAddr, TcpListener},
    ops::RangeInclusive,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};
use tacet_native::{
    call::{Call, JoinOptions},
    link::RoomLink,
};

/// Participants that are counted.
const COUNTED: u32 = 50;
/// Bytes of a participant in the media plane, and of what its feedback makes of them.
const MOST: i64 = 31_000;
const MOST_OF_FEEDBACK: i64 = 6_000;
/// MID, codec and number of each track.
const TRACKS: [(&str, Codec, u32); 2] = [("v", Codec::Vp8, 0), ("a", Codec::Opus, 1)];

/// A worker whose allocations are counted.
struct Counted {
    worker: Worker,
    bytes: i64,
}

impl Counted {
    fn measure<T>(&mut self, run: impl FnOnce(&mut Worker) -> T) -> T {
        let (mut result, worker) = (None, &mut self.worker);
        self.bytes += allocation_counter::measure(|| result = Some(run(worker))).bytes_current;
        result.unwrap()
    }
}

impl WorkerCore for Counted {
    fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        self.measure(|worker| WorkerCore::receive(worker, now, from, datagram));
    }

    fn tick(&mut self, now: Instant) {
        self.measure(|worker| worker.tick(now));
    }

    /// The command is freed where it is allocated, or kept by the worker.
    fn command(&mut self, now: Instant, command: Command) {
        self.measure(|worker| worker.command(now, command.clone()));
    }

    /// The event is freed where it was allocated.
    fn poll_event(&mut self) -> Option<Event> {
        let mut copy = None;
        self.measure(|worker| {
            let event = worker.poll_output().event();
            allocation_counter::opt_out(|| copy.clone_from(&event));
        });
        copy
    }

    fn take_outbox(&mut self, take: impl FnMut(SocketAddr, &[u8])) {
        self.worker.take_outbox(take);
    }
}

/// Prints what a step costs each of the counted participants. Returns it, in bytes.
fn print(owner: &str, bytes: i64) -> i64 {
    println!("| {owner} | {:.1} |", bytes as f64 / f64::from(COUNTED) / 1e3);
    bytes / i64::from(COUNTED)
}

/// A room of the media plane, in which participant 0 sends video and audio.
struct MediaPlaneRoom {
    network: Network<Counted>,
    seq: u16,
}

impl MediaPlaneRoom {
    fn new() -> Self {
        let mut network = Network::new(Counted { worker: sfu_testing::adapting_worker(1_000), bytes: 0 });
        network.join(1, 0);
        for (mid, codec, number) in TRACKS {
            let publication = Publication::single(codec, Mid::new(mid).unwrap(), Ssrc(1 + number), None);
            network.command(Command::Publish { participant: ParticipantId(0), track: TrackId(number), publication });
        }
        network.connect();
        Self { network, seq: 0 }
    }

    /// Prints the growth of the worker while `run` takes the participants through a step.
    fn step(&mut self, owner: &str, run: impl FnOnce(&mut Self)) -> i64 {
        let before = self.network.worker.bytes;
        run(self);
        self.network.settle();
        self.network.events.clear();
        print(owner, self.network.worker.bytes - before)
    }

    fn add_slots(&mut self, participants: RangeInclusive<u32>, (mid, codec, track): (&str, Codec, u32)) {
        for participant in participants {
            for command in subscribe(ParticipantId(participant), Mid::new(mid).unwrap(), codec, TrackId(track)) {
                self.network.command(command);
            }
        }
    }

    /// Two seconds of a packet of each track every 20 ms; with feedback, each 100 ms.
    fn send(&mut self, with_feedback: bool) {
        for step in 1..=100 {
            for (_, codec, track) in TRACKS {
                let (marker, seq, timestamp) = (true, SeqNum(self.seq), u32::from(self.seq) * 960);
                let mut header = HeaderBuffer::default();
                header.build(
                    RtpHeader { marker, payload_type: codec.entry().pt, seq, timestamp, ssrc: Ssrc(1 + track) },
                    HeaderExtensions { twcc_seq: Some(2 * self.seq + track as u16), ..Default::default() },
                );
                let payload = [&[0x90, 0xc0, 0x80, 1, 1, 0x10][..], &[0xa5; 1_000]].concat();
                let (client, mut sealed) = (&mut self.network.clients[0], Vec::new());
                client.transport.seal_rtp(header.as_bytes(), &payload, &mut sealed).unwrap();
                self.network.worker.receive(self.network.now, client.address, &mut sealed);
            }
            self.seq += 1;
            self.network.now += Duration::from_millis(20);
            self.network.exchange();
            self.network.clients.iter_mut().for_each(|client| client.rtp.clear());
            if with_feedback && step % 5 == 0 {
                self.report(10);
            }
        }
    }

    /// Transport-wide feedback of all receivers on the last packets, which arrived as they were sent.
    fn report(&mut self, packets: u64) {
        let sent = u64::from(self.seq) * TRACKS.len() as u64;
        let arrivals: Vec<_> = (sent - packets..sent).map(|seq| Arrival { seq, micros: seq * 10_000 }).collect();
        let (mut packet, Network { now, worker, clients, .. }) = (Vec::new(), &mut self.network);
        twcc::write(&mut packet, Ssrc(1), Ssrc(2), 0, sent - packets, &arrivals).unwrap();
        for client in clients.iter_mut().filter(|client| client.participant != ParticipantId(0)) {
            let mut sealed = Vec::new();
            client.transport.seal_rtcp(&packet, &mut sealed).unwrap();
            worker.receive(*now, client.address, &mut sealed);
        }
    }
}

/// Bytes of the media plane.
fn media_plane() -> i64 {
    let mut room = MediaPlaneRoom::new();
    let all = 1..=COUNTED;
    let connected = room.step("media plane: participant, ICE, DTLS, SRTP", |room| {
        all.clone().for_each(|participant| room.network.join(1, participant));
        room.network.connect();
    });
    let slots: i64 = TRACKS
        .into_iter()
        .zip(["media plane: a slot of video", "media plane: a slot of audio"])
        .map(|(track, owner)| room.step(owner, |room| room.add_slots(all.clone(), track)))
        .sum();
    // Until the publisher's packets are stored, which all share.
    let media = room.step("media plane: four seconds of both, and its part of what is shared", |room| {
        room.send(false);
        room.send(false);
    });
    let feedback = room.step("media plane: two more seconds, with feedback", |room| room.send(true));
    assert!(feedback <= MOST_OF_FEEDBACK, "{feedback} bytes");
    connected + slots + media + feedback
}

/// A media plane that answers what signaling waits for, and does nothing.
struct NoMedia(MediaEvents);

impl MediaPlane for NoMedia {
    fn workers(&self) -> usize {
        1
    }

    fn command(&self, _: usize, Request { id, command }: Request) {
        if let Command::AddParticipant { participant, .. } = command {
            let (ufrag, pwd, candidates) = ("serv".to_owned(), "p".repeat(24), vec![sfu_testing::CANDIDATE]);
            let local = LocalTransport { ufrag, pwd, fingerprint: [5; 32], candidates };
            self.0.send(Event::Transport { command: id, participant, local });
        }
    }
}

/// Connects clients to a room, `COUNTED` each time that it is asked to, and reports that they are in.
fn connect_clients(link: RoomLink, steps: &mpsc::Receiver<()>, done: &mpsc::Sender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    while steps.recv().is_ok() {
        runtime.block_on(async {
            for _ in 0..COUNTED {
                let options = JoinOptions { subscribe: true, exchange_keys: false, ..JoinOptions::new("listener") };
                let mut call = Call::join(&link, &options).await.unwrap();
                tokio::spawn(async move { while call.next().await.is_ok() {} });
            }
        });
        done.send(()).unwrap();
    }
}

/// Bytes of signaling.
fn signaling() -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _context = runtime.enter();
    let config = Config {
        sockets_per_address: None,
        connections_per_address: None,
        handshakes_per_second: None,
        room: RoomLimits { participants: 1_000, ..RoomLimits::default() },
        ..Config::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let (events, kept, invite) = (MediaEvents::default(), Kept::nothing(&config).unwrap(), [7; 32]);
    let plane = Signaling::new(config, Arc::new(NoMedia(events.clone())), events, kept);
    let room = plane.rooms().create(AccessHash::of(&access_token(&invite))).unwrap();
    let (step, steps) = mpsc::channel();
    let (done, finished) = mpsc::channel();
    let link = RoomLink::new(false, &authority, room, invite);
    thread::spawn(move || connect_clients(link, &steps, &done));
    runtime.spawn(async move { plane.serve(listener, None, None, std::future::pending()).await });
    let connect = || {
        let counted = allocation_counter::measure(|| {
            step.send(()).unwrap();
            runtime.block_on(async {
                while finished.try_recv().is_err() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
        });
        counted.bytes_current
    };
    // The first clients make what all share.
    connect();
    print("signaling: WebSocket and session, without TLS", connect())
}

/// The media plane's part has a limit, so that no change makes participants larger unnoticed. Signaling's part is printed only:
/// it includes what is queued on sockets at that moment.
#[test]
fn a_receiving_participant_is_small() {
    println!("| owner | kB per participant |\n|---|---|");
    let media_plane = media_plane();
    let sum = media_plane + signaling();
    println!("| sum | {:.1} |", sum as f64 / 1e3);
    assert!(media_plane <= MOST, "{media_plane} bytes");
}
