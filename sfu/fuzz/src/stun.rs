//! Connectivity checks at the worker's front door: any message, and edits of genuine ones, signed again or not.
//!
//! Only a message whose MAC is right, by a computation of our own, is accepted or answered; and the answer goes to where
//! the message came from.

use crate::network::{Client, Network, pause};
use aws_lc_rs::hmac;
use sfu::{ParticipantId, metrics::Counter};
use tacet_fuzz::Script;

const HEADER: usize = 20;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const MAC: usize = 20;

/// The target: edits of checks, with whether to sign and from which address.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let mut network = Network::new();
    let participants = [0, 1].map(ParticipantId);
    participants.iter().for_each(|participant| network.join(1, *participant));
    let (check, strangers) = (own_check(&mut network, participants[0]), own_check(&mut network, participants[1]));
    let reply = own_reply(&mut network, participants[0], &check);
    while let Some(step) = script.byte() {
        network.now += pause(step >> 4);
        let mut message = script.edit(&[&check, &strangers, &reply, &[]]);
        let pwd = network.clients[&participants[usize::from(step >> 1 & 1)]].server.pwd.clone();
        if step & 1 != 0 {
            sign(&mut message, pwd.as_bytes());
        }
        let from = ([203, 0, 113, 1], u16::from(step >> 2 & 3)).into();
        let authentic = network.clients.values().any(|client| is_authentic(&message, client.server.pwd.as_bytes()));
        let accepted = network.worker.counters().get(Counter::Checks);
        let answered = network.feed(from, &message);
        assert!(authentic || !answered, "a forged message is answered");
        assert!(authentic || accepted == network.worker.counters().get(Counter::Checks), "and accepted");
        network.tick();
    }
}

/// The first check of a client, not delivered.
fn own_check(network: &mut Network, participant: ParticipantId) -> Vec<u8> {
    let now = network.now;
    let client = network.clients.get_mut(&participant).expect("has joined");
    client.transport.tick(now);
    client.sent().first().cloned().expect("a check")
}

/// What the server answers to a check.
fn own_reply(network: &mut Network, participant: ParticipantId, check: &[u8]) -> Vec<u8> {
    let from = network.clients[&participant].address;
    assert!(network.feed(from, check), "a genuine check is answered");
    let client: &mut Client = network.clients.get_mut(&participant).expect("has joined");
    client.inbox.pop().expect("an answer")
}

/// Whether the first MESSAGE-INTEGRITY of a message is that of its bytes (RFC 8489 section 14.5).
pub(crate) fn is_authentic(message: &[u8], pwd: &[u8]) -> bool {
    let Some(at) = integrity_at(message) else { return false };
    message.get(at + 4..at + 4 + MAC).is_some_and(|mac| mac == integrity(&message[..at], pwd))
}

/// Ends a message with a right MESSAGE-INTEGRITY, in place of the one that it has or behind it all.
fn sign(message: &mut Vec<u8>, pwd: &[u8]) {
    if message.len() < HEADER {
        return;
    }
    let at = integrity_at(message).unwrap_or(message.len() / 4 * 4);
    message.truncate(at);
    let mac = integrity(message, pwd);
    message.extend([&MESSAGE_INTEGRITY.to_be_bytes()[..], &[0, 20], &mac].concat());
    let length = u16::try_from(message.len() - HEADER).unwrap_or(u16::MAX).to_be_bytes();
    message[2..4].copy_from_slice(&length);
}

/// Where the first MESSAGE-INTEGRITY begins.
fn integrity_at(message: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        let [kind @ .., high, low] = message.get(at..)?.first_chunk::<4>()?;
        if u16::from_be_bytes(*kind) == MESSAGE_INTEGRITY {
            return Some(at);
        }
        at += 4 + usize::from(u16::from_be_bytes([*high, *low])).next_multiple_of(4);
    }
}

/// The MAC of a message up to its MESSAGE-INTEGRITY, whose length counts that attribute.
fn integrity(message: &[u8], pwd: &[u8]) -> [u8; MAC] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, pwd);
    let length = u16::try_from(message.len() - HEADER + 4 + MAC).unwrap_or(u16::MAX).to_be_bytes();
    let mac = hmac::sign(&key, &[&message[..2], &length, &message[4..]].concat());
    mac.as_ref().try_into().expect("20 bytes")
}
