//! The loop of a worker's thread: packets in, commands, timers, packets and events out.

use super::{
    inbox::Inbox,
    poll::Poll,
    socket_io::{Receiver, Sender},
    stopwatch::Stopwatch,
};
use crate::{
    event::Event,
    metrics::{Counter, Counters, Histograms, Published},
    transport::{Datagram, Tuple},
    worker::{Output, Worker},
};
use mio::net::UdpSocket;
use std::{
    io, mem,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Batches that are received before commands and timers are served.
const BATCHES: usize = 8;
/// Number of queued packets at which they are forwarded before the rest of the batch, which may be far longer. Enough for
/// long runs.
const MAX_QUEUED: usize = 64;
/// Pause after the poll itself has failed, which should not happen.
const BACK_OFF: Duration = Duration::from_millis(10);

/// A worker with its socket, and its ends of what it shares with other threads.
pub(super) struct Driver<F> {
    pub(super) worker: Worker,
    pub(super) socket: UdpSocket,
    /// The address that the socket is bound to.
    pub(super) local: SocketAddr,
    pub(super) poll: Poll,
    pub(super) receiver: Receiver,
    pub(super) sender: Sender,
    pub(super) inbox: Inbox,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) published: Arc<Published>,
    pub(super) stopwatch: Stopwatch,
    /// When the worker wants its next tick.
    pub(super) deadline: Option<Instant>,
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
            self.guarded(|driver| more = driver.step(unread));
        }
        self.guarded(|driver| {
            driver.worker.close(Instant::now());
            driver.flush();
        });
    }

    /// Waits, unless there were `more` datagrams than the last call received. Returns whether there are more again.
    fn step(&mut self, more: bool) -> bool {
        let deadline = if more { Some(Instant::now()) } else { self.deadline };
        if let Err(error) = self.poll.wait(deadline) {
            tracing::error!(%error, "cannot wait for packets");
            thread::sleep(BACK_OFF);
        }
        let more = self.receive();
        for request in self.inbox.take() {
            self.worker.command(Instant::now(), request);
        }
        self.worker.tick(Instant::now());
        self.flush();
        self.publish();
        more
    }

    fn publish(&self) {
        let worker = &self.worker;
        let (downlink_estimate, downlink_queue) = worker.downlinks();
        let histograms = Histograms {
            forwarding: self.stopwatch.times(),
            first_media: worker.first_media(),
            downlink_estimate,
            downlink_queue,
        };
        self.published.publish(worker.counters(), worker.gauges(), &histograms);
    }

    /// Runs a step, and contains a panic in it, so that the worker's rooms outlive it. The worker contains panics of rooms
    /// and transports; those that arrive here are panics of `on_event`, or of the driver itself, whose only state is
    /// buffers.
    fn guarded(&mut self, step: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| step(self))).is_err() {
            tracing::error!("a panic outside of the worker was contained");
            self.worker.outbox().clear();
            self.worker.counters_mut().add(Counter::Faults, 1);
            self.publish();
        }
    }

    /// Returns whether there may be more datagrams.
    fn receive(&mut self) -> bool {
        let Self { worker, socket, local, receiver, sender, stopwatch, .. } = self;
        let mut outside = Counters::default();
        for _ in 0..BATCHES {
            // One reading of the clock per batch, whose packets arrived within microseconds of each other.
            let now = Instant::now();
            let more = receiver.receive(socket, &mut outside, |from, bytes| {
                worker.receive(now, Datagram::new(Tuple::udp(*local, from), bytes));
                if worker.queued() >= MAX_QUEUED {
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
        self.deadline = loop {
            match self.worker.poll_output() {
                // A panic loses one event, not those behind it.
                Output::Event(event) => self.guarded(|driver| (driver.on_event)(event)),
                Output::Deadline(at) => break at,
            }
        };
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
