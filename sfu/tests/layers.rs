//! What a slot gets of a track with layers: by the receiver's wishes, its bitrate, and what the publisher sends.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulation;

use rtp_wire::{
    dependency_descriptor::{self, FrameSequence, Indication, ScalabilityMode},
    extension::KnownExtensions,
    header::{HeaderExtensions, RtpHeader},
    rtcp::{self, Rtcp, SenderInfo},
    rtp::RtpPacket,
    seq::SeqNum,
};
use sfu::{
    Event, Mid, ParticipantId, Rid, Room, RoomId, Ssrc, TrackId,
    command::{CommandError, EncodingParams, Publication, Wish},
    event::LayerReason,
    media::Codec,
    units::Bitrate,
};
use simulation::{Datagram, Outbox, publisher::packet, transport};
use std::time::{Duration, Instant};

const ALICE: ParticipantId = ParticipantId(1);
const BOB: ParticipantId = ParticipantId(2);
const CAMERA: TrackId = TrackId(7);
const SLOT: &str = "v0";
/// From one temporal unit to the next.
const UNIT: Duration = Duration::from_millis(33);
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1_280, 720)];
/// Payload of each frame in bytes, by spatial layer or encoding: about 100, 300 and 1,000 kbit/s.
const LENGTHS: [usize; 3] = [400, 1_200, 4_000];

/// One encoding of Alice's camera.
struct Encoder {
    ssrc: Ssrc,
    frames: FrameSequence,
    seq: u16,
    timestamp: u32,
    /// Spatial layers that are sent, from the lowest one up.
    layers: usize,
    length: Option<usize>,
    /// Frames of the base layer are marked as switches to higher frame rates.
    marks_switches: bool,
}

impl Encoder {
    fn new(number: u32, mode: ScalabilityMode, sizes: &[(u16, u16)], length: Option<usize>) -> Self {
        let (ssrc, frames) = (Ssrc(100 + number), FrameSequence::new(mode, sizes));
        Self { ssrc, frames, seq: 0, timestamp: number << 30, layers: sizes.len(), length, marks_switches: true }
    }

    /// The packets of the next temporal unit.
    fn encode(&mut self, key: bool, rid: Option<&str>) -> Vec<Vec<u8>> {
        let unit = self.frames.next_unit(key);
        self.timestamp = self.timestamp.wrapping_add(2_970);
        let sent = unit.iter().take(self.layers).enumerate();
        sent.map(|(layer, frame)| {
            let mut frame = *frame;
            if !self.marks_switches && !frame.structure && frame.temporal == 0 {
                (1..3).for_each(|target| frame.indications.set(target, Indication::Required));
            }
            let mut descriptor = Vec::new();
            dependency_descriptor::write(&mut descriptor, &frame, self.frames.structure()).unwrap();
            self.seq += 1;
            let (seq, marker) = (SeqNum(self.seq), layer + 1 == unit.len().min(self.layers));
            let header = RtpHeader { marker, payload_type: 98, seq, timestamp: self.timestamp, ssrc: self.ssrc };
            let extensions = HeaderExtensions {
                mid: Some(b"sv"),
                rid: rid.map(str::as_bytes),
                dependency: Some(&descriptor),
                ..HeaderExtensions::default()
            };
            packet(header, extensions, &vec![7; self.length.unwrap_or(LENGTHS[layer])])
        })
        .collect()
    }
}

/// What Bob received in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Received {
    seq: u16,
    timestamp: u32,
    marker: bool,
    length: usize,
}

/// Alice, who publishes her camera, and Bob, who has a slot, in virtual time.
struct Call {
    now: Instant,
    room: Room,
    out: Outbox,
    slot: Ssrc,
    encoders: Vec<Encoder>,
    key_frame_requested: bool,
    key_frames: usize,
    received: Vec<Received>,
    /// Sender reports that Bob received: RTP timestamp, and number of packets before.
    reports: Vec<(u32, usize)>,
    events: Vec<Event>,
}

impl Call {
    fn new(encoders: Vec<Encoder>, encodings: Vec<EncodingParams>, kbps: u64) -> Self {
        let (now, mid) = (Instant::now(), Mid::new("sv").unwrap());
        let (mut room, mut out) = (Room::new(RoomId(1)).with_video_rate(Bitrate::from_kbps(kbps)), Outbox::default());
        for participant in [ALICE, BOB] {
            room.add_participant(participant, transport(participant)).unwrap();
        }
        let slot = Mid::new(SLOT).unwrap();
        let (ssrc, _) = room.add_slot(BOB, slot, Codec::Vp9).unwrap();
        room.activate_slot(now, BOB, slot, &mut out).unwrap();
        room.publish(now, ALICE, CAMERA, Publication { codec: Codec::Vp9, mid, encodings, screen: false }).unwrap();
        room.set_slot(now, BOB, slot, Some(CAMERA.into()), &mut out).unwrap();
        out.packets.clear();
        Self {
            now,
            room,
            out,
            slot: ssrc,
            encoders,
            key_frame_requested: true,
            key_frames: 0,
            received: Vec::new(),
            reports: Vec::new(),
            events: Vec::new(),
        }
    }

    /// A camera that sends all layers in one encoding.
    fn svc(mode: ScalabilityMode, kbps: u64) -> Self {
        let encodings =
            vec![EncodingParams { ssrc: Some(Ssrc(100)), rtx: Some(Ssrc(200)), ..EncodingParams::default() }];
        Self::new(vec![Encoder::new(0, mode, &SIZES, None)], encodings, kbps)
    }

    /// A camera in three encodings of three temporal layers.
    fn simulcast(kbps: u64) -> Self {
        let encoders = (0..3).map(|number| {
            let at = number as usize;
            Encoder::new(number, ScalabilityMode::L1T3, &SIZES[at..=at], Some(LENGTHS[at]))
        });
        let named = |(rid, (_, lines))| EncodingParams { height: Some(lines), ..EncodingParams::named(rid) };
        let rids = ["q", "h", "f"].map(|rid| Rid::new(rid).unwrap());
        Self::new(encoders.collect(), rids.into_iter().zip(SIZES).map(named).collect(), kbps)
    }

    fn wish(&mut self, height: u16) {
        self.set_wish(Wish { mid: Mid::new(SLOT).unwrap(), height, pinned: false, paused: false });
    }

    fn set_wish(&mut self, wish: Wish) {
        self.room.set_wishes(self.now, BOB, &[wish], &mut self.out).unwrap();
        self.look();
    }

    /// Alice sends her camera for a while. Returns what Bob received.
    fn pass(&mut self, units: u32) -> Vec<Received> {
        let before = self.received.len();
        for _ in 0..units {
            self.now += UNIT;
            let key = std::mem::take(&mut self.key_frame_requested);
            self.key_frames += usize::from(key);
            let rids = ["q", "h", "f"].map(Some);
            let is_simulcast = self.encoders.len() > 1;
            for (encoder, rid) in self.encoders.iter_mut().zip(rids) {
                for packet in encoder.encode(key, rid.filter(|_| is_simulcast)) {
                    self.room.receive_rtp(self.now, ALICE, &packet, &mut self.out);
                }
            }
            self.room.tick(self.now, &mut self.out);
            self.look();
        }
        self.received[before..].to_vec()
    }

    /// Alice reports her clock: each encoding's timestamp is that of the unit sent last.
    fn report(&mut self) {
        for encoder in &self.encoders {
            let info = SenderInfo { ntp: 9 << 32, timestamp: encoder.timestamp, packets: 1, octets: 1 };
            let mut report = Vec::new();
            rtcp::write::sender_report(&mut report, encoder.ssrc, &info);
            self.room.receive_rtcp(self.now, ALICE, &report, &mut self.out);
        }
        self.look();
    }

    /// Takes what was sent to both.
    fn look(&mut self) {
        for (to, datagram) in self.out.packets.drain(..) {
            match datagram {
                Datagram::Rtp(bytes) if to == BOB => {
                    let packet = RtpPacket::parse(&bytes).unwrap();
                    if packet.ssrc == self.slot {
                        let RtpPacket { seq: SeqNum(seq), timestamp, marker, .. } = packet;
                        let length = packet.payload.len();
                        self.received.push(Received { seq, timestamp, marker, length });
                    }
                }
                Datagram::Rtcp(bytes) => {
                    for part in rtcp::parse(&bytes) {
                        match part {
                            Rtcp::Pli { .. } if to == ALICE => self.key_frame_requested = true,
                            Rtcp::SenderReport { info, .. } => self.reports.push((info.timestamp, self.received.len())),
                            _ => {}
                        }
                    }
                }
                Datagram::Rtp(_) => {}
            }
        }
        self.events.extend(std::iter::from_fn(|| self.room.poll_event()));
    }

    /// Height, temporal layer and reason of each report about Bob's slot, since they were last looked at.
    fn layers(&mut self) -> Vec<(Option<u16>, Option<u8>, LayerReason)> {
        let layers = self.events.drain(..).filter_map(|event| match event {
            Event::Layer { height, temporal, reason, .. } => Some((height, temporal, reason)),
            _ => None,
        });
        layers.collect()
    }
}

/// The lengths of payloads, each once, in ascending order.
fn lengths(received: &[Received]) -> Vec<usize> {
    let mut lengths: Vec<_> = received.iter().map(|packet| packet.length).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

fn is_continuous(received: &[Received]) -> bool {
    received.windows(2).all(|pair| pair[1].seq == pair[0].seq.wrapping_add(1))
}

#[test]
fn slot_gets_all_layers_until_it_wishes_less() {
    let mut call = Call::svc(ScalabilityMode::L3T3, 4_000);
    assert_eq!(lengths(&call.pass(30)), LENGTHS);
    assert_eq!(call.layers(), [(Some(720), Some(2), LayerReason::Wish)]);
    call.wish(200);
    let received = call.pass(30);
    assert_eq!(lengths(&received), LENGTHS[..2], "at once: the lower layers are contained");
    assert!(received.chunks(2).all(|unit| !unit[0].marker && unit[1].marker), "units end with the layer that is sent");
    assert_eq!(call.layers(), [(Some(360), Some(2), LayerReason::Wish)]);
    assert_eq!(call.key_frames, 1);
    assert!(is_continuous(&call.received));
}

#[test]
fn k_svc_goes_down_with_a_key_frame_and_drops_frame_rate_until_then() {
    let mut call = Call::svc(ScalabilityMode::L3T3_KEY, 4_000);
    call.pass(60);
    call.key_frames = 0;
    call.wish(100);
    assert!(call.key_frame_requested, "needed for another resolution");
    call.key_frame_requested = false;
    let until_then = call.pass(8);
    assert_eq!((lengths(&until_then), until_then.len()), (vec![LENGTHS[2]], 2), "one of four units");
    call.key_frame_requested = true;
    assert_eq!(lengths(&call.pass(8)), [LENGTHS[0]]);
    assert_eq!(call.key_frames, 1);
    assert!(is_continuous(&call.received));
}

#[test]
fn wish_that_is_replaced_before_its_key_frame_is_forgotten() {
    let mut call = Call::svc(ScalabilityMode::L3T3_KEY, 4_000);
    call.pass(30);
    call.wish(100);
    call.key_frame_requested = false;
    call.pass(4);
    call.wish(720);
    call.key_frame_requested = true;
    let received = call.pass(8);
    // All layers of the key frame, and the top layer of the others.
    assert_eq!(received.iter().filter(|packet| packet.length == LENGTHS[2]).count(), 8);
}

#[test]
fn encodings_change_at_key_frames_on_one_timeline() {
    let mut call = Call::simulcast(4_000);
    call.pass(2);
    call.report();
    call.pass(60);
    call.layers();
    for (n, (wish, length)) in
        [(180, LENGTHS[0]), (720, LENGTHS[2]), (360, LENGTHS[1])].into_iter().cycle().take(20).enumerate()
    {
        let (sent, plis) = (call.received.len(), call.key_frames);
        call.wish(wish);
        let received = call.pass(100);
        assert_eq!(lengths(&received[received.len() - 10..]), [length], "change {n}");
        assert_eq!(call.key_frames, plis + 1, "change {n}: one key frame");
        let changed = sent + received.iter().position(|packet| packet.length == length).unwrap();
        assert!(call.reports.iter().any(|&(_, at)| at == changed), "change {n}: a report comes with it");
    }
    assert!(is_continuous(&call.received));
    let (first, last) = (call.received[0], *call.received.last().unwrap());
    let ticks = call.received.windows(2).map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp));
    assert!(ticks.into_iter().all(|ticks| ticks > 0 && ticks < 90_000), "always later, and never by far");
    // 60 + 20 × 100 units after the first two.
    let elapsed = last.timestamp.wrapping_sub(first.timestamp).cast_signed();
    let off = elapsed - 2_970 * (60 + 20 * 100 + 1);
    assert!(off.abs() <= 60 * 90, "{off} ticks off");
    let layers = call.layers();
    assert_eq!(layers.len(), 20, "{layers:?}");
}

/// The key frame comes after a while, in which layers are allocated again.
#[test]
fn a_change_requests_one_key_frame_however_often_layers_are_allocated() {
    for delay in (3..27).step_by(4) {
        let mut call = Call::simulcast(4_000);
        call.pass(60 + delay);
        for (wish, length) in [(180, LENGTHS[0]), (720, LENGTHS[2])] {
            call.key_frames = 0;
            call.wish(wish);
            call.key_frame_requested = false;
            call.pass(delay);
            assert!(!call.key_frame_requested, "after {delay} units");
            call.key_frame_requested = true;
            call.pass(70);
            assert_eq!(lengths(&call.pass(4)), [length]);
            assert_eq!(call.key_frames, 1, "after {delay} units");
        }
    }
}

#[test]
fn key_frame_that_is_lost_is_requested_again() {
    let mut call = Call::simulcast(4_000);
    call.pass(90);
    call.wish(180);
    assert!(std::mem::take(&mut call.key_frame_requested));
    call.key_frames = 0;
    call.pass(75);
    assert_eq!((call.key_frames, lengths(&call.pass(4))), (1, vec![LENGTHS[0]]));
}

#[test]
fn paused_slot_gets_nothing_and_resumes_with_a_key_frame() {
    let mut call = Call::svc(ScalabilityMode::L3T3, 4_000);
    call.pass(30);
    call.layers();
    let wish = Wish { mid: Mid::new(SLOT).unwrap(), height: 720, pinned: false, paused: true };
    call.set_wish(wish);
    assert_eq!(call.layers(), [(None, None, LayerReason::Pause)]);
    assert_eq!(call.pass(60), []);
    call.set_wish(Wish { paused: false, ..wish });
    assert!(call.key_frame_requested);
    assert_eq!(lengths(&call.pass(2)), LENGTHS);
    assert_eq!(call.layers(), [(Some(720), Some(2), LayerReason::Wish)]);
    assert!(is_continuous(&call.received));
}

#[test]
fn layer_that_the_sender_stops_is_replaced_within_two_seconds() {
    for mode in [ScalabilityMode::L3T3, ScalabilityMode::L3T3_KEY] {
        let mut call = Call::svc(mode, 4_000);
        call.wish(720);
        call.pass(60);
        call.layers();
        call.encoders[0].layers = 2;
        call.pass(61);
        let received = call.pass(10);
        assert!(received.len() >= 10, "{mode:?}: {} packets", received.len());
        assert!(received.iter().any(|packet| packet.length == LENGTHS[1]), "{mode:?}");
        let layers = call.layers();
        assert_eq!(layers.last(), Some(&(Some(360), Some(2), LayerReason::Sender)), "{mode:?}: {layers:?}");
    }
}

#[test]
fn encoding_that_the_sender_stops_is_replaced_within_two_seconds() {
    let mut call = Call::simulcast(4_000);
    call.pass(60);
    call.layers();
    call.encoders[2].layers = 0;
    call.pass(61);
    assert_eq!(lengths(&call.pass(10)), [LENGTHS[1]]);
    assert_eq!(call.layers(), [(Some(360), Some(2), LayerReason::Sender)]);
    call.encoders[2].layers = 1;
    call.key_frame_requested = true;
    call.pass(60);
    assert_eq!(lengths(&call.pass(10)), [LENGTHS[2]], "it is back");
}

/// More than was wished is not what was wished: the sender sends nothing smaller.
#[test]
fn larger_layer_than_wished_is_the_senders_reason() {
    let mut call = Call::simulcast(4_000);
    call.pass(60);
    call.encoders[..2].iter_mut().for_each(|encoder| encoder.layers = 0);
    call.wish(180);
    call.pass(90);
    assert_eq!(lengths(&call.pass(10)), [LENGTHS[2]]);
    assert_eq!(call.layers().last(), Some(&(Some(720), Some(2), LayerReason::Sender)));
    call.encoders[0].layers = 1;
    call.key_frame_requested = true;
    call.pass(60);
    assert_eq!(lengths(&call.pass(10)), [LENGTHS[0]]);
    assert_eq!(call.layers(), [(Some(180), Some(2), LayerReason::Wish)]);
    // What no size fills is wished in the largest one.
    call.wish(1_080);
    call.pass(60);
    assert_eq!(call.layers().last(), Some(&(Some(720), Some(2), LayerReason::Wish)));
}

#[test]
fn bitrate_is_kept_by_the_size_that_fits_at_its_full_frame_rate() {
    for (kbps, expected, sizes) in [(1_000, (360, 2), 2), (80, (180, 1), 1)] {
        let mut call = Call::svc(ScalabilityMode::L3T3, kbps);
        call.pass(90);
        let received = call.pass(30);
        let rate = received.iter().map(|packet| packet.length * 8).sum::<usize>() as f64 / 0.99 / 1_000.0;
        assert!(rate < kbps as f64 * 1.02, "{rate} of {kbps} kbit/s");
        assert_eq!(lengths(&received), LENGTHS[..sizes]);
        let (height, temporal) = expected;
        assert_eq!(call.layers().last(), Some(&(Some(height), Some(temporal), LayerReason::Bandwidth)));
        assert!(is_continuous(&call.received));
    }
}

/// As VP8 encoders do, which mark no frame of the base layer.
#[test]
fn frame_rate_that_no_frame_leads_to_is_reached_by_a_key_frame() {
    let mut encoder = Encoder::new(0, ScalabilityMode::L1T3, &SIZES[..1], Some(4_000));
    encoder.marks_switches = false;
    let encodings = vec![EncodingParams { ssrc: Some(Ssrc(100)), rtx: Some(Ssrc(200)), ..EncodingParams::default() }];
    let mut call = Call::new(vec![encoder], encodings, 300);
    call.pass(120);
    assert!(call.pass(8).len() == 2, "one of four units fits");
    call.key_frames = 0;
    call.encoders[0].length = Some(400);
    call.pass(180);
    assert_eq!(call.pass(8).len(), 8);
    assert_eq!(call.key_frames, 1);
    assert!(is_continuous(&call.received));
}

#[test]
fn nack_for_a_packet_of_the_layer_before_is_answered() {
    let mut call = Call::simulcast(4_000);
    call.pass(40);
    call.wish(180);
    call.pass(4);
    assert_eq!(call.received.last().map(|packet| packet.length), Some(LENGTHS[0]));
    let lost = call.received.iter().rfind(|packet| packet.length == LENGTHS[2]).unwrap().seq;
    let mut nack = Vec::new();
    rtcp::write::nack(&mut nack, Ssrc(1), call.slot, &[lost.into()]);
    call.room.receive_rtcp(call.now, BOB, &nack, &mut call.out);
    let repeated = call.out.packets.iter().find_map(|(to, datagram)| match datagram {
        Datagram::Rtp(bytes) if *to == BOB => Some(RtpPacket::parse(bytes).unwrap().payload.to_vec()),
        _ => None,
    });
    let repeated = repeated.expect("a retransmission");
    assert_eq!((&repeated[..2], repeated.len()), (&lost.to_be_bytes()[..], 2 + LENGTHS[2]));
}

/// Of three frames of one unit the lowest is missing. It comes later, and is not of the slot's layer.
#[test]
fn number_of_a_packet_of_another_layer_is_filled() {
    let mut call = Call::svc(ScalabilityMode::L3T3_KEY, 4_000);
    call.pass(40);
    let sent = call.received.len();
    call.now += UNIT;
    let mut unit = call.encoders[0].encode(false, None);
    let lowest = unit.remove(0);
    for packet in unit.iter().chain([&lowest]) {
        call.room.receive_rtp(call.now, ALICE, packet, &mut call.out);
        call.room.forward(call.now, &mut call.out);
    }
    call.look();
    call.pass(5);
    let mut received = call.received[sent..].to_vec();
    assert_eq!(received.iter().filter(|packet| packet.length == 0).count(), 1);
    received.sort_by_key(|packet| packet.seq);
    assert!(is_continuous(&received), "{received:?}");
    assert_eq!(call.room.stats().fillers, 1);
}

#[test]
fn wishes_name_slots_that_exist() {
    let mut call = Call::svc(ScalabilityMode::L3T3, 4_000);
    let wish = |mid| Wish { mid: Mid::new(mid).unwrap(), height: 1, pinned: false, paused: true };
    let refused = call.room.set_wishes(call.now, BOB, &[wish(SLOT), wish("v9")], &mut call.out);
    assert_eq!(refused, Err(CommandError::NoSlot));
    assert!(!call.pass(2).is_empty(), "nothing has changed");
    let refused = call.room.set_wishes(call.now, ParticipantId(9), &[wish(SLOT)], &mut call.out);
    assert_eq!(refused, Err(CommandError::NoParticipant));
}

#[test]
fn descriptors_keep_their_bytes_but_for_the_frame_number() {
    let mut call = Call::svc(ScalabilityMode::L3T3_KEY, 4_000);
    call.wish(360);
    call.now += UNIT;
    let sent = call.encoders[0].encode(true, None);
    for packet in &sent {
        call.room.receive_rtp(call.now, ALICE, packet, &mut call.out);
    }
    call.room.forward(call.now, &mut call.out);
    let descriptor = |bytes: &[u8]| {
        let packet = RtpPacket::parse(bytes).unwrap();
        KnownExtensions::read(packet.extensions).dependency.unwrap().to_vec()
    };
    let received = call.out.packets.iter().filter_map(|(to, datagram)| match datagram {
        Datagram::Rtp(bytes) if *to == BOB => Some(descriptor(bytes)),
        _ => None,
    });
    for (received, sent) in received.zip(&sent) {
        let sent = descriptor(sent);
        assert_eq!((received[0], &received[3..]), (sent[0], &sent[3..]));
    }
}
