//! A room and its clients on simulated links, in virtual time.
//!
//! Publishers send VP8-shaped frames and Opus-shaped packets, and answer NACK by RTX and PLI by a key frame. Receivers
//! send NACKs for missing packets, and transport-wide feedback. Every packet that leaves the room is checked: no pair of
//! SSRC and sequence number may be sent to a participant twice, since that would repeat an AES-GCM nonce.

#![allow(dead_code, unreachable_pub)]

pub mod feedback;
pub mod pair;
pub mod publisher;
pub mod receiver;

use feedback::TransportFeedback;
use publisher::{AudioSource, VideoSource};
use receiver::SlotReceiver;
use rtp_wire::rtcp;
use sfu::{
    Event, Mid, ParticipantId, Room, RoomId, SlotSource, Ssrc, TrackId,
    command::Publication,
    congestion::PathState,
    egress::{Egress, TransportKey},
    media::Codec,
};
use slotmap::{Key, KeyData};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};
use tacet_impair::{Impairment, Link, Loss, Random, Share};

/// A perfect path of 10 ms.
pub const GOOD: Impairment = Impairment::PERFECT.delay(Duration::from_millis(10));
/// A path with loss, duplicates and reordering.
pub const BAD: Impairment = Impairment::PERFECT
    .loss(Loss::independent(Share::percent(5)))
    .duplicate(Share::percent(2))
    .delay(Duration::from_millis(20))
    .reordering_jitter(Duration::from_millis(15));

/// Overhead of a packet around RTP or RTCP: IP and UDP headers, the tag of AES-GCM.
pub const OVERHEAD: usize = 20 + 8 + 16;

/// An egress that records.
#[derive(Debug, Default)]
pub struct Outbox {
    pub packets: Vec<(ParticipantId, Datagram)>,
    /// A participant to which no media can be sent.
    pub unreachable: Option<ParticipantId>,
    paths: HashMap<TransportKey, PathState>,
}

impl Outbox {
    /// The path of a participant.
    pub fn path_of(&mut self, participant: ParticipantId) -> &PathState {
        self.paths.entry(transport(participant)).or_default()
    }
}

/// The transport of a participant.
pub fn transport(participant: ParticipantId) -> TransportKey {
    KeyData::from_ffi(u64::from(participant.0) | 1 << 32).into()
}

fn participant(transport: TransportKey) -> ParticipantId {
    ParticipantId((transport.data().as_ffi() & u64::from(u32::MAX)) as u32)
}

/// A clear packet on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datagram {
    Rtp(Vec<u8>),
    Rtcp(Vec<u8>),
}

fn send(link: &mut Link<Datagram>, now: Instant, datagram: Datagram) {
    let (Datagram::Rtp(packet) | Datagram::Rtcp(packet)) = &datagram;
    link.send(now, OVERHEAD + packet.len(), datagram);
}

impl Egress for Outbox {
    fn reaches(&mut self, to: TransportKey, _packets: usize) -> bool {
        self.unreachable != Some(participant(to))
    }

    fn path(&mut self, of: TransportKey) -> Option<&mut PathState> {
        Some(self.paths.entry(of).or_default())
    }

    fn rtp(&mut self, to: TransportKey, header: &[u8], payload: &[u8]) {
        self.packets.push((participant(to), Datagram::Rtp([header, payload].concat())));
    }

    fn rtcp(&mut self, to: TransportKey, packet: &[u8]) {
        self.packets.push((participant(to), Datagram::Rtcp(packet.to_vec())));
    }
}

/// A participant's client, and its links.
pub struct Client {
    pub id: ParticipantId,
    pub uplink: Link<Datagram>,
    pub downlink: Link<Datagram>,
    pub video: Option<VideoSource>,
    pub audio: Option<AudioSource>,
    pub slots: BTreeMap<String, SlotReceiver>,
    pub feedback: TransportFeedback,
}

/// A room and its clients.
pub struct World {
    pub start: Instant,
    pub now: Instant,
    pub room: Room,
    pub clients: Vec<Client>,
    pub events: Vec<Event>,
    pub random: Random,
    pub outbox: Outbox,
    network: Impairment,
    nonces: HashSet<(ParticipantId, Ssrc, u16)>,
}

impl World {
    pub fn new(seed: u64, network: Impairment) -> Self {
        let start = Instant::now();
        Self {
            start,
            now: start,
            room: Room::new(RoomId(1)),
            clients: Vec::new(),
            events: Vec::new(),
            random: Random::new(seed),
            network,
            outbox: Outbox::default(),
            nonces: HashSet::new(),
        }
    }

    /// Milliseconds since the start.
    pub fn ms(&self) -> u64 {
        u64::try_from((self.now - self.start).as_millis()).unwrap()
    }

    /// Adds a participant. Returns its index in `clients`.
    pub fn join(&mut self) -> usize {
        let index = self.clients.len();
        let id = ParticipantId(u32::try_from(index).unwrap() + 1);
        self.room.add_participant(id, transport(id)).unwrap();
        self.clients.push(Client {
            id,
            uplink: Link::new(self.network.clone(), self.random.next(), self.now),
            downlink: Link::new(self.network.clone(), self.random.next(), self.now),
            video: None,
            audio: None,
            slots: BTreeMap::new(),
            feedback: TransportFeedback::default(),
        });
        index
    }

    /// Publishes a camera.
    pub fn publish_video(&mut self, client: usize) -> TrackId {
        let id = self.clients[client].id;
        let source = VideoSource::new(&mut self.random);
        let mid = Mid::new("sv").unwrap();
        let publication = Publication::single(Codec::Vp8, mid, source.ssrc, Some(source.rtx_ssrc));
        let track = TrackId(id.0 * 10);
        self.room.publish(self.now, id, track, publication).unwrap();
        self.clients[client].video = Some(source);
        track
    }

    /// Publishes a microphone.
    pub fn publish_audio(&mut self, client: usize) -> TrackId {
        let id = self.clients[client].id;
        let source = AudioSource::new(&mut self.random);
        let mid = Mid::new("sa").unwrap();
        let publication = Publication::single(Codec::Opus, mid, source.ssrc, None);
        let track = TrackId(id.0 * 10 + 1);
        self.room.publish(self.now, id, track, publication).unwrap();
        self.clients[client].audio = Some(source);
        track
    }

    /// Adds an active slot.
    pub fn add_slot(&mut self, client: usize, mid: &str, codec: Codec) {
        let id = self.clients[client].id;
        let (ssrc, rtx) = self.room.add_slot(id, Mid::new(mid).unwrap(), codec).unwrap();
        self.room.activate_slot(self.now, id, Mid::new(mid).unwrap(), &mut self.outbox).unwrap();
        self.clients[client].slots.insert(mid.to_owned(), SlotReceiver::new(ssrc, rtx));
    }

    /// Puts anything into a slot.
    pub fn put(&mut self, client: usize, mid: &str, source: Option<SlotSource>) {
        let id = self.clients[client].id;
        self.room.set_slot(self.now, id, Mid::new(mid).unwrap(), source, &mut self.outbox).unwrap();
    }

    /// Puts a track into a slot.
    pub fn set_slot(&mut self, client: usize, mid: &str, track: Option<TrackId>) {
        let id = self.clients[client].id;
        self.room
            .set_slot(self.now, id, Mid::new(mid).unwrap(), track.map(SlotSource::Track), &mut self.outbox)
            .unwrap();
    }

    pub fn slot(&self, client: usize, mid: &str) -> &SlotReceiver {
        &self.clients[client].slots[mid]
    }

    /// Runs for `ms` milliseconds.
    pub fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.step();
        }
    }

    /// Runs until a condition holds; panics if it does not within `ms` milliseconds.
    pub fn run_until(&mut self, ms: u64, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..ms {
            if holds(self) {
                return;
            }
            self.step();
        }
        panic!("did not happen within {ms} ms");
    }

    /// Advances by a millisecond.
    fn step(&mut self) {
        self.now += Duration::from_millis(1);
        let (now, ms) = (self.now, self.ms());
        for client in &mut self.clients {
            let mut up = Vec::new();
            if let Some(video) = &mut client.video {
                video.produce(ms, &mut up);
            }
            if let Some(audio) = &mut client.audio {
                audio.produce(ms, &mut up);
            }
            for slot in client.slots.values_mut() {
                slot.produce(ms, &mut up);
            }
            client.feedback.produce(ms, &mut up);
            up.into_iter().for_each(|datagram| send(&mut client.uplink, now, datagram));
            for datagram in client.uplink.arrived(now) {
                match datagram {
                    Datagram::Rtp(packet) => {
                        self.room.receive_rtp(now, client.id, &packet, &mut self.outbox);
                    }
                    Datagram::Rtcp(packet) => self.room.receive_rtcp(now, client.id, &packet, &mut self.outbox),
                }
            }
        }
        if self.room.next_deadline().is_some_and(|at| at <= now) {
            self.room.tick(now, &mut self.outbox);
            assert!(self.room.next_deadline().is_none_or(|at| at > now), "a tick leaves nothing due");
        }
        self.events.extend(std::iter::from_fn(|| self.room.poll_event()));
        for (to, datagram) in std::mem::take(&mut self.outbox.packets) {
            if let Datagram::Rtp(packet) = &datagram {
                let view = rtp_wire::rtp::RtpPacket::parse(packet).unwrap();
                assert!(self.nonces.insert((to, view.ssrc, view.seq.0)), "a nonce is repeated");
            }
            let client = self.clients.iter_mut().find(|client| client.id == to).unwrap();
            send(&mut client.downlink, now, datagram);
        }
        for client in &mut self.clients {
            for datagram in client.downlink.arrived(now) {
                match datagram {
                    Datagram::Rtp(packet) => {
                        client.feedback.on_rtp(ms, &packet);
                        client.slots.values_mut().for_each(|slot| slot.on_rtp(ms, &packet));
                    }
                    Datagram::Rtcp(packet) => {
                        let mut answers = Vec::new();
                        for part in rtcp::parse(&packet) {
                            if let Some(video) = &mut client.video {
                                video.on_rtcp(&part, &mut answers);
                            }
                            if let Some(audio) = &mut client.audio {
                                audio.on_rtcp(&part);
                            }
                            client.slots.values_mut().for_each(|slot| slot.on_rtcp(ms, &part));
                        }
                        answers.into_iter().for_each(|datagram| send(&mut client.uplink, now, datagram));
                    }
                }
            }
        }
    }
}
