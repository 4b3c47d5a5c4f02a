//! Options of a load run.

use crate::{
    measure::server_metrics::MetricsUrl,
    run::stop::Stop,
    scenario::{Scenario, ScenarioError},
};
use std::path::PathBuf;
use tacet_native::{
    link::{Origin, RoomLink},
    tls::Trust,
};

/// Settings of one run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The load.
    pub scenario: Scenario,
    /// The server under test.
    pub server: Server,
    /// Threads for bots that only send, and for all others.
    pub threads: Threads,
    /// Whether these threads are pinned, each to a different core as far as there are.
    pub pin_threads: bool,
    /// The core to which a child server is pinned; the generator keeps off it.
    pub server_core: Option<usize>,
    /// Ends the run early.
    pub stop: Stop,
}

/// Threads that run light bots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    /// For bots that only send.
    pub send: usize,
    /// For bots that receive.
    pub receive: usize,
}

impl Default for Threads {
    fn default() -> Self {
        Self { send: 1, receive: 1 }
    }
}

impl Threads {
    /// Maximum number of threads of a kind.
    pub const MAX: usize = 64;

    /// Most threads that can be divided.
    pub const MAX_OF_BOTH: usize = 85;

    /// Divides a number of threads, at least two: a quarter is for bots that only send.
    #[must_use]
    pub fn of(all: usize) -> Self {
        let send = (all / 4).max(1);
        Self { send, receive: all.saturating_sub(send).max(1) }
    }
}

/// The server under test.
#[derive(Clone, Debug)]
pub enum Server {
    /// A child process: this program, run as `PROGRAM serve --json …`.
    Child {
        /// The program.
        program: PathBuf,
    },
    /// One that runs already.
    Running {
        /// Rooms on it.
        rooms: Rooms,
        /// How it proves itself.
        trust: Trust,
        /// Where it shows its metrics.
        metrics: Option<MetricsUrl>,
    },
}

/// Where the rooms of a run come from.
#[derive(Clone, Debug)]
pub enum Rooms {
    /// Existing ones.
    Links(Vec<RoomLink>),
    /// Created for the run.
    Make {
        /// The server.
        origin: Origin,
        /// Its key for making rooms, if it wants one.
        api_key: Option<ApiKey>,
    },
}

/// A server's key for making rooms; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ApiKey(pub String);

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// Why the settings are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The load.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// Fewer links than rooms.
    #[error("{links} room links for {rooms} rooms: give as many links as rooms, or an address where rooms can be made")]
    Links {
        /// Links given.
        links: usize,
        /// Rooms wanted.
        rooms: usize,
    },
    /// No or very many threads.
    #[error("bots need 1 to {} threads of each kind", Threads::MAX)]
    Threads,
    /// Only a child can be pinned.
    #[error("only a server that is started for the run can be pinned to a core")]
    ServerCore,
}

impl Options {
    /// This load on a server that is started for the run.
    #[must_use]
    pub fn new(program: PathBuf, scenario: Scenario) -> Self {
        Self {
            scenario,
            server: Server::Child { program },
            threads: Threads::default(),
            pin_threads: false,
            server_core: None,
            stop: Stop::default(),
        }
    }

    /// Checks that the settings make sense together.
    ///
    /// # Errors
    /// [`OptionsError`].
    pub fn check(&self) -> Result<(), OptionsError> {
        self.scenario.check()?;
        let threads = 1..=Threads::MAX;
        if !threads.contains(&self.threads.send) || !threads.contains(&self.threads.receive) {
            return Err(OptionsError::Threads);
        }
        if let Server::Running { rooms, .. } = &self.server {
            if self.server_core.is_some() {
                return Err(OptionsError::ServerCore);
            }
            if let Rooms::Links(links) = rooms
                && links.len() < self.scenario.rooms
            {
                return Err(OptionsError::Links { links: links.len(), rooms: self.scenario.rooms });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scenario::builtin;

    #[test]
    fn check_names_the_error() {
        let good = Options::new(PathBuf::new(), builtin("rooms").unwrap().0);
        assert_eq!(good.check(), Ok(()));
        let check = |change: fn(&mut Options)| {
            let mut options = good.clone();
            change(&mut options);
            options.check()
        };
        let running = Server::Running { rooms: Rooms::Links(Vec::new()), trust: Trust::default(), metrics: None };
        let mut options = good.clone();
        options.server = running;
        assert_eq!(options.check(), Err(OptionsError::Links { links: 0, rooms: 5 }));
        options.server_core = Some(0);
        assert_eq!(options.check(), Err(OptionsError::ServerCore));
        assert_eq!(check(|o| o.threads.send = 0), Err(OptionsError::Threads));
        assert!(matches!(check(|o| o.scenario.rooms = 0), Err(OptionsError::Scenario(_))));
    }

    #[test]
    fn threads_are_divided() {
        assert_eq!(Threads::of(2), Threads::default());
        assert_eq!(Threads::of(1), Threads { send: 1, receive: 1 });
        assert_eq!(Threads::of(8), Threads { send: 2, receive: 6 });
        assert_eq!(Threads::of(Threads::MAX_OF_BOTH), Threads { send: 21, receive: Threads::MAX });
    }

    #[test]
    fn api_key_debug_is_redacted() {
        assert_eq!(format!("{:?}", ApiKey("hidden".to_owned())), "ApiKey(..)");
    }
}
