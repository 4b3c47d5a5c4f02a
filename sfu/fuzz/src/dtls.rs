//! The DTLS front door of the server, and that of a client: a handshake whose datagrams are edited, lost, repeated and
//! reordered, with any bytes and time-outs in between.
//!
//! Whatever comes, nothing panics and little is answered to much; who shows another certificate than signaled gets no
//! keys; and where both ends have keys, they are the same.

use crate::network::{Client, Network, pause};
use sfu::{Command, ParticipantId, RoomId, command::RemoteTransport, event::TransportState};
use tacet_fuzz::Script;

const WHO: ParticipantId = ParticipantId(0);
/// Datagrams that one datagram makes: a flight that is repeated, and an alert.
const MOST_ANSWERS: usize = 16;
/// Datagrams of both directions that are remembered for edits.
const REMEMBERED: usize = 24;

/// The target: what signaling says of the certificate, and when; then steps of the handshake.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let Some(scene) = script.byte() else { return };
    let mut network = Network::new();
    network.command(Command::AddParticipant { room: RoomId(1), participant: WHO });
    let mut remote = RemoteTransport::from(network.clients[&WHO].transport.local());
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
            // The next datagram of the client, or a later one, arrives.
            0 | 1 if !to_server.is_empty() => {
                let datagram = to_server.remove(usize::from(step >> 4) % to_server.len());
                feed(&mut network, &datagram);
            }
            // The next of the server, or a later one, does.
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
        seen.truncate(REMEMBERED);
        assert!(to_server.len() + client.inbox.len() < 2_000, "an endless talk");
        assert!(!forged || client.state != Some(TransportState::Connected), "keys for another certificate");
        if client.is_connected() {
            both_have_the_same_keys(&mut network);
            return;
        }
    }
}

fn client(network: &mut Network) -> &mut Client {
    network.clients.get_mut(&WHO).expect("has joined")
}

fn connect(network: &mut Network, remote: &mut Option<RemoteTransport>) {
    if let Some(remote) = remote.take() {
        network.command(Command::Connect { participant: WHO, remote });
    }
}

/// The first check and its answer, which make the client begin.
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
    assert!(client(network).inbox.len() - before <= MOST_ANSWERS, "one datagram is answered by too many");
}

fn both_have_the_same_keys(network: &mut Network) {
    let now = network.now;
    let client = client(network);
    let from = client.address;
    let mut sealed = Vec::new();
    let header = [0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    client.transport.seal_rtp(&header, b"payload", &mut sealed).expect("keys");
    let opened = sfu::metrics::Counter::RtpIn;
    let before = network.worker.counters().get(opened);
    network.worker.receive(now, from, &mut sealed);
    assert_eq!(network.worker.counters().get(opened), before + 1, "the keys differ");
}
