//! The tests that the threat model names exist: renaming a test must not leave a claim without evidence.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All text of the files with this extension, below a folder.
fn sources(folder: &Path, extension: &str, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(name.as_str(), "node_modules" | "target" | "dist") && !name.starts_with('.') {
            sources(&path, extension, into);
        } else if path.extension().is_some_and(|found| found == extension) && name != "threat_model.rs" {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// The text between pairs of `mark`.
fn quoted(text: &str, mark: char) -> impl Iterator<Item = &str> {
    text.split(mark).skip(1).step_by(2)
}

#[test]
fn threat_model_tests_exist() {
    let document = fs::read_to_string(root().join("docs/security/threat-model.md")).unwrap();
    let (mut rust, mut web) = (String::new(), String::new());
    for folder in ["clients/native", "e2ee-frames", "fuzz", "loadtest", "sfu", "signaling", "src", "tests"] {
        let folder = root().join(folder);
        if folder.is_dir() {
            sources(&folder, "rs", &mut rust);
        }
    }
    sources(&root().join("clients/web"), "ts", &mut web);
    let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let is_row = |line: &&str| line.starts_with("| ") && line[2..].starts_with(|c: char| c.is_ascii_digit());
    let mut numbers: Vec<u32> = Vec::new();
    for row in document.lines().filter(is_row) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [number, .., shown_by] = cells[..] else { panic!("{row}") };
        numbers.push(number.parse().unwrap());
        let in_rust = quoted(shown_by, '`').filter(is_name);
        let missing = in_rust.filter(|name| !rust.contains(&format!("fn {name}(")));
        assert_eq!(missing.collect::<Vec<_>>(), [""; 0], "row {number}");
        let missing = quoted(shown_by, '"').filter(|name| !web.contains(&format!("(\"{name}\"")));
        assert_eq!(missing.collect::<Vec<_>>(), [""; 0], "row {number}");
        let unproven = quoted(shown_by, '`').chain(quoted(shown_by, '"')).next().is_none();
        assert_eq!(unproven, matches!(number, "21" | "25"), "row {number}");
    }
    assert_eq!(numbers, (1..=57).collect::<Vec<_>>(), "every row of the attack table");
    // In running text too: names of tests have at least two underscores.
    let in_text = quoted(&document, '`').filter(is_name).filter(|name| name.matches('_').count() > 1);
    let missing = in_text.filter(|name| !rust.contains(&format!("fn {name}(")));
    assert_eq!(missing.collect::<Vec<_>>(), [""; 0]);
}
