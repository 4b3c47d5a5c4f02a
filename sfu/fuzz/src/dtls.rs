//! The DTLS handshake of server and client: datagrams are edited, lost, repeated and reordered, with arbitrary bytes and
//! timeouts in between.
//!
//! Asserts that one datagram causes a bounded number of answers, that a certificate with the wrong fingerprint yields no
//! keys, and that both ends have the same keys.

use crate::network::{Client, Network, pause};
use sfu::{Command, ParticipantId, RoomId, command::RemoteTransport, event::TransportState};
use tacet_fuzz::Script;

const CLIENT: ParticipantId = ParticipantId(0);
/// Maximum number of answers to one datagram: a retransmitted flight, and an alert.
const MAX_ANSWERS: usize = 16;
/// Maximum number of datagrams, of both directions, kept for edits.
const MAX_KEPT: usize = 24;

/// Input: which fingerprint signaling sends, and when; then steps of the handshake.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let Some(scene) = script.byte() else { return };
    let mut network = Network::new();
    network.command(Command::AddParticipant { room: RoomId(1), participant: CLIENT });
    let mut remote = RemoteTransport::from(network.clients[&CLIENT].transport.local());
    let forged = scene % 4 == 1;
    if forged {
        remote.fingerprint[0] ^= 1;
    }
    let mut remote = Some(remote);
    if scene % 4 != 2 {
        connect(&mut network, &mut remote);
    }
    check(&mut network);
    let (mut to_server, mut seen) = (Vec::<Vec<u8>>::new(), Vec::<Vec<u8>>::new());
    while let Some(step) = script.byte() {
        let now = network.now;
        match step % 8 {
            // The next datagram of the client, or a later one, reaches the server.
            0 | 1 if !to_server.is_empty() => {
                let datagram = to_server.remove(usize::from(step >> 4) % to_server.len());
                feed(&mut network, &datagram);
            }
            // The next datagram of the server, or a later one, reaches the client.
            2 | 3 if !client(&mut network).inbox.is_empty() => {
                let client = client(&mut network);
                let datagram = client.inbox.remove(usize::from(step >> 4) % client.inbox.len());
                let _ = client.transport.handle(now, &mut datagram.clone());
            }
            4 => {
                let genuine: Vec<&[u8]> = seen.iter().map(Vec::as_slice).collect();
                let datagram = script.edit(&genuine);
                feed(&mut network, &datagram);
            }
            5 => {
                let genuine: Vec<&[u8]> = seen.iter().map(Vec::as_slice).collect();
                let mut datagram = script.edit(&genuine);
                let _ = client(&mut network).transport.handle(now, &mut datagram);
            }
            6 => {
                network.now += pause(script.byte().unwrap_or(0));
                network.tick();
            }
            7 if step & 0x80 != 0 => connect(&mut network, &mut remote),
            7 => drop(to_server.pop()),
            _ => {}
        }
        let now = network.now;
        let client = client(&mut network);
        client.transport.tick(now);
        to_server.extend(client.sent());
        let new = to_server.iter().chain(&client.inbox);
        seen.extend(new.filter(|datagram| !seen.contains(datagram)).cloned().collect::<Vec<_>>());
        seen.truncate(MAX_KEPT);
        assert!(to_server.len() + client.inbox.len() < 2_000, "endless retransmission");
        assert!(!forged || client.state != Some(TransportState::Connected), "keys for the wrong certificate");
        if client.is_connected() {
            assert_same_keys(&mut network);
            return;
        }
    }
}

fn client(network: &mut Network) -> &mut Client {
    network.clients.get_mut(&CLIENT).expect("has joined")
}

fn connect(network: &mut Network, remote: &mut Option<RemoteTransport>) {
    if let Some(remote) = remote.take() {
        network.command(Command::Connect { participant: CLIENT, remote });
    }
}

/// Exchanges the first connectivity check, after which the client starts the handshake.
fn check(network: &mut Network) {
    let now = network.now;
    client(network).transport.tick(now);
    let from = client(network).address;
    for check in client(network).sent() {
        network.feed(from, &check);
    }
    let client = client(network);
    for answer in std::mem::take(&mut client.inbox) {
        client.take(now, answer);
    }
}

fn feed(network: &mut Network, datagram: &[u8]) {
    let from = client(network).address;
    let before = client(network).inbox.len();
    network.feed(from, datagram);
    assert!(client(network).inbox.len() - before <= MAX_ANSWERS, "too many answers to one datagram");
}

fn assert_same_keys(network: &mut Network) {
    let now = network.now;
    let client = client(network);
    let from = client.address;
    let mut sealed = Vec::new();
    let header = [0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    client.transport.seal_rtp(&header, b"payload", &mut sealed).expect("keys");
    let opened = sfu::metrics::Counter::RtpIn;
    let before = network.worker.counters().get(opened);
    network.worker.receive(now, crate::network::datagram_from(from, &mut sealed));
    assert_eq!(network.worker.counters().get(opened), before + 1, "the keys differ");
}
