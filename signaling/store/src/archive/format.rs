//! The records of an archive, beneath its encryption.
//!
//! ```text
//!   "tacet-store/1 archive\n"  content1 store16 taken8 length1 region
//!   table1 length4 key length4 value          for each record; tables from 1 on
//!   0 count8 SHA-256 of all bytes before
//! ```
//!
//! What was cut short has no end. Nothing of an archive must be used before its end was read.

use crate::{
    error::StoreError,
    label::ARCHIVE,
    sealed::{MAX_NAME_BYTES, MAX_VALUE_BYTES},
    store::StoreId,
    time::Time,
};
use aws_lc_rs::digest::{Context, SHA256};
use std::io::{self, Read, Write};

use super::age::AgeError;

/// Table number of wrap keys: number4 → file.
pub(super) const WRAP_KEYS: u8 = 255;
/// Table number of tombstones: mac32 → day4.
pub(super) const TOMBSTONES: u8 = 254;

/// Longest key and value of a record: more than any row has.
const MAX_KEY: usize = MAX_NAME_BYTES + 64;
const MAX_VALUE: usize = MAX_VALUE_BYTES + 64;

/// What an archive holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The database of keys.
    Keys = 1,
    /// The database of content.
    Vault = 2,
    /// Wrap keys and tombstones.
    Wrap = 3,
}

impl Content {
    fn from_number(number: u8) -> Option<Self> {
        [Self::Keys, Self::Vault, Self::Wrap].into_iter().find(|content| *content as u8 == number)
    }
}

/// How an archive begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it holds.
    pub content: Content,
    /// Of which store.
    pub store: StoreId,
    /// Where that store may lie.
    pub region: String,
    /// When it was taken.
    pub taken: Time,
}

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The store fails, or refuses what is in the archive.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be written or read.
    #[error("the archive cannot be written or read")]
    File(#[from] io::Error),
    /// Its encryption is of another kind, for another key, or not authentic.
    #[error(transparent)]
    Age(#[from] AgeError),
    /// It is not whole, or no archive.
    #[error("the archive is cut short or damaged")]
    Damaged,
    /// It holds something else.
    #[error("the archive does not hold what was asked for")]
    OtherContent,
    /// There is something already where it should be restored.
    #[error("a store can be restored only where there is none")]
    NotEmpty,
    /// The logs of tombstones, by which deleted accounts stay deleted, are empty.
    #[error("without the log of deleted accounts, those deleted since the archive come back")]
    NoTombstones,
}

/// Writes records, and their hash behind them.
pub(super) struct RecordSink<W> {
    out: W,
    hash: Context,
    count: u64,
}

/// What encrypts beneath the records.
pub(super) trait Finish: Write {
    fn finish(self) -> io::Result<()>;
}

impl<W: Finish> RecordSink<W> {
    pub(super) fn new(out: W, header: &Header) -> Result<Self, ArchiveError> {
        let mut sink = Self { out, hash: Context::new(&SHA256), count: 0 };
        let region = header.region.as_bytes();
        let length = u8::try_from(region.len()).map_err(|_| StoreError::TooLong)?;
        sink.write(ARCHIVE.as_bytes())?;
        sink.write(&[b'\n', header.content as u8])?;
        sink.write(&header.store.0)?;
        sink.write(&header.taken.as_secs().to_be_bytes())?;
        sink.write(&[length])?;
        sink.write(region)?;
        Ok(sink)
    }

    pub(super) fn record(&mut self, table: u8, key: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        let length = |bytes: &[u8], limit: usize| {
            let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= limit);
            length.map(u32::to_be_bytes).ok_or(StoreError::TooLong)
        };
        self.write(&[table])?;
        self.write(&length(key, MAX_KEY)?)?;
        self.write(key)?;
        self.write(&length(value, MAX_VALUE)?)?;
        self.write(value)?;
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), ArchiveError> {
        self.write(&[0])?;
        self.write(&self.count.to_be_bytes())?;
        let hash = self.hash.finish();
        self.out.write_all(hash.as_ref())?;
        Ok(self.out.finish()?)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.out.write_all(bytes)
    }
}

/// A record of an archive.
pub(super) struct ArchivedRecord {
    pub(super) table: u8,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// Reads records. The last `None` says that all before it was whole.
pub(super) struct RecordSource<R> {
    input: R,
    hash: Context,
    count: u64,
    pub(super) header: Header,
}

impl<R: Read> RecordSource<R> {
    pub(super) fn new(input: R) -> Result<Self, ArchiveError> {
        let header = Header {
            content: Content::Keys,
            store: StoreId([0; 16]),
            region: String::new(),
            taken: Time::from_secs(0),
        };
        let mut source = Self { input, hash: Context::new(&SHA256), count: 0, header };
        let label = source.take(ARCHIVE.as_bytes().len())?;
        let [end, content] = source.array()?;
        if label != ARCHIVE.as_bytes() || end != b'\n' {
            return Err(ArchiveError::Damaged);
        }
        source.header.content = Content::from_number(content).ok_or(ArchiveError::Damaged)?;
        source.header.store = StoreId(source.array()?);
        source.header.taken = Time::from_secs(u64::from_be_bytes(source.array()?));
        let [length] = source.array()?;
        let region = source.take(length.into())?;
        source.header.region = String::from_utf8(region).map_err(|_| ArchiveError::Damaged)?;
        Ok(source)
    }

    pub(super) fn next(&mut self) -> Result<Option<ArchivedRecord>, ArchiveError> {
        let [table] = self.array()?;
        if table == 0 {
            return self.end().map(|()| None);
        }
        let (key, value) = (self.field(MAX_KEY)?, self.field(MAX_VALUE)?);
        self.count = self.count.saturating_add(1);
        Ok(Some(ArchivedRecord { table, key, value }))
    }

    fn end(&mut self) -> Result<(), ArchiveError> {
        let count = u64::from_be_bytes(self.array()?);
        let expected = self.hash.clone().finish();
        let hash: [u8; 32] = self.array()?;
        let mut rest = [0];
        if count != self.count || hash != expected.as_ref() || self.input.read(&mut rest)? != 0 {
            return Err(ArchiveError::Damaged);
        }
        Ok(())
    }

    fn field(&mut self, limit: usize) -> Result<Vec<u8>, ArchiveError> {
        let length = u32::from_be_bytes(self.array()?);
        let length = usize::try_from(length).ok().filter(|length| *length <= limit).ok_or(ArchiveError::Damaged)?;
        self.take(length)
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).map_err(cut_short)?;
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ArchiveError> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(cut_short)?;
        self.hash.update(&bytes);
        Ok(bytes)
    }
}

fn cut_short(error: io::Error) -> ArchiveError {
    if error.kind() == io::ErrorKind::UnexpectedEof { ArchiveError::Damaged } else { error.into() }
}
