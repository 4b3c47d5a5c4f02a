//! RTCP floods: the work and the packets that a participant can cause are bounded, and excess is reported.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulation;

use rtp_wire::{
    header::{HeaderExtensions, RtpHeader},
    rtcp::{self, Rtcp, SenderInfo},
    seq::SeqNum,
};
use sfu::{
    Event, Mid, ParticipantId, Room, RoomId, SlotSource, Ssrc, TrackId,
    command::Publication,
    event::Limit,
    limits::{FEEDBACK_ITEMS, REPAIR_BURST, REPAIR_RATE, SENDER_REPORTS},
    media::Codec,
};
use simulation::{Datagram, Outbox, publisher::packet, transport};
use std::time::{Duration, Instant};

const ALICE: ParticipantId = ParticipantId(1);
const BOB: ParticipantId = ParticipantId(2);
const CAMERA: TrackId = TrackId(7);

struct Call {
    now: Instant,
    room: Room,
    /// SSRC of Bob's slot.
    ssrc: Ssrc,
    out: Outbox,
    seq: u16,
}

impl Call {
    /// Alice's camera in a slot of Bob, with as many packets as he can request.
    fn new() -> Self {
        let (now, mut room, mut out) = (Instant::now(), Room::new(RoomId(1)), Outbox::default());
        let mid = |text| Mid::new(text).unwrap();
        room.add_participant(ALICE, transport(ALICE)).unwrap();
        room.add_participant(BOB, transport(BOB)).unwrap();
        let camera = Publication::single(Codec::Vp8, mid("sv"), Ssrc(100), Some(Ssrc(101)));
        room.publish(now, ALICE, CAMERA, camera).unwrap();
        let (ssrc, _) = room.add_slot(BOB, mid("v0"), Codec::Vp8).unwrap();
        room.set_slot(now, BOB, mid("v0"), Some(CAMERA.into()), &mut out).unwrap();
        room.activate_slot(now, BOB, mid("v0"), &mut out).unwrap();
        let mut call = Self { now, room, ssrc, out, seq: 0 };
        call.publish(500);
        call
    }

    fn publish(&mut self, packets: u16) {
        for _ in 0..packets {
            let start: &[u8] = if self.seq == 0 { &[0x10, 0x10, 0] } else { &[0x10, 0x11, 0] };
            let payload = [start, &[0xee; 1_000]].concat();
            let header =
                RtpHeader { marker: true, payload_type: 96, seq: SeqNum(self.seq), timestamp: 0, ssrc: Ssrc(100) };
            self.room.receive_rtp(
                self.now,
                ALICE,
                &packet(header, HeaderExtensions::default(), &payload),
                &mut self.out,
            );
            self.seq += 1;
        }
        self.room.tick(self.now, &mut self.out);
    }

    fn bob_sends(&mut self, packet: &[u8]) {
        self.room.receive_rtcp(self.now, BOB, packet, &mut self.out);
    }

    /// Sequence numbers of the packets sent to Bob.
    fn numbers(&mut self) -> Vec<u64> {
        let packets = std::mem::take(&mut self.out.packets).into_iter();
        let numbers = packets.filter_map(|(to, datagram)| match datagram {
            Datagram::Rtp(packet) if to == BOB => Some(u64::from(u16::from_be_bytes([packet[2], packet[3]]))),
            _ => None,
        });
        numbers.collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.room.poll_event()).collect()
    }
}

const EXCESS: Event = Event::LimitExceeded { participant: BOB, limit: Limit::Feedback };

#[test]
fn nack_flood_is_answered_within_the_budget() {
    let mut call = Call::new();
    let numbers = call.numbers();
    let mut nack = Vec::new();
    rtcp::write::nack(&mut nack, Ssrc(1), call.ssrc, &numbers);
    // For half a second, 2,000 packets a second that each request everything.
    for _ in 0..1_000 {
        call.now += Duration::from_micros(500);
        call.bob_sends(&nack);
    }
    let sent: usize = call
        .out
        .packets
        .iter()
        .map(|(_, datagram)| match datagram {
            Datagram::Rtp(packet) => packet.len(),
            Datagram::Rtcp(_) => 0,
        })
        .sum();
    let budget = (REPAIR_BURST + REPAIR_RATE.initial * Duration::from_millis(500)).bytes();
    assert!((REPAIR_BURST.bytes()..=budget).contains(&(sent as u64)), "{sent} bytes of {budget}");
    assert!(call.room.stats().excess_feedback > 500, "{:?}", call.room.stats());
    assert_eq!(call.events(), [EXCESS]);
}

/// PLIs sent to Alice.
fn plis(out: &Outbox) -> usize {
    let plis = |datagram: &Datagram| match datagram {
        Datagram::Rtcp(packet) => rtcp::parse(packet).filter(|part| matches!(part, Rtcp::Pli { .. })).count(),
        Datagram::Rtp(_) => 0,
    };
    out.packets.iter().filter(|(to, _)| *to == ALICE).map(|(_, datagram)| plis(datagram)).sum()
}

#[test]
fn pli_behind_truncated_feedback_is_answered() {
    let mut call = Call::new();
    call.now += Duration::from_secs(2);
    call.room.tick(call.now, &mut call.out);
    call.out.packets.clear();
    let mut compound = vec![0x8f, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9];
    rtcp::write::pli(&mut compound, Ssrc(1), call.ssrc);
    call.bob_sends(&compound);
    assert_eq!((plis(&call.out), call.room.stats().malformed), (1, 1));
}

#[test]
fn pli_flood_is_throttled() {
    let mut call = Call::new();
    call.out.packets.clear();
    let mut storm = Vec::new();
    for _ in 0..100 {
        rtcp::write::pli(&mut storm, Ssrc(1), call.ssrc);
    }
    for _ in 0..1_000 {
        call.now += Duration::from_millis(1);
        call.bob_sends(&storm);
        call.room.tick(call.now, &mut call.out);
    }
    let plis = plis(&call.out);
    assert!((2..=3).contains(&plis), "{plis} PLIs in a second");
}

/// Bob leaves and takes the camera 28 times a second for ten seconds; Alice sends 50 packets a second. Returns the PLIs that
/// she gets.
fn plis_by_flapping(call: &mut Call) -> usize {
    call.out.packets.clear();
    for step in 0..280 {
        call.now += Duration::from_millis(36);
        let track = (step % 2 == 1).then_some(CAMERA);
        call.room
            .set_slot(call.now, BOB, Mid::new("v0").unwrap(), track.map(SlotSource::Track), &mut call.out)
            .unwrap();
        call.publish(2);
    }
    plis(&call.out)
}

#[test]
fn flapping_subscriber_gets_few_key_frames() {
    let mut call = Call::new();
    let plis = plis_by_flapping(&mut call);
    // The first one was for the join.
    assert!((3..=5).contains(&plis), "{plis} PLIs in ten seconds");
    assert!(call.room.stats().key_frame_requests_refused > 100, "{:?}", call.room.stats());
}

#[test]
fn unreachable_subscriber_requests_no_key_frame() {
    let mut call = Call::new();
    call.now += Duration::from_secs(10);
    call.out.unreachable = Some(BOB);
    assert_eq!(plis_by_flapping(&mut call), 0);
    // Its first key frame is requested as soon as it can receive one.
    call.out.unreachable = None;
    call.publish(1);
    assert_eq!(plis(&call.out), 1);
}

/// Bob takes 25 cameras at once, a second after each of them sent a key frame.
#[test]
fn newcomer_gets_the_first_key_frame_of_every_camera_at_once() {
    let (now, mut room, mut out) = (Instant::now(), Room::new(RoomId(1)), Outbox::default());
    let mid = |text: &str| Mid::new(text).unwrap();
    room.add_participant(BOB, transport(BOB)).unwrap();
    let cameras: Vec<_> = (100..125).collect();
    for &number in &cameras {
        let (owner, track) = (ParticipantId(number), TrackId(number));
        room.add_participant(owner, transport(owner)).unwrap();
        let camera = Publication::single(Codec::Vp8, mid("sv"), Ssrc(number), None);
        room.publish(now, owner, track, camera).unwrap();
        let slot = mid(&format!("v{number}"));
        room.add_slot(BOB, slot, Codec::Vp8).unwrap();
        room.activate_slot(now, BOB, slot, &mut out).unwrap();
        room.set_slot(now, BOB, slot, Some(track.into()), &mut out).unwrap();
    }
    let asked: Vec<_> = out.packets.iter().map(|(to, _)| to.0).collect();
    assert_eq!(asked, cameras);
}

#[test]
fn sender_report_flood_is_not_forwarded() {
    let mut call = Call::new();
    call.out.packets.clear();
    let mut storm = Vec::new();
    for _ in 0..40 {
        let info = SenderInfo { ntp: 1 << 32, timestamp: 0, packets: 1, octets: 1 };
        rtcp::write::sender_report(&mut storm, Ssrc(100), &info);
    }
    for _ in 0..1_000 {
        call.now += Duration::from_micros(900);
        call.room.receive_rtcp(call.now, ALICE, &storm, &mut call.out);
    }
    let reports = call.out.packets.iter().filter(|(to, _)| *to == BOB).count();
    assert_eq!(reports, SENDER_REPORTS as usize);
}

#[test]
fn compound_packet_is_read_up_to_the_limit() {
    let mut call = Call::new();
    // Feedback that claims to cover 65,528 packets in 36 bytes: a datagram of them would be a million symbols.
    let mut feedback = vec![0x8f, 205, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0xff, 0xf8, 0, 0, 0, 0];
    feedback.extend([0x1f, 0xff].repeat(8));
    let claimed = rtcp::parse(&feedback).map(|part| match part {
        Rtcp::Twcc(feedback) => feedback.packets().count(),
        other => panic!("{other:?}"),
    });
    assert_eq!(claimed.sum::<usize>(), 65_528);
    let compound = feedback.repeat(30);
    for _ in 0..1_000 {
        call.bob_sends(&compound);
    }
    let downlink = call.out.path_of(BOB).downlink.reported();
    assert!(downlink.arrived + downlink.missing <= u64::from(FEEDBACK_ITEMS), "{downlink:?}");
    assert_eq!(call.events(), [EXCESS]);

    let reports = [0x80, 201, 0, 1, 0, 0, 0, 1].repeat(180);
    for _ in 0..1_000 {
        call.bob_sends(&reports);
    }
    assert!(call.events().is_empty(), "reported once");
    assert_eq!(call.room.stats().excess_feedback, 2_000);

    // Alice is not affected, and Bob's RTCP is read again after a second.
    call.out.packets.clear();
    call.publish(1);
    assert_eq!(call.numbers().len(), 1);
    call.now += Duration::from_secs(1);
    let before = call.room.stats().excess_feedback;
    call.bob_sends(&reports);
    assert_eq!(call.room.stats().excess_feedback, before);
}

#[test]
fn forged_feedback_gets_at_most_the_maximum_repair_rate() {
    let mut call = Call::new();
    let numbers = call.numbers();
    let mut nack = Vec::new();
    rtcp::write::nack(&mut nack, Ssrc(1), call.ssrc, &numbers);
    let mut repaired = 0;
    for round in 0..40 {
        call.now += Duration::from_millis(50);
        // Claims that 8,000 packets have arrived, 20 times a second.
        let mut lie = vec![0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0x1f, 0x40, 0, 0, 0, 0];
        lie.extend([0x7f, 0x40, 0, 0]);
        call.bob_sends(&lie);
        call.publish(20);
        call.out.packets.clear();
        if round > 20 {
            call.bob_sends(&nack);
            repaired += call.numbers().len() as u64 * 1_000;
        }
    }
    assert!(repaired <= (REPAIR_RATE.max * Duration::from_secs(2)).bytes(), "{repaired} bytes in a second");
}
