//! Frames of a session: sealed before they are sent, opened when they come.

use crate::{
    codes::{CodecNumber, EF_MISUSE, FrameKindNumber, OpenRefusal, SealRefusal},
    memory::{bytes, bytes_mut, overlap},
    session::Handle,
};
use e2ee_frames::StreamId;

/// Bytes of what is told of an opened frame: participant, seat, stream and kind.
const INFO_BYTES: usize = 16;

/// The length of a frame. Buffers of more than 31 bits were refused.
pub(crate) fn length(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(EF_MISUSE)
}

/// Seals a frame of an encoder. The stream must be open, and ready.
///
/// `codec` is an `ef_codec`, `kind` an `ef_frame_kind`: what the encoder says of the frame. An output of `frame_len` +
/// 64 bytes always suffices, for H.264 of `frame_len` * 3 / 2 + 96.
///
/// Returns the length of the sealed frame in `out`, an `ef_seal_error`, or `EF_MISUSE`. If negative, the frame must be
/// dropped.
///
/// # Safety
/// `session` is live and used by no other thread; `frame` names `frame_len` readable bytes, `out` `out_cap` writable
/// ones. They may not overlap: if they do, it is `EF_MISUSE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_seal(
    session: *mut Handle,
    now: u64,
    stream: u32,
    codec: u32,
    kind: u32,
    frame: *const u8,
    frame_len: usize,
    out: *mut u8,
    out_cap: usize,
) -> i32 {
    if overlap(frame, frame_len, out, out_cap) {
        return EF_MISUSE;
    }
    // SAFETY: by contract, and they do not overlap.
    let (handle, frame, out) = unsafe { (session.as_mut(), bytes(frame, frame_len), bytes_mut(out, out_cap)) };
    let (Some(handle), Some(frame), Some(out)) = (handle, frame, out) else { return EF_MISUSE };
    let (Some(codec), Some(kind)) = (CodecNumber::codec(codec), FrameKindNumber::kind(kind)) else {
        return SealRefusal::Unsupported as i32;
    };
    match handle.session.seal(now, StreamId(stream), codec, kind, frame, out) {
        Ok(sealed) => length(sealed),
        Err(error) => SealRefusal::from(error) as i32,
    }
}

/// Opens a frame that came from the network. Who sealed it is told by its key, not by any label of the server.
///
/// `out` must be as large as the frame. `info`, which may be NULL, gets four numbers of 4 bytes each, little endian:
/// participant, seat, stream, and the `ef_frame_kind` that the sender said.
///
/// Returns the length of the frame at the front of `out`, an `ef_open_error`, or `EF_MISUSE`. If negative, the frame must
/// be dropped, or held if its key is missing, and `info` was not written.
///
/// # Safety
/// `session` is live and used by no other thread; `frame` names `frame_len` readable bytes, `out` `out_cap` writable
/// ones, `info` 16 writable ones or is NULL. No two of them may overlap: if they do, it is `EF_MISUSE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_open(
    session: *mut Handle,
    now: u64,
    codec: u32,
    frame: *const u8,
    frame_len: usize,
    out: *mut u8,
    out_cap: usize,
    info: *mut u8,
) -> i32 {
    let info_len = if info.is_null() { 0 } else { INFO_BYTES };
    if overlap(frame, frame_len, out, out_cap)
        || overlap(frame, frame_len, info, info_len)
        || overlap(out, out_cap, info, info_len)
    {
        return EF_MISUSE;
    }
    // SAFETY: by contract, and they do not overlap.
    let (frame, out, info) = unsafe { (bytes(frame, frame_len), bytes_mut(out, out_cap), bytes_mut(info, info_len)) };
    // SAFETY: by contract.
    let handle = unsafe { session.as_mut() };
    let (Some(handle), Some(frame), Some(out), Some(info)) = (handle, frame, out, info) else { return EF_MISUSE };
    let Some(codec) = CodecNumber::codec(codec) else { return OpenRefusal::Malformed as i32 };
    let Some(buffer) = out.get_mut(..frame.len()) else { return OpenRefusal::Buffer as i32 };
    buffer.copy_from_slice(frame);
    match handle.session.open(now, codec, buffer) {
        Ok(opened) => {
            let opened_len = opened.range.len();
            buffer.copy_within(opened.range, 0);
            let kind = FrameKindNumber::from(opened.kind) as u32;
            let words = [opened.participant.0, u32::from(opened.seat.0), opened.stream.0, kind];
            for (slot, word) in info.chunks_exact_mut(4).zip(words) {
                slot.copy_from_slice(&word.to_le_bytes());
            }
            length(opened_len)
        }
        Err(error) => {
            buffer.fill(0);
            OpenRefusal::from(error) as i32
        }
    }
}
