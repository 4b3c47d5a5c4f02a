//! A worker as the core of a [`Network`](crate::Network).

use crate::WorkerCore;
use rtc_client::Identity;
use sfu::{
    Command, Event, SPEAKERS,
    limits::VIDEO_RATE,
    transport::{Datagram, Tuple},
    worker::{Worker, WorkerConfig},
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::LazyLock,
    time::Instant,
};

/// Address of a worker in memory.
pub const CANDIDATE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 3_478);

static SERVER_IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::generate().unwrap());

/// A worker at [`CANDIDATE`].
#[must_use]
pub fn worker(max_participants: usize) -> Worker {
    Worker::new(config(max_participants, false))
}

/// A worker at [`CANDIDATE`] that adapts video to what downlinks carry.
#[must_use]
pub fn adapting_worker(max_participants: usize) -> Worker {
    Worker::new(config(max_participants, true))
}

fn config(max_participants: usize, adapt_video: bool) -> WorkerConfig {
    WorkerConfig {
        identity: SERVER_IDENTITY.clone(),
        candidates: vec![CANDIDATE],
        max_participants,
        max_video_rate: VIDEO_RATE,
        adapt_video,
        speakers: SPEAKERS,
    }
}

/// A datagram that a worker received at [`CANDIDATE`] from this address.
#[must_use]
pub fn datagram_from(remote: SocketAddr, bytes: &mut [u8]) -> Datagram<'_> {
    Datagram::new(Tuple::udp(CANDIDATE, remote), bytes)
}

impl WorkerCore for Worker {
    fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        self.receive(now, datagram_from(from, datagram));
    }

    fn tick(&mut self, now: Instant) {
        self.tick(now);
    }

    fn command(&mut self, now: Instant, command: Command) {
        self.command(now, command);
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.poll_output().event()
    }

    fn take_outbox(&mut self, mut take: impl FnMut(SocketAddr, &[u8])) {
        for run in self.outbox().runs() {
            run.segments().for_each(|segment| take(run.to().remote, segment));
        }
        self.outbox().clear();
    }
}
