//! The server under test as a process: started, measured, stopped.

use crate::measure::{affinity, server_metrics::MetricsUrl, thread_time::ThreadTime};
use serde::Deserialize;
use std::{
    collections::HashSet,
    fs, io,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tacet_native::link::RoomLink;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// How long a server may take to announce that it listens.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to stop when asked, before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// It has ended instead of listening.
    #[error("the server ended at its start ({status}); run `tacet serve` to see why")]
    Ended {
        /// How.
        status: ExitStatus,
    },
    /// It printed nothing.
    #[error("the server did not say in {} s that it listens", START_TIMEOUT.as_secs())]
    Silent,
    /// Its first line is not what `serve --json` prints.
    #[error("the server's first line is not what `serve --json` prints: {0}")]
    Line(String),
}

/// The line that `tacet serve --json` prints.
#[derive(Debug, Deserialize)]
struct Ready {
    link: String,
    metrics: Option<String>,
}

/// A server that was started for the run.
#[derive(Debug)]
pub(crate) struct ChildServer {
    child: Child,
    pub(crate) link: RoomLink,
    pub(crate) metrics: Option<MetricsUrl>,
}

/// `program serve --json` on free ports of loopback, with one media worker and rooms of at most `participants`; its line is
/// on the standard output. All bots share an address, which is exempt from the limits per address; the server's log says so.
///
/// `adapts`: video is kept to what downlinks carry. Video in one layer would only be held back, and forwarding is what is measured.
#[must_use]
pub fn serve_command(program: &Path, participants: usize, adapts: bool) -> Command {
    let mut command = Command::new(program);
    // The user's own server settings must not affect the measurement.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TACET_")) {
        command.env_remove(name);
    }
    command
        .args(["serve", "--json", "--data", "none", "--bind", "127.0.0.1", "--port", "0", "--media-port", "0"])
        .args(["--metrics", "127.0.0.1:0", "--no-page", "--exempt", "127.0.0.0/8"])
        .args(["--workers", "1", "--log", "warn", "--participants", &participants.to_string()])
        .arg(format!("--adapt-video={adapts}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

impl ChildServer {
    /// Starts [`serve_command`], on one core if one is named, and waits until it listens.
    pub(crate) async fn start(
        program: &Path,
        participants: usize,
        adapts: bool,
        core: Option<usize>,
    ) -> Result<Self, ServerError> {
        let mut command = serve_command(program, participants, adapts);
        let prepare = move || {
            end_with_parent()?;
            core.map_or(Ok(()), |core| affinity::set(0, &[core]))
        };
        // SAFETY: between fork and exec this makes two system calls, and allocates nothing.
        unsafe { command.pre_exec(prepare) };
        // Ctrl-C in a terminal is for this program, which stops the server once its bots have left.
        let mut child = command
            .process_group(0)
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ServerError::Start { program: program.display().to_string(), source })?;
        let mut lines = BufReader::new(child.stdout.take().ok_or(ServerError::Silent)?).lines();
        let line = match timeout(START_TIMEOUT, lines.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(_) => {
                let status = child.wait().await.map_err(|_| ServerError::Silent)?;
                return Err(ServerError::Ended { status });
            }
            Err(_) => return Err(ServerError::Silent),
        };
        // Keeps the pipe open, so that the server never writes to a closed one.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let ready: Ready = serde_json::from_str(&line).map_err(|error| ServerError::Line(error.to_string()))?;
        let link = ready.link.parse().map_err(|error| ServerError::Line(format!("{error}")))?;
        let metrics = ready.metrics.and_then(|url| url.parse().ok());
        Ok(Self { child, link, metrics })
    }

    /// How the process has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Resources used by the process since it started.
    pub(crate) fn usage(&self) -> Usage {
        self.child.id().map(Usage::of).unwrap_or_default()
    }

    /// Datagrams that the kernel has dropped so far because the process did not read them.
    pub(crate) fn socket_drops(&self) -> Option<u64> {
        socket_drops(self.child.id()?)
    }

    /// Requests it to stop, and kills it if it does not.
    pub(crate) async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // SAFETY: no pointers; the child is ours and not waited for yet, so the number is still its own.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
        if timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// Makes the calling process end when the thread that started it does. Its process group is not the terminal's, which ends
/// programs with their children.
fn end_with_parent() -> io::Result<()> {
    // SAFETY: no pointers.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Resources used by a process, from `/proc`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all threads, in nanoseconds.
    pub cpu_ns: u64,
    /// Time that threads were runnable without a core, in nanoseconds.
    pub waited_ns: u64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
}

impl Usage {
    /// Reads the usage; zeros if the process does not exist.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let folder = format!("/proc/{pid}");
        // The times of threads count nanoseconds, stat ticks of 10 ms.
        let threads = all_threads(&folder).or_else(|| {
            let stat = fs::read_to_string(format!("{folder}/stat")).ok()?;
            Some(ThreadTime { ran: Duration::from_millis(ticks(&stat)?.saturating_mul(10)), waited: Duration::ZERO })
        });
        let ThreadTime { ran, waited } = threads.unwrap_or_default();
        let rss_bytes = fs::read_to_string(format!("{folder}/status")).ok().and_then(|status| resident(&status));
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self { cpu_ns: nanos(ran), waited_ns: nanos(waited), rss_bytes: rss_bytes.unwrap_or_default() }
    }
}

/// Time run and time waited for a core, summed over all threads that live.
fn all_threads(folder: &str) -> Option<ThreadTime> {
    let threads = fs::read_dir(format!("{folder}/task")).ok()?.flatten();
    let times = threads.filter_map(|thread| ThreadTime::of(&thread.path()));
    times.reduce(|sum, time| ThreadTime { ran: sum.ran + time.ran, waited: sum.waited + time.waited })
}

/// Datagrams dropped at the UDP sockets of a process, as the kernel lists them.
fn socket_drops(pid: u32) -> Option<u64> {
    let folder = format!("/proc/{pid}");
    let own: HashSet<u64> = fs::read_dir(format!("{folder}/fd"))
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect();
    let tables = ["udp", "udp6"].map(|table| fs::read_to_string(format!("{folder}/net/{table}")).unwrap_or_default());
    if tables.iter().all(String::is_empty) {
        return None;
    }
    Some(tables.iter().map(|table| drops_of(table, &own)).sum())
}

/// Sum of the column `drops` of those lines of `/proc/net/udp` whose socket is one of these.
fn drops_of(table: &str, inodes: &HashSet<u64>) -> u64 {
    // sl local rem st queues tr:tm retrnsmt uid timeout inode ref pointer drops
    let drops = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let inode = fields.get(9)?.parse().ok()?;
        inodes.contains(&inode).then(|| fields.get(12)?.parse::<u64>().ok()).flatten()
    };
    table.lines().skip(1).filter_map(drops).sum()
}

/// utime + stime of a `stat` line (proc(5)), in ticks. The name in parentheses may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// VmRSS of a `status` file, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_parentheses_in_name() {
        let stat = "42 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("42 (cut) S 1 2"), None);
        assert_eq!(resident("Name:\tx\nVmRSS:\t   2048 kB\n"), Some(2_097_152));
    }

    #[test]
    fn drops_of_own_sockets() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1: 0100007F:2261 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 111 2 0000000000000000 7
 2: 0100007F:2262 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 222 2 0000000000000000 5
 3: cut\n";
        assert_eq!(drops_of(table, &HashSet::from([111, 333])), 7);
        assert_eq!(drops_of(table, &HashSet::from([111, 222])), 12);
        assert_eq!(drops_of("", &HashSet::new()), 0);
    }

    #[test]
    fn full_socket_drops() {
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let full = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let before = socket_drops(std::process::id()).unwrap();
        for _ in 0..5_000 {
            sender.send_to(&[0; 1_000], full.local_addr().unwrap()).unwrap();
        }
        assert!(socket_drops(std::process::id()).unwrap() > before);
    }

    #[test]
    fn usage_of_this_process() {
        let usage = Usage::of(std::process::id());
        assert!(usage.rss_bytes > 100_000);
    }

    #[tokio::test]
    async fn start_failure_is_named() {
        let none = ChildServer::start(Path::new("/no/such/program"), 4, false, None).await;
        assert!(matches!(none, Err(ServerError::Start { .. })));
        let ends = ChildServer::start(Path::new("/bin/false"), 4, false, None).await;
        assert!(matches!(ends, Err(ServerError::Ended { .. })));
    }
}
