//! Files in the format of age, version 1, for one X25519 recipient: <https://c2sp.org/age>. The program `age` opens them.
//!
//! ```text
//!   age-encryption.org/v1
//!   -> X25519 EPHEMERAL SHARE
//!   FILE KEY, SEALED
//!   --- MAC OF THE HEADER
//!   nonce16, then chunks of 64 KiB under ChaCha20-Poly1305 whose nonces count and mark the last one
//! ```

use super::format::Finish;
use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    agreement::{PrivateKey, UnparsedPublicKey, X25519, agree},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    hmac,
};
use bech32::{Bech32, Hrp, primitives::decode::CheckedHrpstring};
use data_encoding::BASE64_NOPAD;
use e2ee_core::{Random, SecretBytes};
use std::io::{self, BufRead, Read, Write};
use zeroize::Zeroizing;

const VERSION: &str = "age-encryption.org/v1";
const STANZA: &str = "-> X25519 ";
const FOOTER: &str = "---";
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
/// Longest line of a header. Of a file for several recipients the header is longer, and refused.
const MAX_LINE: u64 = 1_024;

/// Why a file of age cannot be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgeError {
    /// No recipient or identity of age.
    #[error("not a key of age")]
    Key,
    /// Not a file of age, version 1, for one X25519 recipient.
    #[error("not a file of age for one X25519 recipient")]
    Format,
    /// It is for another recipient.
    #[error("the file is encrypted for another key")]
    OtherRecipient,
    /// The cipher refuses.
    #[error("the cipher fails")]
    Cipher,
}

/// A public key that archives are encrypted to: `age1…`, as `age-keygen` prints it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Recipient([u8; 32]);

impl Recipient {
    /// Reads `age1…`.
    ///
    /// # Errors
    /// [`AgeError::Key`].
    pub fn parse(text: &str) -> Result<Self, AgeError> {
        Ok(Self(*decode(text, "age")?))
    }
}

/// The private key of a recipient: `AGE-SECRET-KEY-1…`, as `age-keygen` prints it. Only who restores needs it.
pub struct Identity(SecretBytes<32>);

impl Identity {
    /// Reads `AGE-SECRET-KEY-1…`.
    ///
    /// # Errors
    /// [`AgeError::Key`].
    pub fn parse(text: &str) -> Result<Self, AgeError> {
        Ok(Self(SecretBytes::copy_of(&*decode(text, "age-secret-key-")?)))
    }

    /// The public key.
    ///
    /// # Errors
    /// [`AgeError::Key`].
    pub fn recipient(&self) -> Result<Recipient, AgeError> {
        Ok(Recipient(public(&private(&self.0)?)?))
    }

    /// A new one, and its text.
    ///
    /// # Errors
    /// [`AgeError::Key`] if the text cannot be written.
    pub fn generate(random: &mut dyn Random) -> Result<(Self, Zeroizing<String>), AgeError> {
        let mut key = SecretBytes::zeros();
        random.fill(&mut *key);
        let prefix = Hrp::parse("AGE-SECRET-KEY-").map_err(|_| AgeError::Key)?;
        let text = bech32::encode_upper::<Bech32>(prefix, &*key).map_err(|_| AgeError::Key)?;
        Ok((Self(key), Zeroizing::new(text)))
    }
}

fn decode(text: &str, prefix: &str) -> Result<Zeroizing<[u8; 32]>, AgeError> {
    let parsed = CheckedHrpstring::new::<Bech32>(text).map_err(|_| AgeError::Key)?;
    if !parsed.hrp().as_str().eq_ignore_ascii_case(prefix) || parsed.byte_iter().len() != 32 {
        return Err(AgeError::Key);
    }
    let mut key = Zeroizing::new([0; 32]);
    key.iter_mut().zip(parsed.byte_iter()).for_each(|(to, from)| *to = from);
    Ok(key)
}

fn private(key: &SecretBytes<32>) -> Result<PrivateKey, AgeError> {
    PrivateKey::from_private_key(&X25519, &**key).map_err(|_| AgeError::Key)
}

fn public(key: &PrivateKey) -> Result<[u8; 32], AgeError> {
    let public = key.compute_public_key().map_err(|_| AgeError::Key)?;
    public.as_ref().try_into().map_err(|_| AgeError::Key)
}

/// The key under which the file key is sealed.
fn stanza_key(
    own: &PrivateKey,
    peer: &[u8; 32],
    share: &[u8; 32],
    recipient: &Recipient,
) -> Result<SecretBytes<32>, AgeError> {
    let salt = [&share[..], &recipient.0].concat();
    agree(own, UnparsedPublicKey::new(&X25519, peer), AgeError::Key, |shared| {
        Ok(derive(shared, &salt, b"age-encryption.org/v1/X25519"))
    })
}

/// Asks HKDF for 32 bytes.
struct Key;

impl KeyType for Key {
    fn len(&self) -> usize {
        32
    }
}

fn derive(secret: &[u8], salt: &[u8], info: &[u8]) -> SecretBytes<32> {
    let mut key = SecretBytes::zeros();
    let filled = Salt::new(HKDF_SHA256, salt).extract(secret).expand(&[info], Key).and_then(|okm| okm.fill(&mut *key));
    debug_assert!(filled.is_ok(), "32 bytes are far below the limit of HKDF");
    key
}

fn cipher(key: &SecretBytes<32>) -> Result<LessSafeKey, AgeError> {
    UnboundKey::new(&CHACHA20_POLY1305, &**key).map(LessSafeKey::new).map_err(|_| AgeError::Cipher)
}

fn mac_key(file_key: &[u8; 16]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &*derive(file_key, &[], b"header"))
}

/// Counts chunks.
#[derive(Default)]
struct Counter(u64);

impl Counter {
    fn nonce(&mut self, is_last: bool) -> Result<Nonce, AgeError> {
        let bytes = e2ee_core::array::concat(&[&[0; 3], &self.0.to_be_bytes(), &[u8::from(is_last)]]);
        self.0 = self.0.checked_add(1).ok_or(AgeError::Cipher)?;
        Ok(Nonce::assume_unique_for_key(bytes))
    }
}

/// Encrypts what is written. Without [`Finish::finish`] the file is cut short.
pub(super) struct Writer<'a> {
    out: &'a mut dyn Write,
    cipher: LessSafeKey,
    counter: Counter,
    chunk: Zeroizing<Vec<u8>>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        out: &'a mut dyn Write,
        recipient: &Recipient,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Self, super::ArchiveError> {
        let (mut file_key, mut ephemeral, mut nonce) = (SecretBytes::<16>::zeros(), SecretBytes::zeros(), [0; 16]);
        random(&mut *file_key);
        random(&mut *ephemeral);
        random(&mut nonce);
        let own = private(&ephemeral)?;
        let share = public(&own)?;
        let mut body = file_key.to_vec();
        cipher(&stanza_key(&own, &recipient.0, &share, recipient)?)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut body)
            .map_err(|_| AgeError::Cipher)?;
        let header =
            format!("{VERSION}\n{STANZA}{}\n{}\n{FOOTER}", BASE64_NOPAD.encode(&share), BASE64_NOPAD.encode(&body));
        let mac = hmac::sign(&mac_key(&file_key), header.as_bytes());
        writeln!(out, "{header} {}", BASE64_NOPAD.encode(mac.as_ref()))?;
        out.write_all(&nonce)?;
        let cipher = cipher(&derive(&*file_key, &nonce, b"payload"))?;
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK.saturating_add(TAG)));
        Ok(Self { out, cipher, counter: Counter::default(), chunk })
    }

    fn flush_chunk(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.counter.nonce(is_last).map_err(io::Error::other)?;
        self.cipher
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut *self.chunk)
            .map_err(|_| io::Error::other(AgeError::Cipher))?;
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits, because it may be the last one.
        if self.chunk.len() == CHUNK && !bytes.is_empty() {
            self.flush_chunk(false)?;
        }
        let taken = bytes.get(..CHUNK.saturating_sub(self.chunk.len())).unwrap_or(bytes);
        self.chunk.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Finish for Writer<'_> {
    fn finish(mut self) -> io::Result<()> {
        self.flush_chunk(true)?;
        self.out.flush()
    }
}

/// Decrypts a file chunk by chunk; each is authentic, and the end is one only if the last chunk says so.
pub(super) struct Reader<'a> {
    input: &'a mut dyn BufRead,
    cipher: LessSafeKey,
    counter: Counter,
    chunk: Zeroizing<Vec<u8>>,
    /// Bytes of the chunk that were handed out.
    taken: usize,
    ended: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a mut dyn BufRead, identity: &Identity) -> Result<Self, super::ArchiveError> {
        let file_key = read_header(input, identity)?;
        let mut nonce = [0; 16];
        input.read_exact(&mut nonce)?;
        let cipher = cipher(&derive(&*file_key, &nonce, b"payload"))?;
        Ok(Self { input, cipher, counter: Counter::default(), chunk: Zeroizing::default(), taken: 0, ended: false })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let damaged = || io::Error::new(io::ErrorKind::UnexpectedEof, "the file is cut short or damaged");
        let full = CHUNK.saturating_add(TAG);
        self.chunk = Zeroizing::new(Vec::with_capacity(full));
        (&mut *self.input).take(full as u64).read_to_end(&mut self.chunk)?;
        let is_last = self.input.fill_buf()?.is_empty();
        let is_first = self.counter.0 == 0;
        let nonce = self.counter.nonce(is_last).map_err(|_| damaged())?;
        let length = self.cipher.open_in_place(nonce, Aad::empty(), &mut self.chunk).map_err(|_| damaged())?.len();
        // Only an empty file has an empty chunk.
        if length == 0 && !is_first {
            return Err(damaged());
        }
        self.chunk.truncate(length);
        (self.taken, self.ended) = (0, is_last);
        Ok(())
    }
}

/// Returns the file key.
fn read_header(input: &mut dyn BufRead, identity: &Identity) -> Result<SecretBytes<16>, super::ArchiveError> {
    let mut line = || -> Result<String, super::ArchiveError> {
        let mut line = Vec::new();
        (&mut *input).take(MAX_LINE).read_until(b'\n', &mut line)?;
        let text = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
        Ok(text.ok_or(AgeError::Format)?.to_owned())
    };
    let (version, stanza, body, footer) = (line()?, line()?, line()?, line()?);
    let parts = (version == VERSION).then_some(()).and_then(|()| {
        let share = BASE64_NOPAD.decode(stanza.strip_prefix(STANZA)?.as_bytes()).ok()?;
        let sealed = BASE64_NOPAD.decode(body.as_bytes()).ok()?;
        let mac = BASE64_NOPAD.decode(footer.strip_prefix(FOOTER)?.strip_prefix(' ')?.as_bytes()).ok()?;
        Some((<[u8; 32]>::try_from(share).ok()?, Zeroizing::new(<[u8; 32]>::try_from(sealed).ok()?), mac))
    });
    let (share, mut sealed, mac) = parts.ok_or(AgeError::Format)?;
    let own = private(&identity.0)?;
    let opened = cipher(&stanza_key(&own, &share, &share, &identity.recipient()?)?)?
        .open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut *sealed)
        .map_err(|_| AgeError::OtherRecipient)?;
    let file_key = SecretBytes::copy_of(<&[u8; 16]>::try_from(&*opened).map_err(|_| AgeError::Format)?);
    let header = format!("{version}\n{stanza}\n{body}\n{FOOTER}");
    hmac::verify(&mac_key(&file_key), header.as_bytes(), &mac).map_err(|_| AgeError::Format)?;
    Ok(file_key)
}

impl Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.chunk.len() {
            if self.ended {
                return Ok(0);
            }
            self.next_chunk()?;
        }
        let rest = self.chunk.get(self.taken..).unwrap_or_default();
        let length = rest.len().min(out.len());
        out.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.taken = self.taken.saturating_add(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::ArchiveError;

    const IDENTITY: &str = include_str!("../../vectors/age/identity.txt");

    fn identity() -> Identity {
        Identity::parse(IDENTITY.lines().last().unwrap()).unwrap()
    }

    fn counting() -> impl FnMut(&mut [u8]) + Send {
        let mut next = 0_u8;
        move |buffer: &mut [u8]| {
            buffer.fill_with(|| {
                next = next.wrapping_add(1);
                next
            });
        }
    }

    fn encrypt(plain: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, &identity().recipient().unwrap(), &mut counting()).unwrap();
        // In pieces that do not fit chunks.
        plain.chunks(10_007).for_each(|piece| writer.write_all(piece).unwrap());
        writer.finish().unwrap();
        file
    }

    fn decrypt(mut file: &[u8]) -> Result<Vec<u8>, ArchiveError> {
        let mut plain = Vec::new();
        Reader::new(&mut file, &identity())?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    /// Made by `age` 1.1.1: `seq 20000 | age -r "$(age-keygen -y identity.txt)"`, 108,894 bytes of text.
    #[test]
    fn file_of_age_is_read() {
        let expected: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
        let file = include_bytes!("../../vectors/age/numbers.age");
        assert!(decrypt(file).unwrap() == expected.as_bytes());
    }

    #[test]
    fn recipient_is_the_one_that_age_names() {
        let line = IDENTITY.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
        assert!(Recipient::parse(line) == identity().recipient());
    }

    #[test]
    fn chunks_end_where_age_ends_them() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7] {
            let plain = vec![7; length];
            let file = encrypt(&plain);
            let chunks = length.div_ceil(CHUNK).max(1);
            let header = encrypt(&[]).len() - TAG;
            assert_eq!(file.len(), header + length + chunks * TAG, "{length}");
            assert!(decrypt(&file).unwrap() == plain, "{length}");
        }
    }

    #[test]
    fn cut_file_is_refused() {
        let file = encrypt(&vec![7; 2 * CHUNK]);
        let header = file.len() - 2 * (CHUNK + TAG);
        let chunk_ends = [header, header + CHUNK + TAG];
        let cuts = (0..header).chain(chunk_ends).chain([file.len() - 1]);
        for cut in cuts {
            assert!(decrypt(&file[..cut]).is_err(), "{cut}");
        }
        assert!(decrypt(&[&file[..], &[0]].concat()).is_err(), "more than there was");
    }

    #[test]
    fn altered_file_is_refused() {
        let file = encrypt(b"plain");
        for index in 0..file.len() {
            let mut altered = file.clone();
            altered[index] ^= 1;
            assert!(decrypt(&altered).is_err(), "byte {index}");
        }
    }

    #[test]
    fn other_key_is_named() {
        let file = encrypt(b"plain");
        let (other, text) = Identity::generate(&mut |buffer: &mut [u8]| buffer.fill(9)).unwrap();
        let refused = Reader::new(&mut &file[..], &other).err().unwrap();
        assert!(matches!(refused, ArchiveError::Age(AgeError::OtherRecipient)));
        assert!(Identity::parse(&text).unwrap().recipient() == other.recipient());
    }

    #[test]
    fn other_texts_are_no_keys() {
        let recipient = IDENTITY.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
        for text in ["", "age1", "age", &recipient[..40], IDENTITY.lines().last().unwrap()] {
            assert!(Recipient::parse(text) == Err(AgeError::Key), "{text}");
        }
        assert!(Identity::parse(recipient).is_err());
    }
}
