//! Floods by a member with valid SRTP: the call of the others goes on without loss, its publisher gets a few packets, and the
//! member itself no more than its share.

use super::*;
use crate::{
    limits::{RTCP_PACKETS, SENDER_REPORTS},
    wire::rtcp::{ReportBlock, SenderInfo, twcc, write as rtcp},
};

/// Packets of a flood in a second: twice as many as the server opens.
const FLOOD: u32 = 2 * RTCP_PACKETS;
const SENDER: Ssrc = Ssrc(0x6d65_6d62);

/// Participant 3 receives the audio of participant 1 as participant 2 does, and floods for a second with what `write` appends
/// for the SSRC of its slot. Returns the number of datagrams to participants 1, 2 and 3, and the network.
fn under_member_flood(mut write: impl FnMut(&mut Vec<u8>, Ssrc, u32)) -> ([usize; 3], Network) {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.join(1, 3);
    network.run(Duration::from_millis(300));
    let (participant, mid) = (ParticipantId(3), Mid::new("a0").unwrap());
    network.command(Command::AddSlot { participant, mid, codec: Codec::Opus });
    let slot = network.events.iter().find_map(|event| match event {
        Event::SlotAdded { participant: ParticipantId(3), ssrc, .. } => Some(*ssrc),
        _ => None,
    });
    network.command(Command::SetSlot { participant, mid, source: Some(TrackId(1).into()) });
    network.command(Command::ActivateSlot { participant, mid });
    network.send(1, 0);
    let addresses = [1, 2, 3].map(|participant| network.client(participant).address);
    let mut datagrams = [0; 3];
    for number in 0..FLOOD {
        let mut packet = Vec::new();
        write(&mut packet, slot.unwrap(), number);
        let (client, mut sealed) = (network.client(3), Vec::new());
        client.transport.seal_rtcp(&packet, &mut sealed).unwrap();
        network.worker.receive(network.now, datagram_from(addresses[2], &mut sealed));
        if number % (FLOOD / 50) == 0 {
            let (from, mut audio) = network.sealed(1, u16::try_from(1 + number / (FLOOD / 50)).unwrap());
            network.worker.receive(network.now, datagram_from(from, &mut audio));
        }
        network.now += Duration::from_secs(1) / FLOOD;
        network.worker.tick(network.now);
        for run in network.worker.outbox().runs() {
            let to = addresses.iter().position(|address| *address == run.to().remote).unwrap();
            datagrams[to] += run.packets();
        }
        network.deliver();
    }
    network.settle();
    assert_eq!(network.heard(2), 51, "no packet of the call is lost");
    assert_eq!(network.worker.counters().get(Counter::Faults), 0);
    (datagrams, network)
}

#[test]
fn floods_of_rtcp_by_a_member_cost_the_call_nothing() {
    type Write = fn(&mut Vec<u8>, Ssrc, u32);
    let floods: [(&str, Write); 7] = [
        ("NACK", |out, slot, number| {
            let first = u64::from(number % 1_000);
            rtcp::nack(out, SENDER, slot, &(first..first + 24).collect::<Vec<_>>());
        }),
        ("PLI", |out, slot, _| rtcp::pli(out, SENDER, slot)),
        ("receiver reports", |out, slot, number| {
            let block = ReportBlock {
                ssrc: slot,
                fraction_lost: 0,
                cumulative_lost: 0,
                highest_seq: number,
                jitter: 0,
                last_sr: number,
                delay_since_last_sr: 0,
            };
            rtcp::receiver_report(out, SENDER, &[block; rtcp::MAX_REPORT_BLOCKS]);
        }),
        ("sender reports", |out, slot, number| {
            let info = SenderInfo { ntp: u64::from(number) << 32, timestamp: number, packets: 1, octets: 1 };
            rtcp::sender_report(out, slot, &info);
        }),
        ("TWCC", |out, slot, number| {
            let base = u64::from(number);
            let arrivals: Vec<_> =
                (base..base + 250).map(|seq| twcc::Arrival { seq, micros: 1_000_000 + seq * 500 }).collect();
            twcc::write(out, SENDER, slot, 0, base, &arrivals);
        }),
        ("goodbyes", |out, slot, _| out.extend([&[0x81, 203, 0, 1][..], &slot.0.to_be_bytes()].concat())),
        ("cut off", |out, _, _| out.extend([0x8f, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9].repeat(20))),
    ];
    for (name, write) in floods {
        let ([publisher, receiver, member], network) = under_member_flood(write);
        // Feedback and reports of the room to its publisher, and the audio to its receivers.
        assert!(publisher < 60 && receiver < 70 && member < 70, "{name}: {publisher}, {receiver}, {member}");
        assert!(network.worker.counters().get(Counter::DropRate) > u64::from(FLOOD / 4), "{name}");
    }
}

/// A publisher's reports are forwarded to its subscribers, a few in a second.
#[test]
fn flood_of_reports_by_a_publisher_is_not_forwarded() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.send(1, 0);
    let (from, to) = (network.client(1).address, network.client(2).address);
    let mut forwarded = 0;
    for number in 0..RTCP_PACKETS {
        let (mut packet, mut sealed) = (Vec::new(), Vec::new());
        let info = SenderInfo { ntp: u64::from(number) << 32, timestamp: number, packets: 1, octets: 1 };
        rtcp::sender_report(&mut packet, Ssrc(1), &info);
        network.client(1).transport.seal_rtcp(&packet, &mut sealed).unwrap();
        network.worker.receive(network.now, datagram_from(from, &mut sealed));
        network.worker.tick(network.now);
        let runs = network.worker.outbox().runs().filter(|run| run.to().remote == to);
        forwarded += runs.map(|run| run.packets()).sum::<usize>();
        network.deliver();
    }
    assert!((1..=SENDER_REPORTS as usize).contains(&forwarded), "{forwarded}");
}
