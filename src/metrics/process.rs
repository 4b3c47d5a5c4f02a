//! The process itself, under the names that dashboards expect, and what was built.

use super::family::{PLAIN, gauge};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType};
use std::{fmt, time::SystemTime};

#[derive(Debug)]
pub(super) struct Process {
    /// Taken once: what the kernel says of it moves with the wall clock, and would look like a restart.
    started: SystemTime,
}

impl Process {
    /// A process that has just started.
    pub(super) fn new() -> Self {
        Self { started: SystemTime::now() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        encoder
            .encode_descriptor("tacet_build", "What is running.", None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        if let Ok(started) = self.started.duration_since(SystemTime::UNIX_EPOCH) {
            let started = started.as_secs_f64();
            gauge(encoder, "process_start_time_seconds", "When it started, in Unix time.", [(PLAIN, started)])?;
        }
        of_system(encoder)
    }
}

/// CPU time, memory, threads and files, as far as `/proc` provides them.
#[cfg(target_os = "linux")]
fn of_system(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    use super::family::counter;
    use procfs::process::{LimitValue, Process};

    let Ok(process) = Process::myself() else { return Ok(()) };
    if let Ok(stat) = process.stat() {
        let ticks = procfs::ticks_per_second().max(1) as f64;
        let cpu = stat.utime.saturating_add(stat.stime) as f64 / ticks;
        counter(encoder, "process_cpu_seconds", "CPU time of the process.", [(PLAIN, cpu)])?;
        let resident = stat.rss.saturating_mul(procfs::page_size());
        gauge(encoder, "process_resident_memory_bytes", "Memory in use.", [(PLAIN, resident)])?;
        gauge(encoder, "process_virtual_memory_bytes", "Memory mapped.", [(PLAIN, stat.vsize)])?;
        gauge(encoder, "process_threads", "Threads.", [(PLAIN, stat.num_threads)])?;
    }
    if let Ok(open) = process.fd_count() {
        gauge(encoder, "process_open_fds", "Open files and sockets.", [(PLAIN, open as u64)])?;
    }
    if let Ok(limits) = process.limits() {
        let most = match limits.max_open_files.soft_limit {
            LimitValue::Value(most) => most as f64,
            LimitValue::Unlimited => f64::INFINITY,
        };
        gauge(encoder, "process_max_fds", "Most open files and sockets.", [(PLAIN, most)])?;
    }
    Ok(())
}

/// There is no `/proc`.
#[cfg(not(target_os = "linux"))]
fn of_system(_: &mut DescriptorEncoder<'_>) -> fmt::Result {
    Ok(())
}
