//! What a check has found, and how it is shown.

use crate::terminal::printable;
use serde::Serialize;
use std::io::{self, Write};

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Grade {
    /// Nothing to do.
    Ok,
    /// It could not be found out here.
    Unknown,
    /// Calls work, but not as well, or not for long, or not for all.
    Warning,
    /// Calls do not work.
    Problem,
}

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) grade: Grade,
    pub(super) subject: String,
    pub(super) text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { grade: Grade::Ok, subject: subject.into(), text: text.into(), remedy: None }
    }

    pub(super) fn unknown(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { grade: Grade::Unknown, ..Self::ok(subject, text) }
    }

    pub(super) fn warning(subject: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Warning, remedy: Some(remedy.into()), ..Self::ok(subject, text) }
    }

    pub(super) fn problem(subject: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Problem, ..Self::warning(subject, text, remedy) }
    }

    /// Whether calls do not work.
    pub(super) fn is_problem(&self) -> bool {
        self.grade == Grade::Problem
    }
}

/// Writes findings as a table; what to do is below each.
pub(super) fn write_table(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    let width = findings.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or_default();
    for Finding { grade, subject, text, remedy } in findings {
        let grade = match grade {
            Grade::Ok => "ok",
            Grade::Unknown => "unknown",
            Grade::Warning => "warning",
            Grade::Problem => "PROBLEM",
        };
        let mut lines = text.lines().map(printable);
        writeln!(out, "{grade:<8} {subject:<width$}  {}", lines.next().unwrap_or_default())?;
        let remedy = remedy.iter().map(|remedy| format!("→ {}", printable(remedy)));
        for line in lines.chain(remedy) {
            writeln!(out, "{:<8} {:<width$}  {line}", "", "")?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn remedy_is_below_its_finding() {
        let findings = [
            Finding::ok("clock", "synchronised"),
            Finding::problem("TCP port 8800", "another program listens there", "stop it"),
        ];
        let mut text = Vec::new();
        write_table(&mut text, &findings).unwrap();
        let expected = "\
ok       clock          synchronised
PROBLEM  TCP port 8800  another program listens there
                        → stop it
";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
