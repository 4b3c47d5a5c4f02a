//! The relay between real sockets of loopback. Nothing here asks that something be quick: machines are busy at times.

#![cfg(feature = "relay")]
#![allow(clippy::unwrap_used)]

use std::{
    collections::HashSet,
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};
use tacet_impair::{Impairment, Loss, Relay, RelayConfig, RelayError, RelayStats, Share};

/// What no step takes.
const TOO_LONG: Duration = Duration::from_secs(20);
const LOOPBACK: &str = "127.0.0.1:0";

fn any() -> SocketAddr {
    LOOPBACK.parse().unwrap()
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind(LOOPBACK).unwrap();
    socket.set_read_timeout(Some(TOO_LONG)).unwrap();
    socket
}

fn relay(server: &UdpSocket, both: Impairment) -> Relay {
    Relay::start(any(), server.local_addr().unwrap(), &RelayConfig::new(both, 7)).unwrap()
}

/// A socket that talks to the relay.
fn client(relay: &Relay) -> UdpSocket {
    let socket = socket();
    socket.connect(relay.local_addr()).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 65_536];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

fn wait_for(relay: &Relay, holds: impl Fn(&RelayStats) -> bool) -> RelayStats {
    let end = Instant::now() + TOO_LONG;
    loop {
        let stats = relay.stats();
        if holds(&stats) {
            return stats;
        }
        assert!(Instant::now() < end, "never: {stats:?}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn clients_have_separate_upstream_addresses() {
    let server = socket();
    let relay = relay(&server, Impairment::PERFECT);
    let clients = [client(&relay), client(&relay), client(&relay)];
    let mut addresses = HashSet::new();
    for (number, client) in clients.iter().enumerate() {
        client.send(&[number as u8; 1_200]).unwrap();
        let (bytes, from) = receive(&server);
        assert_eq!(bytes, [number as u8; 1_200]);
        addresses.insert(from);
        server.send_to(&[number as u8, 1], from).unwrap();
    }
    assert_eq!(addresses.len(), 3);
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(receive(client), (vec![number as u8, 1], relay.local_addr()));
    }
    // Even the largest and the smallest datagrams.
    for bytes in [vec![7; 60_000], vec![]] {
        clients[0].send(&bytes).unwrap();
        assert_eq!(receive(&server).0, bytes);
    }
    let stats = relay.stop().unwrap();
    assert_eq!((stats.clients, stats.up.forwarded, stats.down.forwarded), (3, 5, 3));
}

#[test]
fn delay_and_order_are_kept() {
    let server = socket();
    let delay = Duration::from_millis(30);
    let relay = relay(&server, Impairment::PERFECT.delay(delay).jitter(Duration::from_millis(20)));
    let client = client(&relay);
    let start = Instant::now();
    let sent: Vec<Instant> = (0..200u8)
        .map(|number| {
            let now = Instant::now();
            client.send(&[number]).unwrap();
            while now.elapsed() < Duration::from_micros(300) {}
            now
        })
        .collect();
    for (number, sent) in sent.into_iter().enumerate() {
        let (bytes, _) = receive(&server);
        assert_eq!(bytes, [number as u8]);
        assert!(sent.elapsed() >= delay, "packet {number} after {:?}", sent.elapsed());
    }
    assert!(start.elapsed() >= delay);
    assert_eq!(relay.stats().up.reordered, 0);
}

#[test]
fn loss_and_duplication_are_counted() {
    let server = socket();
    let loss = Loss::bursts(Share::percent(10), 3.0).unwrap();
    let bad = Impairment::PERFECT
        .loss(loss)
        .duplicate(Share::percent(5))
        .reordering_jitter(Duration::from_millis(3))
        .reorder(Share::percent(5), Duration::from_millis(10));
    let relay = relay(&server, bad);
    let client = client(&relay);
    server.set_nonblocking(true).unwrap();
    let mut arrived: Vec<u64> = Vec::new();
    let mut drain = || {
        let mut buffer = [0; 8];
        while server.recv(&mut buffer).is_ok() {
            arrived.push(u64::from_be_bytes(buffer));
        }
    };
    for number in 0..2_000u64 {
        client.send(&number.to_be_bytes()).unwrap();
        // One after another, so that no socket on the way can overflow.
        wait_for(&relay, |stats| stats.up.received == number + 1);
        drain();
    }
    let stats = wait_for(&relay, |stats| stats.up.under_way() == 0);
    drain();
    let up = stats.up;
    assert_eq!(up.received + up.duplicated, up.forwarded + up.lost, "{stats:?}");
    assert!(up.lost > 50 && up.duplicated > 30 && up.reordered > 30, "{stats:?}");
    assert_eq!(stats.unsent + stats.refused + stats.overflowed, 0);
    assert_eq!(arrived.len() as u64, up.forwarded, "what is said to be forwarded has arrived");
    let different: HashSet<u64> = arrived.iter().copied().collect();
    assert_eq!(different.len() as u64, up.received - up.lost);
}

#[test]
fn address_change_is_invisible_to_client() {
    let server = socket();
    let relay = relay(&server, Impairment::PERFECT);
    let client = client(&relay);
    client.send(b"before").unwrap();
    let (_, old) = receive(&server);
    assert_eq!(relay.change_addresses().unwrap(), 1);
    assert_eq!(relay.clients(), [client.local_addr().unwrap()]);

    // What the server sends to the old address goes nowhere, as behind a NAT that has forgotten it.
    server.send_to(b"lost", old).unwrap();
    client.send(b"after").unwrap();
    let (bytes, new) = receive(&server);
    assert_eq!(bytes, b"after");
    assert_ne!(new, old);
    server.send_to(b"found", new).unwrap();
    assert_eq!(receive(&client).0, b"found");
    let stats = relay.stats();
    assert_eq!((stats.address_changes, stats.clients, stats.down.received), (1, 1, 1));
    assert!(relay.change_address_of(client.local_addr().unwrap()).unwrap());
    assert!(!relay.change_address_of(any()).unwrap(), "no such client");
}

#[test]
fn impairment_changes_per_direction() {
    let server = socket();
    let relay = relay(&server, Impairment::PERFECT);
    let client = client(&relay);
    client.send(b"1").unwrap();
    let (_, from) = receive(&server);
    relay.set_up(Impairment::PERFECT.loss(Loss::independent(Share::ALL)));
    client.send(b"2").unwrap();
    wait_for(&relay, |stats| stats.up.lost == 1);
    server.send_to(b"down still works", from).unwrap();
    assert_eq!(receive(&client).0, b"down still works");
    relay.set_impairment(Impairment::PERFECT);
    client.send(b"3").unwrap();
    assert_eq!(receive(&server).0, b"3");
    assert_eq!(relay.impairments(), (Impairment::PERFECT, Impairment::PERFECT));
}

#[test]
fn late_server_is_reached() {
    let place = socket();
    let address = place.local_addr().unwrap();
    drop(place);
    let relay = Relay::start(any(), address, &RelayConfig::new(Impairment::PERFECT, 1)).unwrap();
    let client = client(&relay);
    for number in 1..=3 {
        client.send(b"to no one").unwrap();
        wait_for(&relay, |stats| stats.up.forwarded == number);
    }
    let server = UdpSocket::bind(address).unwrap();
    server.set_read_timeout(Some(TOO_LONG)).unwrap();
    client.send(b"to the server").unwrap();
    assert_eq!(receive(&server).0, b"to the server");
}

#[test]
fn clients_and_memory_are_bounded() {
    let server = socket();
    let held = Impairment::PERFECT.delay(Duration::from_secs(3_000));
    let config = RelayConfig { clients: 2, held_bytes: 10_000, ..RelayConfig::new(held, 1) };
    let relay = Relay::start(any(), server.local_addr().unwrap(), &config).unwrap();
    let clients = [client(&relay), client(&relay), client(&relay)];
    for (number, client) in clients.iter().enumerate() {
        client.send(b"hello").unwrap();
        wait_for(&relay, |stats| stats.up.received + stats.refused == number as u64 + 1);
    }
    assert_eq!(wait_for(&relay, |stats| stats.refused == 1).clients, 2);
    for _ in 0..20 {
        clients[0].send(&[0; 1_000]).unwrap();
    }
    let stats = wait_for(&relay, |stats| stats.up.received + stats.overflowed == 22);
    assert!((8..=10).contains(&stats.up.under_way()), "{stats:?}");
}

#[test]
fn drop_closes_the_relay() {
    let server = socket();
    let relay = relay(&server, Impairment::PERFECT.delay(Duration::from_secs(60)));
    let address = relay.local_addr();
    let client = client(&relay);
    client.send(b"on its way").unwrap();
    wait_for(&relay, |stats| stats.up.under_way() == 1);
    drop(relay);
    UdpSocket::bind(address).expect("the address is free again");
    server.set_nonblocking(true).unwrap();
    assert_eq!(server.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn invalid_addresses_are_refused() {
    let taken = socket();
    let config = RelayConfig::new(Impairment::PERFECT, 1);
    let target = any();
    let error = Relay::start(taken.local_addr().unwrap(), target, &config).unwrap_err();
    assert!(matches!(error, RelayError::Listen(..)), "{error}");
    let error = Relay::start("[::1]:0".parse().unwrap(), target, &config).unwrap_err();
    assert!(matches!(error, RelayError::Families { .. }), "{error}");
}

#[test]
fn clients_share_a_line() {
    for shared in [true, false] {
        let server = socket();
        // Ten seconds for a datagram of 972 bytes and its headers; the queue holds three.
        let slow: Impairment = "rate=800bit,queue=3000".parse().unwrap();
        let config = RelayConfig { shared, ..RelayConfig::new(slow, 1) };
        let relay = Relay::start(any(), server.local_addr().unwrap(), &config).unwrap();
        let (first, second) = (client(&relay), client(&relay));
        for number in 1..=3 {
            first.send(&[0; 972]).unwrap();
            wait_for(&relay, |stats| stats.up.received == number);
        }
        second.send(&[0; 972]).unwrap();
        let stats = wait_for(&relay, |stats| stats.up.received == 4);
        assert_eq!(stats.up.dropped, u64::from(shared), "{stats:?}");
    }
}
