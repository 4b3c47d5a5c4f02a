//! ICE restarts on both sides: credentials change; transport, keys and media stay.

use super::*;
use crate::limits::CONNECT_TIME;

impl Network {
    /// Restarts ICE at the worker; returns the parameters for the client.
    fn restart(&mut self, participant: u32) -> LocalTransport {
        self.command(Command::RestartIce { participant: ParticipantId(participant) });
        match self.events.pop() {
            Some(Event::Transport { local, participant: of, .. }) if of == ParticipantId(participant) => local,
            other => panic!("{other:?}"),
        }
    }

    /// Restarts ICE at the client, which sends its parameters to the worker.
    fn restart_client(&mut self, participant: u32, server: &LocalTransport) {
        let now = self.now;
        let remote = self.client(participant).transport.restart_ice(now, server).unwrap().into();
        self.command(Command::Connect { participant: ParticipantId(participant), remote });
    }

    fn move_client(&mut self, participant: u32, port: u16) {
        self.client(participant).address = ([203, 0, 113, 9], port).into();
    }

    /// Sends packets of the first participant; asserts that the second receives them.
    #[track_caller]
    fn assert_heard(&mut self, sequence: std::ops::Range<u16>) {
        let before = self.heard(2);
        let sent = sequence.len();
        sequence.for_each(|sequence| self.send(1, sequence));
        assert_eq!(self.heard(2) - before, sent);
    }
}

const CONNECTED: TransportState = TransportState::Connected;
const DISCONNECTED: TransportState = TransportState::Disconnected;

#[test]
fn restart_keeps_keys_and_media() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.assert_heard(0..5);
    let sizes = state_sizes(&network);
    for (participant, sequence) in [(1, 5), (2, 25)] {
        let server = network.restart(participant);
        assert_eq!((server.fingerprint, server.candidates.as_slice()), (SERVER.fingerprint(), &[SERVER_ADDRESS][..]));
        network.run(Duration::from_secs(40));
        network.assert_heard(sequence..sequence + 10);
        network.restart_client(participant, &server);
        network.assert_heard(sequence + 10..sequence + 20);
    }
    assert_eq!((network.states(1), network.states(2)), (vec![CONNECTED], vec![CONNECTED]));
    let counted = [Counter::Connected, Counter::IceRestarts, Counter::DropCheck];
    assert_eq!(counted.map(|counter| network.worker.counters().get(counter)), [2, 2, 0]);
    assert_eq!(state_sizes(&network), sizes, "the old fragments are forgotten");
}

#[test]
fn restart_moves_media_to_another_network() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    for (participant, sequence) in [(1, 0), (2, 10)] {
        let server = network.restart(participant);
        network.move_client(participant, 7 + sequence);
        network.restart_client(participant, &server);
        network.settle();
        network.assert_heard(sequence..sequence + 10);
    }
    assert_eq!((network.states(1), network.states(2)), (vec![CONNECTED], vec![CONNECTED]));
}

/// The client's checks arrive before its parameters, without which the server cannot check its new address.
#[test]
fn checks_of_a_restart_may_overtake_signaling() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let (server, now) = (network.restart(2), network.now);
    let remote = network.client(2).transport.restart_ice(now, &server).unwrap().into();
    network.move_client(2, 7);
    network.settle();
    network.send(1, 0);
    assert_eq!(network.heard(2), 0);
    network.command(Command::Connect { participant: ParticipantId(2), remote });
    network.settle();
    network.assert_heard(1..5);
    network.run(Duration::from_secs(60));
    network.assert_heard(5..10);
    assert_eq!(network.worker.counters().get(Counter::DropCheck), 0);
}

#[test]
fn restart_returns_a_disconnected_transport() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let gone = network.clients.pop().unwrap();
    network.run(Duration::from_secs(60));
    assert_eq!(network.states(2), [CONNECTED, DISCONNECTED]);
    let server = network.restart(2);
    network.run(Duration::from_secs(60));
    network.clients.push(gone);
    network.move_client(2, 7);
    network.restart_client(2, &server);
    network.settle();
    assert_eq!(network.states(2), [CONNECTED, DISCONNECTED, CONNECTED]);
    network.assert_heard(0..10);
}

#[test]
fn restart_before_the_handshake() {
    let mut network = Network::new();
    let old = network.join_half(1, 1);
    let server = network.restart(1);
    // The client's answer to the first parameters was on its way.
    network.command(Command::Connect { participant: ParticipantId(1), remote: old });
    network.restart_client(1, &server);
    network.run(Duration::from_millis(500));
    assert_eq!(network.states(1), [CONNECTED]);
    assert_eq!(network.client(1).transport.state(), ClientState::Connected);
}

/// A client whose UDP leads nowhere keeps its transport for as long as it tries.
#[test]
fn restart_renews_the_time_to_connect() {
    let mut network = Network::new();
    network.join(1, 1);
    let client = network.clients.pop().unwrap();
    for _ in 0..5 {
        network.run(CONNECT_TIME / 2);
        network.restart(1);
    }
    let server = network.restart(1);
    network.clients.push(client);
    network.restart_client(1, &server);
    network.run(Duration::from_millis(500));
    assert_eq!(network.states(1), [CONNECTED]);
}

#[test]
fn restart_during_the_handshake() {
    let mut network = Network::new();
    network.join(1, 1);
    let now = network.now;
    // The check is answered, and the first flight of the client is lost.
    let client = network.client(1);
    client.transport.tick(now);
    let (from, mut check) = (client.address, client.transport.poll_transmit().unwrap());
    network.worker.receive(now, datagram_from(from, &mut check));
    network.deliver();
    while network.client(1).transport.poll_transmit().is_some() {}
    let server = network.restart(1);
    network.move_client(1, 7);
    network.restart_client(1, &server);
    network.run(Duration::from_secs(2));
    assert_eq!(network.states(1), [CONNECTED]);
}

#[test]
fn restarts_leave_nothing_behind() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let sizes = state_sizes(&network);
    let servers: Vec<_> = (0..1_000).map(|_| network.restart(2)).collect();
    assert_eq!(state_sizes(&network)[1], sizes[1] + 1, "the fragment in use, and the newest");
    network.restart_client(2, servers.last().unwrap());
    network.settle();
    assert_eq!(state_sizes(&network), sizes);
    network.assert_heard(0..5);
    network.restart(2);
    for participant in [1, 2].map(ParticipantId) {
        network.command(Command::RemoveParticipant { participant });
    }
    assert_eq!(state_sizes(&network), [0; 4]);
}

#[test]
fn old_credentials_are_unknown_after_a_restart() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let now = network.now;
    let client = network.client(2);
    client.transport.moved(now);
    client.transport.tick(now);
    let mut old = client.transport.poll_transmit().unwrap();
    let server = network.restart(2);
    network.restart_client(2, &server);
    network.settle();
    let from = network.client(2).address;
    network.worker.receive(now, datagram_from(from, &mut old));
    assert_eq!(network.worker.outbox().packets(), 0, "no answer");
    assert_eq!(network.worker.counters().get(Counter::DropCheck), 1);
}

#[test]
fn impossible_restarts_are_refused() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    let now = network.now;
    let server = network.restart(2);
    let mut other: RemoteTransport = network.client(2).transport.restart_ice(now, &server).unwrap().into();
    other.fingerprint[0] ^= 1;
    network.client(1).transport.close(now);
    network.settle();
    network.events.clear();
    let commands = [
        Command::Connect { participant: ParticipantId(2), remote: other },
        Command::RestartIce { participant: ParticipantId(1) },
        Command::RestartIce { participant: ParticipantId(9) },
    ];
    for (id, command) in (1..).map(CommandId).zip(commands) {
        network.command(Request { id, command });
    }
    let refused = |command, participant, error| Event::Refused {
        command: CommandId(command),
        participant: ParticipantId(participant),
        error,
    };
    assert_eq!(
        network.events,
        [
            refused(1, 2, CommandError::Invalid),
            refused(2, 1, CommandError::Invalid),
            refused(3, 9, CommandError::NoParticipant),
        ]
    );
}
