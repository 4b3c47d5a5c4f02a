//! The loop of one worker's thread.

use super::{
    inbox::Inbox,
    poll::Poll,
    socket_io::{Receiver, Sender},
    stopwatch::Stopwatch,
};
use crate::{
    event::Event,
    metrics::{Counter, Counters, Published},
    worker::Worker,
};
use mio::net::UdpSocket;
use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Batches that are received before commands and timers get their turn.
const BATCHES: usize = 8;
/// Packets that may wait to be forwarded together: enough for long runs. A long train of one source could bring more.
const MAX_WAITING: usize = 64;
/// After an error of the poll itself, which should not be.
const BACK_OFF: Duration = Duration::from_millis(10);

/// A worker with its socket and its neighbours.
pub(super) struct Driver<F> {
    pub(super) worker: Worker,
    pub(super) socket: UdpSocket,
    pub(super) poll: Poll,
    pub(super) receiver: Receiver,
    pub(super) sender: Sender,
    pub(super) inbox: Inbox,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) published: Arc<Published>,
    pub(super) stopwatch: Stopwatch,
    pub(super) on_event: F,
}

impl<F: Fn(Event) + Send + 'static> Driver<F> {
    pub(super) fn spawn(self, number: usize) -> io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name(format!("sfu-{number}")).spawn(move || self.run())
    }

    fn run(mut self) {
        let mut more = false;
        while !self.stop.load(Ordering::Relaxed) {
            // After a panic there may be unread datagrams.
            let unread = mem::replace(&mut more, true);
            self.guarded(|driver| more = driver.turn(unread));
        }
        self.guarded(|driver| {
            driver.worker.close(Instant::now());
            driver.flush();
        });
    }

    /// Waits, unless there were `more` datagrams than the last call received. Returns whether there are more again.
    fn turn(&mut self, more: bool) -> bool {
        let deadline = if more { Some(Instant::now()) } else { self.worker.next_deadline() };
        if let Err(error) = self.poll.wait(deadline) {
            tracing::error!(%error, "waiting for packets failed");
            thread::sleep(BACK_OFF);
        }
        let more = self.receive();
        for request in self.inbox.turn() {
            self.worker.command(Instant::now(), request);
        }
        let now = Instant::now();
        if self.worker.next_deadline().is_some_and(|at| at <= now) {
            self.worker.tick(now);
        }
        self.flush();
        self.publish();
        more
    }

    fn publish(&self) {
        let worker = &self.worker;
        self.published.publish(worker.counters(), worker.gauges(), self.stopwatch.times(), worker.first_media());
    }

    /// Contains a panic, so that the worker's rooms do not end with it. Those of rooms and transports are contained by
    /// the worker; here it is one of `on_event`, or of the driver itself, which has no state but buffers.
    fn guarded(&mut self, step: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| step(self))).is_err() {
            tracing::error!("a fault was contained");
            self.worker.outbox().clear();
            self.worker.counters_mut().add(Counter::Faults, 1);
            self.publish();
        }
    }

    /// Returns whether there may be more datagrams.
    fn receive(&mut self) -> bool {
        let Self { worker, socket, receiver, sender, stopwatch, .. } = self;
        let mut outside = Counters::default();
        for _ in 0..BATCHES {
            // One reading of the clock a batch; its packets have come within microseconds of each other.
            let now = Instant::now();
            let more = receiver.receive(socket, &mut outside, |from, datagram| {
                worker.receive(now, from, datagram);
                if worker.waiting() >= MAX_WAITING {
                    forward(worker, now, socket, sender, stopwatch);
                }
            });
            forward(worker, now, socket, sender, stopwatch);
            if !more {
                worker.outgoing().1.merge(&outside);
                return false;
            }
        }
        worker.outgoing().1.merge(&outside);
        true
    }

    fn flush(&mut self) {
        send(&mut self.worker, &self.socket, &mut self.sender);
        self.stopwatch.skip(self.worker.counters());
        while let Some(event) = self.worker.poll_event() {
            // A panic loses the one event, not those behind it.
            self.guarded(|driver| (driver.on_event)(event));
        }
    }
}

fn forward(worker: &mut Worker, received: Instant, socket: &UdpSocket, sender: &mut Sender, stopwatch: &mut Stopwatch) {
    worker.forward(received, |outbox, counters| {
        sender.send(socket, outbox, counters);
        stopwatch.sent(received, counters);
    });
    send(worker, socket, sender);
    stopwatch.sent(received, worker.counters());
}

fn send(worker: &mut Worker, socket: &UdpSocket, sender: &mut Sender) {
    let (outbox, counters) = worker.outgoing();
    if outbox.packets() > 0 {
        sender.send(socket, outbox, counters);
    }
    outbox.clear();
}
