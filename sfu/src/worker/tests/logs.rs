//! The log at `debug` says why a client did not connect, and identifies no one: it has no full address, credential or
//! secret.

use super::{
    floods::{check, ufrag},
    *,
};
use crate::limits::CONNECT_TIME;
use std::{
    io,
    sync::{Arc, Mutex},
};
use tracing::Level;

/// A log in memory, as the server writes it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A network whose worker's log is kept, with everything that must not appear in it.
struct Logged {
    network: Network,
    log: Log,
    private: Vec<String>,
}

impl Logged {
    /// Adds a client, and notes what is private about it.
    fn join_half(&mut self, participant: u32) -> RemoteTransport {
        let remote = self.network.join_half(1, participant);
        let local = self.network.worker.transports.local_of(ParticipantId(participant));
        self.private.extend([&local.ufrag, &local.pwd, &remote.ufrag, &remote.pwd].map(String::clone));
        self.private.push(data_encoding::HEXLOWER.encode(&remote.fingerprint));
        self.private.push(self.network.client(participant).address.ip().to_string());
        remote
    }

    fn join(&mut self, participant: u32) {
        let remote = self.join_half(participant);
        self.connect(participant, remote);
    }

    fn connect(&mut self, participant: u32, remote: RemoteTransport) {
        self.network.command(Command::Connect { participant: ParticipantId(participant), remote });
    }

    /// Sends a check from the participant's client that was not made with its credentials.
    fn send_check(&mut self, participant: u32, ufrag: &str, pwd: &str) {
        let mut bytes = check(self.network.now, ufrag, pwd);
        let from = self.network.client(participant).address;
        self.network.worker.receive(self.network.now, datagram_from(from, &mut bytes));
    }
}

/// Runs a story, checks that the log is private, and returns it.
fn log_of(story: impl FnOnce(&mut Logged)) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::DEBUG)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let mut logged = Logged { network: Network::new(), log, private: vec![SERVER_ADDRESS.ip().to_string()] };
    tracing::subscriber::with_default(subscriber, || story(&mut logged));
    let text = String::from_utf8(logged.log.0.lock().unwrap().clone()).unwrap();
    for private in logged.private {
        assert!(!text.contains(&private), "{private} is in the log:\n{text}");
    }
    text
}

/// Asserts that these texts appear in lines of the log, in this order, with the participant.
#[track_caller]
fn assert_lines(log: &str, participant: u32, texts: &[&str]) {
    let span = format!("transport{{participant={participant}}}");
    let mut lines = log.lines().filter(|line| line.contains(&span));
    for text in texts {
        assert!(lines.any(|line| line.contains(text)), "no “{text}” in order, in:\n{log}");
    }
}

#[test]
fn log_shows_each_step_of_a_connection() {
    let log = log_of(|logged| {
        logged.join(1);
        logged.network.run(Duration::from_millis(500));
    });
    assert_lines(
        &log,
        1,
        &[
            "transport created",
            "client's transport parameters arrived",
            "connectivity check accepted on a new tuple tuple=udp 198.51.100.x:10001",
            "path selected tuple=udp 198.51.100.x:10001",
            "DTLS handshake started",
            "state=Connected cause=DTLS handshake completed, SRTP profile AEAD_AES_256_GCM",
        ],
    );
    assert!(log.lines().all(|line| line.contains("room{id=1}") || line.contains("room created")), "{log}");
}

#[test]
fn log_names_a_wrong_ice_password() {
    let log = log_of(|logged| {
        logged.join_half(1);
        let ufrag = ufrag(&mut logged.network, 1);
        for _ in 0..1_000 {
            logged.send_check(1, &ufrag, "a-password-that-is-guessed");
        }
    });
    assert_lines(&log, 1, &["connectivity check refused tuple=udp 198.51.100.x:10001 cause=wrong password"]);
    assert!(log.lines().count() < 20, "the log of a flood is bounded:\n{log}");
}

#[test]
fn log_names_a_wrong_username() {
    let log = log_of(|logged| {
        let mut remote = logged.join_half(1);
        remote.ufrag.push('x');
        logged.connect(1, remote);
        logged.network.run(Duration::from_millis(500));
    });
    assert_lines(&log, 1, &["connectivity check refused tuple=udp 198.51.100.x:10001 cause=wrong username"]);
}

#[test]
fn log_names_an_unknown_username_fragment() {
    let log = log_of(|logged| {
        logged.join(1);
        for _ in 0..1_000 {
            logged.send_check(1, "stranger", "a-password-of-a-stranger");
        }
    });
    let text = "its username fragment belongs to no transport tuple=udp 198.51.100.x:10001";
    assert_eq!(log.matches(text).count(), 1, "{log}");
}

#[test]
fn log_says_that_no_check_arrived() {
    let log = log_of(|logged| {
        logged.join(1);
        logged.network.clients.clear();
        logged.network.run(CONNECT_TIME + Duration::from_secs(2));
    });
    assert_lines(&log, 1, &["state=Failed cause=no connectivity check arrived"]);
}

#[test]
fn log_says_what_was_missing_when_a_participant_leaves() {
    let log = log_of(|logged| {
        logged.join_half(1);
        logged.network.command(Command::RemoveParticipant { participant: ParticipantId(1) });
    });
    let missing = "neither the client's transport parameters nor a connectivity check arrived";
    assert_lines(&log, 1, &["transport closed before it was connected"]);
    assert!(log.contains(missing) && log.contains("room ended"), "{log}");
}

#[test]
fn log_names_a_dtls_timeout() {
    let log = log_of(|logged| {
        logged.join(1);
        let now = logged.network.now;
        while logged.network.worker.transports.handshakes() == 0 {
            let client = logged.network.client(1);
            client.transport.tick(now);
            let (from, mut datagram) = (client.address, client.transport.poll_transmit().unwrap());
            logged.network.worker.receive(now, datagram_from(from, &mut datagram));
            logged.network.deliver();
        }
        logged.network.clients.clear();
        logged.network.run(Duration::from_secs(40));
    });
    assert_lines(&log, 1, &["DTLS handshake started", "state=Failed cause=the DTLS handshake timed out"]);
}

#[test]
fn log_names_a_wrong_certificate() {
    let log = log_of(|logged| {
        let mut remote = logged.join_half(1);
        remote.fingerprint[0] ^= 1;
        logged.connect(1, remote);
        logged.network.run(Duration::from_secs(1));
    });
    assert_lines(&log, 1, &["DTLS handshake started", "state=Failed cause=wrong certificate: its fingerprint"]);
}

#[test]
fn log_shows_an_ice_restart() {
    let log = log_of(|logged| {
        logged.join(1);
        logged.network.run(Duration::from_millis(500));
        logged.network.command(Command::RestartIce { participant: ParticipantId(1) });
        let Some(Event::Transport { local, .. }) = logged.network.events.pop() else { panic!() };
        let now = logged.network.now;
        let remote: RemoteTransport = logged.network.client(1).transport.restart_ice(now, &local).unwrap().into();
        logged.private.extend([&local.ufrag, &local.pwd, &remote.ufrag, &remote.pwd].map(String::clone));
        logged.connect(1, remote);
        logged.network.settle();
    });
    let steps =
        ["state=Connected", "ICE restart begun", "client's transport parameters replaced", "ICE restart completed"];
    assert_lines(&log, 1, &steps);
}

#[test]
fn log_names_lost_consent() {
    let log = log_of(|logged| {
        logged.join(1);
        logged.network.run(Duration::from_millis(500));
        let mut client = logged.network.clients.pop().unwrap();
        logged.network.run(Duration::from_secs(27));
        client.transport.moved(logged.network.now);
        logged.network.clients.push(client);
        logged.network.settle();
    });
    let lost = "state=Disconnected cause=no connectivity check was answered for 25 s";
    assert_lines(&log, 1, &["state=Connected", lost, "state=Connected cause=the client answers again"]);
}
