//! Files, sealed in chunks under a key that goes in a message.
//!
//! ```text
//! chunk     AES-256-GCM(key32, nonce = prefix7 || counter4 || last1, 65,536 bytes, the last fewer; AAD "e2ee-messages/1 file")
//! file key  ver1 key32 prefix7 size8 hash32                                                                  80 bytes
//! hash      H(n+1) = SHA-256("e2ee-messages/1 file" || H(n) || clear bytes of chunk n), H(0) = zeros
//! ```
//! Zeros follow the file up to a sixteenth of its size, so that the server learns the size only roughly. The nonce numbers
//! the chunks and marks the last one (STREAM, eprint 2015/189): a file that is cut, or whose chunks are exchanged, does not
//! open. The hash binds the clear bytes: AES-GCM alone lets who made the key make a ciphertext that opens to two files.
//!
//! A [`FileSealer`] draws its key itself, and there is no other way to seal: a file that has changed when it is sent again
//! gets another key.

use crate::{cipher, label};
use alloc::vec::Vec;
use e2ee_core::{Primitives, Random, Reader, SecretBytes, Standard};
use zeroize::Zeroizing;

/// Clear bytes of each chunk but the last.
pub const CHUNK_BYTES: usize = 65_536;
/// Maximum size of a file, bytes.
pub const MAX_FILE_BYTES: u64 = 25_000_000;
/// Bytes of an encoded [`FileKey`].
pub const FILE_KEY_BYTES: usize = 80;
/// Sizes below are padded to a multiple of it.
const SMALLEST_STEP: u64 = 256;
/// Version of the format.
const VERSION: u8 = 1;

/// What opens a file: for the content of a message, and nowhere else.
pub struct FileKey {
    key: SecretBytes<32>,
    prefix: [u8; 7],
    size: u64,
    hash: [u8; 32],
}

/// Why a file is not sealed further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileSealError {
    /// More than [`MAX_FILE_BYTES`].
    #[error("a file has at most {MAX_FILE_BYTES} bytes")]
    TooLong,
    /// Another number of bytes than [`FileSealer::wanted`]: the file has changed while it was read.
    #[error("the file has changed while it was read")]
    OtherLength,
    /// The cipher failed.
    #[error(transparent)]
    Cipher(#[from] cipher::CipherError),
}

/// Why a file does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Not a file's key.
    #[error("not the key of a file")]
    Malformed,
    /// A chunk was altered, exchanged or cut.
    #[error("the file is damaged")]
    Damaged,
    /// Chunks are missing.
    #[error("the file is incomplete")]
    Incomplete,
}

/// Size that the server sees, without tags.
#[must_use]
pub fn padded_size(size: u64) -> u64 {
    let step = size.checked_ilog2().map_or(0, |log| (1u64 << log) / 16).max(SMALLEST_STEP);
    size.max(1).div_ceil(step).saturating_mul(step)
}

/// Where one is in a file: which chunk is next.
struct Position {
    /// Size of the file, and with padding.
    size: u64,
    padded: u64,
    done: u64,
    counter: u32,
    hash: [u8; 32],
}

/// The next chunk.
struct Next {
    nonce: [u8; cipher::NONCE_BYTES],
    /// Bytes of the file, and of padding.
    clear: usize,
    zeros: usize,
}

impl Position {
    fn new(size: u64) -> Self {
        Self { size, padded: padded_size(size), done: 0, counter: 0, hash: [0; 32] }
    }

    /// `None` at the end.
    fn next(&self, prefix: &[u8; 7]) -> Option<Next> {
        let rest = self.padded.checked_sub(self.done).filter(|rest| *rest > 0)?;
        let length = usize::try_from(rest).map_or(CHUNK_BYTES, |rest| rest.min(CHUNK_BYTES));
        let clear = usize::try_from(self.size.saturating_sub(self.done)).map_or(length, |clear| clear.min(length));
        let is_last = [u8::from(u64::try_from(length) == Ok(rest))];
        let nonce = e2ee_core::array::concat(&[prefix, &self.counter.to_be_bytes(), &is_last]);
        Some(Next { nonce, clear, zeros: length - clear })
    }

    fn advance(&mut self, clear: &[u8], zeros: usize) {
        self.hash = Standard::hash(&label::FILE, &[&self.hash, clear]);
        let length = u64::try_from(clear.len().saturating_add(zeros)).unwrap_or(u64::MAX);
        self.done = self.done.saturating_add(length);
        self.counter = self.counter.saturating_add(1);
    }
}

/// Seals one file, chunk by chunk.
pub struct FileSealer {
    key: SecretBytes<32>,
    prefix: [u8; 7],
    position: Position,
}

impl FileSealer {
    /// Draws the key of a file of this size.
    ///
    /// # Errors
    /// If it is too long.
    pub fn new(size: u64, random: &mut (impl Random + ?Sized)) -> Result<Self, FileSealError> {
        if size > MAX_FILE_BYTES {
            return Err(FileSealError::TooLong);
        }
        let (mut key, mut prefix) = (SecretBytes::zeros(), [0; 7]);
        random.fill(&mut *key);
        random.fill(&mut prefix);
        Ok(Self { key, prefix, position: Position::new(size) })
    }

    /// How many bytes of the file [`Self::seal`] takes next: zero when only padding is left, `None` when all is sealed.
    #[must_use]
    pub fn wanted(&self) -> Option<usize> {
        self.position.next(&self.prefix).map(|next| next.clear)
    }

    /// Seals the next chunk.
    ///
    /// # Errors
    /// If there are more or fewer bytes than wanted.
    pub fn seal(&mut self, clear: &[u8]) -> Result<Vec<u8>, FileSealError> {
        let next = self.position.next(&self.prefix).filter(|next| next.clear == clear.len());
        let next = next.ok_or(FileSealError::OtherLength)?;
        let mut data = Zeroizing::new(Vec::with_capacity(clear.len() + next.zeros));
        data.extend_from_slice(clear);
        data.resize(clear.len() + next.zeros, 0);
        let tag = cipher::seal(&self.key, &next.nonce, label::FILE.as_bytes(), data.as_mut_slice())?;
        self.position.advance(clear, next.zeros);
        Ok([&data[..], &tag].concat())
    }

    /// The key, when all is sealed.
    ///
    /// # Errors
    /// If chunks are missing.
    pub fn finish(self) -> Result<FileKey, FileError> {
        if self.wanted().is_some() {
            return Err(FileError::Incomplete);
        }
        Ok(FileKey { key: self.key, prefix: self.prefix, size: self.position.size, hash: self.position.hash })
    }
}

impl FileKey {
    /// Size of the file, bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes for the content of a message.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; FILE_KEY_BYTES]> {
        let fields: [&[u8]; 5] = [&[VERSION], &*self.key, &self.prefix, &self.size.to_be_bytes(), &self.hash];
        Zeroizing::new(e2ee_core::array::concat(&fields))
    }

    /// Reads the bytes from the content of a message.
    ///
    /// # Errors
    /// If they have another form, or the size is too much.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FileError> {
        Self::read(bytes).ok_or(FileError::Malformed)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        (reader.u8()? == VERSION).then_some(())?;
        let key = SecretBytes::copy_of(reader.chunk()?);
        let (prefix, size, hash) = (reader.array()?, reader.u64()?, reader.array()?);
        reader.end()?;
        (size <= MAX_FILE_BYTES).then_some(Self { key, prefix, size, hash })
    }

    /// Opens the file.
    #[must_use]
    pub fn opener(self) -> FileOpener {
        let position = Position::new(self.size);
        FileOpener { key: self, position }
    }
}

/// Opens one file, chunk by chunk. What was opened is the sender's, but not all of it before [`Self::finish`].
pub struct FileOpener {
    key: FileKey,
    position: Position,
}

impl FileOpener {
    /// How many sealed bytes [`Self::open`] takes next; `None` when all is open.
    #[must_use]
    pub fn wanted(&self) -> Option<usize> {
        self.position.next(&self.key.prefix).map(|next| next.clear + next.zeros + cipher::TAG_BYTES)
    }

    /// Opens the next chunk, and returns what it holds of the file.
    ///
    /// # Errors
    /// If it is not that chunk.
    pub fn open(&mut self, chunk: &[u8]) -> Result<Zeroizing<Vec<u8>>, FileError> {
        let next = self.position.next(&self.key.prefix).ok_or(FileError::Damaged)?;
        let (contents, tag) = chunk
            .split_last_chunk()
            .filter(|(contents, _)| contents.len() == next.clear + next.zeros)
            .ok_or(FileError::Damaged)?;
        let mut data = Zeroizing::new(contents.to_vec());
        cipher::open(&self.key.key, &next.nonce, label::FILE.as_bytes(), data.as_mut_slice(), tag)
            .ok_or(FileError::Damaged)?;
        if data.iter().skip(next.clear).any(|byte| *byte != 0) {
            return Err(FileError::Damaged);
        }
        data.truncate(next.clear);
        self.position.advance(&data, next.zeros);
        Ok(data)
    }

    /// Checks that the file is complete and the one that the message names.
    ///
    /// # Errors
    /// If chunks are missing, or it is another.
    pub fn finish(self) -> Result<(), FileError> {
        if self.wanted().is_some() {
            return Err(FileError::Incomplete);
        }
        if self.position.hash == self.key.hash { Ok(()) } else { Err(FileError::Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn random(bytes: &mut [u8]) {
        bytes.fill(0x5a);
    }

    fn file(size: usize) -> Vec<u8> {
        (0..size).map(|index| (index / 7) as u8).collect()
    }

    fn sealed(file: &[u8]) -> (Vec<Vec<u8>>, FileKey) {
        let mut sealer = FileSealer::new(file.len() as u64, &mut random).unwrap();
        let (mut chunks, mut rest) = (Vec::new(), file);
        while let Some(wanted) = sealer.wanted() {
            let (clear, behind) = rest.split_at(wanted);
            chunks.push(sealer.seal(clear).unwrap());
            rest = behind;
        }
        (chunks, sealer.finish().unwrap())
    }

    fn opened(chunks: &[Vec<u8>], key: FileKey) -> Result<Vec<u8>, FileError> {
        let (mut opener, mut file) = (key.opener(), Vec::new());
        for chunk in chunks {
            assert!(opener.wanted().is_none_or(|wanted| wanted >= chunk.len() || chunk.len() > wanted));
            file.extend_from_slice(&opener.open(chunk)?);
        }
        opener.finish()?;
        Ok(file)
    }

    fn again(key: &FileKey) -> FileKey {
        FileKey::from_bytes(&*key.to_bytes()).unwrap()
    }

    #[test]
    fn files_of_all_sizes_open() {
        for size in [0, 1, 255, 256, 4_097, 65_535, 65_536, 65_537, 131_072, 300_000] {
            let (chunks, key) = sealed(&file(size));
            let bytes: usize = chunks.iter().map(|chunk| chunk.len() - cipher::TAG_BYTES).sum();
            assert_eq!((bytes as u64, key.size()), (padded_size(size as u64), size as u64));
            assert_eq!(opened(&chunks, key).unwrap(), file(size), "{size}");
        }
    }

    #[test]
    fn sizes_are_rounded_up_by_a_sixteenth_at_most() {
        for (size, padded) in [(0, 256), (256, 256), (257, 512), (65_536, 65_536), (65_537, 69_632)] {
            assert_eq!(padded_size(size), padded);
        }
        let mut sizes: Vec<_> = (1..MAX_FILE_BYTES).step_by(9_973).map(padded_size).collect();
        sizes.dedup();
        assert!(sizes.len() < 170, "{} sizes", sizes.len());
        assert!((4_096..200_000).all(|size| (size..=size + size / 16).contains(&padded_size(size))));
        assert_eq!(FileSealer::new(MAX_FILE_BYTES + 1, &mut random).err(), Some(FileSealError::TooLong));
    }

    #[test]
    fn cut_exchanged_and_altered_files_do_not_open() {
        let (chunks, key) = sealed(&file(150_000));
        assert_eq!(chunks.len(), 3);
        assert_eq!(opened(&chunks[..2], again(&key)), Err(FileError::Incomplete));
        assert_eq!(opened(&[&chunks[..], &chunks[2..]].concat(), again(&key)), Err(FileError::Damaged));
        assert_eq!(opened(&[chunks[1].clone(), chunks[0].clone()], again(&key)), Err(FileError::Damaged));
        let mut altered = chunks.clone();
        altered[1][9] ^= 1;
        assert_eq!(opened(&altered, again(&key)), Err(FileError::Damaged));
        // A middle chunk is not a last one: a key with the size up to there, padding included.
        let shorter = FileKey { size: 131_072, ..again(&key) };
        assert_eq!(opened(&chunks[..2], shorter), Err(FileError::Damaged));
        let other = FileKey { hash: [1; 32], ..again(&key) };
        assert_eq!(opened(&chunks, other), Err(FileError::Damaged));
    }

    #[test]
    fn file_that_changed_meanwhile_is_refused() {
        let mut sealer = FileSealer::new(100, &mut random).unwrap();
        assert_eq!(sealer.seal(&[1; 99]), Err(FileSealError::OtherLength));
        sealer.seal(&[1; 100]).unwrap();
        assert_eq!(sealer.seal(&[]), Err(FileSealError::OtherLength));
        let unfinished = FileSealer::new(100, &mut random).unwrap();
        assert_eq!(unfinished.finish().err(), Some(FileError::Incomplete));
        for bytes in [vec![], vec![1; 79], vec![1; 81], vec![2; 80], vec![1; 80]] {
            assert_eq!(FileKey::from_bytes(&bytes).err(), Some(FileError::Malformed));
        }
    }
}
