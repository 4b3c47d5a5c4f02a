//! Statistics of simulated calls.

use alloc::{format, string::String};
use core::fmt;
use std::time::Duration;

/// Classes of device counts: 2–9, 10–19, and so on up to 50.
const CLASSES: usize = 5;

/// Counts over one call or many.
#[derive(Clone, Debug, Default)]
pub(super) struct Statistics {
    pub(super) calls: u64,
    pub(super) devices: u64,
    classes: [u64; CLASSES],
    pub(super) joins: u64,
    pub(super) leaves: u64,
    pub(super) hidden_leaves: u64,
    pub(super) feigned_leaves: u64,
    pub(super) ghosts: u64,
    pub(super) reloads: u64,
    pub(super) second_tabs: u64,
    pub(super) mutes: u64,
    pub(super) cameras: u64,
    pub(super) partitions: u64,
    pub(super) outages: u64,
    pub(super) restarts: u64,
    pub(super) expired: u64,
    pub(super) generations: u64,
    pub(super) ratchets: u64,
    pub(super) keys: u64,
    pub(super) requests: u64,
    pub(super) lost: u64,
    pub(super) withheld: u64,
    /// Problems that devices reported: a key is missing, rosters differ.
    pub(super) missing_reported: u64,
    pub(super) differing_reported: u64,
    pub(super) doubled: u64,
    pub(super) delayed: u64,
    pub(super) replayed: u64,
    pub(super) sealed: u64,
    pub(super) opened: u64,
    pub(super) refused: u64,
    pub(super) missing: u64,
    pub(super) forged: u64,
    pub(super) simulated_ms: u64,
    /// Longest time on a good network until every participant could open the others' frames.
    pub(super) slowest_ms: u64,
}

impl Statistics {
    pub(super) fn call_of(&mut self, devices: usize) {
        self.calls += 1;
        self.devices += devices as u64;
        self.classes[(devices / 10).min(CLASSES - 1)] += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.slowest_ms = self.slowest_ms.max(other.slowest_ms);
        self.classes.iter_mut().zip(other.classes).for_each(|(sum, count)| *sum += count);
        for (sum, count) in [
            (&mut self.calls, other.calls),
            (&mut self.devices, other.devices),
            (&mut self.joins, other.joins),
            (&mut self.leaves, other.leaves),
            (&mut self.hidden_leaves, other.hidden_leaves),
            (&mut self.feigned_leaves, other.feigned_leaves),
            (&mut self.ghosts, other.ghosts),
            (&mut self.reloads, other.reloads),
            (&mut self.second_tabs, other.second_tabs),
            (&mut self.mutes, other.mutes),
            (&mut self.cameras, other.cameras),
            (&mut self.partitions, other.partitions),
            (&mut self.outages, other.outages),
            (&mut self.restarts, other.restarts),
            (&mut self.expired, other.expired),
            (&mut self.generations, other.generations),
            (&mut self.ratchets, other.ratchets),
            (&mut self.keys, other.keys),
            (&mut self.requests, other.requests),
            (&mut self.lost, other.lost),
            (&mut self.withheld, other.withheld),
            (&mut self.missing_reported, other.missing_reported),
            (&mut self.differing_reported, other.differing_reported),
            (&mut self.doubled, other.doubled),
            (&mut self.delayed, other.delayed),
            (&mut self.replayed, other.replayed),
            (&mut self.sealed, other.sealed),
            (&mut self.opened, other.opened),
            (&mut self.refused, other.refused),
            (&mut self.missing, other.missing),
            (&mut self.forged, other.forged),
            (&mut self.simulated_ms, other.simulated_ms),
        ] {
            *sum += count;
        }
    }

    /// The statistics as text.
    pub(super) fn report(&self, title: &str, seeds: &str, took: Duration, threads: usize) -> String {
        let counts = self
            .classes
            .iter()
            .zip(["2-9", "10-19", "20-29", "30-39", "40-50"])
            .map(|(count, class)| format!("{class}: {count}"))
            .collect::<alloc::vec::Vec<_>>()
            .join("  ");
        let hours = self.simulated_ms as f64 / 3_600_000.0;
        let milliseconds = took.as_secs_f64() * 1_000.0 * threads as f64 / self.calls.max(1) as f64;
        format!(
            "{title}: {} calls, {seeds}, in {:.1} s on {threads} threads ({milliseconds:.2} ms a call), {hours:.0} h simulated\n\
             {self}\n  devices       {counts}\n",
            self.calls,
            took.as_secs_f64()
        )
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  people        {} joins ({} second tabs), {} leaves, {} reloads, {} hidden leaves, {} feigned leaves, \
             {} shown after leaving, {} removed because their announce ran out",
            self.joins,
            self.second_tabs,
            self.leaves,
            self.reloads,
            self.hidden_leaves,
            self.feigned_leaves,
            self.ghosts,
            self.expired
        )?;
        writeln!(f, "  media         {} mutes and unmutes, {} cameras off and on", self.mutes, self.cameras)?;
        writeln!(
            f,
            "  keys          {} sealed, {} generations, {} ratchet steps, {} requests",
            self.keys, self.generations, self.ratchets, self.requests
        )?;
        writeln!(
            f,
            "  network       {} lost, {} doubled, {} delayed, {} replayed, {} keys withheld, {} partitions, {} outages, {} restarts",
            self.lost,
            self.doubled,
            self.delayed,
            self.replayed,
            self.withheld,
            self.partitions,
            self.outages,
            self.restarts
        )?;
        writeln!(
            f,
            "  reported      {} times that a key is missing, {} times that rosters differ",
            self.missing_reported, self.differing_reported
        )?;
        write!(
            f,
            "  frames        {} sealed, {} opened, {} refused, {} without key, {} forged; slowest {} ms after the weather cleared up",
            self.sealed, self.opened, self.refused, self.missing, self.forged, self.slowest_ms
        )
    }
}
