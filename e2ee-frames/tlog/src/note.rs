//! Signed notes (c2sp.org/signed-note): text, a blank line, and signature lines.
//!
//! ```text
//! text, which ends in a line break and may have empty lines
//!
//! — key name base64(key id4 || signature)
//! ```
//! A parsed note is not verified: its text means nothing until [`Policy::verify`](crate::Policy::verify), a witness or
//! [`VerifierKey::verify`](crate::VerifierKey::verify) has checked a signature of a known key.

use crate::{
    encoding::{from_base64, to_base64},
    key::{KeyId, KeyName},
};
use alloc::{string::String, vec::Vec};
use core::{fmt, str};

/// Maximum length of a note, bytes.
pub const MAX_NOTE_BYTES: usize = 65_536;

/// Maximum number of signatures of a note: what every verifier must accept.
pub const MAX_SIGNATURES: usize = 16;

/// What separates the text from the signatures: the line break that ends the text, and an empty line.
const SEPARATOR: &str = "\n\n";
/// What a signature line starts with: an em dash and a space.
const SIGNATURE_MARK: &str = "\u{2014} ";

/// Why bytes are not a note, or a signature cannot be added to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Above [`MAX_NOTE_BYTES`].
    #[error("the note is longer than {MAX_NOTE_BYTES} bytes")]
    TooLong,
    /// Above [`MAX_SIGNATURES`].
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// Not UTF-8.
    #[error("the note is not UTF-8")]
    NotUtf8,
    /// A control character other than a line break.
    #[error("the note has a control character")]
    ControlCharacter,
    /// No empty line, or nothing behind the last one.
    #[error("the note has no signatures")]
    NoSignatures,
    /// A line behind the text is not a signature line, or is not ended.
    #[error("a signature line of the note is malformed")]
    SignatureLine,
    /// The text of a new note does not end in a line break.
    #[error("the text of the note does not end in a line break")]
    TextEnd,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    name: KeyName,
    id: KeyId,
    bytes: Vec<u8>,
}

impl NoteSignature {
    pub(crate) fn new(name: KeyName, id: KeyId, bytes: Vec<u8>) -> Self {
        Self { name, id, bytes }
    }

    /// Name of the key.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Identifier of the key, which together with its name says which one it is.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The signature without the key's identifier, as its algorithm defines it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Parses a signature line without its line break.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let fields = line.strip_prefix(SIGNATURE_MARK).and_then(|fields| fields.split_once(' '));
        let (name, signature) = fields.ok_or(NoteError::SignatureLine)?;
        let name = KeyName::new(name).map_err(|_| NoteError::SignatureLine)?;
        let signature = from_base64(signature).ok_or(NoteError::SignatureLine)?;
        match signature.split_first_chunk() {
            Some((id, bytes)) if !bytes.is_empty() => Ok(Self::new(name, KeyId(*id), bytes.to_vec())),
            _ => Err(NoteError::SignatureLine),
        }
    }
}

/// The signature line with its line break.
impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signature = [&self.id.0[..], &self.bytes].concat();
        writeln!(f, "{SIGNATURE_MARK}{} {}", self.name, to_base64(&signature))
    }
}

/// A text with signatures that have not been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    /// At least one.
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// A note with its first signature.
    ///
    /// # Errors
    /// If the text cannot be that of a note.
    pub(crate) fn new(text: String, signature: NoteSignature) -> Result<Self, NoteError> {
        if !text.ends_with('\n') {
            return Err(NoteError::TextEnd);
        }
        check_characters(&text)?;
        let note = Self { text, signatures: alloc::vec![signature] };
        if note.length() > MAX_NOTE_BYTES { Err(NoteError::TooLong) } else { Ok(note) }
    }

    /// Parses a note.
    ///
    /// # Errors
    /// If the bytes are not a note, or one that is too long.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong);
        }
        let note = str::from_utf8(bytes).map_err(|_| NoteError::NotUtf8)?;
        check_characters(note)?;
        let (text, lines) = note.rsplit_once(SEPARATOR).ok_or(NoteError::NoSignatures)?;
        if lines.is_empty() {
            return Err(NoteError::NoSignatures);
        }
        let lines = lines.strip_suffix('\n').ok_or(NoteError::SignatureLine)?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let signatures = lines.split('\n').map(NoteSignature::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: [text, "\n"].concat(), signatures })
    }

    /// The text with its final line break.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, in order; there is at least one.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature in place of an earlier one by the same key.
    ///
    /// # Errors
    /// If the note gets too long or has too many signatures; it is unchanged then.
    pub fn add(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        let same = |other: &NoteSignature| other.name == signature.name && other.id == signature.id;
        let mut signatures: Vec<_> = self.signatures.iter().filter(|other| !same(other)).cloned().collect();
        signatures.push(signature);
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let before = core::mem::replace(&mut self.signatures, signatures);
        if self.length() > MAX_NOTE_BYTES {
            self.signatures = before;
            return Err(NoteError::TooLong);
        }
        Ok(())
    }

    /// The same text with some of the signatures; `None` without any.
    pub(crate) fn with_signatures(&self, keep: impl Fn(&NoteSignature) -> bool) -> Option<Self> {
        let signatures: Vec<_> = self.signatures.iter().filter(|signature| keep(signature)).cloned().collect();
        (!signatures.is_empty()).then(|| Self { text: self.text.clone(), signatures })
    }

    fn length(&self) -> usize {
        // Far below the range of a number: at most the text and 16 lines.
        let lines = self.signatures.iter().map(|signature| alloc::format!("{signature}").len());
        lines.fold(self.text.len().saturating_add(1), usize::saturating_add)
    }
}

/// The bytes of the note, as [`Note::parse`] reads them.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| write!(f, "{signature}"))
    }
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    let control = text.bytes().any(|byte| byte < b' ' && byte != b'\n');
    if control { Err(NoteError::ControlCharacter) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString};
    use proptest::prelude::*;

    const LINE: &str = "\u{2014} example.com/log AAECAwQ=\n";

    fn parse(note: &str) -> Result<Note, NoteError> {
        Note::parse(note.as_bytes())
    }

    #[test]
    fn text_ends_at_the_last_empty_line() -> Result<(), NoteError> {
        let note = parse(&format!("first\n\nsecond\n\n{LINE}{LINE}"))?;
        assert_eq!((note.text(), note.signatures().len()), ("first\n\nsecond\n", 2));
        assert_eq!(note.signatures()[0].bytes(), [4]);
        Ok(())
    }

    #[test]
    fn malformed_notes_are_refused_by_name() {
        let long = format!("{}\n\n{LINE}", "a".repeat(MAX_NOTE_BYTES));
        for (note, error) in [
            ("", NoteError::NoSignatures),
            ("text\n", NoteError::NoSignatures),
            ("text\n\n", NoteError::NoSignatures),
            (&format!("text\n{LINE}"), NoteError::NoSignatures),
            (&format!("text\n\n{}", LINE.trim_end()), NoteError::SignatureLine),
            (&format!("text\n\n{LINE}more\n"), NoteError::SignatureLine),
            ("text\n\n\u{2014} a b c\n", NoteError::SignatureLine),
            ("text\n\n\u{2014} a+b AAECAwQ=\n", NoteError::SignatureLine),
            ("text\n\n\u{2014} a\u{a0}b AAECAwQ=\n", NoteError::SignatureLine),
            ("text\n\n\u{2014} a AAECAw==\n", NoteError::SignatureLine),
            ("text\n\n\u{2014} a AAECAwR=\n", NoteError::SignatureLine),
            ("text\n\n- a AAECAwQ=\n", NoteError::SignatureLine),
            (&format!("te\txt\n\n{LINE}"), NoteError::ControlCharacter),
            (&format!("text\r\n\n{LINE}"), NoteError::ControlCharacter),
            (&format!("text\n\n{}", LINE.repeat(MAX_SIGNATURES + 1)), NoteError::TooManySignatures),
            (&long, NoteError::TooLong),
        ] {
            assert_eq!(parse(note), Err(error), "{note:?}");
        }
        assert_eq!(Note::parse(b"\xff\n\n"), Err(NoteError::NotUtf8));
    }

    #[test]
    fn sixteen_signatures_are_accepted() {
        assert!(parse(&format!("text\n\n{}", LINE.repeat(MAX_SIGNATURES))).is_ok());
    }

    #[test]
    fn added_signature_replaces_one_of_the_same_key() -> Result<(), NoteError> {
        let mut note = parse(&format!("text\n\n{LINE}"))?;
        note.add(NoteSignature::parse("\u{2014} example.com/log AAECAwU=")?)?;
        note.add(NoteSignature::parse("\u{2014} example.com/log AQECAwU=")?)?;
        assert_eq!(note.to_string(), "text\n\n\u{2014} example.com/log AAECAwU=\n\u{2014} example.com/log AQECAwU=\n");
        Ok(())
    }

    #[test]
    fn adding_stays_within_the_limits() -> Result<(), NoteError> {
        let mut note = parse(&format!("text\n\n{LINE}"))?;
        for number in 1..MAX_SIGNATURES {
            note.add(NoteSignature::parse(&format!("\u{2014} key{number} AAECAwQ="))?)?;
        }
        let before = note.clone();
        assert_eq!(note.add(NoteSignature::parse("\u{2014} more AAECAwQ=")?), Err(NoteError::TooManySignatures));
        assert_eq!(note, before);

        let text = "a".repeat(MAX_NOTE_BYTES - 40);
        let mut note = parse(&format!("{text}\n\n{LINE}"))?;
        let before = note.clone();
        assert_eq!(note.add(NoteSignature::parse("\u{2014} another AAECAwQ=")?), Err(NoteError::TooLong));
        assert_eq!(note, before);
        Ok(())
    }

    proptest! {
        #[test]
        fn parsed_note_is_written_as_it_was(text in "([a-z é\n]{0,40}\n)?", names in prop::collection::vec("[a-z./]{1,9}", 1..5)) {
            let lines: String = names.iter().map(|name| format!("\u{2014} {name} AAECAwQ=\n")).collect();
            let note = format!("{text}\n\n{lines}");
            let parsed = parse(&note).unwrap();
            prop_assert_eq!(parsed.to_string(), note);
        }
    }
}
