//! Master keys in memory.

use super::{MasterKey, MasterKeyError};
use crate::{blob, label};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use e2ee_core::{Primitives, Random, SecretBytes, Standard};
use std::{collections::BTreeMap, fmt::Write as _};
use zeroize::Zeroizing;

/// Versions of the master key, as lines of `version base64url`: the text of a key file, a credential or a variable.
pub struct MasterKeys(BTreeMap<u32, SecretBytes<32>>);

/// The text holds no master keys. Says nothing of its contents but the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {0} of the master keys must be a version from 1 on, a space and 32 bytes as base64url, each version once"
)]
pub struct ParseError(pub usize);

impl MasterKeys {
    /// One new key, version 1.
    pub fn generate(random: &mut dyn Random) -> Self {
        let mut keys = Self(BTreeMap::new());
        keys.add(random);
        keys
    }

    /// Adds a key, which becomes active, and returns its version.
    pub fn add(&mut self, random: &mut dyn Random) -> u32 {
        let mut key = SecretBytes::zeros();
        random.fill(&mut *key);
        let version = self.0.last_key_value().map_or(1, |(last, _)| last.saturating_add(1));
        self.0.insert(version, key);
        version
    }

    /// Forgets a key. Whatever is still sealed under it is lost: see [`crate::Store::master_versions`].
    pub fn remove(&mut self, version: u32) {
        self.0.remove(&version);
    }

    /// Reads the lines. Empty ones, and those that begin with `#`, are passed over.
    ///
    /// # Errors
    /// The number of the first bad line; 1 if there is no key.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut keys = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let error = ParseError(index.saturating_add(1));
            let (version, key) = parse_line(line).ok_or(error)?;
            if keys.insert(version, key).is_some() {
                return Err(error);
            }
        }
        if keys.is_empty() { Err(ParseError(1)) } else { Ok(Self(keys)) }
    }

    /// The lines, erased on drop.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        // Enough for all lines, so that no copy is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(self.0.len().saturating_mul(64)));
        for (version, key) in &self.0 {
            let key = Zeroizing::new(BASE64URL_NOPAD.encode(&**key));
            // Writing to a string does not fail.
            let _ = writeln!(*text, "{version} {}", *key);
        }
        text
    }

    fn key(&self, version: u32) -> Result<&SecretBytes<32>, MasterKeyError> {
        self.0.get(&version).ok_or(MasterKeyError::NoVersion(version))
    }
}

/// The form that [`MasterKeys::to_text`] writes, and no other.
fn parse_line(line: &str) -> Option<(u32, SecretBytes<32>)> {
    let (version, key) = line.split_once(' ')?;
    let number: u32 = version.parse().ok().filter(|number| *number > 0)?;
    if number.to_string() != version || key.len() != BASE64URL_NOPAD.encode_len(32) {
        return None;
    }
    // Decoding may look one byte further than it writes.
    let mut bytes = Zeroizing::new([0; 33]);
    let length = BASE64URL_NOPAD.decode_len(key.len()).ok()?;
    BASE64URL_NOPAD.decode_mut(key.as_bytes(), bytes.get_mut(..length)?).ok()?;
    Some((number, SecretBytes::copy_of(bytes.first_chunk()?)))
}

impl MasterKey for MasterKeys {
    fn active(&self) -> u32 {
        self.0.last_key_value().map_or(0, |(version, _)| *version)
    }

    fn has(&self, version: u32) -> bool {
        self.0.contains_key(&version)
    }

    fn id(&self, version: u32) -> Option<String> {
        let hash = Standard::hash(&label::MASTER, &[&**self.0.get(&version)?]);
        Some(HEXLOWER.encode(hash.first_chunk::<4>()?))
    }

    fn seal(&self, aad: &[u8], key: &[u8; 32], random: &mut dyn Random) -> Result<Vec<u8>, MasterKeyError> {
        let mut nonce = [0; blob::NONCE_BYTES];
        random.fill(&mut nonce);
        let mut sealed = Vec::new();
        blob::seal(self.key(self.active())?, &nonce, aad, key, &mut sealed)
            .ok_or_else(|| MasterKeyError::Token("the cipher fails".to_owned()))?;
        Ok(sealed)
    }

    fn open(&self, version: u32, aad: &[u8], sealed: &[u8]) -> Result<SecretBytes<32>, MasterKeyError> {
        let mut opened = Zeroizing::new(sealed.to_vec());
        blob::open(self.key(version)?, aad, &mut opened)
            .and_then(|key| <&[u8; 32]>::try_from(&*key).ok().map(SecretBytes::copy_of))
            .ok_or_else(|| MasterKeyError::DoesNotOpen { version, id: self.id(version).unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting() -> impl Random {
        let mut next = 0_u8;
        move |buffer: &mut [u8]| {
            for byte in buffer {
                next = next.wrapping_add(1);
                *byte = next;
            }
        }
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let mut keys = MasterKeys::generate(&mut counting());
        assert_eq!(keys.add(&mut counting()), 2);
        let text = keys.to_text();
        assert_eq!(text.lines().count(), 2);
        let read = MasterKeys::parse(&format!("# a comment\n\n{}", *text)).unwrap();
        assert_eq!((read.active(), &*read.to_text()), (2, &*text));
        let sealed = keys.seal(b"aad", &[5; 32], &mut counting()).unwrap();
        assert_eq!(sealed.len(), 60);
        assert_eq!(*read.open(2, b"aad", &sealed).unwrap(), [5; 32]);
    }

    #[test]
    fn bad_lines_are_named_by_number_alone() {
        let key = "A".repeat(43);
        let bad = [
            "",
            "x",
            "1",
            &format!("0 {key}"),
            &format!("01 {key}"),
            &format!("1 {key}A"),
            &format!("1 {}", &key[1..]),
        ];
        for text in bad {
            assert_eq!(MasterKeys::parse(text).err(), Some(ParseError(1)), "{text}");
        }
        let twice = format!("1 {key}\n1 {key}");
        let error = MasterKeys::parse(&twice).err().unwrap();
        assert!(error.to_string().starts_with("line 2 of") && !error.to_string().contains("AAAA"));
    }

    #[test]
    fn another_key_is_named() {
        let (ours, mut theirs) = (MasterKeys::generate(&mut counting()), MasterKeys::generate(&mut counting()));
        theirs.add(&mut |buffer: &mut [u8]| buffer.fill(9));
        theirs.remove(1);
        let sealed = ours.seal(b"aad", &[5; 32], &mut counting()).unwrap();
        assert_eq!(theirs.open(1, b"aad", &sealed).err(), Some(MasterKeyError::NoVersion(1)));
        let id = theirs.id(2).unwrap();
        assert_eq!(id.len(), 8);
        assert_eq!(theirs.open(2, b"aad", &sealed).err(), Some(MasterKeyError::DoesNotOpen { version: 2, id }));
        assert!(ours.open(1, b"other", &sealed).is_err());
    }
}
