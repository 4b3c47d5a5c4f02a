//! Garbage and damaged datagrams, from strangers and from clients, are contained.

use super::*;
use proptest::prelude::*;

/// Datagrams of a stranger: noise, and some that begin like a known protocol.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    (prop::sample::select(vec![0u8, 1, 20, 22, 23, 25, 63, 128, 144, 191, 255]), any::<bool>(), bytes).prop_map(
        |(first, cookie, mut bytes)| {
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            if cookie && bytes.len() >= 20 {
                bytes[1] = 1;
                let body = u16::try_from(bytes.len() - 20).unwrap() & !3;
                bytes.truncate(20 + usize::from(body));
                bytes[2..4].copy_from_slice(&body.to_be_bytes());
                bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Garbage from strangers and from a client's own address: nothing panics, and the call goes on.
    #[test]
    fn garbage_is_contained(garbage in prop::collection::vec((any::<bool>(), datagram()), 1..200)) {
        let mut network = Network::new();
        network.join_half(7, 7);
        network.call(1, 1, 2);
        for (inside, mut datagram) in garbage {
            let from = if inside { network.client(1).address } else { ([203, 0, 113, 1], 5).into() };
            network.worker.receive(network.now, datagram_from(from, &mut datagram));
        }
        network.settle();
        prop_assert_eq!(network.worker.counters().get(Counter::Faults), 0);
        network.send(1, 1);
        prop_assert_eq!(network.heard(2), 1);
    }

    /// Garbage from an admitted client during its handshake.
    #[test]
    fn garbage_in_a_handshake_is_contained(garbage in prop::collection::vec(datagram(), 1..60), at in 0usize..6) {
        let mut network = Network::new();
        network.join(1, 1);
        let address = network.client(1).address;
        for round in 0..10 {
            let now = network.now;
            network.client(1).transport.tick(now);
            while let Some(mut datagram) = network.client(1).transport.poll_transmit() {
                network.worker.receive(now, datagram_from(address, &mut datagram));
            }
            if round == at {
                for datagram in &garbage {
                    network.worker.receive(now, datagram_from(address, &mut datagram.clone()));
                }
            }
            network.deliver();
            network.worker.tick(now);
            network.now += Duration::from_millis(60);
        }
        prop_assert_eq!(network.worker.counters().get(Counter::Faults), 0);
    }

    /// A damaged copy precedes each datagram of a client, from the first check to media.
    #[test]
    fn damaged_copies_are_contained(damage in prop::collection::vec((0usize..1_500, 1u8..=255, any::<bool>()), 64)) {
        let mut network = Network::new();
        network.join(1, 1);
        let address = network.client(1).address;
        let mut damage = damage.into_iter().cycle();
        for sequence in 0..20 {
            let now = network.now;
            let client = network.client(1);
            client.transport.tick(now);
            let mut datagrams: Vec<_> = std::iter::from_fn(|| client.transport.poll_transmit()).collect();
            if client.transport.state() == ClientState::Connected {
                datagrams.push(network.sealed(1, sequence).1);
            }
            for mut datagram in datagrams {
                if let Some((at, change, cut)) = damage.next().filter(|_| !datagram.is_empty()) {
                    let mut copy = datagram.clone();
                    let at = at % copy.len();
                    copy[at] ^= change;
                    if cut {
                        copy.truncate(at + 1);
                    }
                    network.worker.receive(now, datagram_from(address, &mut copy));
                }
                network.worker.receive(now, datagram_from(address, &mut datagram));
            }
            network.deliver();
            network.worker.tick(now);
            network.now += Duration::from_millis(60);
        }
        prop_assert_eq!(network.worker.counters().get(Counter::Faults), 0);
    }
}
