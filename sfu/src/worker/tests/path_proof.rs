//! Attacks on the path: datagrams with a forged or borrowed source make the server send to whom they like.

use super::*;

/// Somebody who has nothing to do with the call, and never answers.
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
    fn factor(&self) -> usize {
        self.answered / self.forged.max(1)
    }
}

impl Network {
    /// The next check of a participant, which nobody has received.
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
    assert!(traffic.factor() > 100, "{traffic:?}");
}

/// A check of participant 2 that somebody overheard on its way, sent again from elsewhere without any secret.
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
    assert_eq!(network.heard(2), 0, "all went to the bystander");
    assert!(traffic.factor() > 10, "{traffic:?}");
}

/// A forged check from the address of a client that is about to come keeps that client out.
#[test]
fn forged_check_keeps_nobody_out() {
    let mut network = Network::new();
    network.join(1, 1);
    network.run(Duration::from_millis(300));
    let forged = network.next_check(1);
    network.join(2, 2);
    let victim = network.client(2).address;
    network.worker.receive(network.now, datagram_from(victim, &mut forged.clone()));
    network.run(Duration::from_secs(5));
    assert_eq!(network.states(2), []);
}
