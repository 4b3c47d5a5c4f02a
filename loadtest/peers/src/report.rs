//! The result of a comparison: every run in JSON, medians and spread in a table.

use crate::{load::Load, machine::Machine, measure::Run, peer::PeerName};
use loadtest::{fanout::Camera, repeats::Spread};
use serde::{Deserialize, Serialize};
use std::fmt;

/// p99 lag of the publisher's bursts above which its core was probably shared.
const MAX_LAG_US: u64 = 2_000;

/// All runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// Machine of the runs.
    pub machine: Machine,
    /// Results by load, subscribers and peer.
    pub rows: Vec<Row>,
}

/// The runs of one peer under one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The peer.
    pub peer: PeerName,
    /// The load.
    pub load: Load,
    /// Number of subscribers.
    pub subscribers: usize,
    /// Runs with a result.
    pub runs: Vec<Run>,
    /// Why there are no runs, or why one failed.
    pub missing: Option<String>,
}

impl Row {
    pub(crate) fn new(peer: PeerName, load: Load, subscribers: usize) -> Self {
        Self { peer, load, subscribers, runs: Vec::new(), missing: None }
    }

    /// Whether the generator, or something else on the machine, may have determined the figures of a run.
    fn is_doubtful(&self) -> bool {
        self.runs.iter().any(|run| {
            let seen = &run.seen;
            seen.generator_busy > 0.9 || seen.receive_drops > 0 || seen.unsent > 0 || seen.lag_p99_us > MAX_LAG_US
        })
    }

    /// The spread of a figure over the runs; `None` without a run.
    fn spread(&self, figure: impl Fn(&Run) -> f64) -> Option<Spread> {
        Spread::of(&self.runs.iter().map(figure).collect::<Vec<_>>())
    }
}

impl PeerName {
    /// Name in the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Floor => "kernel + cipher, sendmmsg",
            Self::FloorGso4 => "kernel + cipher, GSO 4",
            Self::FloorGso8 => "kernel + cipher, GSO 8",
            Self::FloorGso16 => "kernel + cipher, GSO 16",
            Self::Tacet => "**tacet**",
            Self::Str0m => "plain SFU on str0m",
            Self::Janus => "Janus",
            Self::JanusLoops => "Janus, 2 event loops",
            Self::Livekit => "LiveKit",
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        let mut head = None;
        for row in &self.rows {
            if head != Some((row.load, row.subscribers)) {
                head = Some((row.load, row.subscribers));
                let from = match row.load {
                    Load::Voices => "Microphones",
                    Load::Layers => "A camera",
                    Load::Singles | Load::Bursts => "One publisher",
                };
                writeln!(f, "\n### {from} to {}: {}\n", row.subscribers, row.load.title())?;
                writeln!(
                    f,
                    "| server | CPU s per million (lowest–highest) | p50 µs | p99 µs | lost | kB per subscriber | busy | runs |"
                )?;
                writeln!(f, "|---|---|---|---|---|---|---|---|")?;
            }
            writeln!(f, "{row}")?;
        }
        self.layers(f)?;
        self.ratios(f)?;
        if self.rows.iter().any(Row::is_doubtful) {
            writeln!(
                f,
                "\n† In a run of this row the load itself was late or short of time, or its sockets dropped packets."
            )?;
        }
        Ok(())
    }
}

impl Comparison {
    /// The CPU that this project's server needs, as a multiple of the cheapest floor's in the same comparison.
    fn ratios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = |row: &Row| row.spread(|run| run.cpu_s_per_million).map(|spread| spread.median);
        for row in self.rows.iter().filter(|row| row.peer == PeerName::Tacet) {
            let is_floor =
                |other: &&Row| other.peer.is_floor() && (other.load, other.subscribers) == (row.load, row.subscribers);
            let floor = self.rows.iter().filter(is_floor).filter_map(cpu).min_by(f64::total_cmp);
            if let Some((own, floor)) = cpu(row).zip(floor) {
                let (load, subscribers) = (row.load.title(), row.subscribers);
                writeln!(
                    f,
                    "\n{load} to {subscribers}: tacet needs {:.2} times the CPU of the best floor.",
                    own / floor
                )?;
            }
        }
        Ok(())
    }

    /// The table of what arrived of a camera's encodings.
    fn layers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.rows.iter().filter(|row| row.load == Load::Layers && !row.runs.is_empty()).collect();
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n### Encodings that arrived, in kbit/s for each receiver\n")?;
        writeln!(
            f,
            "| server | receivers | 180 lines | 360 lines | 720 lines | switches |\n|---|---|---|---|---|---|"
        )?;
        for row in rows {
            let of_encoding = |height: u16| row.spread(|run| run.kbps_of(height, row.subscribers));
            let kbps = Camera::HEIGHTS.map(|height| of_encoding(height).map_or(0.0, |spread| spread.median));
            let switches = row.spread(|run| run.seen.layers.as_ref().map_or(0.0, |layers| layers.switches as f64));
            write!(f, "| {} | {} ", row.peer.title(), row.subscribers)?;
            kbps.iter().try_for_each(|kbps| write!(f, "| {kbps:.0} "))?;
            writeln!(f, "| {:.0} |", switches.map_or(0.0, |spread| spread.median))?;
        }
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Spread { median: cpu, min: lowest, max: highest, .. }) = self.spread(|run| run.cpu_s_per_million)
        else {
            let reason = self.missing.as_deref().unwrap_or("not run").replace(['|', '\n'], " ");
            return write!(f, "| {} | missing: {reason} | | | | | | 0 |", self.peer.title());
        };
        let median = |figure: fn(&Run) -> f64| self.spread(figure).map_or(0.0, |spread| spread.median);
        let mark = if self.is_doubtful() { " †" } else { "" };
        let failed = if self.missing.is_some() { ", others failed" } else { "" };
        write!(
            f,
            "| {}{mark} | {cpu:.2} ({lowest:.2}–{highest:.2}) | {:.0} | {:.0} | {} | {:.0} | {:.0} % | {}{failed} |",
            self.peer.title(),
            median(|run| run.seen.p50_us as f64),
            median(|run| run.seen.p99_us as f64),
            loss(median(|run| run.seen.loss())),
            median(|run| run.rss_bytes_per_subscriber as f64 / 1e3),
            median(|run| run.server_busy * 100.0),
            self.runs.len(),
        )
    }
}

fn loss(part: f64) -> String {
    if part == 0.0 { "0".to_owned() } else { format!("{:.3} %", part * 100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::tests::seen;
    use loadtest::{LayerReport, LayersReport};

    fn run(cpu_s_per_million: f64, delivered: u64) -> Run {
        Run {
            cpu_s_per_million,
            server_busy: 0.5,
            server_waited: 0.0,
            rss_bytes_per_subscriber: 64_000,
            seconds: 1.0,
            seen: seen(1_000, delivered),
        }
    }

    fn row(runs: Vec<Run>, missing: Option<&str>) -> Row {
        Row { runs, missing: missing.map(str::to_owned), ..Row::new(PeerName::Janus, Load::Singles, 25) }
    }

    #[test]
    fn row_has_median_and_spread() {
        let row = row(vec![run(9.0, 1_000), run(7.0, 999), run(8.0, 900)], None);
        assert_eq!(row.to_string(), "| Janus | 8.00 (7.00–9.00) | 100 | 200 | 0.100 % | 64 | 50 % | 3 |");
    }

    #[test]
    fn median_of_even_count() {
        let row = row(vec![run(4.0, 1_000), run(1.0, 1_000), run(2.0, 1_000), run(3.0, 1_000)], None);
        let spread = row.spread(|run| run.cpu_s_per_million).map(|spread| [spread.min, spread.median, spread.max]);
        assert_eq!(spread, Some([1.0, 2.5, 4.0]));
    }

    #[test]
    fn missing_peer_has_reason() {
        let text = row(Vec::new(), Some("janus does not start: no such\nfile | folder")).to_string();
        assert_eq!(text, "| Janus | missing: janus does not start: no such file   folder | | | | | | 0 |");
        let partly = row(vec![run(1.0, 1_000)], Some("it crashed")).to_string();
        assert!(partly.ends_with("| 1, others failed |"), "{partly}");
    }

    fn comparison(row: Row) -> String {
        let machine = Machine { cpu: "a".to_owned(), cores: 2, kernel: "6".to_owned(), versions: Vec::new(), at: 0 };
        Comparison { machine, rows: vec![row] }.to_string()
    }

    #[test]
    fn encodings_have_a_table() {
        let mut run = run(1.0, 1_000);
        run.seconds = 2.0;
        let layer = LayerReport { height: 360, delivered_bytes: 125_000, ..LayerReport::default() };
        run.seen.layers = Some(LayersReport { switches: 4, layers: vec![layer, layer], ..LayersReport::default() });
        let text = comparison(Row { load: Load::Layers, subscribers: 4, ..row(vec![run], None) });
        assert!(text.contains("| Janus | 4 | 0 | 250 | 0 | 4 |"), "{text}");
    }

    #[test]
    fn ratio_to_the_best_floor_of_the_same_load() {
        let of = |peer, subscribers, cpu| Row { peer, subscribers, ..row(vec![run(cpu, 1_000)], None) };
        let (own, floor, gso) = (PeerName::Tacet, PeerName::Floor, PeerName::FloorGso4);
        let machine = Machine { cpu: "a".to_owned(), cores: 2, kernel: "6".to_owned(), versions: Vec::new(), at: 0 };
        let rows = vec![of(floor, 25, 4.0), of(gso, 25, 2.0), of(floor, 100, 1.0), of(own, 25, 3.0), of(own, 50, 3.0)];
        let text = Comparison { machine, rows }.to_string();
        let ratios: Vec<_> = text.lines().filter(|line| line.contains("times the CPU")).collect();
        let title = Load::Singles.title();
        assert_eq!(ratios, [format!("{title} to 25: tacet needs 1.50 times the CPU of the best floor.")]);
    }

    #[test]
    fn late_generator_is_marked() {
        let mut late = run(1.0, 1_000);
        late.seen.lag_p99_us = MAX_LAG_US + 1;
        let text = comparison(row(vec![late], None));
        assert!(text.contains("| Janus † |") && text.contains("\n† "), "{text}");
    }
}
