//! Pages of tiles, in virtual time: 49 of 200 cameras are shown, and then others.

#![allow(clippy::unwrap_used)]

mod simulation;

use rtp_wire::{
    dependency_descriptor::{self, FrameSequence, ScalabilityMode},
    header::{HeaderExtensions, RtpHeader},
    rtcp::{self, Rtcp},
    rtp::RtpPacket,
    seq::SeqNum,
};
use sfu::{
    Event, Mid, ParticipantId, Rid, Room, RoomId, Ssrc, TrackId,
    command::{EncodingParams, Publication, Wish},
    media::Codec,
};
use simulation::{Datagram, Outbox, publisher::packet, transport};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

const CAMERAS: u32 = 200;
const TILES: u32 = 49;
const VIEWER: ParticipantId = ParticipantId(1_000);
const RIDS: [&str; 3] = ["q", "h", "f"];
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1_280, 720)];
/// Payload of each frame in bytes, by encoding: about 50, 150 and 500 kbit/s.
const LENGTHS: [usize; 3] = [400, 1_200, 4_000];
/// From one image to the next.
const IMAGE: Duration = Duration::from_millis(66);
/// How long a tile may be black.
const BLACK: Duration = Duration::from_millis(500);

/// A camera in three encodings, which sends those that are wanted.
struct Camera {
    owner: ParticipantId,
    encodings: Vec<FrameSequence>,
    seqs: [u16; 3],
    timestamp: u32,
    active: Vec<bool>,
    key_frame_requested: bool,
}

impl Camera {
    fn new(owner: ParticipantId) -> Self {
        let encodings = SIZES.map(|size| FrameSequence::new(ScalabilityMode::L1T3, &[size])).into();
        let (seqs, timestamp, active) = ([0; 3], owner.0 << 16, vec![true; 3]);
        Self { owner, encodings, seqs, timestamp, active, key_frame_requested: true }
    }

    fn ssrc(&self, encoding: usize) -> Ssrc {
        Ssrc(10 + 3 * self.owner.0 + encoding as u32)
    }

    /// The packets of the next image, each a frame of one encoding.
    fn encode(&mut self) -> Vec<Vec<u8>> {
        let key = std::mem::take(&mut self.key_frame_requested);
        self.timestamp = self.timestamp.wrapping_add(5_940);
        let mut packets = Vec::new();
        for encoding in 0..3 {
            let frame = self.encodings[encoding].next_unit(key)[0];
            if !self.active[encoding] {
                continue;
            }
            let mut descriptor = Vec::new();
            dependency_descriptor::write(&mut descriptor, &frame, self.encodings[encoding].structure()).unwrap();
            self.seqs[encoding] += 1;
            let (seq, ssrc) = (SeqNum(self.seqs[encoding]), self.ssrc(encoding));
            let header = RtpHeader { marker: true, payload_type: 98, seq, timestamp: self.timestamp, ssrc };
            let extensions = HeaderExtensions {
                mid: Some(b"sv"),
                rid: Some(RIDS[encoding].as_bytes()),
                dependency: Some(&descriptor),
                ..HeaderExtensions::default()
            };
            packets.push(packet(header, extensions, &vec![7; LENGTHS[encoding]]));
        }
        packets
    }
}

/// 200 cameras, and one receiver with a page of tiles.
struct Gallery {
    now: Instant,
    room: Room,
    out: Outbox,
    cameras: Vec<Camera>,
    /// By SSRC of a slot: its number.
    slots: HashMap<Ssrc, u32>,
    /// By number of a slot: the camera in it, since when it waits for a packet, and the longest that it has waited.
    tiles: Vec<(u32, Instant, Duration)>,
}

fn mid(slot: u32) -> Mid {
    Mid::new(&format!("v{slot}")).unwrap()
}

fn track(camera: u32) -> TrackId {
    TrackId(500 + camera)
}

impl Gallery {
    fn new() -> Self {
        let (now, mut room, mut out) = (Instant::now(), Room::new(RoomId(1)), Outbox::default());
        room.add_participant(VIEWER, transport(VIEWER)).unwrap();
        let mut cameras = Vec::new();
        for n in 0..CAMERAS {
            let owner = ParticipantId(1 + n);
            room.add_participant(owner, transport(owner)).unwrap();
            let named = |(rid, (_, lines))| EncodingParams {
                height: Some(lines),
                ..EncodingParams::named(Rid::new(rid).unwrap())
            };
            let encodings = RIDS.into_iter().zip(SIZES).map(named).collect();
            let publication = Publication { codec: Codec::Vp9, mid: Mid::new("sv").unwrap(), encodings, screen: false };
            room.publish(now, owner, track(n), publication).unwrap();
            cameras.push(Camera::new(owner));
        }
        let (mut slots, mut tiles) = (HashMap::new(), Vec::new());
        for slot in 0..TILES {
            let (ssrc, _) = room.add_slot(VIEWER, mid(slot), Codec::Vp9).unwrap();
            room.activate_slot(now, VIEWER, mid(slot), &mut out).unwrap();
            slots.insert(ssrc, slot);
            tiles.push((u32::MAX, now, Duration::ZERO));
        }
        Self { now, room, out, cameras, slots, tiles }
    }

    /// Shows the cameras from this one on, the first one large, and those that were shown before in the slots that they have.
    /// Returns the number of slots that change.
    fn show_page(&mut self, first: u32) -> usize {
        let page: Vec<u32> = (first..first + TILES).map(|camera| camera % CAMERAS).collect();
        let is_new = |camera: &u32| self.tiles.iter().all(|(shown, ..)| shown != camera);
        let new: Vec<u32> = page.iter().copied().filter(is_new).collect();
        let (changes, mut new) = (new.len(), new.into_iter());
        for (slot, (shown, since, longest)) in (0..).zip(&mut self.tiles) {
            *longest = Duration::ZERO;
            if !page.contains(shown) {
                (*shown, *since) = (new.next().unwrap(), self.now);
                self.room.set_slot(self.now, VIEWER, mid(slot), Some(track(*shown).into()), &mut self.out).unwrap();
            }
        }
        let height = |camera: u32| if camera == first % CAMERAS { 720 } else { 180 };
        let wishes = (0..).zip(&self.tiles).map(|(slot, (shown, ..))| Wish {
            mid: mid(slot),
            height: height(*shown),
            pinned: false,
            paused: false,
        });
        self.room.set_wishes(self.now, VIEWER, &wishes.collect::<Vec<_>>(), &mut self.out).unwrap();
        changes
    }

    /// Lets time pass. Cameras do with their next image what was asked of them.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += IMAGE;
            for camera in &mut self.cameras {
                for packet in camera.encode() {
                    self.room.receive_rtp(self.now, camera.owner, &packet, &mut self.out);
                }
            }
            self.room.forward(self.now, &mut self.out);
            self.room.tick(self.now, &mut self.out);
            self.look();
        }
    }

    fn look(&mut self) {
        for (to, datagram) in std::mem::take(&mut self.out.packets) {
            match datagram {
                Datagram::Rtp(bytes) if to == VIEWER => {
                    let Some(slot) = self.slots.get(&RtpPacket::parse(&bytes).unwrap().ssrc) else { continue };
                    let (_, since, longest) = &mut self.tiles[*slot as usize];
                    *longest = (*longest).max(self.now - *since);
                    *since = self.now;
                }
                Datagram::Rtcp(bytes) if rtcp::parse(&bytes).any(|part| matches!(part, Rtcp::Pli { .. })) => {
                    let asked = self.cameras.iter_mut().filter(|camera| camera.owner == to);
                    asked.for_each(|camera| camera.key_frame_requested = true);
                }
                _ => {}
            }
        }
        while let Some(event) = self.room.poll_event() {
            if let Event::LayersWanted { participant, active, .. } = event {
                let camera = self.cameras.iter_mut().find(|camera| camera.owner == participant).unwrap();
                camera.key_frame_requested |= camera.active != active;
                camera.active = active;
            }
        }
    }

    /// The longest time for which a tile has shown nothing since the page was shown.
    fn longest_black(&self) -> Duration {
        self.tiles.iter().map(|(_, since, longest)| (*longest).max(self.now - *since)).max().unwrap()
    }
}

/// Cameras that were not shown are not sent, and those of which nothing changes go on.
#[test]
fn no_tile_of_another_page_is_black_for_long() {
    let mut gallery = Gallery::new();
    gallery.show_page(0);
    gallery.pass(Duration::from_secs(8));
    let idle = gallery.cameras.iter().filter(|camera| camera.active.iter().all(|active| !active)).count();
    assert_eq!(idle, (CAMERAS - TILES) as usize);
    for (first, changes) in [(19, 19), (38, 19), (100, 49), (151, 49), (0, 49)] {
        assert_eq!(gallery.show_page(first), changes, "from {first}");
        gallery.pass(Duration::from_secs(3));
        let black = gallery.longest_black();
        assert!(black <= BLACK, "{black:?} from {first}");
    }
}
