//! Attacks on the path: datagrams with a forged or borrowed source buy no more than three times their size, and move nothing.

use super::*;
use is::stun::StunMessage;

/// An address that has nothing to do with the call, and never answers.
const BYSTANDER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66)), 6_666);
/// Length of the IP and UDP headers.
const HEADERS: usize = 28;

/// Bytes on the wire to and from one address.
#[derive(Debug, Default)]
struct Traffic {
    forged: usize,
    answered: usize,
}

impl Traffic {
    fn assert_bounded(&self) {
        assert!(self.answered <= 3 * self.forged, "{self:?}");
    }
}

impl Network {
    /// The next check of a participant, which has not been delivered.
    fn next_check(&mut self, participant: u32) -> Vec<u8> {
        let now = self.now;
        let client = self.client(participant);
        client.transport.moved(now);
        client.transport.tick(now);
        std::iter::from_fn(|| client.transport.poll_transmit()).last().unwrap()
    }

    /// A datagram from the bystander's address.
    fn forge(&mut self, datagram: &[u8], traffic: &mut Traffic) {
        traffic.forged += datagram.len() + HEADERS;
        self.worker.receive(self.now, datagram_from(BYSTANDER, &mut datagram.to_vec()));
        self.count(traffic);
    }

    /// Counts what the worker sends to the bystander, and leaves it to be delivered.
    fn count(&mut self, traffic: &mut Traffic) {
        let to_bystander = self.worker.outbox().runs().filter(|run| run.to().remote == BYSTANDER);
        traffic.answered += to_bystander.map(|run| run.bytes().len() + HEADERS * run.packets()).sum::<usize>();
        self.deliver();
    }

    /// Participant 1 sends 50 packets in a second; counts what the bystander gets of it.
    fn speak_for_a_second(&mut self, sequence: &mut u16, traffic: &mut Traffic) {
        for _ in 0..50 {
            let (from, mut datagram) = self.sealed(1, *sequence);
            *sequence += 1;
            self.worker.receive(self.now, datagram_from(from, &mut datagram));
            self.worker.tick(self.now);
            self.count(traffic);
            self.now += Duration::from_millis(20);
            self.settle();
        }
    }
}

/// A member's own credentials from a forged source, as often as consent needs it.
#[test]
fn forged_check_buys_no_media() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.settle();
    let mut away = network.clients.pop().unwrap();
    let (mut traffic, mut sequence) = (Traffic::default(), 0);
    away.transport.moved(network.now);
    away.transport.tick(network.now);
    let check = std::iter::from_fn(|| away.transport.poll_transmit()).last().unwrap();
    network.forge(&check, &mut traffic);
    for _ in 0..24 {
        network.speak_for_a_second(&mut sequence, &mut traffic);
    }
    traffic.assert_bounded();
    assert!(network.states(2).ends_with(&[TransportState::Connected]), "its own path is not touched");
}

/// A check of participant 2 that was overheard on its way, sent again from elsewhere without any secret.
#[test]
fn replayed_check_takes_no_path() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.settle();
    let (mut traffic, mut sequence) = (Traffic::default(), 0);
    let overheard = network.next_check(2);
    let from = network.client(2).address;
    network.worker.receive(network.now, datagram_from(from, &mut overheard.clone()));
    network.settle();
    network.forge(&overheard, &mut traffic);
    network.speak_for_a_second(&mut sequence, &mut traffic);
    assert_eq!((network.heard(2), traffic.answered), (50, 0));
    assert_eq!(network.worker.counters().get(Counter::DropCheckReplayed), 1);
}

/// The same with a check that is older than those that the server remembers.
#[test]
fn old_check_takes_no_path() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.settle();
    let (mut traffic, mut sequence) = (Traffic::default(), 0);
    let overheard = network.next_check(2);
    for _ in 0..100 {
        let (mut check, from) = (network.next_check(2), network.client(2).address);
        network.worker.receive(network.now, datagram_from(from, &mut check));
        network.settle();
        network.now += Duration::from_millis(100);
    }
    for second in 1..=10 {
        network.forge(&overheard, &mut traffic);
        network.speak_for_a_second(&mut sequence, &mut traffic);
        traffic.assert_bounded();
        assert_eq!(network.heard(2), 50 * second);
    }
}

/// A client's first flight under a forged source: the server's flight and its retransmissions are limited, too.
#[test]
fn forged_handshake_buys_no_flights() {
    let mut network = Network::new();
    network.join(1, 1);
    let mut client = network.clients.pop().unwrap();
    client.transport.tick(network.now);
    let mut traffic = Traffic::default();
    let check = client.transport.poll_transmit().unwrap();
    network.forge(&check, &mut traffic);
    // The response reaches the client on its real address, from where it would go on.
    let server = network.worker.transports.local_of(ParticipantId(1)).clone();
    let id = StunMessage::parse(&check).unwrap().trans_id();
    let mut response = Vec::new();
    dtls_srtp::stun::encode(StunMessage::binding_reply(id, BYSTANDER), &server.pwd, |bytes| response.extend(bytes));
    client.transport.handle(network.now, &mut response).unwrap();
    let hello = client.transport.poll_transmit().unwrap();
    assert_eq!(hello[0], 22, "a handshake record");
    network.forge(&hello, &mut traffic);
    for _ in 0..300 {
        network.now += Duration::from_millis(100);
        network.worker.tick(network.now);
        network.count(&mut traffic);
        traffic.assert_bounded();
    }
    assert!(traffic.answered > 0 && network.worker.counters().get(Counter::DropUnproven) > 0);
}

/// A member that has connected goes on to send checks from its address, and answers none.
#[test]
fn consent_ends_without_answers() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.settle();
    network.client(2).answers = false;
    network.run(Duration::from_secs(24));
    assert_eq!(network.states(2), [TransportState::Connected]);
    network.run(Duration::from_secs(8));
    assert_eq!(network.states(2), [TransportState::Connected, TransportState::Disconnected]);
    network.client(2).answers = true;
    network.run(Duration::from_secs(4));
    assert!(network.states(2).ends_with(&[TransportState::Connected]));
    network.send(1, 1);
    assert_eq!(network.heard(2), 1);
}

/// A client whose ICE agent answers no checks at all stays in the call.
#[test]
fn client_that_never_answers_gets_a_share() {
    let mut network = Network::new();
    network.join(1, 1);
    network.join_half(1, 2);
    network.client(2).answers = false;
    let remote = network.client(2).transport.local().into();
    network.command(Command::Connect { participant: ParticipantId(2), remote });
    network.run(Duration::from_secs(5));
    assert_eq!(network.states(2), [TransportState::Connected]);
    network.publish_and_subscribe(1, 2);
    let (mut received, mut sent) = (0, 0);
    for sequence in 0..3_000 {
        let (from, mut datagram) = network.sealed(1, sequence);
        network.worker.receive(network.now, datagram_from(from, &mut datagram));
        // The client sends a packet for every fourth one that it could get.
        if sequence % 4 == 0 {
            let (from, mut datagram) = network.sealed(2, sequence);
            received += datagram.len() + HEADERS;
            network.worker.receive(network.now, datagram_from(from, &mut datagram));
        }
        network.now += Duration::from_millis(20);
        network.worker.tick(network.now);
        let address = network.client(2).address;
        let runs = network.worker.outbox().runs().filter(|run| run.to().remote == address);
        sent += runs.map(|run| run.bytes().len() + HEADERS * run.packets()).sum::<usize>();
        network.settle();
    }
    let heard = network.heard(2);
    assert!(heard > 1_500, "{heard} packets of 3,000");
    assert!(sent < 3 * received + 10_000, "{sent} bytes for {received}");
    assert_eq!(network.states(2), [TransportState::Connected]);
}

/// A forged check from the address of a client that is about to come keeps that client out.
#[test]
fn forged_check_keeps_no_client_out() {
    let mut network = Network::new();
    network.join(1, 1);
    network.run(Duration::from_millis(300));
    let forged = network.next_check(1);
    network.join(2, 2);
    let victim = network.client(2).address;
    network.worker.receive(network.now, datagram_from(victim, &mut forged.clone()));
    network.run(Duration::from_secs(1));
    assert_eq!(network.states(2), [TransportState::Connected]);
}
