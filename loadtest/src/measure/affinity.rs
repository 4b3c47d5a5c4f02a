//! CPU affinity of threads.

use std::{fs, io, mem};

/// The cores on which the calling thread may run.
pub(crate) fn allowed() -> io::Result<Vec<usize>> {
    // SAFETY: all-zero bytes are an empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set is alive and of the length given.
    if unsafe { libc::sched_getaffinity(0, mem::size_of_val(&set), &mut set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every number is below the size of a set.
    Ok((0..libc::CPU_SETSIZE as usize).filter(|core| unsafe { libc::CPU_ISSET(*core, &set) }).collect())
}

/// Restricts a thread to these cores; 0 is the calling thread. Allocates nothing, so it may be called between
/// fork and exec.
pub(crate) fn set(thread: libc::pid_t, cores: &[usize]) -> io::Result<()> {
    // SAFETY: all-zero bytes are an empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    for core in cores.iter().filter(|core| **core < libc::CPU_SETSIZE as usize) {
        // SAFETY: the number is below the size of a set.
        unsafe { libc::CPU_SET(*core, &mut set) };
    }
    // SAFETY: the set is alive and of the length given.
    let result = unsafe { libc::sched_setaffinity(thread, mem::size_of_val(&set), &set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps all threads of this process off a core until it is dropped.
#[derive(Debug)]
pub(crate) struct KeptOff {
    before: Vec<usize>,
}

impl KeptOff {
    /// Leaves this core to the server, if this process may use it and another.
    pub(crate) fn core(core: usize) -> io::Result<Self> {
        let before = allowed()?;
        let left: Vec<usize> = before.iter().copied().filter(|allowed| *allowed != core).collect();
        if left.is_empty() || left.len() == before.len() {
            let cores: Vec<String> = before.iter().map(ToString::to_string).collect();
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the server's core must be one of several that this process may use ({})", cores.join(", ")),
            ));
        }
        for_all_threads(&left);
        Ok(Self { before })
    }
}

impl Drop for KeptOff {
    fn drop(&mut self) {
        for_all_threads(&self.before);
    }
}

/// Threads that end meanwhile need no core.
fn for_all_threads(cores: &[usize]) {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return };
    for thread in threads.flatten() {
        if let Some(thread) = thread.file_name().to_str().and_then(|name| name.parse().ok()) {
            let _ = set(thread, cores);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn set_pins_the_thread() {
        let core = allowed().unwrap()[0];
        let there = thread::spawn(move || {
            set(0, &[core]).unwrap();
            allowed().unwrap()
        });
        assert_eq!(there.join().unwrap(), [core]);
    }

    #[test]
    fn unknown_core_is_refused() {
        let error = KeptOff::core(100_000).unwrap_err().to_string();
        assert!(error.contains("core"), "{error}");
    }
}
