//! Each command and event has its row in the document for embedders.

const DOCUMENT: &str = include_str!("../../../docs/sfu.md");

/// Names of the variants of a public enum, as its source lists them.
fn variants<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!("pub enum {name} {{");
    let body = source.split_once(&start).and_then(|(_, rest)| rest.split_once("\n}")).map_or("", |(body, _)| body);
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let named = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    named.map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or(line)).collect()
}

#[test]
fn document_has_a_row_for_each_command_and_event() {
    let commands = variants(include_str!("../src/command.rs"), "Command");
    let events = variants(include_str!("../src/event.rs"), "Event");
    assert!(commands.contains(&"SetWishes") && events.contains(&"Layer"), "{commands:?} {events:?}");
    for name in commands.into_iter().chain(events) {
        assert!(DOCUMENT.lines().any(|line| line.starts_with(&format!("| `{name}`"))), "{name} has no row");
    }
}
