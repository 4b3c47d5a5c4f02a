//! Clients that are away for long: nothing but a command removes a participant.

use super::*;

#[test]
fn outage_of_an_hour_ends_nothing() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.send(1, 0);
    let mut away = std::mem::take(&mut network.clients);
    network.run(Duration::from_secs(3_600));
    let before = [TransportState::Connected, TransportState::Disconnected];
    assert_eq!((network.states(1), network.states(2)), (before.to_vec(), before.to_vec()));
    away.iter_mut().for_each(|client| client.transport.moved(network.now));
    network.clients = away;
    network.settle();
    let after = [before[0], before[1], TransportState::Connected];
    assert_eq!((network.states(1), network.states(2)), (after.to_vec(), after.to_vec()));
    // The publisher went on meanwhile.
    for sequence in 3_000..3_010 {
        network.send(1, sequence);
    }
    assert_eq!(network.heard(2), 11);
    assert_eq!(network.worker.counters().get(Counter::Failed), 0);
}

/// A client closes its transport, and comes back with another one from the same address: same participant and tracks.
#[test]
fn participant_returns_with_a_new_transport_after_close_notify() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.send(1, 0);
    let now = network.now;
    for participant in [1, 2] {
        network.client(participant).transport.close(now);
    }
    network.settle();
    for participant in [1, 2] {
        assert_eq!(network.states(participant), [TransportState::Connected, TransportState::Closed]);
        network.command(Command::RemoveParticipant { participant: ParticipantId(participant) });
    }
    assert_eq!(state_sizes(&network), [0; 4]);
    network.clients.clear();
    network.events.clear();
    network.call(1, 1, 2);
    network.send(1, 0);
    assert_eq!(network.heard(2), 1);
    assert!(!network.events.iter().any(|event| matches!(event, Event::Refused { .. })), "{:?}", network.events);
}
