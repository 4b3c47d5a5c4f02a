//! Writes the tables from the data of other crates, and compares them: `make unicode` after an update of these crates.

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use std::{env, fs};
use unicode_normalization::{UnicodeNormalization, char as norm};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_security::confusable_detection::skeleton;
use unicode_segmentation::UnicodeSegmentation;

/// Sources below it are taken whatever they look like: Latin, Greek, Cyrillic, Armenian, Hebrew, marks.
const WHOLE: char = '\u{600}';

fn characters() -> impl Iterator<Item = char> {
    (0..=u32::from(char::MAX)).filter_map(char::from_u32)
}

fn number(mut number: u32, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// An entry of a table, and the code point that its own counts from.
type Entry = (u32, Vec<u8>);

/// A table: an index of every 32nd entry, and the entries.
fn table(entries: &[Entry]) -> Vec<u8> {
    let (mut index, mut out) = (Vec::new(), Vec::new());
    let (mut at, mut offset) = (0, 0);
    number(entries.len().div_ceil(32) as u32, &mut index);
    for (number_of_entry, (from, entry)) in entries.iter().enumerate() {
        if number_of_entry % 32 == 0 {
            number(from - at, &mut index);
            number(out.len() as u32 - offset, &mut index);
            (at, offset) = (*from, out.len() as u32);
        }
        out.extend_from_slice(entry);
    }
    index.extend(out);
    index
}

/// Ranges of the code points for which `value` is the same, with what `write` adds.
fn ranges(value: impl Fn(char) -> Option<u32>, write: impl Fn(u32, &mut Vec<u8>)) -> Vec<Entry> {
    let mut ranges: Vec<(u32, u32, u32)> = Vec::new();
    for c in characters() {
        let Some(value) = value(c) else { continue };
        match ranges.last_mut() {
            Some((_, end, same)) if *end == u32::from(c) && *same == value => *end += 1,
            _ => ranges.push((c.into(), u32::from(c) + 1, value)),
        }
    }
    let mut at = 0;
    let entry = |(start, end, value)| {
        let mut entry = Vec::new();
        number(start - at, &mut entry);
        number(end - start, &mut entry);
        write(value, &mut entry);
        (core::mem::replace(&mut at, end), entry)
    };
    ranges.into_iter().map(entry).collect()
}

fn looks_like(c: char) -> String {
    skeleton(c.encode_utf8(&mut [0; 4])).collect()
}

/// Whether Unicode says that a character is ignored where it is not supported: the skeleton leaves just these out.
fn ignorable(c: char) -> bool {
    looks_like(c).is_empty()
}

pub(super) fn must_be_hidden(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator, PrivateUse, Surrogate};
    let category =
        matches!(c.general_category(), Control | Format | LineSeparator | ParagraphSeparator | PrivateUse | Surrogate);
    let not_a_character = u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    category || not_a_character || ignorable(c)
}

fn hidden() -> Vec<Entry> {
    ranges(|c| must_be_hidden(c).then_some(0), |_, _| {})
}

fn marks() -> Vec<Entry> {
    let belongs = |c: char| format!("a{c}").graphemes(true).count() == 1;
    ranges(|c| (!must_be_hidden(c) && belongs(c)).then_some(0), |_, _| {})
}

fn classes() -> Vec<Entry> {
    let class = |c| Some(u32::from(norm::canonical_combining_class(c))).filter(|class| *class != 0);
    ranges(class, number)
}

fn decompositions() -> Vec<Entry> {
    let paired = |first, last, whole| {
        let composes = norm::compose(first, last) == Some(whole);
        u32::from(last) << 1 | u32::from(!composes)
    };
    let decomposed = |c: char| {
        let mut parts = Vec::new();
        norm::decompose_canonical(c, |part| parts.push(part));
        (parts != [c]).then_some((c, parts))
    };
    let all = || characters().filter(|c| !('\u{ac00}'..='\u{d7a3}').contains(c)).filter_map(decomposed);
    // Of several with the same parts, the one that composes, if any does.
    let composes = |(c, parts): &(char, Vec<char>)| parts.iter().copied().nfc().eq([*c]);
    let mut wholes: BTreeMap<Vec<char>, char> = all().map(|(c, parts)| (parts, c)).collect();
    wholes.extend(all().filter(composes).map(|(c, parts)| (parts, c)));
    let mut at = 0;
    let entry = |(c, whole): (char, Vec<char>)| {
        // The crate decomposes fully; the table has single steps: the character of all parts but the last, and the last.
        let (last, front) = whole.split_last().unwrap();
        let (first, second) = match front {
            [] => (*last, 0),
            [only] => (*only, paired(*only, *last, c)),
            _ => {
                let first = wholes[front];
                (first, paired(first, *last, c))
            }
        };
        let mut entry = Vec::new();
        number(u32::from(c) - at, &mut entry);
        number(first.into(), &mut entry);
        number(second, &mut entry);
        (core::mem::replace(&mut at, c.into()), entry)
    };
    all().map(entry).collect()
}

/// The character of ASCII that looks like this, the one after `previous` if it does.
fn letter(of: &str, previous: Option<char>) -> Option<char> {
    let next = previous.and_then(|previous| char::from_u32(u32::from(previous) + 1));
    let alike = |c: &char| c.is_ascii_graphic() && looks_like(*c) == of;
    next.filter(alike).or_else(|| previous.filter(alike)).or_else(|| ('!'..='~').rev().find(alike))
}

fn confusables() -> Vec<Entry> {
    struct Run {
        start: u32,
        targets: Vec<char>,
        text: String,
    }
    let mut runs: Vec<Run> = Vec::new();
    for c in characters().filter(|c| !c.is_ascii() && !must_be_hidden(*c)) {
        let target = looks_like(c);
        let decomposed: String = c.nfd().collect();
        let whole = decomposed.chars().eq([c]);
        if !whole || target == decomposed || !(target.is_ascii() || c < WHOLE) {
            continue;
        }
        let before = runs.last().filter(|run| run.start + run.targets.len() as u32 == u32::from(c));
        let previous = before.and_then(|run| run.targets.last().copied());
        match letter(&target, previous) {
            Some(letter) => {
                let steps = |run: &Run| match run.targets[..] {
                    [only] => letter as u32 == only as u32 + 1 || letter == only,
                    [.., second, last] => letter as i64 - last as i64 == last as i64 - second as i64,
                    [] => false,
                };
                if before.is_some_and(steps) {
                    runs.last_mut().unwrap().targets.push(letter);
                } else {
                    runs.push(Run { start: c.into(), targets: [letter].into(), text: String::new() });
                }
            }
            None => runs.push(Run { start: c.into(), targets: Vec::new(), text: target }),
        }
    }
    let mut at = 0;
    let entry = |Run { start, targets, text }: Run| {
        let mut entry = Vec::new();
        number(start - at, &mut entry);
        let length = targets.len().max(1) as u32;
        let ascending = targets.len() > 1 && targets[0] != targets[1];
        number(length << 1 | u32::from(ascending), &mut entry);
        match targets.first() {
            Some(first) => number(u32::from(*first), &mut entry),
            None => {
                number(0x80 + text.len() as u32, &mut entry);
                entry.extend_from_slice(text.as_bytes());
            }
        }
        (core::mem::replace(&mut at, start + length), entry)
    };
    runs.into_iter().map(entry).collect()
}

#[test]
fn tables_match_unicode_data() {
    let tables: [(&str, Vec<Entry>, &[u8]); 5] = [
        ("hidden", hidden(), include_bytes!("tables/hidden.bin")),
        ("marks", marks(), include_bytes!("tables/marks.bin")),
        ("classes", classes(), include_bytes!("tables/classes.bin")),
        ("decompositions", decompositions(), include_bytes!("tables/decompositions.bin")),
        ("confusables", confusables(), include_bytes!("tables/confusables.bin")),
    ];
    for (name, entries, committed) in tables {
        let made = table(&entries);
        if env::var_os("UPDATE").is_some() {
            let path = format!("{}/src/names/tables/{name}.bin", env!("CARGO_MANIFEST_DIR"));
            fs::write(path, made).unwrap();
        } else {
            assert!(made == committed, "{name}: the data has changed, or run `make unicode`");
        }
    }
}
