//! The machine and the programs of a comparison.

use crate::peer::Setup;
use serde::{Deserialize, Serialize};
use std::{fmt, fs, path::Path, process::Command, thread, time::SystemTime};

/// The machine and the programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Model, as the kernel names it.
    pub cpu: String,
    /// Number of cores that this program may use.
    pub cores: usize,
    /// Release of the kernel.
    pub kernel: String,
    /// Versions of the peers, without absent ones.
    pub versions: Vec<String>,
    /// Seconds since 1970.
    pub at: u64,
}

impl Machine {
    /// This machine. Must be called before this process is pinned.
    #[must_use]
    pub fn look(setup: &Setup) -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let programs = [&setup.tacet, &setup.janus, &setup.livekit];
        Self {
            cpu: model.map_or("unknown", |(_, model)| model.trim()).to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel.trim().to_owned(),
            versions: programs.into_iter().filter_map(|program| version(program)).collect(),
            at: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
        }
    }
}

/// First line of `--version` that has a digit.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()))?;
    Some(line.trim().to_owned())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} cores, Linux {}", self.cpu, self.cores, self.kernel)?;
        self.versions.iter().try_for_each(|version| write!(f, "; {version}"))
    }
}
