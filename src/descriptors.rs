//! The limit of open files. Every connection and every media worker needs a file descriptor, and the usual soft limit of
//! 1,024 is for programs that use `select`.

/// Raises the soft limit to the hard limit. A limit that cannot be raised is logged; the server runs with it.
#[cfg(unix)]
pub(crate) fn raise() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::debug!(from = ?current, to = ?maximum, "raised the limit of open files"),
        Err(error) => tracing::warn!(%error, limit = ?current, "cannot raise the limit of open files"),
    }
}

/// Elsewhere there is no such limit.
#[cfg(not(unix))]
pub(crate) fn raise() {}

/// The share of the files that the process may open that is kept for the server itself, one in this many.
const RESERVE: usize = 10;
/// Files that are kept at least: sockets that are being closed, and records that are being written.
const LEAST_RESERVE: usize = 16;

/// How many connections there may be of the `wanted` number, beside the files that are open already and those that are kept
/// for the server itself.
pub(crate) fn connections(wanted: usize) -> usize {
    let Some(limit) = limit() else { return wanted };
    let reserve = (limit / RESERVE).max(LEAST_RESERVE);
    let most = limit.saturating_sub(open_files()).saturating_sub(reserve).max(1);
    if most < wanted {
        tracing::info!(most, limit, "the limit of open files limits connections");
    }
    wanted.min(most)
}

#[cfg(unix)]
fn limit() -> Option<usize> {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok())
}

#[cfg(not(unix))]
fn limit() -> Option<usize> {
    None
}

/// Files that are open now; where that is not known, more than a server with few workers has.
fn open_files() -> usize {
    #[cfg(target_os = "linux")]
    if let Ok(open) = procfs::process::Process::myself().and_then(|process| process.fd_count()) {
        return open;
    }
    64
}
