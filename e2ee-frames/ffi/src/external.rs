//! Frames whose cipher runs outside, for pages: WebCrypto is many times faster with large frames. In wasm only, since
//! these exports hand frame keys out.

use crate::{
    clock::{self, ClockReading},
    codes::{self, EF_MISUSE, FrameKindNumber, OpenRefusal, SealRefusal},
    frames::length,
    layout::CipherJob,
    memory::{bytes_mut, overlap},
    session::Handle,
};
use e2ee_frames::{
    StreamId,
    external::{Job, KeyNumber, Opening, Sealing, seal_finish},
    sframe::{TAG_BYTES, kid::Kid},
};

const JOB_BYTES: usize = size_of::<CipherJob>();

impl CipherJob {
    /// What the cipher needs; the caller of this adds where the frame is.
    fn new(job: &Job) -> Self {
        Self {
            kid: job.key.kid,
            key: job.key.number,
            opens: u32::from(job.key.opens),
            additional_len: job.additional_len as u32,
            nonce: job.nonce,
            additional: job.additional,
            ..Self::default()
        }
    }

    fn key_number(&self) -> KeyNumber {
        KeyNumber { kid: self.kid, number: self.key, opens: self.opens != 0 }
    }
}

/// The job behind a pointer; `None` for null.
///
/// # Safety
/// `job` is null or points to a readable job.
unsafe fn read(job: *const CipherJob) -> Option<CipherJob> {
    // SAFETY: by contract. Every bit pattern is a job.
    (!job.is_null()).then(|| unsafe { job.read_unaligned() })
}

/// Starts to seal a frame of `frame_len` bytes: envelope and SFrame header go to the front of `out`. Returns their
/// length, an `ef_seal_error`, or `EF_MISUSE`. A counter is used up.
///
/// # Safety
/// `session` is live, `clock` names an `ef_clock`, `out` `out_cap` writable bytes, `job` a writable job.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_seal_begin(
    session: *mut Handle,
    clock: *const ClockReading,
    stream: u32,
    codec: u32,
    kind: u32,
    frame_len: usize,
    out: *mut u8,
    out_cap: usize,
    job: *mut CipherJob,
) -> i32 {
    if job.is_null() || overlap(out, out_cap, job.cast(), JOB_BYTES) {
        return EF_MISUSE;
    }
    // SAFETY: by contract; the reading is copied before references exist.
    let Some(clock) = (unsafe { clock::read(clock) }) else { return EF_MISUSE };
    // SAFETY: by contract, and they do not overlap.
    let (handle, out) = unsafe { (session.as_mut(), bytes_mut(out, out_cap)) };
    let (Some(handle), Some(out)) = (handle, out) else { return EF_MISUSE };
    let (Some(codec), Some(kind)) = (codes::codec(codec), FrameKindNumber::kind(kind)) else {
        return SealRefusal::Unsupported as i32;
    };
    match handle.session.seal_begin(clock, StreamId(stream), codec, kind, frame_len, out) {
        Ok(Sealing { job: cipher, envelope, written }) => {
            let written_job = CipherJob {
                start: written as u32,
                length: frame_len.saturating_add(TAG_BYTES) as u32,
                envelope: envelope as u32,
                stream,
                kind: kind as u32,
                ..CipherJob::new(&cipher)
            };
            // SAFETY: by contract, and it is not null.
            unsafe { job.write_unaligned(written_job) }
            length(written)
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
    let Some(codec) = codes::codec(codec) else { return SealRefusal::Unsupported as i32 };
    match seal_finish(codec, envelope, end, out) {
        Ok(sealed) => length(sealed),
        Err(error) => SealRefusal::from(error) as i32,
    }
}

/// Starts to open the frame in `buffer`, where escaping is removed in place. 1 if there is a job; 0 if the frame is to be
/// opened by `ef_open`, and the buffer is unchanged; else an `ef_open_error` or `EF_MISUSE`.
///
/// # Safety
/// `session` is live, `clock` names an `ef_clock`, `buffer` `buffer_len` writable bytes, `job` a writable job.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_open_begin(
    session: *mut Handle,
    clock: *const ClockReading,
    codec: u32,
    buffer: *mut u8,
    buffer_len: usize,
    job: *mut CipherJob,
) -> i32 {
    if job.is_null() || overlap(buffer, buffer_len, job.cast(), JOB_BYTES) {
        return EF_MISUSE;
    }
    // SAFETY: by contract; the reading is copied before references exist.
    let Some(clock) = (unsafe { clock::read(clock) }) else { return EF_MISUSE };
    // SAFETY: by contract, and they do not overlap.
    let (handle, buffer) = unsafe { (session.as_mut(), bytes_mut(buffer, buffer_len)) };
    let (Some(handle), Some(buffer)) = (handle, buffer) else { return EF_MISUSE };
    let Some(codec) = codes::codec(codec) else { return OpenRefusal::Malformed as i32 };
    match handle.session.open_begin(clock, codec, buffer) {
        Ok(Some(Opening { job: cipher, ctr, participant, stream, kind, range })) => {
            let written_job = CipherJob {
                ctr,
                start: range.start as u32,
                length: range.len() as u32,
                participant: participant.0,
                seat: Kid::unpack(cipher.key.kid).map_or(0, |kid| u32::from(kid.seat.0)),
                stream: stream.0,
                kind: kind as u32,
                ..CipherJob::new(&cipher)
            };
            // SAFETY: by contract, and it is not null.
            unsafe { job.write_unaligned(written_job) }
            1
        }
        Ok(None) => 0,
        Err(error) => OpenRefusal::from(error) as i32,
    }
}

/// Says that the tag of a job's frame was valid. 0, or an `ef_open_error`: the frame must then be dropped.
///
/// # Safety
/// `session` is live, `clock` names an `ef_clock`, `job` one that `ef_open_begin` wrote.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_open_finish(
    session: *mut Handle,
    clock: *const ClockReading,
    job: *const CipherJob,
) -> i32 {
    // SAFETY: by contract; the reading is copied before references exist.
    let Some(clock) = (unsafe { clock::read(clock) }) else { return EF_MISUSE };
    // SAFETY: by contract.
    let (handle, job) = unsafe { (session.as_mut(), read(job)) };
    let (Some(handle), Some(job)) = (handle, job) else { return EF_MISUSE };
    handle
        .session
        .open_finish(clock, job.key_number(), job.ctr)
        .map_or_else(|error| OpenRefusal::from(error) as i32, |()| 0)
}

/// The 32-byte key of a job. 0, or -1 if it has been erased; with `out` null, tells only whether it lives. The caller
/// erases the bytes as soon as they are imported.
///
/// # Safety
/// `session` is live, `job` names one that a begin wrote, `out` is null or names 32 writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_cipher_key(session: *mut Handle, job: *const CipherJob, out: *mut u8) -> i32 {
    // SAFETY: by contract.
    let (handle, job, out) = unsafe { (session.as_mut(), read(job), bytes_mut(out, 32)) };
    let (Some(handle), Some(job)) = (handle, job) else { return EF_MISUSE };
    let key = job.key_number();
    let Some(out) = out else { return if handle.session.has_cipher_key(key) { 0 } else { -1 } };
    let Some(key) = handle.session.cipher_key(key) else { return -1 };
    out.iter_mut().zip(key.iter()).for_each(|(slot, byte)| *slot = *byte);
    0
}
