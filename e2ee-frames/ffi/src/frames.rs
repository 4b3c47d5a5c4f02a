//! Frames of a session: sealed before they are sent, opened when they come.

use crate::{
    clock::{self, ClockReading},
    codes::{self, EF_MISUSE, FrameKindNumber, OpenRefusal, SealRefusal},
    memory::{bytes, bytes_mut, overlap},
    session::Handle,
};
use e2ee_frames::StreamId;

/// The origin of an opened frame, from its key and not from any label of the server.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameOrigin {
    /// The participant that sealed it.
    pub participant: u32,
    /// The seat in its KID.
    pub seat: u32,
    /// The stream in its KID.
    pub stream: u32,
    /// The `ef_frame_kind` that the sender stated.
    pub kind: u32,
}

const ORIGIN_BYTES: usize = size_of::<FrameOrigin>();

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
/// `session` is live and used by no other thread; `clock` names an `ef_clock`, `frame` `frame_len` readable
/// bytes, `out` `out_cap` writable ones. They may not overlap: if they do, it is `EF_MISUSE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_seal(
    session: *mut Handle,
    clock: *const ClockReading,
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
    // SAFETY: by contract; the reading is copied before references exist.
    let Some(clock) = (unsafe { clock::read(clock) }) else { return EF_MISUSE };
    // SAFETY: by contract, and they do not overlap.
    let (handle, frame, out) = unsafe { (session.as_mut(), bytes(frame, frame_len), bytes_mut(out, out_cap)) };
    let (Some(handle), Some(frame), Some(out)) = (handle, frame, out) else { return EF_MISUSE };
    let (Some(codec), Some(kind)) = (codes::codec(codec), FrameKindNumber::kind(kind)) else {
        return SealRefusal::Unsupported as i32;
    };
    match handle.session.seal(clock, StreamId(stream), codec, kind, frame, out) {
        Ok(sealed) => length(sealed),
        Err(error) => SealRefusal::from(error) as i32,
    }
}

/// Opens a frame from the network.
///
/// `out` must be as large as the frame. `origin`, which may be NULL, receives where the frame comes from.
///
/// Returns the length of the frame at the front of `out`, an `ef_open_error`, or `EF_MISUSE`. If negative, the frame must
/// be dropped, or held if its key is missing, and `origin` was not written.
///
/// # Safety
/// `session` is live and used by no other thread; `clock` names an `ef_clock`, `frame` `frame_len` readable bytes, `out` `out_cap` writable
/// ones, `origin` a writable `ef_frame_origin` or is NULL. No two of them may overlap: if they do, it is `EF_MISUSE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_open(
    session: *mut Handle,
    clock: *const ClockReading,
    codec: u32,
    frame: *const u8,
    frame_len: usize,
    out: *mut u8,
    out_cap: usize,
    origin: *mut FrameOrigin,
) -> i32 {
    let origin_len = if origin.is_null() { 0 } else { ORIGIN_BYTES };
    if overlap(frame, frame_len, out, out_cap)
        || overlap(frame, frame_len, origin.cast(), origin_len)
        || overlap(out, out_cap, origin.cast(), origin_len)
    {
        return EF_MISUSE;
    }
    // SAFETY: by contract; the reading is copied before references exist.
    let Some(clock) = (unsafe { clock::read(clock) }) else { return EF_MISUSE };
    // SAFETY: by contract, and they do not overlap.
    let (frame, out) = unsafe { (bytes(frame, frame_len), bytes_mut(out, out_cap)) };
    // SAFETY: by contract.
    let handle = unsafe { session.as_mut() };
    let (Some(handle), Some(frame), Some(out)) = (handle, frame, out) else { return EF_MISUSE };
    let Some(codec) = codes::codec(codec) else { return OpenRefusal::Malformed as i32 };
    let Some(buffer) = out.get_mut(..frame.len()) else { return OpenRefusal::Buffer as i32 };
    buffer.copy_from_slice(frame);
    match handle.session.open(clock, codec, buffer) {
        Ok(opened) => {
            let opened_len = opened.range.len();
            buffer.copy_within(opened.range, 0);
            if !origin.is_null() {
                let written = FrameOrigin {
                    participant: opened.participant.0,
                    seat: u32::from(opened.seat.0),
                    stream: opened.stream.0,
                    kind: FrameKindNumber::from(opened.kind) as u32,
                };
                // SAFETY: by contract, and it overlaps nothing.
                unsafe { origin.write_unaligned(written) }
            }
            length(opened_len)
        }
        Err(error) => {
            buffer.fill(0);
            OpenRefusal::from(error) as i32
        }
    }
}
