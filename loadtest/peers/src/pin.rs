//! Core affinity: servers on one core, the load on another, so that they do not compete.

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use std::io;

/// Cores of a comparison. `None`: there is one core only, and nothing is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// All threads of the server.
    pub server: usize,
    /// All threads of the load.
    pub load: usize,
}

impl Cores {
    /// The first two cores that this thread may use.
    ///
    /// # Errors
    /// Errors of the kernel.
    pub fn of_this_machine() -> io::Result<Option<Self>> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
        Ok(cores.next().zip(cores.next()).map(|(server, load)| Self { server, load }))
    }
}

/// Moves this thread to one core; threads and processes that it starts begin there.
///
/// # Errors
/// Errors of the kernel.
pub fn move_to(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &set)?;
    Ok(())
}

/// Runs `work` on one core and restores the affinity. Children that it starts stay on that core.
///
/// # Errors
/// Errors of the kernel, or of `work`.
pub(crate) fn on_core<T>(core: Option<usize>, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(core) = core else { return work() };
    let before = sched_getaffinity(Pid::from_raw(0))?;
    move_to(core)?;
    let result = work();
    sched_setaffinity(Pid::from_raw(0), &before)?;
    result
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn on_core_restores_affinity() {
        let before = sched_getaffinity(Pid::from_raw(0)).unwrap();
        let Some(Cores { server, .. }) = Cores::of_this_machine().unwrap() else { return };
        let output = on_core(Some(server), || std::process::Command::new("nproc").output()).unwrap();
        assert_eq!(output.stdout, b"1\n");
        assert_eq!(sched_getaffinity(Pid::from_raw(0)).unwrap(), before);
    }
}
