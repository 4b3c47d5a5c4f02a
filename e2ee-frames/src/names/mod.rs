//! Names as they may be shown: nothing in them hides, reorders, overflows or imitates.
//!
//! ```text
//!  name of an announce ──► harmless ──► distinct ──► shown
//!                          │            └ a number, if another person on the roster has the same skeleton
//!                          └ NFC; no hidden or control character; at most 60 graphemes; never empty
//! ```
//! Names are all that people have to tell each other apart, and every holder of the link chooses its own. Every client
//! shows what this module returns. Layout is the client's part: a name may run from right to left, so it is isolated
//! (`<bdi>`) where it stands inside other text.
//!
//! Tables are generated from Unicode data by the tests, which compare them with other implementations: see `generate.rs`.

mod normal;
mod skeleton;
mod tables;

#[cfg(test)]
mod generate;
#[cfg(test)]
mod tests;

pub use skeleton::skeleton;

use alloc::{format, string::String, vec::Vec};

/// Maximum number of graphemes (Unicode Standard Annex 29) of a name that is shown, its number included.
pub const MAX_GRAPHEMES: usize = 60;
/// Maximum length of a name that is shown, bytes of UTF-8.
pub const MAX_BYTES: usize = 256;
/// Maximum number of combining marks on one character: enough for every orthography, too few to cover other lines.
const MAX_MARKS: usize = 4;
/// What a name is called that has nothing to show.
pub const NAMELESS: &str = "Guest";
/// Characters without ink that Unicode does not count as spaces: Braille blank, null notehead, blank hieroglyphs.
const BLANK: [char; 4] = ['\u{2800}', '\u{1d159}', '\u{13441}', '\u{13442}'];

/// A name as it may be shown: in normal form C, without control, format, bidi, zero-width, private-use and other
/// invisible characters, with single spaces, at most four marks on a character, at most [`MAX_GRAPHEMES`] graphemes and
/// [`MAX_BYTES`] bytes. [`NAMELESS`] if nothing is left.
///
/// It is idempotent.
#[must_use]
pub fn harmless(name: &str) -> String {
    let mut text = pass(name);
    // What is removed may have stood between characters that compose.
    loop {
        let next = pass(&text);
        if next == text {
            break;
        }
        text = next;
    }
    if text.is_empty() { String::from(NAMELESS) } else { text }
}

fn pass(text: &str) -> String {
    let visible: Vec<char> = text.chars().filter_map(visible).collect();
    tidy(normal::compose(normal::decompose(visible)).into_iter(), MAX_GRAPHEMES, MAX_BYTES)
}

/// The character, a space for one without ink, nothing for one that must not be in a name.
fn visible(c: char) -> Option<char> {
    match c {
        '!'..='~' => Some(c),
        _ if c.is_whitespace() || BLANK.contains(&c) => Some(' '),
        _ if tables::hidden(c) => None,
        _ => Some(c),
    }
}

/// Collapses spaces, drops marks without a character and beyond [`MAX_MARKS`], and cuts.
///
/// A character with its marks counts as a grapheme. That is never less than Unicode counts, which also joins syllables of
/// Hangul letters, flags and conjuncts.
fn tidy(text: impl Iterator<Item = char>, max_graphemes: usize, max_bytes: usize) -> String {
    let mut out = String::new();
    let (mut graphemes, mut marks) = (0_usize, 0_usize);
    let mut space = false;
    for c in text {
        if c == ' ' {
            space = !out.is_empty();
            continue;
        }
        let mark = tables::is_mark(c);
        if mark {
            marks = marks.saturating_add(1);
            if out.is_empty() || space || marks > MAX_MARKS {
                continue;
            }
        } else {
            graphemes = graphemes.saturating_add(1 + usize::from(space));
            marks = 0;
        }
        let bytes = out.len().saturating_add(c.len_utf8() + usize::from(space));
        if graphemes > max_graphemes || bytes > max_bytes {
            break;
        }
        if core::mem::take(&mut space) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// A name among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// As its owner chose it, harmless.
    chosen: String,
    /// Of the chosen name.
    skeleton: String,
    /// As it is shown: the chosen name, with a number if others have one that looks alike.
    shown: String,
    /// Of the shown name.
    shown_skeleton: String,
}

impl Name {
    /// The only name, of this device.
    pub(crate) fn own(chosen: &str) -> Self {
        Self::among(harmless(chosen), &[])
    }

    /// A harmless name among those that are shown. It looks like none of them.
    ///
    /// A number is not used again while a later one of the same name is: who was "Ada 2" is not confused with a successor.
    pub(crate) fn among(chosen: String, others: &[&Self]) -> Self {
        let skeleton = skeleton(&chosen);
        let taken = |candidate: &str| others.iter().any(|other| other.shown_skeleton == candidate);
        if !taken(&skeleton) {
            return Self { shown: chosen.clone(), shown_skeleton: skeleton.clone(), chosen, skeleton };
        }
        let mut number = others.iter().filter(|other| other.skeleton == skeleton).count().max(1);
        loop {
            number = number.saturating_add(1);
            let shown = numbered(&chosen, number);
            let shown_skeleton = self::skeleton(&shown);
            if !taken(&shown_skeleton) {
                return Self { chosen, skeleton, shown, shown_skeleton };
            }
        }
    }

    /// A name as a client without this module would seal it.
    #[cfg(test)]
    pub(crate) fn choose_unchecked(&mut self, chosen: &str) {
        self.chosen = String::from(chosen);
    }

    pub(crate) fn chosen(&self) -> &str {
        &self.chosen
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }
}

/// The name with a number, cut so that both fit.
fn numbered(name: &str, number: usize) -> String {
    let number = format!(" {number}");
    let fits = |most: usize| most.saturating_sub(number.len());
    let mut shown = tidy(name.chars(), fits(MAX_GRAPHEMES), fits(MAX_BYTES));
    shown.push_str(&number);
    shown
}
