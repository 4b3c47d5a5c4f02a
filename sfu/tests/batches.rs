//! Packets received together are forwarded together: subscriber by subscriber, in runs that the kernel can split.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulation;

use rtp_wire::{
    header::{HeaderExtensions, RtpHeader},
    rtp::RtpPacket,
    seq::SeqNum,
};
use sfu::{
    Mid, ParticipantId, Room, RoomId, Ssrc, TrackId,
    command::Publication,
    congestion::PathState,
    egress::{Egress, TransportKey},
    media::Codec,
};
use simulation::{Datagram, Outbox, publisher::packet, transport};
use std::time::{Duration, Instant};

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

/// Interrupts behind every receiver.
struct Interrupting<'a>(&'a mut Outbox);

impl Egress for Interrupting<'_> {
    fn is_interrupted(&self) -> bool {
        true
    }

    fn path(&mut self, of: TransportKey) -> Option<&mut PathState> {
        self.0.path(of)
    }

    fn rtp(&mut self, to: TransportKey, header: &[u8], payload: &[u8]) {
        self.0.rtp(to, header, payload);
    }

    fn rtcp(&mut self, to: TransportKey, packet: &[u8]) {
        self.0.rtcp(to, packet);
    }
}

/// Adds a slot for a track to a participant.
fn add_slot(room: &mut Room, now: Instant, to: u32, from: u32, codec: Codec, out: &mut Outbox) {
    let (to, mid) = (ParticipantId(to), Mid::new(&from.to_string()).unwrap());
    room.add_slot(to, mid, codec).unwrap();
    room.activate_slot(now, to, mid, out).unwrap();
    room.set_slot(now, to, mid, Some(TrackId(from).into()), out).unwrap();
}

#[test]
fn interrupted_fan_out_goes_on_behind_the_last_receiver() {
    let now = Instant::now();
    let (mut room, mut out) = (meeting(5, now), Outbox::default());
    (0..2).for_each(|seq| {
        let frame = if seq == 0 { KEY } else { DELTA };
        room.receive_rtp(now, ParticipantId(1), &vp8(1, seq, frame, 100), &mut out);
    });
    assert!(!room.forward(now, &mut Interrupting(&mut out)), "2 has its packets");
    // One that is served and one that is next leave, a new one comes, and the track goes on.
    room.remove_participant(ParticipantId(2));
    room.remove_participant(ParticipantId(3));
    room.add_participant(ParticipantId(9), transport(ParticipantId(9))).unwrap();
    add_slot(&mut room, now, 9, 1, Codec::Vp8, &mut out);
    room.receive_rtp(now, ParticipantId(1), &vp8(1, 2, DELTA, 100), &mut out);
    let mut calls = 1;
    while !room.forward(now, &mut Interrupting(&mut out)) {
        calls += 1;
        assert_eq!(room.next_deadline(), Some(now), "packets wait");
    }
    let mut received: Vec<_> =
        media(out).iter().map(|(to, packet)| (*to, RtpPacket::parse(packet).unwrap().seq.0)).collect();
    received.sort();
    received.dedup();
    let counts = [2, 4, 5, 9].map(|to| received.iter().filter(|(receiver, _)| *receiver == to).count());
    assert_eq!((counts, received.len()), ([2, 3, 3, 3], 11), "each packet once");
    assert!(calls >= 6, "{calls}");
}

/// A microphone of participant 1, heard by 2, 3 and 4.
fn add_microphone(room: &mut Room, now: Instant, out: &mut Outbox) {
    let publication = Publication::single(Codec::Opus, Mid::new("sa").unwrap(), Ssrc(7), None);
    room.publish(now, ParticipantId(1), TrackId(7), publication).unwrap();
    [2, 3, 4].into_iter().for_each(|to| add_slot(room, now, to, 7, Codec::Opus, out));
}

/// A packet of the microphone.
fn opus(seq: u16) -> Vec<u8> {
    let (payload_type, timestamp) = (Codec::Opus.entry().pt, 960 * u32::from(seq));
    let header = RtpHeader { marker: false, payload_type, seq: SeqNum(seq), timestamp, ssrc: Ssrc(7) };
    packet(header, HeaderExtensions::default(), b"sealed")
}

#[test]
fn late_fan_out_of_audio_loses_nothing() {
    let start = Instant::now();
    let (mut room, mut out) = (meeting(4, start), Outbox::default());
    add_microphone(&mut room, start, &mut out);
    room.receive_rtp(start, ParticipantId(1), &opus(0), &mut out);
    assert!(!room.forward(start, &mut Interrupting(&mut out)), "2 has it");
    let late = start + Duration::from_millis(300);
    (1..16).for_each(|seq| {
        room.receive_rtp(late, ParticipantId(1), &opus(seq), &mut out);
    });
    while !room.forward(late, &mut Interrupting(&mut out)) {}
    let received = media(out);
    assert_eq!([2, 3, 4].map(|to| received.iter().filter(|(receiver, _)| *receiver == to).count()), [16; 3]);
}

#[test]
fn audio_overtakes_an_interrupted_fan_out_of_video() {
    let now = Instant::now();
    let (mut room, mut out) = (meeting(4, now), Outbox::default());
    add_microphone(&mut room, now, &mut out);
    room.receive_rtp(now, ParticipantId(1), &vp8(1, 0, KEY, 1_000), &mut out);
    assert!(!room.forward(now, &mut Interrupting(&mut out)));
    room.receive_rtp(now, ParticipantId(1), &opus(0), &mut out);
    while !room.forward(now, &mut Interrupting(&mut out)) {}
    let received: Vec<_> = media(out).iter().map(|(to, packet)| (*to, packet.len() > 500)).collect();
    let (audio, video) = (false, true);
    assert_eq!(received, [(2, video), (2, audio), (3, audio), (4, audio), (3, video), (4, video)]);
}
