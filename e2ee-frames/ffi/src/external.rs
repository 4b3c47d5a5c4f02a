//! Frames whose cipher runs outside, for pages: WebCrypto is many times faster with large frames. In wasm only, since
//! these exports hand frame keys out.
//!
//! A job is 88 bytes, little endian:
//! ```text
//!  0 kid8  8 ctr8  16 key4  20 opens4  24 additional_len4  28 start4  32 length4  36 envelope4
//! 40 participant4  44 seat4  48 stream4  52 kind4  56 nonce12  68 additional20
//! ```
//! `start` and `length` name, after `ef_seal_begin`, where ciphertext and tag belong in the output, and after
//! `ef_open_begin`, where they lie in the buffer. The cipher is AES-256-GCM with a 16-byte tag.

use crate::{
    codes::{CodecNumber, EF_MISUSE, FrameKindNumber, OpenRefusal, SealRefusal},
    frames::length,
    memory::{array, bytes_mut, overlap},
    session::Handle,
};
use e2ee_frames::{
    StreamId,
    external::{Job, KeyNumber, Opening, Sealing, seal_finish},
    sframe::{TAG_BYTES, kid::Kid},
};

/// Bytes of a job.
const JOB_BYTES: usize = 88;

/// Fields of a job that the caller brings back.
struct Returned {
    key: KeyNumber,
    ctr: u64,
}

impl Returned {
    fn read(job: &[u8; JOB_BYTES]) -> Option<Self> {
        let word = |at: usize| job.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let long = |at: usize| job.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        Some(Self { key: KeyNumber { kid: long(0)?, number: word(16)?, opens: word(20)? != 0 }, ctr: long(8)? })
    }
}

/// Words of a job after its key, in order of the layout.
fn write(out: &mut [u8], job: &Job, ctr: u64, words: [usize; 7]) -> Option<()> {
    let out: &mut [u8; JOB_BYTES] = out.try_into().ok()?;
    let [start, length, envelope, participant, seat, stream, kind] = words.map(|word| word as u32);
    let words = [
        job.key.number,
        u32::from(job.key.opens),
        job.additional_len as u32,
        start,
        length,
        envelope,
        participant,
        seat,
        stream,
        kind,
    ];
    let fields = job.key.kid.to_le_bytes().into_iter().chain(ctr.to_le_bytes());
    let fields = fields.chain(words.into_iter().flat_map(u32::to_le_bytes));
    let fields = fields.chain(job.nonce).chain(job.additional);
    out.iter_mut().zip(fields).for_each(|(slot, byte)| *slot = byte);
    Some(())
}

/// Starts to seal a frame of `frame_len` bytes: envelope and SFrame header go to the front of `out`. Returns their
/// length, an `ef_seal_error`, or `EF_MISUSE`. A counter is used up.
///
/// # Safety
/// `session` is live, `out` names `out_cap` writable bytes, `job` 88.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_seal_begin(
    session: *mut Handle,
    now: u64,
    stream: u32,
    codec: u32,
    kind: u32,
    frame_len: usize,
    out: *mut u8,
    out_cap: usize,
    job: *mut u8,
) -> i32 {
    if overlap(out, out_cap, job, JOB_BYTES) {
        return EF_MISUSE;
    }
    // SAFETY: by contract, and they do not overlap.
    let (handle, out, job) = unsafe { (session.as_mut(), bytes_mut(out, out_cap), bytes_mut(job, JOB_BYTES)) };
    let (Some(handle), Some(out), Some(job)) = (handle, out, job) else { return EF_MISUSE };
    let (Some(codec), Some(kind)) = (CodecNumber::codec(codec), FrameKindNumber::kind(kind)) else {
        return SealRefusal::Unsupported as i32;
    };
    match handle.session.seal_begin(now, StreamId(stream), codec, kind, frame_len, out) {
        Ok(Sealing { job: cipher, envelope, written }) => {
            let words = [written, frame_len.saturating_add(TAG_BYTES), envelope, 0, 0, stream as usize, kind as usize];
            match write(job, &cipher, 0, words) {
                Some(()) => length(written),
                None => SealRefusal::Unsupported as i32,
            }
        }
        Err(error) => SealRefusal::from(error) as i32,
    }
}

/// Completes a sealed frame that fills the first `end` bytes of `out`; returns its length, or an `ef_seal_error`. To be
/// called for H.264, which escapes; other codecs are complete with the tag.
///
/// # Safety
/// `out` names `out_cap` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_seal_finish(codec: u32, envelope: usize, end: usize, out: *mut u8, out_cap: usize) -> i32 {
    // SAFETY: by contract.
    let Some(out) = (unsafe { bytes_mut(out, out_cap) }) else { return EF_MISUSE };
    let Some(codec) = CodecNumber::codec(codec) else { return SealRefusal::Unsupported as i32 };
    match seal_finish(codec, envelope, end, out) {
        Ok(sealed) => length(sealed),
        Err(error) => SealRefusal::from(error) as i32,
    }
}

/// Starts to open the frame in `buffer`, where escaping is removed in place. 1 if there is a job; 0 if the frame is to be
/// opened by `ef_open`, and the buffer is unchanged; else an `ef_open_error` or `EF_MISUSE`.
///
/// # Safety
/// `session` is live, `buffer` names `buffer_len` writable bytes, `job` 88.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_open_begin(
    session: *mut Handle,
    now: u64,
    codec: u32,
    buffer: *mut u8,
    buffer_len: usize,
    job: *mut u8,
) -> i32 {
    if overlap(buffer, buffer_len, job, JOB_BYTES) {
        return EF_MISUSE;
    }
    // SAFETY: by contract, and they do not overlap.
    let (handle, buffer, job) = unsafe { (session.as_mut(), bytes_mut(buffer, buffer_len), bytes_mut(job, JOB_BYTES)) };
    let (Some(handle), Some(buffer), Some(job)) = (handle, buffer, job) else { return EF_MISUSE };
    let Some(codec) = CodecNumber::codec(codec) else { return OpenRefusal::Malformed as i32 };
    match handle.session.open_begin(now, codec, buffer) {
        Ok(Some(Opening { job: cipher, ctr, participant, stream, kind, range })) => {
            let seat = Kid::unpack(cipher.key.kid).map_or(0, |kid| usize::from(kid.seat.0));
            let words = [range.start, range.len(), 0, participant.0 as usize, seat, stream.0 as usize, kind as usize];
            write(job, &cipher, ctr, words).map_or(EF_MISUSE, |()| 1)
        }
        Ok(None) => 0,
        Err(error) => OpenRefusal::from(error) as i32,
    }
}

/// Says that the tag of a job's frame was valid. 0, or an `ef_open_error`: the frame must then be dropped.
///
/// # Safety
/// `session` is live, `job` names 88 readable bytes that `ef_open_begin` wrote.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_open_finish(session: *mut Handle, now: u64, job: *const u8) -> i32 {
    // SAFETY: by contract.
    let (handle, job) = unsafe { (session.as_mut(), array(job)) };
    let (Some(handle), Some(job)) = (handle, job) else { return EF_MISUSE };
    let Some(Returned { key, ctr }) = Returned::read(&job) else { return OpenRefusal::Malformed as i32 };
    handle.session.open_finish(now, key, ctr).map_or_else(|error| OpenRefusal::from(error) as i32, |()| 0)
}

/// The 32-byte key of a job. 0, or -1 if it has been erased; with `out` null, tells only whether it lives. The caller
/// erases the bytes as soon as they are imported.
///
/// # Safety
/// `session` is live, `job` names 88 readable bytes that a begin wrote, `out` is null or names 32 writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_cipher_key(session: *mut Handle, job: *const u8, out: *mut u8) -> i32 {
    // SAFETY: by contract.
    let (handle, job, out) = unsafe { (session.as_mut(), array(job), bytes_mut(out, 32)) };
    let (Some(handle), Some(job)) = (handle, job) else { return EF_MISUSE };
    let Some(Returned { key, .. }) = Returned::read(&job) else { return -1 };
    let Some(out) = out else { return if handle.session.has_cipher_key(key) { 0 } else { -1 } };
    let Some(key) = handle.session.cipher_key(key) else { return -1 };
    out.iter_mut().zip(key.iter()).for_each(|(slot, byte)| *slot = *byte);
    0
}
