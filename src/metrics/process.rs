//! Metrics of the process, under the names that dashboards expect, and the version.
//!
//! CPU time, memory, threads and file descriptors are read from `/proc`, on Linux only; elsewhere they are absent.

use super::family::{PLAIN, gauge};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType};
use std::{fmt, time::SystemTime};

#[derive(Debug)]
pub(super) struct Process {
    /// Recorded once: the kernel computes it from the wall clock, whose changes would look like a restart.
    started: SystemTime,
}

impl Process {
    /// The metrics of a process that started just now.
    pub(super) fn new() -> Self {
        Self { started: SystemTime::now() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        encoder
            .encode_descriptor("tacet_build", "Version of the server.", None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        if let Ok(started) = self.started.duration_since(SystemTime::UNIX_EPOCH) {
            let started = started.as_secs_f64();
            gauge(&mut encoder, "process_start_time_seconds", "Start time, in Unix time.", [(PLAIN, started)])?;
        }
        #[cfg(target_os = "linux")]
        linux::encode(&mut encoder)?;
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::super::family::{PLAIN, counter, gauge};
    use procfs::process::{LimitValue, Process};
    use prometheus_client::encoding::DescriptorEncoder;
    use std::fmt;

    /// Writes the metrics that `/proc` provides. Values that cannot be read are left out.
    pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Ok(process) = Process::myself() else { return Ok(()) };
        if let Ok(stat) = process.stat() {
            let ticks = procfs::ticks_per_second().max(1) as f64;
            let cpu = stat.utime.saturating_add(stat.stime) as f64 / ticks;
            counter(encoder, "process_cpu_seconds", "CPU time of the process.", [(PLAIN, cpu)])?;
            let resident = stat.rss.saturating_mul(procfs::page_size());
            gauge(encoder, "process_resident_memory_bytes", "Resident memory.", [(PLAIN, resident)])?;
            gauge(encoder, "process_virtual_memory_bytes", "Virtual memory.", [(PLAIN, stat.vsize)])?;
            gauge(encoder, "process_threads", "Number of threads.", [(PLAIN, stat.num_threads)])?;
        }
        if let Ok(open) = process.fd_count() {
            gauge(encoder, "process_open_fds", "Open file descriptors.", [(PLAIN, open as u64)])?;
        }
        if let Ok(limits) = process.limits() {
            let max = match limits.max_open_files.soft_limit {
                LimitValue::Value(max) => max as f64,
                LimitValue::Unlimited => f64::INFINITY,
            };
            gauge(encoder, "process_max_fds", "Maximum number of open file descriptors.", [(PLAIN, max)])?;
        }
        Ok(())
    }
}
