//! IVF files: encoded frames, each with its length and timestamp.
//!
//! ```text
//!  "DKIF" │ version 2 │ header length 2 │ codec 4 │ width 2 │ height 2 │ rate 4 │ scale 4 │ frames 4 │ unused 4
//!  length 4 │ timestamp 8 │ frame …    times are in units of scale/rate seconds; all numbers little-endian
//! ```
//! VP8, VP9 and AV1 as libvpx and libaom write them; H.264 as Annex B, as ffmpeg does.

use e2ee_frames::Codec;
use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    time::Duration,
};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 12;
/// Maximum size of a frame, in bytes: larger than any frame of a call.
const MAX_FRAME_BYTES: u32 = 16 << 20;
/// Offset of the number of frames in the header.
const COUNT_AT: u64 = 24;
/// The number of frames in the header is updated after this many frames.
const COUNT_EVERY: u32 = 30;

/// Why an IVF file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IvfError {
    /// The file does not start with the IVF signature.
    #[error("not an IVF file: it does not start with DKIF")]
    NotIvf,
    /// The header is invalid.
    #[error("invalid IVF header: {0}")]
    Header(&'static str),
    /// Calls do not support the codec.
    #[error("unsupported codec {0:?} in IVF file; supported are VP80, VP90, AV01 and H264")]
    Codec(String),
    /// The file ends inside a frame.
    #[error("the IVF file is truncated in frame {frame}, at byte {offset}")]
    CutShort {
        /// Number of the frame, from 0.
        frame: u64,
        /// Byte offset of the frame.
        offset: u64,
    },
    /// A frame is empty or too long.
    #[error("IVF frame {frame} at byte {offset} has an invalid length of {length} bytes")]
    FrameLength {
        /// Number of the frame, from 0.
        frame: u64,
        /// Byte offset of the frame.
        offset: u64,
        /// Length in the frame header.
        length: u32,
    },
    /// The system failed to read or write.
    #[error("IVF file: {0}")]
    Io(#[from] io::Error),
}

/// The header of an IVF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Codec of the frames; never Opus.
    pub codec: Codec,
    /// Width in pixels, 0 if unknown.
    pub width: u16,
    /// Height in pixels, 0 if unknown.
    pub height: u16,
    /// Time base: timestamps are in units of `scale / rate` seconds.
    pub rate: u32,
    /// See `rate`.
    pub scale: u32,
}

impl Header {
    /// The time of a timestamp, since timestamp 0.
    #[must_use]
    pub fn time(&self, timestamp: u64) -> Duration {
        let nanos = u128::from(timestamp) * u128::from(self.scale) * 1_000_000_000 / u128::from(self.rate.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn to_bytes(self, frames: u32) -> Option<[u8; HEADER_BYTES]> {
        let fourcc = fourcc(self.codec)?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(b"DKIF");
        bytes.extend(0u16.to_le_bytes());
        bytes.extend((HEADER_BYTES as u16).to_le_bytes());
        bytes.extend(fourcc);
        bytes.extend(self.width.to_le_bytes());
        bytes.extend(self.height.to_le_bytes());
        bytes.extend(self.rate.to_le_bytes());
        bytes.extend(self.scale.to_le_bytes());
        bytes.extend(frames.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.try_into().ok()
    }
}

fn fourcc(codec: Codec) -> Option<&'static [u8; 4]> {
    match codec {
        Codec::Opus => None,
        Codec::Vp8 => Some(b"VP80"),
        Codec::Vp9 => Some(b"VP90"),
        Codec::Av1 => Some(b"AV01"),
        Codec::H264 => Some(b"H264"),
    }
}

/// An encoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Presentation time, in units of the header's time base.
    pub timestamp: u64,
    /// Encoded bytes.
    pub bytes: Vec<u8>,
}

/// Reads frames.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    header: Header,
    frames: u64,
    offset: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`IvfError::NotIvf`], [`IvfError::Header`], [`IvfError::Codec`], [`IvfError::Io`].
    pub fn new(mut source: R) -> Result<Self, IvfError> {
        let mut bytes = [0; HEADER_BYTES];
        if read_up_to(&mut source, &mut bytes)? < HEADER_BYTES || !bytes.starts_with(b"DKIF") {
            return Err(IvfError::NotIvf);
        }
        let mut fields = Fields(&bytes);
        let _magic = fields.take::<4>();
        let version = u16::from_le_bytes(fields.take());
        let length = u16::from_le_bytes(fields.take());
        let code = fields.take::<4>();
        let codec = [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264].into_iter().find(|c| fourcc(*c) == Some(&code));
        let codec = codec.ok_or_else(|| IvfError::Codec(code.escape_ascii().to_string()))?;
        let (width, height) = (u16::from_le_bytes(fields.take()), u16::from_le_bytes(fields.take()));
        let (rate, scale) = (u32::from_le_bytes(fields.take()), u32::from_le_bytes(fields.take()));
        if version != 0 {
            return Err(IvfError::Header("the version is not 0"));
        }
        if rate == 0 || scale == 0 {
            return Err(IvfError::Header("the time base is zero"));
        }
        let more = usize::from(length).checked_sub(HEADER_BYTES);
        let more = more.ok_or(IvfError::Header("its length is below 32 bytes"))?;
        if io::copy(&mut source.by_ref().take(more as u64), &mut io::sink())? < more as u64 {
            return Err(IvfError::Header("it is truncated"));
        }
        let header = Header { codec, width, height, rate, scale };
        Ok(Self { source, header, frames: 0, offset: u64::from(length) })
    }

    /// The file's header.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// [`IvfError::CutShort`], [`IvfError::FrameLength`], [`IvfError::Io`]; nothing can be read after an error.
    pub fn frame(&mut self) -> Result<Option<Frame>, IvfError> {
        let (frame, offset) = (self.frames, self.offset);
        let mut head = [0; FRAME_HEADER_BYTES];
        match read_up_to(&mut self.source, &mut head)? {
            0 => return Ok(None),
            FRAME_HEADER_BYTES => {}
            _ => return Err(IvfError::CutShort { frame, offset }),
        }
        let mut fields = Fields(&head);
        let length = u32::from_le_bytes(fields.take());
        let timestamp = u64::from_le_bytes(fields.take());
        if length == 0 || length > MAX_FRAME_BYTES {
            return Err(IvfError::FrameLength { frame, offset, length });
        }
        let mut bytes = Vec::new();
        if self.source.by_ref().take(u64::from(length)).read_to_end(&mut bytes)? < length as usize {
            return Err(IvfError::CutShort { frame, offset });
        }
        self.frames += 1;
        self.offset += FRAME_HEADER_BYTES as u64 + u64::from(length);
        Ok(Some(Frame { timestamp, bytes }))
    }
}

/// Reads until the buffer is full or the source ends. Returns the number of bytes read.
fn read_up_to(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let length = buffer.len() as u64;
    let mut bytes = Vec::new();
    let read = source.by_ref().take(length).read_to_end(&mut bytes)?;
    buffer.iter_mut().zip(&bytes).for_each(|(slot, byte)| *slot = *byte);
    Ok(read)
}

/// Reads the fields of a header in order; zeros after its end.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk::<N>() else { return [0; N] };
        self.0 = rest;
        *field
    }
}

/// Writes frames. An unfinished file is readable, but its header may contain a lower number of frames.
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
    frames: u32,
}

impl<W: Write + Seek> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// [`IvfError::Codec`] for Opus, [`IvfError::Io`].
    pub fn new(mut sink: W, header: Header) -> Result<Self, IvfError> {
        let bytes = header.to_bytes(0).ok_or_else(|| IvfError::Codec(format!("{:?}", header.codec)))?;
        sink.write_all(&bytes)?;
        Ok(Self { sink, frames: 0 })
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// [`IvfError::FrameLength`], [`IvfError::Io`].
    pub fn write(&mut self, timestamp: u64, frame: &[u8]) -> Result<(), IvfError> {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        if length == 0 || length > MAX_FRAME_BYTES {
            let offset = self.sink.stream_position()?;
            return Err(IvfError::FrameLength { frame: u64::from(self.frames), offset, length });
        }
        self.sink.write_all(&length.to_le_bytes())?;
        self.sink.write_all(&timestamp.to_le_bytes())?;
        self.sink.write_all(frame)?;
        self.frames = self.frames.saturating_add(1);
        if self.frames.is_multiple_of(COUNT_EVERY) {
            self.count()?;
        }
        Ok(())
    }

    /// Finishes the file and returns the sink.
    ///
    /// # Errors
    /// [`IvfError::Io`].
    pub fn finish(mut self) -> Result<W, IvfError> {
        self.count()?;
        Ok(self.sink)
    }

    /// Updates the number of frames in the header.
    fn count(&mut self) -> io::Result<()> {
        let end = self.sink.stream_position()?;
        self.sink.seek(SeekFrom::Start(COUNT_AT))?;
        self.sink.write_all(&self.frames.to_le_bytes())?;
        self.sink.seek(SeekFrom::Start(end))?;
        self.sink.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    const HEADER: Header = Header { codec: Codec::Vp8, width: 320, height: 180, rate: 30, scale: 1 };

    fn written(header: Header, frames: &[Frame]) -> Vec<u8> {
        let mut writer = Writer::new(Cursor::new(Vec::new()), header).unwrap();
        frames.iter().for_each(|frame| writer.write(frame.timestamp, &frame.bytes).unwrap());
        writer.finish().unwrap().into_inner()
    }

    fn read(bytes: &[u8]) -> Result<(Header, Vec<Frame>), IvfError> {
        let mut reader = Reader::new(bytes)?;
        let frames: Result<_, _> = std::iter::from_fn(|| reader.frame().transpose()).collect();
        Ok((reader.header(), frames?))
    }

    #[test]
    fn header_matches_other_programs() {
        let bytes = written(HEADER, &[]);
        let wanted = "444b494600002000565038304001b4001e000000010000000000000000000000";
        assert_eq!(data_encoding::HEXLOWER.encode(&bytes), wanted);
    }

    #[test]
    fn frame_count_is_updated() {
        let mut file = Cursor::new(Vec::new());
        {
            let mut writer = Writer::new(&mut file, HEADER).unwrap();
            (0..31).for_each(|n| writer.write(n, b"frame").unwrap());
        }
        assert_eq!(file.get_ref()[24..28], [30, 0, 0, 0]);
        assert_eq!(read(file.get_ref()).unwrap().1.len(), 31, "all frames are read whatever the header says");
    }

    #[test]
    fn timestamps_convert_by_time_base() {
        assert_eq!(Header { rate: 90_000, ..HEADER }.time(180_000), Duration::from_secs(2));
        assert_eq!(Header { rate: 30_000, scale: 1_001, ..HEADER }.time(30_000), Duration::from_secs(1_001));
        let _ = Header { scale: u32::MAX, ..HEADER }.time(u64::MAX);
    }

    #[test]
    fn errors_name_the_position() {
        let frames = [Frame { timestamp: 0, bytes: vec![1; 10] }, Frame { timestamp: 1, bytes: vec![2; 10] }];
        let good = written(HEADER, &frames);
        let error = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        assert_eq!(error(b"RIFF"), "not an IVF file: it does not start with DKIF");
        assert_eq!(
            error(&with(8, b'X')),
            "unsupported codec \"XP80\" in IVF file; supported are VP80, VP90, AV01 and H264"
        );
        assert_eq!(error(&with(16, 0)), "invalid IVF header: the time base is zero");
        assert_eq!(error(&with(6, 31)), "invalid IVF header: its length is below 32 bytes");
        assert_eq!(error(&good[..60]), "the IVF file is truncated in frame 1, at byte 54");
        assert_eq!(error(&with(57, 0xff)), "IVF frame 1 at byte 54 has an invalid length of 4278190090 bytes");
    }

    proptest! {
        #[test]
        fn written_frames_are_read_back(
            frames in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 1..200)), 0..40),
            (width, height, rate, scale) in (any::<u16>(), any::<u16>(), 1u32.., 1u32..),
        ) {
            let frames: Vec<_> = frames.into_iter().map(|(timestamp, bytes)| Frame { timestamp, bytes }).collect();
            for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
                let header = Header { codec, width, height, rate, scale };
                prop_assert_eq!(read(&written(header, &frames)).unwrap(), (header, frames.clone()));
            }
        }

        #[test]
        fn corrupt_files_do_not_panic(changes in prop::collection::vec((0usize..90, any::<u8>()), 1..6)) {
            let mut bytes = written(HEADER, &[Frame { timestamp: 0, bytes: vec![7; 50] }]);
            for (at, byte) in changes {
                if let Some(slot) = bytes.get_mut(at) {
                    *slot = byte;
                }
            }
            let _ = read(&bytes);
        }
    }
}
