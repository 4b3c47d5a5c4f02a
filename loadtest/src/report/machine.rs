//! The machine and the build that numbers come from: without them, numbers cannot be compared.

use serde::{Deserialize, Serialize};
use std::{
    fmt::{self, Display, Formatter},
    fs, thread,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Machine and build of a measurement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// When the report was made, RFC 3339, UTC.
    pub at: String,
    /// Model of the CPU; `null` when unknown.
    pub cpu: Option<String>,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory of the machine; `null` when unknown.
    pub memory_bytes: Option<u64>,
    /// Kernel and its version; `null` when unknown.
    pub kernel: Option<String>,
    /// Version of this program.
    pub version: String,
    /// `release`, or `debug`, whose numbers mean nothing.
    pub build: String,
}

impl Machine {
    /// This machine, now.
    #[must_use]
    pub fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        let kernel = |part: &str| Some(read(&format!("/proc/sys/kernel/{part}"))?.trim().to_owned());
        // Whole seconds are precise enough to identify a report.
        let now = OffsetDateTime::now_utc();
        let now = now.replace_nanosecond(0).unwrap_or(now);
        Self {
            at: now.format(&Rfc3339).unwrap_or_default(),
            cpu: read("/proc/cpuinfo").and_then(|text| cpu_model(&text)),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: read("/proc/meminfo").and_then(|text| memory_bytes(&text)),
            kernel: kernel("ostype").zip(kernel("osrelease")).map(|(name, version)| format!("{name} {version}")),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        }
    }

    /// Why numbers of this machine and build mean little; empty when they do not.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.build == "debug" {
            warnings.push("this is a debug build: its CPU and latency say nothing about a release build".to_owned());
        }
        warnings
    }
}

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let unknown = "unknown";
        let cpu = self.cpu.as_deref().unwrap_or(unknown);
        let kernel = self.kernel.as_deref().unwrap_or(unknown);
        write!(f, "{cpu}, {} cores · {kernel} · tacet {} ({})", self.cores, self.version, self.build)
    }
}

/// `model name` of the first CPU in `/proc/cpuinfo`.
fn cpu_model(cpuinfo: &str) -> Option<String> {
    let (_, name) = cpuinfo.lines().find(|line| line.starts_with("model name"))?.split_once(':')?;
    Some(name.trim().to_owned())
}

/// `MemTotal` of `/proc/meminfo`.
fn memory_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_parsed() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\n"), Some("A CPU @ 2 GHz".into()));
        assert_eq!(cpu_model("processor\t: 0\n"), None);
        assert_eq!(memory_bytes("MemTotal:       2048 kB\nMemFree: 1 kB\n"), Some(2_097_152));
        assert_eq!(memory_bytes("MemTotal: much\n"), None);
    }

    #[test]
    fn this_machine() {
        let machine = Machine::this();
        assert!(machine.cores > 0 && machine.at.ends_with('Z') && machine.at.starts_with("20"), "{machine:?}");
        assert_eq!(machine.warnings().len(), usize::from(cfg!(debug_assertions)));
    }
}
