//! Threads that run light bots.
//!
//! ```text
//!   closures ──► Engine ── poll ──► Bots: sockets, ICE, DTLS, SRTP, senders, receivers
//! ```
//! Bots that only send have their own threads, so that sending on time does not depend on how much is received.

use crate::{
    bots::{
        path::Path,
        receiver::Receiver,
        running::{BotId, Bots, Outcome},
        sender::Sender,
        socket::BotSocket,
    },
    measure::{accounting::Window, affinity, clock::Time},
    run::options::Threads,
};
use polling::{Events, Poller};
use std::{
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, TryRecvError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{sync::oneshot, time::sleep};

/// Readable sockets reported by one wait; the rest are reported by the next.
const EVENTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// How long packets of the measured time may still arrive: retransmissions take several round trips.
const DRAIN: Duration = Duration::from_millis(500);

type Command = Box<dyn FnOnce(&mut Bots) + Send>;

/// A thread that runs bots, and the way to reach it.
pub(crate) struct Engine {
    commands: mpsc::Sender<Command>,
    poller: Arc<Poller>,
    thread: JoinHandle<io::Result<Outcome>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Engine").field(&self.thread.thread().name()).finish()
    }
}

/// A bot that was handed to its thread.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) id: BotId,
    /// Address of its socket: the one that the server sees unless something on the way translates it.
    pub(crate) address: SocketAddr,
    /// Receives whether the media path came up, once.
    pub(crate) connected: oneshot::Receiver<bool>,
}

impl Engine {
    /// Starts a thread, pinned to a core if one is given.
    fn start(name: &str, core: Option<usize>) -> io::Result<Self> {
        let poller = Arc::new(Poller::new()?);
        let (commands, queue) = mpsc::channel();
        let of_thread = poller.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Some(core) = core {
                affinity::set(0, &[core])?;
            }
            serve(&queue, Bots::new(of_thread))
        })?;
        Ok(Self { commands, poller, thread })
    }

    /// Runs a closure on the thread. It is dropped if the thread has ended, which says why when it is joined.
    pub(crate) fn run(&self, command: impl FnOnce(&mut Bots) + Send + 'static) {
        let _ = self.commands.send(Box::new(command));
        let _ = self.poller.notify();
    }

    /// Connects a socket to the server and runs the bot on it; `Ok(None)` when the thread has ended.
    pub(crate) async fn add(
        &self,
        server: SocketAddr,
        path: Path,
        senders: Vec<Sender>,
        receiver: Option<Box<Receiver>>,
    ) -> io::Result<Option<Started>> {
        let socket = BotSocket::connect(server)?;
        let address = socket.local_address()?;
        let (on_connected, connected) = oneshot::channel();
        let (reply, added) = oneshot::channel();
        self.run(move |bots| {
            let _ = reply.send(bots.add(socket, path, senders, receiver, on_connected));
        });
        let Ok(added) = added.await else { return Ok(None) };
        Ok(Some(Started { id: added?, address, connected }))
    }

    /// Ends the thread and returns what its bots did.
    fn finish(self) -> io::Result<Outcome> {
        let Self { commands, poller, thread } = self;
        drop(commands);
        poller.notify()?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("a bot thread panicked")))
    }
}

/// Serves bots until the handle is gone.
fn serve(commands: &mpsc::Receiver<Command>, mut bots: Bots) -> io::Result<Outcome> {
    let mut events = Events::with_capacity(EVENTS);
    loop {
        loop {
            match commands.try_recv() {
                Ok(command) => command(&mut bots),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(bots.finish()),
            }
        }
        bots.send_due();
        bots.tick();
        events.clear();
        bots.poller().wait(&mut events, Some(bots.idle()))?;
        for event in events.iter() {
            bots.send_due();
            bots.receive(event.key)?;
        }
    }
}

/// All threads that run light bots: some for bots that only send, the others for the rest.
#[derive(Debug)]
pub(crate) struct Engines {
    send: Vec<Arc<Engine>>,
    receive: Vec<Arc<Engine>>,
    next: AtomicUsize,
}

impl Engines {
    /// Starts them; if asked, each on one of the cores that this process may use, in rotation.
    pub(crate) fn start(threads: Threads, pinned: bool) -> io::Result<Self> {
        let cores = if pinned { affinity::allowed()? } else { Vec::new() };
        let mut cores = cores.iter().copied().cycle();
        let mut start = |name: &str, count: usize| -> io::Result<Vec<Arc<Engine>>> {
            (0..count).map(|_| Ok(Arc::new(Engine::start(name, cores.next())?))).collect()
        };
        Ok(Self {
            send: start("load-send", threads.send)?,
            receive: start("load-receive", threads.receive)?,
            next: AtomicUsize::new(0),
        })
    }

    /// The thread for the next bot; `None` when there is none of its kind.
    pub(crate) fn pick(&self, receives: bool) -> Option<Arc<Engine>> {
        let engines = if receives { &self.receive } else { &self.send };
        engines.get(self.next.fetch_add(1, Ordering::Relaxed) % engines.len().max(1)).cloned()
    }

    /// Runs a function on every thread.
    pub(crate) fn each(&self, command: fn(&mut Bots)) {
        self.send.iter().chain(&self.receive).for_each(|engine| engine.run(command));
    }

    /// Begins the measured time: what is sent within `time` from now counts.
    pub(crate) fn start_measuring(&self, window: &Window, time: Duration) {
        self.each(Bots::start_measuring);
        let start = Time::now();
        window.set(start, start + time);
    }

    /// Ends the measured time, and waits for late packets.
    pub(crate) async fn stop_measuring(&self) {
        self.each(|bots| {
            bots.stop_measuring();
            bots.stop_all();
        });
        sleep(DRAIN).await;
    }

    pub(crate) fn len(&self) -> usize {
        self.send.len() + self.receive.len()
    }

    /// Ends the threads and returns what all bots did. No bot may hold its thread any more.
    pub(crate) fn finish(self) -> io::Result<Outcome> {
        let mut all = Outcome::default();
        for engine in self.send.into_iter().chain(self.receive) {
            let engine = Arc::try_unwrap(engine).map_err(|_| io::Error::other("a bot still holds its thread"))?;
            all.add(&engine.finish()?);
        }
        Ok(all)
    }
}
