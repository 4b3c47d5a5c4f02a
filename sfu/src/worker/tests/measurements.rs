//! Counters, gauges and histograms of a worker agree with what happened.

use super::*;
use crate::metrics::Gauge;

const TRACK_OF_1: TrackId = TrackId(1);

fn gauges(network: &Network) -> [u64; 5] {
    let gauges = [Gauge::Rooms, Gauge::Participants, Gauge::Tracks, Gauge::Connected, Gauge::Handshakes];
    gauges.map(|gauge| network.worker.gauges().get(gauge))
}

fn count(network: &Network, counter: Counter) -> u64 {
    network.worker.counters().get(counter)
}

#[test]
fn gauges_follow_within_a_second() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.join(2, 3);
    let (now, mut third) = (network.now, network.clients.pop().unwrap());
    while network.worker.transports.handshakes() == 0 {
        third.transport.tick(now);
        let mut datagram = third.transport.poll_transmit().unwrap();
        network.worker.receive(now, datagram_from(third.address, &mut datagram));
        network.clients.push(third);
        network.deliver();
        third = network.clients.pop().unwrap();
    }
    network.run(Duration::from_millis(1_100));
    assert_eq!(gauges(&network), [2, 3, 1, 2, 1], "the third client's handshake is incomplete");
    (0..100).for_each(|sequence| network.send(1, sequence));
    network.run(Duration::from_secs(1));
    assert!((90..=110).contains(&network.worker.gauges().get(Gauge::PacketRate)), "a hundred in one second");
    for participant in 1..=3 {
        network.command(Command::RemoveParticipant { participant: ParticipantId(participant) });
    }
    network.clients.clear();
    network.run(Duration::from_millis(1_100));
    assert_eq!(gauges(&network), [0; 5]);
    assert_eq!(network.worker.gauges().get(Gauge::PacketRate), 0);
    assert_eq!(network.worker.poll_output(), Output::Deadline(None), "an empty worker sleeps");
}

#[test]
fn room_counters_outlive_the_room() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    // The second packet arrives after the third.
    for sequence in [0, 2, 1] {
        network.send(1, sequence);
    }
    network.run(Duration::from_millis(1_100));
    assert_eq!(count(&network, Counter::Forwarded), 3);
    network.send(1, 9);
    network.command(Command::Unpublish { participant: ParticipantId(1), track: TRACK_OF_1 });
    network.send(1, 10);
    for participant in [1, 2] {
        network.command(Command::RemoveParticipant { participant: ParticipantId(participant) });
    }
    network.clients.clear();
    network.run(Duration::from_millis(1_100));
    assert_eq!((count(&network, Counter::Forwarded), count(&network, Counter::DropUnknownSsrc)), (4, 1));
}

#[test]
fn uplink_losses_are_counted_per_report() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    for sequence in (0..100).filter(|sequence| sequence % 10 != 5) {
        network.send(1, sequence);
    }
    network.run(Duration::from_millis(2_500));
    assert_eq!(count(&network, Counter::UplinkLost), 10);
    assert_eq!(count(&network, Counter::UplinkNacked), 0, "audio is not requested again");
}

#[test]
fn first_media_is_measured_once_per_participant() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.run(Duration::from_millis(200));
    for sequence in 0..5 {
        network.send(1, sequence);
        network.run(Duration::from_millis(20));
    }
    let first_media = network.worker.first_media();
    assert_eq!(first_media.count(), 1, "the publisher receives no media");
    assert_eq!(first_media.sum(), Duration::from_millis(500), "300 ms to connect, and 200 ms without media");
}

#[test]
fn handshakes_are_counted_by_result() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let mut remote = network.join_half(1, 3);
    remote.fingerprint[0] ^= 1;
    network.command(Command::Connect { participant: ParticipantId(3), remote });
    network.clients.retain(|client| client.participant != ParticipantId(2));
    network.run(Duration::from_secs(30));
    let ends = [Counter::Connected, Counter::Failed, Counter::Disconnected].map(|counter| count(&network, counter));
    assert_eq!(ends, [2, 1, 1]);
    assert_eq!(gauges(&network), [1, 3, 1, 1, 0]);
}
