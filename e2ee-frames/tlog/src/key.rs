//! Keys of notes: their names, identifiers and text forms (c2sp.org/signed-note).
//!
//! ```text
//! key id       = first 4 bytes of SHA-256(name || "\n" || type1 || public key)
//! verifier key = name "+" key id in hex "+" base64(type1 || public key)
//! private key  = "PRIVATE+KEY+" name "+" key id in hex "+" base64(type1 || seed)
//! ```
//! Types are 1, Ed25519 over the text, and 4, a cosignature. Other types are ignored in notes and refused by name where
//! a key is configured. The Go implementation (`golang.org/x/mod/sumdb/note`) defines the form of private keys.

use crate::{
    checkpoint::Checkpoint,
    cosignature::{COSIGNATURE_LABEL, Cosignature, message},
    encoding::{from_base64, to_base64},
    note::{Note, NoteError, NoteSignature},
    time::Timestamp,
};
use alloc::{boxed::Box, string::String};
use core::{fmt, str::FromStr};
use e2ee_core::{Domain, Label, Primitives, SecretBytes, SigningKey as _, Standard};
use zeroize::Zeroizing;

/// Maximum length of a key name, bytes: what cosignatures of newer types allow.
pub const MAX_KEY_NAME_BYTES: usize = 255;

/// Bytes of a type and an Ed25519 key, and their length in base64.
const KEY_BYTES: usize = 33;
const KEY_TEXT_BYTES: usize = 44;
const PRIVATE: &str = "PRIVATE+KEY+";

/// What an Ed25519 signature of a note starts with: nothing, C2SP has it sign the text alone. See the crate's
/// documentation for why no labelled signature can be taken for one.
const NO_LABEL: Label = Domain::new("").root();

type Signing = <Standard as Primitives>::Signing;

/// Why a key or a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not in the form of a key.
    #[error("this is not a key in the form NAME+ID+KEY")]
    Malformed,
    /// The name is empty, too long, or has a space, a plus or a control character.
    #[error("a key's name has no spaces, plus or control characters and 1 to {MAX_KEY_NAME_BYTES} bytes")]
    Name,
    /// The identifier belongs to another key or name.
    #[error("the key's identifier is not that of its name and key")]
    Id,
    /// A type that this crate does not verify, or that has another purpose.
    #[error("keys of type {0:#04x} are not supported here")]
    Type(u8),
}

/// Name of a key, and of the log or witness whose key it is; best a URL without scheme, such as `call.example/directory`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// A name: not empty, without Unicode spaces, plus and control characters.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn new(name: &str) -> Result<Self, KeyError> {
        let allowed = |character: char| !character.is_whitespace() && !character.is_control() && character != '+';
        if name.is_empty() || name.len() > MAX_KEY_NAME_BYTES || !name.chars().all(allowed) {
            return Err(KeyError::Name);
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identifier of a key among those of its name. Short on purpose: it selects a key and proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl KeyId {
    fn of(name: &KeyName, kind: SignatureType, public: &[u8; 32]) -> Self {
        let input = [name.as_str().as_bytes(), b"\n", &[kind as u8], public].concat();
        let [a, b, c, d, ..] = Standard::digest(&input);
        Self([a, b, c, d])
    }
}

/// Eight hexadecimal digits.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SignatureType {
    /// Ed25519 over the text of the note: logs.
    Ed25519 = 1,
    /// Ed25519 over the text and a time: witnesses, and a log that says how fresh its head is.
    Cosignature = 4,
}

impl SignatureType {
    fn of(byte: u8) -> Result<Self, KeyError> {
        match byte {
            1 => Ok(Self::Ed25519),
            4 => Ok(Self::Cosignature),
            other => Err(KeyError::Type(other)),
        }
    }
}

/// The public key of a log or witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    kind: SignatureType,
    public: [u8; 32],
}

/// A signature that has been verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// When it was made, if it is a cosignature.
    pub time: Option<Timestamp>,
}

/// The signature of a known key does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signature of a known key does not verify")]
pub struct BadSignature;

impl VerifierKey {
    fn new(name: KeyName, kind: SignatureType, public: [u8; 32]) -> Self {
        Self { id: KeyId::of(&name, kind, &public), name, kind, public }
    }

    /// Name of the key.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Identifier of the key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What the key signs.
    #[must_use]
    pub fn kind(&self) -> SignatureType {
        self.kind
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Whether the signature claims to be of this key: it has its name and identifier. If it does, it must verify.
    #[must_use]
    pub fn made(&self, signature: &NoteSignature) -> bool {
        *signature.name() == self.name && signature.id() == self.id
    }

    /// Verifies a signature over the text of a note. Strict: refuses keys of small order and malleable signatures.
    ///
    /// # Errors
    /// If the signature is not of this key over this text.
    pub fn verify(&self, text: &str, signature: &NoteSignature) -> Result<Verified, BadSignature> {
        if !self.made(signature) {
            return Err(BadSignature);
        }
        let (valid, time) = match self.kind {
            SignatureType::Ed25519 => {
                let signature = signature.bytes().try_into().map_err(|_| BadSignature)?;
                (Standard::verify(&self.public, &NO_LABEL, text.as_bytes(), signature), None)
            }
            SignatureType::Cosignature => {
                let signed = Cosignature::parse(signature.bytes()).ok_or(BadSignature)?;
                let message = message(text, signed.time);
                (
                    Standard::verify(&self.public, &COSIGNATURE_LABEL, message.as_bytes(), &signed.signature),
                    Some(signed.time),
                )
            }
        };
        if valid { Ok(Verified { time }) } else { Err(BadSignature) }
    }
}

/// The key in the form `NAME+ID+KEY`.
impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, id, key) = fields(text).ok_or(KeyError::Malformed)?;
        let name = KeyName::new(name)?;
        let key = from_base64(key).ok_or(KeyError::Malformed)?;
        // Other types have keys of other lengths; name the type rather than the length.
        let (kind, public) = key.split_first().ok_or(KeyError::Malformed)?;
        let kind = SignatureType::of(*kind)?;
        let public = public.try_into().map_err(|_| KeyError::Malformed)?;
        let key = Self::new(name, kind, public);
        if key.id == id { Ok(key) } else { Err(KeyError::Id) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind as u8][..], &self.public].concat();
        write!(f, "{}+{}+{}", self.name, self.id, to_base64(&key))
    }
}

/// Name, identifier and base64, of which the last may have a plus.
fn fields(text: &str) -> Option<(&str, KeyId, &str)> {
    let (name, rest) = text.split_once('+')?;
    let (id, key) = rest.split_once('+')?;
    if id.len() != 8 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((name, KeyId(u32::from_str_radix(id, 16).ok()?.to_be_bytes()), key))
}

/// The private half of a key, on the heap and erased on drop.
struct Private {
    verifier: VerifierKey,
    seed: SecretBytes<32>,
}

impl Private {
    fn from_seed(name: &str, kind: SignatureType, seed: SecretBytes<32>) -> Result<Self, KeyError> {
        let public = Signing::from_seed(&seed).public();
        Ok(Self { verifier: VerifierKey::new(KeyName::new(name)?, kind, public), seed })
    }

    fn parse(text: &str, kind: SignatureType) -> Result<Self, KeyError> {
        let (name, id, key) = text.strip_prefix(PRIVATE).and_then(fields).ok_or(KeyError::Malformed)?;
        if key.len() != KEY_TEXT_BYTES {
            return Err(KeyError::Malformed);
        }
        let mut bytes = SecretBytes::<KEY_BYTES>::zeros();
        // Padding would leave fewer bytes.
        match data_encoding::BASE64.decode_mut(key.as_bytes(), &mut bytes[..]) {
            Ok(KEY_BYTES) => {}
            _ => return Err(KeyError::Malformed),
        }
        let (given, seed) = e2ee_core::array::split::<1, 32, KEY_BYTES>(&bytes);
        match SignatureType::of(given[0])? {
            given if given == kind => {}
            given => return Err(KeyError::Type(given as u8)),
        }
        let key = Self::from_seed(name, kind, SecretBytes::copy_of(seed))?;
        if key.verifier.id == id { Ok(key) } else { Err(KeyError::Id) }
    }

    fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = SecretBytes::<KEY_BYTES>::zeros();
        let (kind, seed) = e2ee_core::array::split_mut::<1, 32, KEY_BYTES>(&mut bytes);
        *kind = [self.verifier.kind as u8];
        seed.copy_from_slice(&self.seed[..]);
        let VerifierKey { name, id, .. } = &self.verifier;
        // Large enough from the start: growing would leave a copy behind.
        let length =
            PRIVATE.len().saturating_add(name.as_str().len()).saturating_add(10).saturating_add(KEY_TEXT_BYTES);
        let mut text = Zeroizing::new(String::with_capacity(length));
        for part in [PRIVATE, name.as_str(), "+", &alloc::format!("{id}"), "+"] {
            text.push_str(part);
        }
        data_encoding::BASE64.encode_append(&bytes[..], &mut text);
        text
    }

    /// The signing key is made for each signature, so that it is in one place only while it is used.
    fn signing(&self) -> Box<Signing> {
        Box::new(Signing::from_seed(&self.seed))
    }

    fn signature(&self, bytes: &[u8]) -> NoteSignature {
        NoteSignature::new(self.verifier.name.clone(), self.verifier.id, bytes.into())
    }
}

/// Why a log cannot sign a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The checkpoint is of another log.
    #[error("the checkpoint is of another log")]
    Origin,
    /// The checkpoint cannot be the text of a note.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// The key by which a log signs its checkpoints: Ed25519 over the text. Neither `Clone` nor `Debug`.
///
/// It signs whatever checkpoint of its log it is given. Give it only what is durable, and never a tree that does not
/// extend the last one signed.
pub struct LogKey(Private);

impl LogKey {
    /// The key of a random seed, which its owner erases. The name is also the log's origin.
    ///
    /// # Errors
    /// If the name cannot be that of a key.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        Private::from_seed(name, SignatureType::Ed25519, SecretBytes::copy_of(seed)).map(Self)
    }

    /// Parses `PRIVATE+KEY+NAME+ID+SEED`.
    ///
    /// # Errors
    /// If the text is not such a key, or one of another type.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Private::parse(text, SignatureType::Ed25519).map(Self)
    }

    /// The text that [`Self::parse`] reads.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        self.0.to_text()
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.0.verifier
    }

    /// Name of the key and the log.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.0.verifier.name
    }

    /// Signs a checkpoint of the log.
    ///
    /// # Errors
    /// If it is of another log, or too long for a note.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Result<Note, SignError> {
        if checkpoint.origin() != self.name().as_str() {
            return Err(SignError::Origin);
        }
        let text = alloc::format!("{checkpoint}");
        let signature = self.sign_text(&text);
        Ok(Note::new(text, signature)?)
    }

    /// Signs any text. Not public: a log signs nothing but checkpoints.
    pub(crate) fn sign_text(&self, text: &str) -> NoteSignature {
        self.0.signature(&self.0.signing().sign(&NO_LABEL, text.as_bytes()))
    }
}

/// The key by which a witness, or a log that vouches for the freshness of its head, cosigns checkpoints. Neither `Clone`
/// nor `Debug`. One key is for one witness only: cosignatures do not cover its name.
pub struct WitnessKey(Private);

impl WitnessKey {
    /// The key of a random seed, which its owner erases.
    ///
    /// # Errors
    /// If the name cannot be that of a key.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        Private::from_seed(name, SignatureType::Cosignature, SecretBytes::copy_of(seed)).map(Self)
    }

    /// Parses `PRIVATE+KEY+NAME+ID+SEED`.
    ///
    /// # Errors
    /// If the text is not such a key, or one of another type.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Private::parse(text, SignatureType::Cosignature).map(Self)
    }

    /// The text that [`Self::parse`] reads.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        self.0.to_text()
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.0.verifier
    }

    /// Cosigns a checkpoint: states that at this time it is the largest tree of its log that this key's owner has seen,
    /// and extends all others.
    ///
    /// Only [`Witness`](crate::Witness) keeps that true. A log may cosign its own head, under the rule of [`LogKey`].
    #[must_use]
    pub fn cosign(&self, checkpoint: &Checkpoint, time: Timestamp) -> NoteSignature {
        let message = message(&alloc::format!("{checkpoint}"), time);
        let signature = self.0.signing().sign(&COSIGNATURE_LABEL, message.as_bytes());
        self.0.signature(&Cosignature { time, signature }.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::EMPTY_ROOT;
    use alloc::string::ToString;

    // From golang.org/x/mod/sumdb/note, whose tests sign this text with this key.
    const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const PRIVATE_KEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const TEXT: &str =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const LINE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
    const ENOCH_LINE: &str = "\u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

    #[test]
    fn go_note_is_reproduced() -> Result<(), KeyError> {
        let key = LogKey::parse(PRIVATE_KEY)?;
        assert_eq!(key.verifier().to_string(), VERIFIER);
        assert_eq!(key.sign_text(TEXT).to_string(), LINE);
        assert_eq!(*key.to_text(), PRIVATE_KEY);
        Ok(())
    }

    #[test]
    fn go_note_verifies() {
        let note = Note::parse(alloc::format!("{TEXT}\n{LINE}{ENOCH_LINE}").as_bytes()).unwrap();
        for (index, key) in [VERIFIER, ENOCH].into_iter().enumerate() {
            let key: VerifierKey = key.parse().unwrap();
            for (other, signature) in note.signatures().iter().enumerate() {
                assert_eq!(key.verify(note.text(), signature).is_ok(), index == other);
            }
            assert!(key.verify("another text\n", &note.signatures()[index]).is_err());
        }
    }

    #[test]
    fn every_other_text_of_a_key_is_refused() {
        for key in [VERIFIER, PRIVATE_KEY] {
            let parse = |text: &str| match key {
                VERIFIER => text.parse::<VerifierKey>().is_ok(),
                _ => LogKey::parse(text).is_ok(),
            };
            assert!(parse(key));
            for (start, end) in (0..=key.len()).flat_map(|start| (start..=key.len()).map(move |end| (start, end))) {
                assert_eq!(parse(&key[start..end]), (start, end) == (0, key.len()), "{start}..{end}");
            }
            for index in 0..key.len() {
                let mut altered = key.as_bytes().to_vec();
                altered[index] += 1;
                assert!(!parse(core::str::from_utf8(&altered).unwrap()), "{index}");
            }
        }
    }

    #[test]
    fn keys_are_refused_by_name() {
        let parse = |text: &str| text.parse::<VerifierKey>().unwrap_err();
        // Its identifier is right, its length is not; then a type that does not exist.
        assert_eq!(
            parse("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=="),
            KeyError::Malformed
        );
        assert_eq!(parse("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"), KeyError::Type(0x65));
        assert_eq!(parse("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"), KeyError::Id);
        assert_eq!(parse("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"), KeyError::Name);
        assert_eq!(WitnessKey::parse(PRIVATE_KEY).err(), Some(KeyError::Type(1)));
    }

    #[test]
    fn names_have_no_spaces() {
        for name in ["", " ", "a b", "a+b", "a\u{2003}b", "a\nb", "a\tb", "a\u{7f}", &"a".repeat(256)] {
            assert_eq!(KeyName::new(name), Err(KeyError::Name), "{name:?}");
        }
        assert!(KeyName::new("münchen.example/log42").is_ok());
    }

    #[test]
    fn log_signs_only_its_own_checkpoints() {
        let key = LogKey::from_seed("call.example/directory", &[1; 32]).unwrap();
        let other = KeyName::new("call.example/other").unwrap();
        let checkpoint = Checkpoint::new(&other, 0, EMPTY_ROOT).unwrap();
        assert_eq!(key.sign(&checkpoint), Err(SignError::Origin));
    }

    /// One key under both types makes signatures that are good for one purpose each.
    #[test]
    fn signature_and_cosignature_differ_in_bytes_and_identifier() {
        let (log, witness) = (LogKey::from_seed("a", &[1; 32]).unwrap(), WitnessKey::from_seed("a", &[1; 32]).unwrap());
        assert_eq!(log.verifier().public(), witness.verifier().public());
        assert_ne!(log.verifier().id(), witness.verifier().id());
        let checkpoint = Checkpoint::new(log.name(), 0, EMPTY_ROOT).unwrap();
        let signature = witness.cosign(&checkpoint, Timestamp::from_secs(7).unwrap());
        let disguised = NoteSignature::new(log.name().clone(), log.verifier().id(), signature.bytes()[8..].to_vec());
        let text = checkpoint.to_string();
        assert!(witness.verifier().verify(&text, &signature).is_ok());
        assert_eq!(log.verifier().verify(&text, &disguised), Err(BadSignature));
        // Nor would it be taken for a signature over the text that was really signed, which is no checkpoint.
        let signed = alloc::format!("cosignature/v1\ntime 7\n{text}");
        assert!(log.verifier().verify(&signed, &disguised).is_ok());
        assert!(Checkpoint::parse(&signed).is_err());
    }

    #[test]
    fn small_order_key_is_refused() {
        // The neutral element: with it, a signature of zeros would verify for every text in the lax equation.
        let mut public = [0; 32];
        public[0] = 1;
        let key = VerifierKey::new(KeyName::new("a").unwrap(), SignatureType::Ed25519, public);
        let mut signature = [0; 64];
        signature[0] = 1;
        let signature = NoteSignature::new(key.name.clone(), key.id, signature.to_vec());
        assert_eq!(key.verify("text\n", &signature), Err(BadSignature));
    }

    #[test]
    fn every_flipped_bit_of_a_signature_is_refused() {
        let key = LogKey::from_seed("call.example/directory", &[1; 32]).unwrap();
        let good = key.sign_text(TEXT);
        for bit in 0..good.bytes().len() * 8 {
            let mut bytes = good.bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let flipped = NoteSignature::new(good.name().clone(), good.id(), bytes);
            assert_eq!(key.verifier().verify(TEXT, &flipped), Err(BadSignature), "bit {bit}");
        }
    }
}
