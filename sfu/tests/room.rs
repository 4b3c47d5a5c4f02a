//! A room, command by command and packet by packet.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulation;

use proptest::prelude::*;
use rtp_wire::{
    header::{HeaderExtensions, RtpHeader},
    rtcp::{self, Rtcp, SenderInfo},
    rtp::RtpPacket,
    seq::{SeqNum, Unwrapper},
};
use sfu::{
    CommandError, Mid, ParticipantId, Rid, Room, RoomId, Ssrc, TrackId,
    command::{EncodingParams, Publication},
    limits::{SLOTS, TRACKS},
    media::Codec,
};
use simulation::{Datagram, Outbox, publisher::packet, transport};
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

const ALICE: ParticipantId = ParticipantId(1);
const BOB: ParticipantId = ParticipantId(2);
const CAMERA: TrackId = TrackId(7);
const KEY: [u8; 3] = [0x10, 0x10, 0];
const DELTA: [u8; 3] = [0x10, 0x11, 0];

fn mid(text: &str) -> Mid {
    Mid::new(text).unwrap()
}

fn camera(ssrc: u32) -> Publication {
    Publication::single(Codec::Vp8, mid("sv"), Ssrc(ssrc), Some(Ssrc(ssrc + 1)))
}

fn vp8(ssrc: u32, seq: u16, payload: &[u8], extensions: HeaderExtensions<'_>) -> Vec<u8> {
    let header = RtpHeader { marker: true, payload_type: 96, seq: SeqNum(seq), timestamp: 3_000, ssrc: Ssrc(ssrc) };
    packet(header, extensions, payload)
}

/// Alice publishes a camera, Bob has a slot for it.
fn call(now: Instant, out: &mut Outbox) -> (Room, Ssrc) {
    let mut room = Room::new(RoomId(1));
    room.add_participant(ALICE, transport(ALICE)).unwrap();
    room.add_participant(BOB, transport(BOB)).unwrap();
    room.publish(now, ALICE, CAMERA, camera(100)).unwrap();
    let (ssrc, rtx) = room.add_slot(BOB, mid("v0"), Codec::Vp8).unwrap();
    assert!(rtx.is_some_and(|rtx| rtx != ssrc));
    room.set_slot(now, BOB, mid("v0"), Some(CAMERA.into()), out).unwrap();
    room.activate_slot(now, BOB, mid("v0"), out).unwrap();
    (room, ssrc)
}

/// Receives a packet and forwards it.
fn pass(room: &mut Room, now: Instant, from: ParticipantId, packet: &[u8], out: &mut Outbox) {
    room.receive_rtp(now, from, packet, out);
    room.forward(now, out);
}

fn forwarded(out: &mut Outbox) -> Vec<(ParticipantId, Ssrc, Vec<u8>)> {
    let packets = std::mem::take(&mut out.packets).into_iter();
    packets
        .filter_map(|(to, datagram)| match datagram {
            Datagram::Rtp(bytes) => {
                let view = RtpPacket::parse(&bytes).unwrap();
                Some((to, view.ssrc, view.payload.to_vec()))
            }
            Datagram::Rtcp(_) => None,
        })
        .collect()
}

fn key_frame_requests(out: &mut Outbox) -> usize {
    let packets = std::mem::take(&mut out.packets).into_iter();
    packets
        .map(|(_, datagram)| match datagram {
            Datagram::Rtcp(bytes) => rtcp::parse(&bytes).filter(|part| matches!(part, Rtcp::Pli { .. })).count(),
            Datagram::Rtp(_) => 0,
        })
        .sum()
}

#[test]
fn invalid_commands_are_refused() {
    let (now, mut out) = (Instant::now(), Outbox::default());
    let (mut room, _) = call(now, &mut out);
    let unknown = ParticipantId(9);
    assert_eq!(room.add_participant(ALICE, transport(ALICE)), Err(CommandError::Exists));
    assert_eq!(room.publish(now, unknown, TrackId(8), camera(500)), Err(CommandError::NoParticipant));
    assert_eq!(room.publish(now, ALICE, CAMERA, camera(500)), Err(CommandError::Exists));
    assert_eq!(room.publish(now, BOB, CAMERA, camera(500)), Err(CommandError::Exists), "another's track");
    let other_mid = Publication { mid: mid("x"), ..camera(99) };
    assert_eq!(
        room.publish(now, ALICE, TrackId(8), other_mid),
        Err(CommandError::Exists),
        "99 + 1 is the camera's SSRC"
    );
    assert_eq!(room.publish(now, ALICE, TrackId(8), camera(500)), Err(CommandError::Exists), "same m-line");
    let one_ssrc = Publication::single(Codec::Vp8, mid("x"), Ssrc(500), Some(Ssrc(500)));
    assert_eq!(room.publish(now, ALICE, TrackId(8), one_ssrc), Err(CommandError::Invalid));
    assert_eq!(room.unpublish(BOB, CAMERA), Err(CommandError::NoTrack), "not Bob's");
    assert_eq!(room.set_muted(now, ALICE, TrackId(8), true), Err(CommandError::NoTrack));
    assert_eq!(room.add_slot(BOB, mid("v0"), Codec::Vp8), Err(CommandError::Exists));
    assert_eq!(room.add_slot(unknown, mid("v0"), Codec::Vp8), Err(CommandError::NoParticipant));
    assert_eq!(room.activate_slot(now, BOB, mid("v1"), &mut out), Err(CommandError::NoSlot));
    assert_eq!(room.set_slot(now, BOB, mid("v0"), Some(TrackId(8).into()), &mut out), Err(CommandError::NoTrack));
    room.add_slot(BOB, mid("a0"), Codec::Opus).unwrap();
    assert_eq!(room.set_slot(now, BOB, mid("a0"), Some(CAMERA.into()), &mut out), Err(CommandError::CodecMismatch));
}

#[test]
fn refused_publication_leaves_nothing_behind() {
    let (now, mut room) = (Instant::now(), Room::new(RoomId(1)));
    room.add_participant(ALICE, transport(ALICE)).unwrap();
    let (slot, slot_rtx) = room.add_slot(ALICE, mid("v0"), Codec::Vp8).unwrap();
    room.publish(now, ALICE, CAMERA, camera(100)).unwrap();
    let screen = TrackId(8);
    let publication = |name, ssrc, rtx| Publication::single(Codec::Vp8, mid(name), ssrc, rtx);
    for refused in [
        publication("ss", slot, Some(Ssrc(501))),
        publication("ss", slot_rtx.unwrap(), Some(Ssrc(501))),
        publication("ss", Ssrc(500), Some(slot)),
        publication("ss", Ssrc(500), slot_rtx),
        publication("sv", Ssrc(500), Some(Ssrc(501))),
    ] {
        assert_eq!(room.publish(now, ALICE, screen, refused), Err(CommandError::Exists));
        assert_eq!(room.tracks(), 1);
        assert_eq!(room.unpublish(ALICE, screen), Err(CommandError::NoTrack));
    }
    room.publish(now, ALICE, screen, publication("ss", Ssrc(500), Some(Ssrc(501)))).unwrap();
    assert_eq!(room.tracks(), 2);
}

#[test]
fn tracks_and_slots_are_limited() {
    let (now, mut room) = (Instant::now(), Room::new(RoomId(1)));
    room.add_participant(ALICE, transport(ALICE)).unwrap();
    for n in 0..=TRACKS as u32 {
        let publication = Publication { mid: mid(&n.to_string()), ..camera(100 + 2 * n) };
        let expected = if n < TRACKS as u32 { Ok(()) } else { Err(CommandError::Limit) };
        assert_eq!(room.publish(now, ALICE, TrackId(n), publication), expected);
    }
    for n in 0..=SLOTS {
        let added = room.add_slot(ALICE, mid(&n.to_string()), Codec::Opus);
        assert_eq!(added.err(), (n == SLOTS).then_some(CommandError::Limit));
    }
}

#[test]
fn inactive_slot_receives_nothing() {
    let (now, mut out) = (Instant::now(), Outbox::default());
    let mut room = Room::new(RoomId(1));
    room.add_participant(ALICE, transport(ALICE)).unwrap();
    room.publish(now, ALICE, CAMERA, camera(100)).unwrap();
    room.add_slot(ALICE, mid("v0"), Codec::Vp8).unwrap();
    room.set_slot(now, ALICE, mid("v0"), Some(CAMERA.into()), &mut out).unwrap();
    pass(&mut room, now, ALICE, &vp8(100, 1, &KEY, HeaderExtensions::default()), &mut out);
    assert!(out.packets.is_empty());
    room.activate_slot(now, ALICE, mid("v0"), &mut out).unwrap();
    assert_eq!(key_frame_requests(&mut out), 1);
    pass(&mut room, now, ALICE, &vp8(100, 2, &DELTA, HeaderExtensions::default()), &mut out);
    assert!(forwarded(&mut out).is_empty(), "a source begins with a key frame");
    pass(&mut room, now, ALICE, &vp8(100, 3, &KEY, HeaderExtensions::default()), &mut out);
    assert_eq!(forwarded(&mut out).len(), 1);
}

#[test]
fn empty_slot_and_removed_participant_receive_nothing() {
    let (now, mut out) = (Instant::now(), Outbox::default());
    let (mut room, ssrc) = call(now, &mut out);
    let send = |room: &mut Room, seq| {
        let mut out = Outbox::default();
        pass(room, now, ALICE, &vp8(100, seq, &KEY, HeaderExtensions::default()), &mut out);
        forwarded(&mut out)
    };
    assert_eq!(send(&mut room, 1), [(BOB, ssrc, KEY.to_vec())]);
    room.set_slot(now, BOB, mid("v0"), None, &mut out).unwrap();
    assert_eq!(send(&mut room, 2), []);
    room.set_slot(now, BOB, mid("v0"), Some(CAMERA.into()), &mut out).unwrap();
    assert_eq!(send(&mut room, 3).len(), 1);
    room.remove_participant(BOB);
    assert_eq!(send(&mut room, 4), []);
    room.remove_participant(ALICE);
    assert!(room.is_empty());
}

#[test]
fn slot_outlives_its_publisher() {
    let (now, mut out) = (Instant::now(), Outbox::default());
    let (mut room, ssrc) = call(now, &mut out);
    pass(&mut room, now, ALICE, &vp8(100, 1, &KEY, HeaderExtensions::default()), &mut out);
    room.remove_participant(ALICE);
    let carol = ParticipantId(3);
    room.add_participant(carol, transport(carol)).unwrap();
    room.publish(now, carol, TrackId(8), camera(100)).unwrap();
    room.set_slot(now, BOB, mid("v0"), Some(TrackId(8).into()), &mut out).unwrap();
    forwarded(&mut out);
    pass(&mut room, now, carol, &vp8(100, 9_000, &KEY, HeaderExtensions::default()), &mut out);
    assert_eq!(forwarded(&mut out), [(BOB, ssrc, KEY.to_vec())]);
}

#[test]
fn picture_ids_are_rewritten_per_subscriber() {
    let (now, mut out) = (Instant::now(), Outbox::default());
    let (mut room, _) = call(now, &mut out);
    let frame_packet =
        |seq: u16, frame: u8| vp8(100, seq, &[0x90, 0xc0, 0x80, frame, frame, 0x10], HeaderExtensions::default());
    for n in 0..5u8 {
        pass(&mut room, now, ALICE, &frame_packet(u16::from(n), 60 + n), &mut out);
    }
    let carol = ParticipantId(3);
    room.add_participant(carol, transport(carol)).unwrap();
    room.add_slot(carol, mid("v0"), Codec::Vp8).unwrap();
    room.activate_slot(now, carol, mid("v0"), &mut out).unwrap();
    room.set_slot(now, carol, mid("v0"), Some(CAMERA.into()), &mut out).unwrap();
    forwarded(&mut out);
    pass(&mut room, now, ALICE, &frame_packet(5, 65), &mut out);
    let picture_ids: Vec<_> =
        forwarded(&mut out).into_iter().map(|(to, _, payload)| (to, payload[3], payload[4])).collect();
    assert_eq!(picture_ids, [(BOB, 6, 6), (carol, 1, 1)]);
}

#[test]
fn dependency_descriptor_is_rewritten_and_marks_key_frames() {
    let (now, mut out) = (Instant::now(), Outbox::default());
    let (mut room, _) = call(now, &mut out);
    let mut descriptor = vec![0x80, 0x12, 0x34];
    let mut send = |room: &mut Room, seq, descriptor: &[u8]| {
        let extensions = HeaderExtensions { dependency: Some(descriptor), ..Default::default() };
        pass(room, now, ALICE, &vp8(100, seq, b"ciphertext", extensions), &mut out);
        let sent = std::mem::take(&mut out.packets).into_iter().find_map(|(_, datagram)| match datagram {
            Datagram::Rtp(bytes) => Some(bytes),
            Datagram::Rtcp(_) => None,
        })?;
        RtpPacket::parse(&sent).unwrap().extensions.get(4).map(<[u8]>::to_vec)
    };
    assert_eq!(send(&mut room, 1, &descriptor), None, "no structure: a delta frame, whatever the payload says");
    descriptor.extend([0x80; 40]);
    let mut forwarded_descriptor = descriptor.clone();
    forwarded_descriptor[1..3].copy_from_slice(&[0, 1]);
    assert_eq!(send(&mut room, 2, &descriptor), Some(forwarded_descriptor), "all of it, with the slot's frame number");
    assert_eq!(send(&mut room, 3, &[0xc1, 0x12, 0x36]), Some(vec![0xc1, 0, 3]), "frame numbers keep their distance");
}

#[test]
fn sequence_continues_after_an_outage_of_the_receiver() {
    let (now, mut out) = (Instant::now(), Outbox::default());
    let (mut room, _) = call(now, &mut out);
    let send = |room: &mut Room, out: &mut Outbox, seq, payload: &[u8]| -> Vec<u16> {
        pass(room, now, ALICE, &vp8(100, seq, payload, HeaderExtensions::default()), out);
        let media = std::mem::take(&mut out.packets).into_iter().filter_map(|(_, datagram)| match datagram {
            Datagram::Rtp(bytes) => Some(RtpPacket::parse(&bytes).unwrap().seq.0),
            Datagram::Rtcp(_) => None,
        });
        media.collect()
    };
    let [before] = send(&mut room, &mut out, 1, &KEY)[..] else { panic!("not forwarded") };
    out.unreachable = Some(BOB);
    assert!(send(&mut room, &mut out, 2, &DELTA).is_empty());
    assert!(send(&mut room, &mut out, 3, &KEY).is_empty());
    out.unreachable = None;
    assert!(send(&mut room, &mut out, 4, &DELTA).is_empty(), "it lacks a key frame");
    assert_eq!(send(&mut room, &mut out, 5, &KEY), [before + 1], "only sent packets advance the numbers");
}

#[test]
fn unsignaled_ssrc_is_learned_by_mid_once() {
    let (now, mut out) = (Instant::now(), Outbox::default());
    let (mut room, _) = call(now, &mut out);
    let named = HeaderExtensions { mid: Some(b"sv"), ..Default::default() };
    pass(&mut room, now, ALICE, &vp8(900, 1, &KEY, HeaderExtensions::default()), &mut out);
    pass(&mut room, now, BOB, &vp8(900, 1, &KEY, named), &mut out);
    assert!(forwarded(&mut out).is_empty(), "no MID, and no track of Bob's");
    pass(&mut room, now, ALICE, &vp8(900, 2, &KEY, named), &mut out);
    pass(&mut room, now, ALICE, &vp8(900, 3, &DELTA, HeaderExtensions::default()), &mut out);
    assert_eq!(forwarded(&mut out).len(), 2);
    pass(&mut room, now, ALICE, &vp8(901, 4, &KEY, named), &mut out);
    pass(&mut room, now, ALICE, &vp8(100, 5, &KEY, named), &mut out);
    assert!(forwarded(&mut out).is_empty(), "the encoding has its SSRC");
    assert_eq!(room.stats().unknown_ssrc, 4);
}

#[test]
fn publisher_gets_reports_and_transport_feedback() {
    let (start, mut out) = (Instant::now(), Outbox::default());
    let (mut room, _) = call(start, &mut out);
    let mut report = Vec::new();
    let info = SenderInfo { ntp: 0x1234_5678_9abc_def0, timestamp: 0, packets: 0, octets: 0 };
    rtcp::write::sender_report(&mut report, Ssrc(100), &info);
    for n in [0u16, 1, 3, 4] {
        let now = start + Duration::from_millis(u64::from(n));
        let numbered = HeaderExtensions { twcc_seq: Some(65_534u16.wrapping_add(n)), ..Default::default() };
        pass(&mut room, now, ALICE, &vp8(100, n, &KEY, numbered), &mut out);
    }
    room.receive_rtcp(start, ALICE, &report, &mut out);
    out.packets.clear();

    let (mut blocks, mut feedback) = (Vec::new(), Vec::new());
    while let Some(at) = room.next_deadline().filter(|at| *at <= start + Duration::from_millis(1_100)) {
        room.tick(at, &mut out);
        for (to, datagram) in out.packets.drain(..) {
            let Datagram::Rtcp(bytes) = datagram else { panic!("no media was sent") };
            for part in rtcp::parse(&bytes) {
                match part {
                    Rtcp::ReceiverReport { blocks: found, .. } => blocks.extend(found.map(|block| (to, block))),
                    Rtcp::Twcc(found) => {
                        feedback.extend(found.packets().map(|(seq, status)| (seq, status.has_arrived())))
                    }
                    Rtcp::Nack { media: Ssrc(100), .. } | Rtcp::Pli { media: Ssrc(100) } => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert_eq!(feedback, [(65_534, true), (65_535, true), (0, false), (1, true), (2, true)]);
    assert_eq!(blocks.len(), 1);
    let (to, block) = blocks[0];
    assert_eq!((to, block.ssrc, block.cumulative_lost, block.last_sr), (ALICE, Ssrc(100), 1, 0x5678_9abc));
}

#[test]
fn nack_without_rtx_is_ignored() {
    let (now, mut out) = (Instant::now(), Outbox::default());
    let mut room = Room::new(RoomId(1));
    room.add_participant(ALICE, transport(ALICE)).unwrap();
    let microphone = Publication::single(Codec::Opus, mid("sa"), Ssrc(5), None);
    room.publish(now, ALICE, CAMERA, microphone).unwrap();
    let (ssrc, rtx) = room.add_slot(ALICE, mid("a0"), Codec::Opus).unwrap();
    assert_eq!(rtx, None);
    room.activate_slot(now, ALICE, mid("a0"), &mut out).unwrap();
    room.set_slot(now, ALICE, mid("a0"), Some(CAMERA.into()), &mut out).unwrap();
    let header = RtpHeader { marker: false, payload_type: 111, seq: SeqNum(1), timestamp: 0, ssrc: Ssrc(5) };
    pass(&mut room, now, ALICE, &packet(header, HeaderExtensions::default(), b"audio"), &mut out);
    let (_, Datagram::Rtp(sent)) = out.packets.pop().unwrap() else { panic!("no audio") };
    let seq = RtpPacket::parse(&sent).unwrap().seq;
    let mut nack = Vec::new();
    rtcp::write::nack(&mut nack, Ssrc(1), ssrc, &[u64::from(seq.0)]);
    room.receive_rtcp(now, ALICE, &nack, &mut out);
    assert!(out.packets.is_empty(), "the same sequence number would repeat a nonce");
}

/// A command, a packet, or a pause.
#[derive(Clone, Debug)]
enum Step {
    Join(u32),
    Leave(u32),
    Publish(u32, u32, bool),
    Unpublish(u32, u32),
    AddSlot(u32, u8, bool),
    SetSlot(u32, u8, Option<u32>),
    Activate(u32, u8),
    Rtp { from: u32, ssrc: u32, pt: u8, seq: u16, head: u8, tail: Vec<u8> },
    Rtcp { from: u32, kind: u8, count: u8, ssrc: u32, tail: Vec<u8> },
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let tail = || prop::collection::vec(any::<u8>(), 0..40);
    let pt = prop_oneof![Just(96u8), Just(97), Just(111), any::<u8>()];
    let seq = prop_oneof![0u16..60, any::<u16>()];
    prop_oneof![
        1 => (0u32..3).prop_map(Step::Join),
        1 => (0u32..3).prop_map(Step::Leave),
        1 => (0u32..3, 0u32..4, any::<bool>()).prop_map(|(p, t, v)| Step::Publish(p, t, v)),
        1 => (0u32..3, 0u32..4).prop_map(|(p, t)| Step::Unpublish(p, t)),
        1 => (0u32..3, 0u8..3, any::<bool>()).prop_map(|(p, m, v)| Step::AddSlot(p, m, v)),
        1 => (0u32..3, 0u8..3, prop::option::of(0u32..4)).prop_map(|(p, m, t)| Step::SetSlot(p, m, t)),
        1 => (0u32..3, 0u8..3).prop_map(|(p, m)| Step::Activate(p, m)),
        8 => (0u32..3, 0u32..8, pt, seq, any::<u8>(), tail()).prop_map(|(from, ssrc, pt, seq, head, tail)| {
            Step::Rtp { from, ssrc, pt, seq, head, tail }
        }),
        4 => (0u32..3, 199u8..208, 0u8..32, 0u32..8, tail()).prop_map(|(from, kind, count, ssrc, tail)| {
            Step::Rtcp { from, kind, count, ssrc, tail }
        }),
        1 => (0u64..1_500).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Any commands and bytes in any order: no panic, and no sequence number of a stream is sent twice.
    #[test]
    fn room_survives_any_sequence_of_events(steps in prop::collection::vec(steps(), 1..150)) {
        let (mut now, mut out, mut room) = (Instant::now(), Outbox::default(), Room::new(RoomId(1)));
        let (mut nonces, mut slots, mut numbers) = (HashSet::new(), Vec::new(), HashMap::<_, Unwrapper>::new());
        for step in steps {
            match step {
                Step::Join(p) => {
 let _ = room.add_participant(ParticipantId(p), transport(ParticipantId(p)));
 }
                Step::Leave(p) => room.remove_participant(ParticipantId(p)),
                Step::Publish(p, t, video) => {
                    let codec = if video { Codec::Vp8 } else { Codec::Opus };
                    let (ssrc, rtx) = (Ssrc(2 * t), Some(Ssrc(2 * t + 1)));
                    let mut publication = Publication::single(codec, mid("m"), ssrc, rtx);
                    if t == 3 {
                        // Another encoding, whose SSRCs are learned.
                        publication.encodings[0].rid = Rid::new("q");
                        publication.encodings.push(EncodingParams::named(Rid::new("f").unwrap()));
                    }
                    let _ = room.publish(now, ParticipantId(p), TrackId(t), publication);
                }
                Step::Unpublish(p, t) => {
 let _ = room.unpublish(ParticipantId(p), TrackId(t));
 }
                Step::AddSlot(p, m, video) => {
                    let codec = if video { Codec::Vp8 } else { Codec::Opus };
                    slots.extend(room.add_slot(ParticipantId(p), mid(&m.to_string()), codec).map(|(ssrc, _)| ssrc));
                }
                Step::SetSlot(p, m, t) => {
                    let _ = room.set_slot(now, ParticipantId(p), mid(&m.to_string()), t.map(|t| TrackId(t).into()), &mut out);
                }
                Step::Activate(p, m) => {
                    let _ = room.activate_slot(now, ParticipantId(p), mid(&m.to_string()), &mut out);
                }
                Step::Rtp { from, ssrc, pt, seq, head, tail } => {
                    let header = RtpHeader {
                        marker: false, payload_type: pt, seq: SeqNum(seq), timestamp: 0, ssrc: Ssrc(ssrc),
                    };
                    let rid = [None, Some(&b"q"[..]), Some(b"f"), Some(b"x")][usize::from(head % 4)];
                    let extensions = HeaderExtensions {
                        mid: rid.map(|_| &b"m"[..]), rid, repaired_rid: rid, twcc_seq: Some(seq), audio_level: Some(head),
                        ..Default::default()
                    };
                    let mut bytes = packet(header, extensions, &tail);
                    if head < 20 { bytes[0] ^= head; }
                    room.receive_rtp(now, ParticipantId(from), &bytes, &mut out);
                    if seq % 3 == 0 { room.forward(now, &mut out); }
                }
                Step::Rtcp { from, kind, count, ssrc, mut tail } => {
                    tail.resize(tail.len() / 4 * 4, 0);
                    let words = (tail.len() / 4 + 2) as u8;
                    let target = slots.get(ssrc as usize).copied().unwrap_or(Ssrc(ssrc));
                    let bytes = [&[0x80 | count, kind, 0, words, 0, 0, 0, 1], &target.0.to_be_bytes()[..], &tail].concat();
                    room.receive_rtcp(now, ParticipantId(from), &bytes, &mut out);
                }
                Step::Wait(ms) => {
                    now += Duration::from_millis(ms);
                    while room.next_deadline().is_some_and(|at| at <= now) {
                        room.tick(now, &mut out);
                    }
                }
            }
            for (to, datagram) in out.packets.drain(..) {
                match datagram {
                    Datagram::Rtp(bytes) => {
                        let view = RtpPacket::parse(&bytes).unwrap();
                        let numbers = numbers.entry((to, view.ssrc)).or_default();
                        let extended = numbers.peek(view.seq);
                        numbers.accept(extended);
                        prop_assert!(nonces.insert((to, view.ssrc, extended)), "a nonce is repeated");
                    }
                    Datagram::Rtcp(bytes) => prop_assert!(rtcp::parse(&bytes).count() > 0),
                }
            }
        }
    }
}
