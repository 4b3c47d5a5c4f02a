//! Where results are written: standard output, CSV and HTML files.

use anyhow::{Context, anyhow};
use clap::Args;
use loadtest::{
    csv, html,
    json::{Measured, Repeated, Swept},
    limit::LimitReport,
    machine::Machine,
    plan::Plan,
    repeats::Repeats,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, ErrorKind, Write, stdout},
    path::{Path, PathBuf},
};

/// Where results are written.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputFlags {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Write a CSV file with one row per run; replaces an existing file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write an HTML report with charts; replaces an existing file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Do not show progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// The results.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The loads, each with all of its runs.
    pub(crate) loads: Vec<Repeats>,
    /// The search for the limit.
    pub(crate) limit: Option<LimitReport>,
    /// The plan.
    pub(crate) plan: Option<Plan>,
}

impl OutputFlags {
    /// Checks that the files can be written before time is spent on measuring.
    ///
    /// # Errors
    /// If one cannot.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for path in [&self.csv, &self.html].into_iter().flatten() {
            let is_new = fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .with_context(|| format!("cannot write {}", path.display()))?;
            if is_new {
                // Do not leave an empty file behind.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    /// Prints the result, then writes the files, so that a full disk does not lose the result.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn write(&self, findings: &Findings) -> anyhow::Result<()> {
        let machine = Machine::this();
        let text = if self.json { findings.json(&machine)? + "\n" } else { findings.table() };
        // A reader that closes the pipe early is not an error.
        let printed = stdout().write_all(text.as_bytes());
        let csv = self.csv.as_deref().map(|path| {
            let runs = findings.loads.iter().flat_map(|load| load.runs());
            save(path, |file| csv::write(file, &machine, runs).map_err(Into::into))
        });
        let html = self.html.as_deref().map(|path| {
            let page = html::page(&html::Document {
                machine: &machine,
                command: Some(&shown_command(std::env::args())),
                loads: &findings.loads,
                limit: findings.limit.as_ref(),
                plan: findings.plan.as_ref(),
            });
            save(path, |file| file.write_all(page.as_bytes()).map_err(Into::into))
        });
        let failed: Vec<String> =
            [csv, html].into_iter().flatten().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
        if !failed.is_empty() {
            return Err(anyhow!("{}", failed.join("; ")));
        }
        match printed {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot print the result"),
            _ => Ok(()),
        }
    }
}

fn save(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let save = || {
        let mut file = BufWriter::new(File::create(path)?);
        write(&mut file)?;
        Ok::<_, anyhow::Error>(file.flush()?)
    };
    save().with_context(|| format!("cannot write {}", path.display()))
}

impl Findings {
    fn json(&self, machine: &Machine) -> anyhow::Result<String> {
        let machine = machine.clone();
        let text = match (&self.limit, &self.plan, self.loads.as_slice()) {
            (Some(result), ..) => serde_json::to_string(&Measured { machine, result }),
            (None, Some(result), _) => serde_json::to_string(&Measured { machine, result }),
            (None, None, [load]) => match load.runs() {
                [result] => serde_json::to_string(&Measured { machine, result }),
                _ => serde_json::to_string(&Measured { machine, result: Repeated::from(load) }),
            },
            (None, None, loads) => {
                let result = Swept { loads: loads.iter().map(Repeated::from).collect() };
                serde_json::to_string(&Measured { machine, result })
            }
        };
        Ok(text?)
    }

    fn table(&self) -> String {
        match (&self.limit, &self.plan, self.loads.as_slice()) {
            (Some(limit), ..) => limit.to_string(),
            (None, Some(plan), _) => plan.to_string(),
            (None, None, loads) => {
                let tables: Vec<_> = loads.iter().map(|load| one_load(load, loads.len() > 1)).collect();
                tables.join("\n")
            }
        }
    }
}

fn one_load(load: &Repeats, named: bool) -> String {
    match load.runs() {
        [only] => only.to_string(),
        [first, ..] if named => format!("{} publishers, {} subscribers\n{load}", first.publishers, first.subscribers),
        _ => load.to_string(),
    }
}

/// The command line for a report, without the secrets of links and keys.
fn shown_command(arguments: impl Iterator<Item = String>) -> String {
    let mut shown = vec!["tacet".to_owned()];
    let mut secret_follows = false;
    for argument in arguments.skip(1) {
        let (flag, value) = argument.split_once('=').map_or((argument.as_str(), None), |(f, v)| (f, Some(v)));
        let is_secret = flag == "--server" || flag.contains("key") || flag.contains("link");
        shown.push(match value {
            Some(_) if is_secret => format!("{flag}=…"),
            _ if secret_follows || argument.contains('#') => "…".to_owned(),
            _ if argument.contains(char::is_whitespace) => format!("'{argument}'"),
            _ => argument.clone(),
        });
        secret_follows = is_secret && value.is_none();
    }
    shown.join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        shown_command(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn shown_command_has_no_secrets() {
        assert_eq!(shown("/usr/bin/tacet load --runs 3"), "tacet load --runs 3");
        for line in [
            "tacet load --server http://x/r/a#SECRET --light",
            "tacet load --server=http://x/r/a#SECRET --light",
            "tacet load --server http://x/r/a%23SECRET --light",
            "tacet load --api-key SECRET --light",
            "tacet load --api-key=SECRET --light",
            "tacet load http://x/r/a#SECRET --light",
        ] {
            let shown = shown(line);
            assert!(!shown.contains("SECRET") && shown.ends_with("--light"), "{shown}");
        }
    }

    fn flags(csv: &str, html: &str) -> OutputFlags {
        OutputFlags { json: true, csv: Some(csv.into()), html: Some(html.into()), quiet: true }
    }

    #[test]
    fn unwritable_file_is_reported_before_the_run() {
        let error = format!("{:#}", flags("/no/such/folder/x.csv", "/tmp/x.html").check().unwrap_err());
        assert!(error.starts_with("cannot write /no/such/folder/x.csv: "), "{error}");
    }

    #[test]
    fn full_disk_is_reported_after_the_result() {
        let findings = Findings { loads: vec![Repeats::new(vec![])], ..Findings::default() };
        let error = format!("{:#}", flags("/dev/full", "/dev/full").write(&findings).unwrap_err());
        assert_eq!(error.matches("cannot write /dev/full").count(), 2, "{error}");
    }
}
