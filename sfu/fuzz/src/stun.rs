//! Connectivity checks: arbitrary STUN messages, and edits of genuine ones, with or without a new MAC.
//!
//! Asserts that the worker accepts and answers only messages whose MAC is right by an independent computation, and sends to an
//! address that answers nothing at most three times the bytes that came from it.

use crate::{
    message_integrity::sign,
    network::{Client, Network, STRANGER, pause},
};
use sfu::{ParticipantId, metrics::Counter};
use tacet_fuzz::Script;

/// Input: edits of checks, whether to sign them, and the source address.
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
        let pwd = network.clients[&participants[usize::from(step >> 1 & 1)]].server_pwd().to_owned();
        if step & 1 != 0 {
            sign(&mut message, pwd.as_bytes());
        }
        let from = (STRANGER, u16::from(step >> 2 & 3)).into();
        let authentic = network.clients.values().any(|client| client.is_authentic(&message));
        let accepted = network.worker.counters().get(Counter::Checks);
        let answered = network.feed(from, &message);
        assert!(authentic || !answered, "a forged message was answered");
        assert!(
            authentic || accepted == network.worker.counters().get(Counter::Checks),
            "a forged message was accepted"
        );
        network.tick();
    }
}

/// Returns the first check of a client, without delivering it.
fn own_check(network: &mut Network, participant: ParticipantId) -> Vec<u8> {
    let now = network.now;
    let client = network.clients.get_mut(&participant).expect("has joined");
    client.transport.tick(now);
    client.sent().first().cloned().expect("a check")
}

/// Returns the answer of the server to a check.
fn own_reply(network: &mut Network, participant: ParticipantId, check: &[u8]) -> Vec<u8> {
    let from = network.clients[&participant].address;
    assert!(network.feed(from, check), "a genuine check is answered");
    let client: &mut Client = network.clients.get_mut(&participant).expect("has joined");
    client.inbox.pop().expect("an answer")
}
