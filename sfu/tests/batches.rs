//! Packets received together are forwarded together: subscriber by subscriber, in runs that the kernel can split.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulation;

use rtp_wire::{
    header::{HeaderExtensions, RtpHeader},
    rtp::RtpPacket,
    seq::SeqNum,
};
use sfu::{Mid, ParticipantId, Room, RoomId, Ssrc, TrackId, command::Publication, media::Codec};
use simulation::{Datagram, Outbox, publisher::packet, transport};
use std::time::Instant;

const KEY: u8 = 0x10;
const DELTA: u8 = 0x11;

/// A VP8 packet: payload descriptor, first byte of the frame, filling.
fn vp8(ssrc: u32, seq: u16, frame: u8, length: usize) -> Vec<u8> {
    let header = RtpHeader { marker: false, payload_type: 96, seq: SeqNum(seq), timestamp: 0, ssrc: Ssrc(ssrc) };
    let mut payload = vec![0x10, frame, 0];
    payload.resize(length, 0xee);
    packet(header, HeaderExtensions::default(), &payload)
}

/// Each participant publishes a camera, with its number as SSRC, and has a slot for each of the others.
fn meeting(participants: u32, now: Instant) -> Room {
    let (mut room, mut out) = (Room::new(RoomId(1)), Outbox::default());
    let mid = |n: u32| Mid::new(&n.to_string()).unwrap();
    for n in 1..=participants {
        room.add_participant(ParticipantId(n), transport(ParticipantId(n))).unwrap();
        let publication = Publication::single(Codec::Vp8, mid(0), Ssrc(n), None);
        room.publish(now, ParticipantId(n), TrackId(n), publication).unwrap();
    }
    for to in 1..=participants {
        for from in (1..=participants).filter(|from| *from != to) {
            room.add_slot(ParticipantId(to), mid(from), Codec::Vp8).unwrap();
            room.activate_slot(now, ParticipantId(to), mid(from), &mut out).unwrap();
            room.set_slot(now, ParticipantId(to), mid(from), Some(TrackId(from).into()), &mut out).unwrap();
        }
    }
    room
}

/// RTP packets and their receivers.
fn media(out: Outbox) -> Vec<(u32, Vec<u8>)> {
    let rtp = out.packets.into_iter().filter_map(|(to, datagram)| match datagram {
        Datagram::Rtp(bytes) => Some((to.0, bytes)),
        Datagram::Rtcp(_) => None,
    });
    rtp.collect()
}

#[test]
fn queued_packets_are_forwarded_subscriber_by_subscriber() {
    let now = Instant::now();
    let (mut room, mut out) = (meeting(4, now), Outbox::default());
    for seq in 0..3 {
        for from in [3, 1, 2] {
            let frame = if seq == 0 { KEY } else { DELTA };
            room.receive_rtp(now, ParticipantId(from), &vp8(from, seq, frame, 100), &mut out);
        }
    }
    assert_eq!((room.queued(), room.next_deadline()), (9, Some(now)));
    room.forward(now, &mut out);
    assert_eq!(room.queued(), 0);
    let receivers: Vec<_> = media(out).iter().map(|(to, _)| *to).collect();
    let expected = [[1; 6].as_slice(), &[2; 6], &[3; 6], &[4; 9]].concat();
    assert_eq!(receivers, expected);
}

#[test]
fn packets_of_a_frame_are_padded_to_one_length() {
    let now = Instant::now();
    let (mut room, mut out) = (meeting(2, now), Outbox::default());
    let lengths = [1_140, 1_140, 1_141, 1_141, 400];
    for (seq, &length) in (0..).zip(&lengths) {
        room.receive_rtp(now, ParticipantId(1), &vp8(1, seq, KEY, length), &mut out);
    }
    room.forward(now, &mut out);
    let packets = media(out);
    let sizes: Vec<_> = packets.iter().map(|(_, packet)| packet.len()).collect();
    assert!(sizes[..4].iter().all(|size| *size == sizes[0]) && sizes[4] < sizes[0], "{sizes:?}");
    let payloads: Vec<_> = packets.iter().map(|(_, packet)| RtpPacket::parse(packet).unwrap().payload.len()).collect();
    assert_eq!(payloads, lengths, "without padding");
}

#[test]
fn reordered_key_frame_is_forwarded_once() {
    let now = Instant::now();
    // In one batch, and with the key frame's first packet in a batch after two others.
    for split in [4, 2] {
        let (mut room, mut out) = (meeting(2, now), Outbox::default());
        for (n, seq) in [11, 12, 10, 13].into_iter().enumerate() {
            if n == split {
                room.forward(now, &mut out);
            }
            let frame = if seq == 10 { KEY } else { DELTA };
            room.receive_rtp(now, ParticipantId(1), &vp8(1, seq, frame, 100 + usize::from(seq)), &mut out);
        }
        room.forward(now, &mut out);
        let packets = media(out);
        let views: Vec<_> = packets.iter().map(|(_, packet)| RtpPacket::parse(packet).unwrap()).collect();
        let first = views[0].seq;
        assert_eq!(views[0].payload.len(), 110, "the key frame begins");
        let mut places: Vec<_> = views.iter().map(|v| (v.seq.distance_from(first), v.payload.len())).collect();
        places.sort_unstable();
        assert_eq!(places, [(0, 110), (1, 111), (2, 112), (3, 113)], "split {split}");
    }
}

#[test]
fn queued_packets_of_a_removed_track_are_dropped() {
    let now = Instant::now();
    let (mut room, mut out) = (meeting(3, now), Outbox::default());
    for from in [1, 2] {
        room.receive_rtp(now, ParticipantId(from), &vp8(from, 0, KEY, 100), &mut out);
    }
    room.unpublish(ParticipantId(1), TrackId(1)).unwrap();
    room.remove_participant(ParticipantId(3));
    room.forward(now, &mut out);
    assert_eq!(media(out).iter().map(|(to, _)| *to).collect::<Vec<_>>(), [1], "Bob's camera for Alice");
}
