//! The whole worker: commands, time, arbitrary bytes from any address, and sealed packets of real clients.
//!
//! Asserts that no clear packet leaves, that strangers get no answers, that clients can open every datagram, and that the
//! number of datagrams sent at once is bounded.

use crate::{
    commands,
    network::{Client, Network, pause},
    packets,
};
use sfu::{Command, ParticipantId, TrackId};
use tacet_fuzz::Script;

/// Input: the number of connected clients, then steps.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let Some(scene) = script.byte() else { return };
    let mut stage = Stage { network: Network::new() };
    stage.set(scene);
    while let Some(step) = script.byte() {
        if stage.step(step, &mut script).is_none() {
            break;
        }
    }
    // A newcomer can connect after any steps.
    if scene & 0x80 != 0 {
        let (newcomer, network) = (ParticipantId(99), &mut stage.network);
        network.join(9, newcomer);
        network.settle();
        assert!(network.clients[&newcomer].is_connected(), "a newcomer cannot connect");
    }
}

struct Stage {
    network: Network,
}

impl Stage {
    /// Connects up to three clients; the first publishes, and the others receive.
    fn set(&mut self, scene: u8) {
        let Self { network } = self;
        let connected = scene % 4;
        for participant in (0..connected).map(commands::participant) {
            network.join(1, participant);
        }
        network.settle();
        assert!(network.clients.values().all(Client::is_connected));
        let (mid, codec) = (commands::mid(0), commands::CODECS[usize::from(scene >> 2) % 5]);
        for participant in (0..connected).map(commands::participant) {
            if participant.0 == 0 {
                let publication = commands::publication(0, codec, mid, scene >> 5 & 0b11);
                network.command(Command::Publish { participant, track: TrackId(0), publication });
            } else {
                network.command(Command::AddSlot { participant, mid, codec });
                network.command(Command::ActivateSlot { participant, mid });
                network.command(Command::SetSlot { participant, mid, source: Some(TrackId(0).into()) });
            }
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) -> Option<()> {
        let Self { network } = self;
        let participant = commands::participant(step >> 4);
        let from = network.clients.get(&participant).map(|client| client.address);
        match step % 16 {
            0..=2 => {
                let command = commands::command(script)?;
                match command {
                    Command::RemoveParticipant { participant } => network.remove(participant),
                    command => network.command(command),
                }
            }
            // Genuine packets, or damaged ones.
            3..=6 => {
                let (header, payload) = packets::rtp(script)?;
                let sealed = self.seal(participant, |client, out| client.transport.seal_rtp(&header, &payload, out));
                self.send(participant, &sealed?, step % 16 == 6);
            }
            7 | 8 => {
                let streams = &network.clients.get(&participant)?.slots;
                let packet = packets::rtcp(script, streams)?;
                let sealed = self.seal(participant, |client, out| client.transport.seal_rtcp(&packet, out));
                self.send(participant, &sealed?, false);
            }
            9 => {
                // Only its own datagrams: a check of another client would move that client to this address.
                let datagram = script.edit(&network.remembered(Some(participant)));
                network.feed(from?, &datagram);
            }
            10 => {
                let length = script.byte()?;
                network.feed(from?, script.bytes(length.into()));
            }
            11 => {
                let datagram = script.edit(&network.remembered(None));
                network.forward();
                // Only an authentic check proves an address.
                let is_check = network.clients.values().any(|client| client.is_authentic(&datagram));
                let stranger = network.new_address();
                let answered = network.feed(stranger, &datagram);
                assert!(is_check || !answered, "a stranger got an answer");
            }
            12 => {
                network.now += pause(script.byte()?);
                network.tick();
            }
            13 => drop(network.exchange(participant)),
            14 => {
                let address = network.new_address();
                let now = network.now;
                let client = network.clients.get_mut(&participant)?;
                client.address = address;
                client.transport.moved(now);
            }
            _ => {
                let now = network.now;
                let client = network.clients.get_mut(&participant)?;
                if step & 0x80 != 0 {
                    client.transport.close(now);
                } else {
                    let remote = client.parameters(now);
                    network.command(Command::Connect { participant, remote });
                }
            }
        }
        Some(())
    }

    fn seal<E>(
        &mut self,
        participant: ParticipantId,
        seal: impl FnOnce(&mut Client, &mut Vec<u8>) -> Result<(), E>,
    ) -> Option<Vec<u8>> {
        let mut sealed = Vec::new();
        // Without keys, or with a used sequence number, the step has no effect.
        let _ = seal(self.network.clients.get_mut(&participant)?, &mut sealed);
        Some(sealed)
    }

    /// Sends a datagram; with `hold` it stays queued at the server.
    fn send(&mut self, participant: ParticipantId, datagram: &[u8], hold: bool) {
        if datagram.is_empty() {
            return;
        }
        self.network.remember(participant, datagram);
        let from = self.network.clients[&participant].address;
        if hold {
            self.network.hold(from, datagram);
            return;
        }
        self.network.feed(from, datagram);
        // Clients open the resulting datagrams now or later.
        let now = self.network.now;
        for client in self.network.clients.values_mut() {
            std::mem::take(&mut client.inbox).into_iter().for_each(|datagram| client.take(now, datagram));
        }
    }
}
