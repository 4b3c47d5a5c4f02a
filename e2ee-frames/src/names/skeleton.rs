//! Skeletons: names that look alike have the same one (Unicode Technical Standard 39, section 4, with less data).
//!
//! The table has the characters of every script that look like text in ASCII, and those below U+0600 (Latin, Greek, Cyrillic,
//! Armenian, Hebrew and marks) that look like any other. Case of ASCII does not count: "ada" is taken for "Ada".

use super::{
    normal,
    tables::{self, Likeness},
};
use alloc::{string::String, vec::Vec};

/// What a name looks like. Only for comparing: it is not to be shown.
#[must_use]
pub fn skeleton(name: &str) -> String {
    let mut mapped: Vec<char> = Vec::with_capacity(name.len());
    for c in normal::decompose(name.chars()) {
        match (!c.is_ascii()).then(|| tables::likeness(c)).flatten() {
            None => push(c, &mut mapped),
            Some(Likeness::Letter(letter)) => push(letter, &mut mapped),
            Some(Likeness::Text(text)) => text.chars().for_each(|c| push(c, &mut mapped)),
        }
    }
    normal::decompose(mapped).into_iter().map(|c| c.to_ascii_lowercase()).collect()
}

/// Pushes a character of ASCII as what it looks like, and any other as it is.
fn push(c: char, out: &mut Vec<char>) {
    match c {
        '0' => out.push('O'),
        '1' | 'I' | '|' => out.push('l'),
        '`' => out.push('\''),
        '"' => out.extend(['\'', '\'']),
        'm' => out.extend(['r', 'n']),
        _ => out.push(c),
    }
}
