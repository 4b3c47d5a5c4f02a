//! Open files: every bot has two sockets, and the usual limit of a process is 1,024.

use std::io;

/// Raises the limit of open files of this process, and of those that it starts.
///
/// # Errors
/// When the system allows fewer; the message says how many.
pub(crate) fn allow(wanted: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is alive, and the kernel writes it.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur >= wanted {
        return Ok(());
    }
    let most = limit.rlim_max;
    limit.rlim_cur = wanted;
    // SAFETY: the structure is alive, and the kernel reads it.
    if most >= wanted && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "the bots need {wanted} open files, and this process may have {most}: raise its limit (ulimit -Hn)"
    )))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn refusal_names_the_limit() {
        allow(10).unwrap();
        let error = allow(u64::MAX - 1).unwrap_err().to_string();
        assert!(error.contains("ulimit"), "{error}");
    }
}
