//! Floods by strangers: they change nothing, add nothing to the log at `info`, and calls go on without loss.

use super::*;
use crate::limits::{PACKETS, REFUSED_CHECKS};
use rtc_client::Credentials;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Datagrams of a flood, all in one millisecond of virtual time: 100 times the density of 200,000 a second.
const FLOOD: u32 = 20_000;
/// Packets of the call, sent during the flood.
const MEDIA: u16 = 50;

fn stranger(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    ([10, a, b, c], 40_000).into()
}

/// The first check of a client that has these credentials of the server.
pub(super) fn check(now: Instant, ufrag: &str, pwd: &str) -> Vec<u8> {
    let (ufrag, pwd) = (ufrag.to_owned(), pwd.to_owned());
    let server = LocalTransport { ufrag, pwd, fingerprint: [0; 32], candidates: vec![] };
    let mut client = RtcClient::with_credentials(now, &CLIENT, Credentials::random().unwrap(), &server);
    client.tick(now);
    client.poll_transmit().unwrap()
}

/// Counts the lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<AtomicUsize>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Runs a call under a flood: no state, answer, event or log line comes of the flood, and no packet of the call is lost.
/// Returns the network, for its counters.
fn under_flood(mut datagram: impl FnMut(&mut Network, u32) -> (SocketAddr, Vec<u8>)) -> Network {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.settle();
    let (sizes, events) = (state_sizes(&network), network.events.len());
    let lines = Lines::default();
    let log = tracing::subscriber::set_default(lines.clone());
    for number in 0..FLOOD {
        let (from, mut datagram) = datagram(&mut network, number);
        network.worker.receive(network.now, datagram_from(from, &mut datagram));
        assert_eq!((network.worker.outbox().packets(), network.worker.queued()), (0, 0), "no answer");
        if number.is_multiple_of(FLOOD / u32::from(MEDIA)) {
            network.send(1, u16::try_from(number * u32::from(MEDIA) / FLOOD).unwrap());
        }
    }
    assert_eq!(network.heard(2), usize::from(MEDIA));
    drop(log);
    assert_eq!((state_sizes(&network), network.events.len()), (sizes, events));
    assert_eq!((network.worker.counters().get(Counter::Faults), lines.0.load(Ordering::Relaxed)), (0, 0));
    // After the flood a client can still move to a new address.
    network.run(Duration::from_secs(2));
    let now = network.now;
    let client = network.client(2);
    client.address = ([203, 0, 113, 9], 7).into();
    client.transport.moved(now);
    network.settle();
    network.send(1, MEDIA);
    assert_eq!(network.heard(2), usize::from(MEDIA) + 1);
    network
}

/// The username fragment in the checks of a participant.
pub(super) fn ufrag(network: &mut Network, participant: u32) -> String {
    network.worker.transports.local_of(ParticipantId(participant)).ufrag.clone()
}

#[test]
fn flood_of_noise() {
    let mut state = 1u64;
    let network = under_flood(|_, number| {
        let mut bytes = vec![0; 200];
        for byte in &mut bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        (stranger(number), bytes)
    });
    let drops = [Counter::DropMalformed, Counter::DropUnknownSource, Counter::DropCheck];
    assert_eq!(drops.iter().map(|drop| network.worker.counters().get(*drop)).sum::<u64>(), u64::from(FLOOD));
}

#[test]
fn flood_of_checks_with_unknown_ufrag() {
    let bytes = check(Instant::now(), "stranger", "a-password-of-a-stranger");
    let network = under_flood(|_, number| (stranger(number), bytes.clone()));
    assert_eq!(network.worker.counters().get(Counter::DropCheck), u64::from(FLOOD));
}

#[test]
fn flood_of_checks_with_guessed_password() {
    let mut bytes = Vec::new();
    let network = under_flood(|network, number| {
        if bytes.is_empty() {
            let ufrag = ufrag(network, 2);
            bytes = check(network.now, &ufrag, "a-password-that-is-guessed");
        }
        (stranger(number), bytes.clone())
    });
    let counted = |counter| network.worker.counters().get(counter);
    assert_eq!(counted(Counter::DropCheck), u64::from(REFUSED_CHECKS), "HMACs in this second");
    assert_eq!(counted(Counter::DropCheckRate), u64::from(FLOOD - REFUSED_CHECKS));
}

#[test]
fn flood_of_checks_from_a_proven_tuple() {
    let mut bytes = Vec::new();
    let network = under_flood(|network, _| {
        let ufrag = ufrag(network, 2);
        if bytes.is_empty() {
            bytes = check(network.now, &ufrag, "a-password-that-is-guessed");
        }
        (network.client(2).address, bytes.clone())
    });
    assert_eq!(network.worker.counters().get(Counter::DropCheck), u64::from(FLOOD));
}

#[test]
fn flood_from_unproven_tuples() {
    for first in [22, 0x80] {
        let network = under_flood(|_, number| (stranger(number), [&[first, 254][..], &[0xfd; 198]].concat()));
        assert_eq!(network.worker.counters().get(Counter::DropUnknownSource), u64::from(FLOOD));
    }
}

#[test]
fn flood_of_forged_packets_from_a_proven_tuple() {
    const { assert!(FLOOD >= PACKETS) };
    for second in [111, 201] {
        let network = under_flood(|network, number| {
            let mut bytes = vec![0x80, second, 0, 0, 0, 0, 0, 0];
            bytes.extend((1_000 + number).to_be_bytes());
            bytes.resize(100, 0x80);
            (network.client(1).address, bytes)
        });
        assert_eq!(network.worker.counters().get(Counter::DropForged), u64::from(FLOOD));
        assert_eq!(network.worker.counters().get(Counter::DropRate), 0);
    }
}

#[test]
fn flood_of_forged_records_from_a_proven_tuple() {
    let network = under_flood(|network, number| {
        let mut bytes = vec![23, 254, 253, 0, 1, 0, 0];
        bytes.extend(number.to_be_bytes());
        bytes.extend([0, 40]);
        bytes.resize(53, 7);
        (network.client(1).address, bytes)
    });
    assert!(network.worker.counters().get(Counter::DropRate) > u64::from(FLOOD) * 9 / 10);
}

#[test]
fn consent_survives_a_minute_of_guesses() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let ufrag = ufrag(&mut network, 2);
    let guess = check(network.now, &ufrag, "a-password-that-is-guessed");
    for number in 0..600 {
        for burst in 0..20 {
            network.worker.receive(network.now, datagram_from(stranger(number * 20 + burst), &mut guess.clone()));
        }
        network.run(Duration::from_millis(100));
    }
    assert_eq!(network.states(2), [TransportState::Connected]);
    network.send(1, 1);
    assert_eq!(network.heard(2), 1);
}
