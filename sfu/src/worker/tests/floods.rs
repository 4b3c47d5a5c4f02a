//! Floods of those who have proven nothing: they change nothing, no log tells of them, and calls go on without a loss.

use super::*;
use crate::limits::{PACKETS, REFUSED_CHECKS};
use rtc_client::Credentials;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Datagrams of a flood, all in one millisecond of virtual time: 100 times as dense as 200,000 a second.
const FLOOD: u32 = 20_000;
/// Packets of the call, sent in between.
const MEDIA: u16 = 50;

fn stranger(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    ([10, a, b, c], 40_000).into()
}

/// The checks that a client would send who has these credentials of the server.
fn check(now: Instant, ufrag: &str, pwd: &str) -> Vec<u8> {
    let (ufrag, pwd) = (ufrag.to_owned(), pwd.to_owned());
    let server = LocalTransport { ufrag, pwd, fingerprint: [0; 32], candidates: vec![] };
    let mut client = RtcClient::with_credentials(now, &CLIENT, Credentials::random().unwrap(), &server);
    client.tick(now);
    client.poll_transmit().unwrap()
}

/// Counts lines of a log.
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

/// A call under a flood: nothing of it is remembered, answered, told or logged, and no packet of the call is lost.
/// Gives the network, to look at what was counted.
fn under_flood(mut datagram: impl FnMut(&mut Network, u32) -> (SocketAddr, Vec<u8>)) -> Network {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.settle();
    let (sizes, events) = (network.worker.transports.sizes(), network.events.len());
    let lines = Lines::default();
    let log = tracing::subscriber::set_default(lines.clone());
    for number in 0..FLOOD {
        let (from, mut datagram) = datagram(&mut network, number);
        network.worker.receive(network.now, from, &mut datagram);
        assert_eq!((network.worker.outbox().packets(), network.worker.waiting()), (0, 0), "no answer");
        if number.is_multiple_of(FLOOD / u32::from(MEDIA)) {
            network.send(1, u16::try_from(number * u32::from(MEDIA) / FLOOD).unwrap());
        }
    }
    assert_eq!(network.heard(2), usize::from(MEDIA));
    drop(log);
    assert_eq!((network.worker.transports.sizes(), network.events.len()), (sizes, events));
    assert_eq!((network.worker.counters().get(Counter::Faults), lines.0.load(Ordering::Relaxed)), (0, 0));
    // And the flood does not keep anybody from coming back at a new address afterwards.
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

/// The user name fragment of a participant, as one who sees its checks knows it.
fn ufrag(network: &mut Network, participant: u32) -> String {
    let key = network.worker.transports.key_of(ParticipantId(participant)).unwrap();
    network.worker.transports.local_of(key).ufrag.clone()
}

#[test]
fn noise() {
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
fn checks_with_an_unknown_user_name() {
    let bytes = check(Instant::now(), "nobody", "a-password-of-nobody-here");
    let network = under_flood(|_, number| (stranger(number), bytes.clone()));
    assert_eq!(network.worker.counters().get(Counter::DropCheck), u64::from(FLOOD));
}

#[test]
fn checks_with_a_known_user_name_and_a_guessed_password() {
    let mut bytes = Vec::new();
    let network = under_flood(|network, number| {
        if bytes.is_empty() {
            let ufrag = ufrag(network, 2);
            bytes = check(network.now, &ufrag, "a-password-that-is-guessed");
        }
        (stranger(number), bytes.clone())
    });
    let counted = |counter| network.worker.counters().get(counter);
    assert_eq!(counted(Counter::DropCheck), u64::from(REFUSED_CHECKS), "so many HMACs in this second");
    assert_eq!(counted(Counter::DropCheckRate), u64::from(FLOOD - REFUSED_CHECKS));
}

#[test]
fn checks_with_a_guessed_password_from_an_address_that_is_the_clients() {
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
fn records_and_packets_from_addresses_that_nobody_has_proven() {
    for first in [22, 0x80] {
        let network = under_flood(|_, number| (stranger(number), [&[first, 254][..], &[0xfd; 198]].concat()));
        assert_eq!(network.worker.counters().get(Counter::DropUnknownSource), u64::from(FLOOD));
    }
}

#[test]
fn forged_packets_from_an_address_that_is_the_clients_use_up_nothing_of_it() {
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
fn forged_records_from_an_address_that_is_the_clients() {
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
fn a_client_keeps_its_consent_through_a_minute_of_guesses() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let ufrag = ufrag(&mut network, 2);
    let guess = check(network.now, &ufrag, "a-password-that-is-guessed");
    for number in 0..600 {
        for burst in 0..20 {
            network.worker.receive(network.now, stranger(number * 20 + burst), &mut guess.clone());
        }
        network.run(Duration::from_millis(100));
    }
    assert_eq!(network.states(2), [TransportState::Connected]);
    network.send(1, 1);
    assert_eq!(network.heard(2), 1);
}
