//! Unicode data in bytes: numbers in LEB128, code points as differences from the one before.
//!
//! Every table has an index in front: how many entries it has, and for each how far code point and byte have advanced since
//! the one before. It names every 32nd entry.

/// `{gap length}*`: code points that must not be shown.
static HIDDEN: &[u8] = include_bytes!("tables/hidden.bin");
/// `{gap length}*`: code points that belong to the character before.
static MARKS: &[u8] = include_bytes!("tables/marks.bin");
/// `{gap length class}*`: canonical combining classes other than 0.
static CLASSES: &[u8] = include_bytes!("tables/classes.bin");
/// `{gap first second}*`: canonical decompositions. The second is twice the code point, 0 if there is none, and odd if the
/// pair does not compose.
static DECOMPOSITIONS: &[u8] = include_bytes!("tables/decompositions.bin");
/// `{gap length target}*`: what a character looks like. The length is doubled, and odd if the targets of a run ascend as
/// the sources do. A target of 128 and more is 128 + the length of a string that follows.
static CONFUSABLES: &[u8] = include_bytes!("tables/confusables.bin");

/// Characters below it decompose into nothing.
const FIRST_DECOMPOSING: char = '\u{c0}';

/// Reads a table.
struct Numbers(&'static [u8]);

impl Numbers {
    fn next(&mut self) -> Option<u32> {
        let (mut number, mut shift) = (0_u32, 0_u32);
        loop {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u32::from(byte & 0x7f) << shift;
            shift = shift.saturating_add(7);
            if *byte < 0x80 || shift > 28 {
                return Some(number);
            }
        }
    }

    fn text(&mut self, length: usize) -> Option<&'static str> {
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        str::from_utf8(text).ok()
    }
}

/// The entries of a table from the last indexed one whose code points are all after one below `c`, and that one.
fn seek(table: &'static [u8], c: char) -> Option<(Numbers, u32)> {
    let mut index = Numbers(table);
    let count = index.next()?;
    let (mut at, mut offset) = (0_u32, 0_u32);
    let mut found = (0, 0);
    for _ in 0..count {
        at = at.saturating_add(index.next()?);
        offset = offset.saturating_add(index.next()?);
        if at < u32::from(c) {
            found = (at, offset);
        }
    }
    let (at, offset) = found;
    Some((Numbers(index.0.get(offset as usize..)?), at))
}

/// Whether a table of ranges has a code point, and what `value` reads for each range.
fn find(table: &'static [u8], c: char, value: impl Fn(&mut Numbers) -> Option<u32>) -> Option<u32> {
    let (mut numbers, mut at) = seek(table, c)?;
    loop {
        let start = at.saturating_add(numbers.next()?);
        at = start.saturating_add(numbers.next()?);
        let value = value(&mut numbers)?;
        if u32::from(c) < start {
            return None;
        }
        if u32::from(c) < at {
            return Some(value);
        }
    }
}

/// Whether a character must not be in a name: control, format, default-ignorable, private use, not a character.
pub(super) fn hidden(c: char) -> bool {
    find(HIDDEN, c, |_| Some(0)).is_some()
}

/// Whether a character belongs to the one before.
pub(super) fn is_mark(c: char) -> bool {
    c >= '\u{300}' && find(MARKS, c, |_| Some(0)).is_some()
}

/// Canonical combining class.
pub(super) fn class(c: char) -> u32 {
    if c < '\u{300}' { 0 } else { find(CLASSES, c, Numbers::next).unwrap_or(0) }
}

/// One canonical decomposition. Its parts may decompose further.
pub(super) struct Decomposition {
    pub(super) whole: char,
    pub(super) first: char,
    pub(super) second: Option<char>,
    pub(super) composes: bool,
}

/// All canonical decompositions but those of Hangul, by the code point of the whole.
pub(super) fn decompositions() -> impl Iterator<Item = Decomposition> {
    decompositions_from('\0')
}

/// Those from some before this character on.
fn decompositions_from(c: char) -> impl Iterator<Item = Decomposition> {
    let (mut numbers, mut at) = seek(DECOMPOSITIONS, c).unwrap_or((Numbers(&[]), 0));
    core::iter::from_fn(move || {
        at = at.saturating_add(numbers.next()?);
        let (first, second) = (numbers.next()?, numbers.next()?);
        Some(Decomposition {
            whole: char::from_u32(at)?,
            first: char::from_u32(first)?,
            second: char::from_u32(second >> 1).filter(|_| second != 0),
            composes: second != 0 && second & 1 == 0,
        })
    })
}

/// The decomposition of a character.
pub(super) fn decomposition(c: char) -> Option<Decomposition> {
    if c < FIRST_DECOMPOSING {
        return None;
    }
    decompositions_from(c).find(|one| one.whole >= c).filter(|one| one.whole == c)
}

/// What a character looks like.
pub(super) enum Likeness {
    Letter(char),
    Text(&'static str),
}

/// What a character looks like; `None` for itself.
pub(super) fn likeness(c: char) -> Option<Likeness> {
    let (mut numbers, mut at) = seek(CONFUSABLES, c)?;
    loop {
        let start = at.saturating_add(numbers.next()?);
        let length = numbers.next()?;
        at = start.saturating_add(length >> 1);
        let target = numbers.next()?;
        let text = match target.checked_sub(0x80) {
            Some(length) => Some(numbers.text(length as usize)?),
            None => None,
        };
        if u32::from(c) < start {
            return None;
        }
        if u32::from(c) < at {
            let step = if length & 1 == 1 { u32::from(c).saturating_sub(start) } else { 0 };
            return match text {
                Some(text) => Some(Likeness::Text(text)),
                None => char::from_u32(target.saturating_add(step)).map(Likeness::Letter),
            };
        }
    }
}
