//! Limits on what a participant or its signaling can make grow. Those of rooms are in the tests of rooms.

use super::*;
use crate::{
    event::Limit,
    limits::{
        CHECKS, CONNECT_TIME, CREDENTIAL_BYTES, DATAGRAM_BYTES, FEEDBACK_ITEMS, PACKETS, SSRCS, UFRAG_BYTES,
        UNCONNECTED,
    },
};

fn excesses(network: &Network) -> Vec<(u32, Limit)> {
    let excesses = network.events.iter().filter_map(|event| match event {
        Event::LimitExceeded { participant, limit } => Some((participant.0, *limit)),
        _ => None,
    });
    excesses.collect()
}

#[test]
fn packet_excess_is_dropped_and_reported_once() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    for sequence in 0..30_000 {
        let (from, mut datagram) = network.sealed(1, sequence);
        network.worker.receive(network.now, datagram_from(from, &mut datagram));
        network.worker.tick(network.now);
        network.worker.outbox().clear();
    }
    network.settle();
    let counted = |network: &Network, counter| network.worker.counters().get(counter);
    assert_eq!(counted(&network, Counter::RtpIn), u64::from(PACKETS));
    assert_eq!(counted(&network, Counter::DropRate), 30_000 - u64::from(PACKETS));
    assert_eq!(excesses(&network), [(1, Limit::Datagrams)]);
    network.run(Duration::from_secs(1));
    network.send(1, 30_001);
    assert_eq!(network.heard(2), 1);
}

#[test]
fn rtcp_is_limited() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    for _ in 0..10_000 {
        let client = network.client(2);
        let (from, mut sealed) = (client.address, Vec::new());
        client.transport.seal_rtcp(&[0x80, 201, 0, 1, 0, 0, 0, 9], &mut sealed).unwrap();
        network.worker.receive(network.now, datagram_from(from, &mut sealed));
    }
    network.settle();
    assert_eq!(network.worker.counters().get(Counter::RtcpIn), u64::from(crate::limits::RTCP_PACKETS));
    assert_eq!(excesses(&network), [(2, Limit::Datagrams)]);
    network.send(1, 1);
    assert_eq!(network.heard(2), 1);
}

#[test]
fn feedback_items_are_limited() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    // 180 empty reports in a datagram.
    let reports = [0x80, 201, 0, 1, 0, 0, 0, 9].repeat(180);
    for _ in 0..1_000 {
        let client = network.client(2);
        let (from, mut sealed) = (client.address, Vec::new());
        client.transport.seal_rtcp(&reports, &mut sealed).unwrap();
        network.worker.receive(network.now, datagram_from(from, &mut sealed));
    }
    network.run(Duration::from_secs(2));
    let unread = network.worker.counters().get(Counter::DropExcessFeedback);
    assert_eq!(unread, 1_000 - u64::from(FEEDBACK_ITEMS) / 180);
    assert_eq!(excesses(&network), [(2, Limit::Feedback)]);
}

#[test]
fn ssrcs_are_limited() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    for ssrc in 0..2_000u32 {
        let client = network.client(2);
        let (from, mut sealed) = (client.address, Vec::new());
        let header = [&[0x80, 111, 0, 1, 0, 0, 0, 0][..], &ssrc.to_be_bytes()].concat();
        client.transport.seal_rtp(&header, PAYLOAD, &mut sealed).unwrap_or_default();
        if sealed.is_empty() {
            break; // The client has the same limit.
        }
        network.worker.receive(network.now, datagram_from(from, &mut sealed));
    }
    network.settle();
    assert_eq!(network.worker.counters().get(Counter::RtpIn), SSRCS as u64);
    network.send(1, 1);
    assert_eq!(network.heard(2), 1);
}

#[test]
fn oversized_datagram_is_dropped() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let client = network.client(1);
    let (from, mut sealed) = (client.address, Vec::new());
    let header = [0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    client.transport.seal_rtp(&header, &[0; DATAGRAM_BYTES], &mut sealed).unwrap();
    network.worker.receive(network.now, datagram_from(from, &mut sealed));
    assert_eq!(network.worker.counters().get(Counter::DropTruncated), 1);
    let mut record = vec![22; DATAGRAM_BYTES + 1];
    network.worker.receive(network.now, datagram_from(from, &mut record));
    assert_eq!(network.worker.counters().get(Counter::DropTruncated), 2);
}

#[test]
fn answered_checks_are_limited() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.run(Duration::from_secs(2));
    let before = network.worker.counters().get(Counter::Checks);
    for _ in 0..5_000 {
        let now = network.now;
        let client = network.client(2);
        client.transport.moved(now);
        client.transport.tick(now);
        let from = client.address;
        for mut check in std::iter::from_fn(|| client.transport.poll_transmit()).collect::<Vec<_>>() {
            network.worker.receive(now, datagram_from(from, &mut check));
        }
    }
    let answered = network.worker.counters().get(Counter::Checks) - before;
    assert!(answered <= u64::from(CHECKS), "{answered} of 5,000");
    assert_eq!(network.worker.outbox().packets() as u64, answered);
}

#[test]
fn unconnected_participant_times_out() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.add(1, 3);
    network.run(CONNECT_TIME - Duration::from_secs(2));
    assert_eq!(network.states(3), []);
    network.run(Duration::from_secs(4));
    assert_eq!(network.states(3), [TransportState::Failed]);
    assert_eq!(network.states(1), [TransportState::Connected]);
}

#[test]
fn unconnected_participants_are_limited() {
    let mut network = Network::with_room_for(usize::MAX);
    network.call(1, 1, 2);
    let most = u32::try_from(UNCONNECTED).unwrap();
    for participant in 0..most {
        network.add(2, 100 + participant);
    }
    network.command(Command::AddParticipant { room: RoomId(1), participant: ParticipantId(3) });
    assert!(matches!(network.events.pop(), Some(Event::Refused { error: CommandError::Limit, .. })));
    network.command(Command::RemoveParticipant { participant: ParticipantId(100) });
    network.join(1, 3);
    network.run(Duration::from_millis(300));
    assert_eq!(network.states(3), [TransportState::Connected]);
}

#[test]
fn remote_credentials_are_bounded_and_replaced() {
    let mut network = Network::new();
    let remote = network.join_half(1, 1);
    let participant = ParticipantId(1);
    let long = "x".repeat(CREDENTIAL_BYTES + 1);
    for remote in [
        RemoteTransport { ufrag: "x".repeat(UFRAG_BYTES + 1), ..remote.clone() },
        RemoteTransport { pwd: long, ..remote.clone() },
    ] {
        network.command(Command::Connect { participant, remote });
        assert!(matches!(network.events.pop(), Some(Event::Refused { error: CommandError::Invalid, .. })));
    }
    network.command(Command::Connect { participant, remote: remote.clone() });
    network.run(Duration::from_millis(300));
    let sizes = state_sizes(&network);
    for restart in 0..1_000 {
        let remote = RemoteTransport { ufrag: restart.to_string(), ..remote.clone() };
        network.command(Command::Connect { participant, remote });
    }
    network.command(Command::Connect { participant, remote });
    assert_eq!(state_sizes(&network), sizes);
    network.run(Duration::from_secs(5));
    assert_eq!(network.states(1), [TransportState::Connected]);
}
