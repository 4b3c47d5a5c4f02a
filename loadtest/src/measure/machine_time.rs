//! CPU time that the host took from this machine (steal).

use std::fs;

/// CPU time of this machine since it started, all cores together, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MachineTime {
    all: u64,
    stolen: u64,
}

impl MachineTime {
    /// Now; zeros if unknown.
    pub(crate) fn now() -> Self {
        fs::read_to_string("/proc/stat").ok().and_then(|stat| Self::parse(&stat)).unwrap_or_default()
    }

    /// The first line of `/proc/stat`: user nice system idle iowait irq softirq steal (guest is in user).
    fn parse(stat: &str) -> Option<Self> {
        let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        let ticks: Vec<u64> = fields.take(8).map_while(|field| field.parse().ok()).collect();
        Some(Self { all: ticks.iter().sum(), stolen: *ticks.get(7)? })
    }

    /// Share that was stolen from an earlier time until now.
    pub(crate) fn stolen_since(&self, before: &Self) -> f64 {
        let all = self.all.saturating_sub(before.all);
        if all == 0 { 0.0 } else { self.stolen.saturating_sub(before.stolen) as f64 / all as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stolen_share() {
        let before = MachineTime::parse("cpu  100 0 50 800 0 0 0 10 0 0\ncpu0 1 1").unwrap_or_default();
        let after = MachineTime::parse("cpu  150 0 100 870 0 0 0 40 0 0\n").unwrap_or_default();
        assert_eq!(after.stolen_since(&before), 0.15);
        assert_eq!(before.stolen_since(&before), 0.0);
        assert_eq!(MachineTime::parse("intr 5"), None);
        assert_eq!(MachineTime::parse("cpu  1 2"), None);
    }
}
