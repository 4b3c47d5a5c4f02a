//! The loop of a worker's thread: packets in, commands, timers, packets and events out.
//!
//! A batch of packets may be forwarded to thousands of receivers. That is interrupted every few milliseconds to empty the
//! socket, so that its buffer does not overflow and audio does not wait.

use super::{
    core_wait::CoreWait,
    inbox::Inbox,
    poll::Poll,
    socket_io::{Receiver, Sender},
    stopwatch::Stopwatch,
};
use crate::{
    event::Event,
    metrics::{Counter, Counters, Histograms, Published},
    transport::{Datagram, Outbox, Tuple},
    worker::{Output, Worker},
};
use mio::net::UdpSocket;
use std::{
    io, mem,
    net::SocketAddr,
    ops::ControlFlow,
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
/// How long packets are forwarded before the socket is read again. Long enough that a small room is not interrupted.
const TIME_SLICE: Duration = Duration::from_millis(2);
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
    /// Of the driver's thread, once that runs.
    pub(super) core_wait: CoreWait,
    /// When the worker wants its next tick.
    pub(super) deadline: Option<Instant>,
    pub(super) on_event: F,
}

impl<F: Fn(Event) + Send + 'static> Driver<F> {
    pub(super) fn spawn(self, number: usize) -> io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name(format!("sfu-{number}")).spawn(move || self.run())
    }

    fn run(mut self) {
        self.core_wait = CoreWait::of_this_thread();
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
        let began = Instant::now();
        if let Err(error) = self.poll.wait(if more { Some(began) } else { self.deadline }) {
            tracing::error!(%error, "cannot wait for packets");
            thread::sleep(BACK_OFF);
        }
        let waited = began.elapsed();
        self.worker.on_poll(waited);
        self.core_wait.on_poll(waited);
        let more = self.receive();
        for request in self.inbox.take() {
            self.worker.command(Instant::now(), request);
        }
        self.tick();
        self.publish();
        more
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if self.worker.takes_thread_time(now)
            && let Some(time) = self.core_wait.thread_time()
        {
            self.worker.on_thread_time(time);
        }
        self.worker.tick(now);
        self.flush();
    }

    fn publish(&self) {
        let worker = &self.worker;
        let (downlink_estimate, downlink_queue) = worker.downlinks();
        let histograms = Histograms {
            forwarding: self.stopwatch.all(),
            audio_forwarding: self.stopwatch.audio(),
            audio_forwarding_on_core: self.stopwatch.audio_on_core(),
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

    /// Receives and forwards. Returns whether there may be more datagrams.
    fn receive(&mut self) -> bool {
        let Self { worker, socket, local, receiver, sender, stopwatch, core_wait, .. } = self;
        let mut out = Out { socket, sender, stopwatch, core_wait };
        let (mut outside, mut more) = (Counters::default(), true);
        for _ in 0..BATCHES {
            // One reading of the clock per batch, whose packets arrived within microseconds of each other.
            let now = Instant::now();
            out.core_wait.on_receive(now);
            more = receiver.receive(socket, &mut outside, |from, bytes| {
                worker.receive(now, Datagram::new(Tuple::udp(*local, from), bytes));
                if worker.queued() >= MAX_QUEUED && !worker.is_interrupted() {
                    out.forward(worker, now);
                }
            });
            // As long as packets wait, the socket is emptied before more of them are forwarded.
            if !worker.is_interrupted() {
                out.forward(worker, now);
            }
            if !more {
                break;
            }
        }
        if worker.is_interrupted() {
            out.forward(worker, Instant::now());
        }
        worker.outgoing().1.merge(&outside);
        more
    }

    fn flush(&mut self) {
        let Self { worker, socket, sender, stopwatch, core_wait, .. } = self;
        Out { socket, sender, stopwatch, core_wait }.flush(worker);
        self.deadline = loop {
            match self.worker.poll_output() {
                // A panic loses one event, not those behind it.
                Output::Event(event) => self.guarded(|driver| (driver.on_event)(event)),
                Output::Deadline(at) => break at,
            }
        };
    }
}

/// The way out of a worker.
struct Out<'a> {
    socket: &'a UdpSocket,
    sender: &'a mut Sender,
    stopwatch: &'a mut Stopwatch,
    core_wait: &'a mut CoreWait,
}

impl Out<'_> {
    /// Forwards what is queued, for a time slice at most.
    fn forward(&mut self, worker: &mut Worker, now: Instant) {
        worker.forward(now, |outbox, counters| {
            let slice = self.send(outbox, counters).saturating_duration_since(now);
            if slice < TIME_SLICE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        self.flush(worker);
    }

    /// Sends what is left in the outbox.
    fn flush(&mut self, worker: &mut Worker) {
        let (outbox, counters) = worker.outgoing();
        if outbox.packets() > 0 {
            self.send(outbox, counters);
        }
        outbox.clear();
    }

    /// Returns the time at which it was sent.
    fn send(&mut self, outbox: &Outbox, counters: &mut Counters) -> Instant {
        self.sender.send(self.socket, outbox, counters);
        let now = Instant::now();
        self.stopwatch.sent(now, outbox, self.core_wait.until(now));
        now
    }
}
