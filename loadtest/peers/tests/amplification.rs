//! The bounded form of a table of `tacet-peers flood`: no datagram makes the server send more than three times its size.

#![allow(clippy::unwrap_used)]

use peers::{Probe, Sample};
use rtc_client::{Credentials, Identity, RemoteParameters};
use sfu::{Command, Event, ParticipantId, RoomId, Sfu, SfuConfig, command::RemoteTransport};
use std::{sync::mpsc, thread, time::Duration};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn no_datagram_is_answered_by_more_than_three_times_its_size() {
    let (events, inbox) = mpsc::channel();
    let sfu = Sfu::start(&SfuConfig::default(), move |_, event| events.send(event).unwrap_or_default()).unwrap();
    let probe = |number| {
        let participant = ParticipantId(number);
        sfu.command(0, Command::AddParticipant { room: RoomId(1), participant }).unwrap();
        let local = loop {
            if let Event::Transport { local, .. } = inbox.recv_timeout(PATIENCE).unwrap() {
                break local;
            }
        };
        let (identity, credentials) = (Identity::generate().unwrap(), Credentials::random().unwrap());
        let remote = RemoteTransport {
            ufrag: credentials.ufrag.clone(),
            pwd: credentials.pwd.clone(),
            fingerprint: identity.fingerprint(),
        };
        sfu.command(0, Command::Connect { participant, remote }).unwrap();
        Probe::connect(identity, credentials, RemoteParameters::from(&local)).unwrap()
    };
    // Each kind waits for what comes late, so they are measured side by side.
    let mut probes: Vec<_> = (0..).zip(Sample::ALL).map(|(number, sample)| (probe(number), sample)).collect();
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> =
            probes.iter_mut().map(|(probe, sample)| scope.spawn(|| probe.measure(*sample, 40).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for result in &results {
        assert!(result.sent > 0 && result.returned <= 3 * result.sent, "{result:?}");
    }
    let is_answered = |sample| results.iter().any(|result| result.sample == sample && result.returned > 0);
    for silent in [
        Sample::Noise,
        Sample::UnknownUser,
        Sample::GuessedPassword,
        Sample::Hello,
        Sample::Packet,
        Sample::Report,
        Sample::OverheardCheck,
    ] {
        assert!(!is_answered(silent), "{silent:?}");
    }
    assert!(is_answered(Sample::ForgedSource));
}
