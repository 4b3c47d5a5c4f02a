//! Reports as CSV, for spreadsheets and scripts: a row a run, all columns in every file and always in the same order.
//!
//! Columns are what was run (`COLUMNS`), then every [figure](mod@crate::report::figures) under its name in the JSON report, then
//! the notes. Figures that were not measured are empty fields. New columns come last.

use crate::{report::Report, report::figures, report::machine::Machine};
use std::io::Write;

/// A column that is not a figure: its name and its value.
type Column = (&'static str, fn(&Row<'_>) -> String);

struct Row<'a> {
    run: usize,
    report: &'a Report,
    machine: &'a Machine,
}

/// Columns that describe the run and the machine.
const COLUMNS: &[Column] = &[
    ("run", |row| row.run.to_string()),
    ("at", |row| row.machine.at.clone()),
    ("version", |row| row.machine.version.clone()),
    ("build", |row| row.machine.build.clone()),
    ("cpu", |row| row.machine.cpu.clone().unwrap_or_default()),
    ("cores", |row| row.machine.cores.to_string()),
    ("kernel", |row| row.machine.kernel.clone().unwrap_or_default()),
    ("scenario", |row| row.report.scenario.clone()),
    ("rooms", |row| row.report.rooms.to_string()),
    ("publishers", |row| row.report.publishers.to_string()),
    ("subscribers", |row| row.report.subscribers.to_string()),
    ("participants", |row| row.report.participants.to_string()),
    ("seconds", |row| row.report.seconds.to_string()),
    ("pps", |row| row.report.pps.to_string()),
    ("size", |row| row.report.size.to_string()),
    ("burst", |row| row.report.burst.to_string()),
    ("light", |row| row.report.light.to_string()),
    ("server_core", |row| row.report.server_core.map(|core| core.to_string()).unwrap_or_default()),
];
/// Limits of the generator, separated by `; `.
const LIMITS: &str = "generator.limits";

/// Writes runs, numbered from 1 in the order given.
///
/// # Errors
/// Errors of the writer.
pub fn write<'a>(
    out: impl Write,
    machine: &Machine,
    runs: impl IntoIterator<Item = &'a Report>,
) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_writer(out);
    let figures = || figures::all().map(|figure| figure.name);
    writer.write_record(COLUMNS.iter().map(|(name, _)| *name).chain(figures()).chain([LIMITS]))?;
    for (n, report) in runs.into_iter().enumerate() {
        let row = Row { run: n + 1, report, machine };
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let figures = figures::all().map(|figure| number((figure.get)(report)));
        let limits = report.generator.limits.join("; ");
        writer.write_record(COLUMNS.iter().map(|(_, get)| get(&row)).chain(figures).chain([limits]))?;
    }
    writer.flush()?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn rows(runs: &[Report]) -> Vec<HashMap<String, String>> {
        let mut text = Vec::new();
        let machine = Machine { cpu: Some("A \"quoted\", CPU".into()), ..Machine::this() };
        write(&mut text, &machine, runs).unwrap();
        csv::Reader::from_reader(text.as_slice()).deserialize().map(Result::unwrap).collect()
    }

    #[test]
    fn row_round_trip() {
        let first = Report { lost: 3, server_cpu: Some(0.25), scenario: "one, two\nthree".into(), ..Report::default() };
        let mut second = Report::default();
        second.generator.limits = vec!["late".into(), "busy".into()];
        let rows = rows(&[first, second]);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0]["run"].as_str(), rows[1]["run"].as_str()), ("1", "2"));
        assert_eq!((rows[0]["lost"].as_str(), rows[0]["server_cpu"].as_str()), ("3", "0.25"));
        assert_eq!(rows[0]["scenario"], "one, two\nthree");
        assert_eq!(rows[0]["cpu"], "A \"quoted\", CPU");
        assert_eq!(rows[1]["server_cpu"], "", "not measured is not zero");
        assert_eq!(rows[1]["generator.limits"], "late; busy");
    }

    #[test]
    fn header_is_constant() {
        let header = |runs: &[Report]| {
            let mut text = Vec::new();
            write(&mut text, &Machine::default(), runs).unwrap();
            String::from_utf8(text).unwrap().lines().next().unwrap_or_default().to_owned()
        };
        assert_eq!(header(&[]), header(&[Report { server_cpu: Some(1.0), ..Report::default() }]));
        assert!(header(&[]).starts_with("run,at,version,"));
    }

    #[test]
    fn full_disk_is_an_error() {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        assert!(write(full, &Machine::default(), &[Report::default()]).is_err());
    }
}
