//! The threads of a run: some for bots that only send, the others for the rest.

use crate::{
    bots::engine::{Engine, Outcome},
    measure::affinity,
    run::options::Threads,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// All threads that run light bots.
#[derive(Debug)]
pub(crate) struct Engines {
    send: Vec<Arc<Engine>>,
    receive: Vec<Arc<Engine>>,
    next: AtomicUsize,
}

impl Engines {
    /// Starts them, each on a core of its own if asked, those that this process may use in turn.
    pub(crate) fn start(threads: Threads, pinned: bool) -> io::Result<Self> {
        let cores = if pinned { affinity::allowed()? } else { Vec::new() };
        let mut floor = cores.iter().copied().cycle();
        let mut start = |name: &str, count: usize| -> io::Result<Vec<Arc<Engine>>> {
            (0..count).map(|_| Ok(Arc::new(Engine::start(name, floor.next())?))).collect()
        };
        Ok(Self {
            send: start("load-send", threads.send)?,
            receive: start("load-receive", threads.receive)?,
            next: AtomicUsize::new(0),
        })
    }

    /// The thread for the next bot.
    pub(crate) fn pick(&self, receives: bool) -> Option<Arc<Engine>> {
        let engines = if receives { &self.receive } else { &self.send };
        engines.get(self.next.fetch_add(1, Ordering::Relaxed) % engines.len().max(1)).cloned()
    }

    pub(crate) fn each(&self, order: impl Fn(&Engine)) {
        self.send.iter().chain(&self.receive).for_each(|engine| order(engine));
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.send.len() + self.receive.len()
    }

    /// Ends them; all bots that knew them have ended. Gives what all did.
    pub(crate) fn finish(self) -> io::Result<Outcome> {
        let mut all = Outcome::default();
        for engine in self.send.into_iter().chain(self.receive) {
            let engine = Arc::try_unwrap(engine).map_err(|_| io::Error::other("a bot still holds its thread"))?;
            all.add(&engine.finish()?);
        }
        Ok(all)
    }
}
