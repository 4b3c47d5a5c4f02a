//! Sessions behind an opaque pointer.
//!
//! A session belongs to one thread at a time. Output buffers may not overlap input buffers.

use crate::{
    memory::{array, bytes, bytes_mut},
    random, wire,
};
use e2ee_frames::{Codec, EventError, FrameKind, OpenError, SealError, Session, SessionConfig, StreamId, access_token};

/// A session as the host holds it, with the action that did not fit its last buffer.
pub struct Handle {
    pub(crate) session: Session,
    waiting: Option<Vec<u8>>,
}

pub(crate) fn length(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// What a client shows the server to be let in. 0, or -1 for a null pointer.
///
/// # Safety
/// `invite` names 32 readable bytes, `out` 32 writable ones.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_access_token(invite: *const u8, out: *mut u8) -> i32 {
    // SAFETY: by contract.
    let (invite, out) = unsafe { (array(invite), bytes_mut(out, 32)) };
    match (invite, out.is_empty()) {
        (Some(invite), false) => {
            out.copy_from_slice(&access_token(&invite));
            0
        }
        _ => -1,
    }
}

/// A new session, to be freed by [`ef_session_free`]; null if the name is longer than 256 bytes, not UTF-8, or a
/// pointer is null.
///
/// # Safety
/// `room` and `call` name 16 readable bytes each, `invite` 32, `name` `name_len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_session_new(
    room: *const u8,
    call: *const u8,
    invite: *const u8,
    name: *const u8,
    name_len: usize,
    now: u64,
    wall: u64,
) -> *mut Handle {
    // SAFETY: by contract.
    let (room, call, invite, name) = unsafe { (array(room), array(call), array(invite), bytes(name, name_len)) };
    let (Some(room), Some(call), Some(invite), Ok(name)) = (room, call, invite, std::str::from_utf8(name)) else {
        return std::ptr::null_mut();
    };
    match Session::new(SessionConfig::new(room, call, invite, name), random::fill, now, wall) {
        Ok(session) => Box::into_raw(Box::new(Handle { session, waiting: None })),
        Err(_) => std::ptr::null_mut(),
    }
}

/// Erases a session's keys and frees it. Null is ignored.
///
/// # Safety
/// `session` is null or came from [`ef_session_new`] and was not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_session_free(session: *mut Handle) {
    if !session.is_null() {
        // SAFETY: by contract it is a box that nobody else holds.
        drop(unsafe { Box::from_raw(session) });
        #[cfg(target_family = "wasm")]
        crate::erase::stack();
    }
}

/// Takes an event (see [`wire`]). 0; -1 malformed, -2 the stream is open already, -3 not joined yet, -4 joined already on
/// another seat. Nothing changed if negative.
///
/// # Safety
/// `session` is live, `body` names `body_len` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_session_event(
    session: *mut Handle,
    kind: u32,
    now: u64,
    wall: u64,
    body: *const u8,
    body_len: usize,
) -> i32 {
    // SAFETY: by contract.
    let (Some(handle), body) = (unsafe { session.as_mut() }, unsafe { bytes(body, body_len) }) else { return -1 };
    match wire::handle(&mut handle.session, kind, now, wall, body) {
        Ok(()) => 0,
        Err(EventError::Malformed) => -1,
        Err(EventError::StreamAlreadyOpen) => -2,
        Err(EventError::NotJoined) => -3,
        Err(EventError::AlreadyJoined) => -4,
    }
}

/// Writes the next action (see [`wire`]); returns its length, 0 if there is none, or the negative length needed if it
/// does not fit, which loses nothing. 17,000 bytes always suffice.
///
/// # Safety
/// `session` is live, `out` names `out_cap` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_session_poll(session: *mut Handle, out: *mut u8, out_cap: usize) -> i32 {
    // SAFETY: by contract.
    let (Some(handle), out) = (unsafe { session.as_mut() }, unsafe { bytes_mut(out, out_cap) }) else { return 0 };
    let next = handle.waiting.take().or_else(|| handle.session.poll().map(|action| wire::encode(&action)));
    let Some(action) = next else { return 0 };
    match out.get_mut(..action.len()) {
        Some(out) => {
            out.copy_from_slice(&action);
            length(action.len())
        }
        None => {
            let needed = length(action.len());
            handle.waiting = Some(action);
            -needed
        }
    }
}

/// When the next Tick is wanted, in `now`'s milliseconds; `UINT64_MAX` for never.
///
/// # Safety
/// `session` is live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_session_deadline(session: *const Handle) -> u64 {
    // SAFETY: by contract.
    unsafe { session.as_ref() }.and_then(|handle| handle.session.deadline()).unwrap_or(u64::MAX)
}

/// Codec and frame kind by their numbers.
pub(crate) fn codec_and_kind(codec: u32, kind: u32) -> Option<(Codec, FrameKind)> {
    let kind = match kind {
        0 => FrameKind::Delta,
        1 => FrameKind::Key,
        _ => return None,
    };
    Codec::from_id(codec).map(|codec| (codec, kind))
}

/// The return code of a frame that is not sealed.
pub(crate) fn seal_code(error: SealError) -> i32 {
    match error {
        SealError::NoKey => -1,
        SealError::StreamNotOpen => -2,
        SealError::Buffer => -3,
        SealError::Unsupported => -4,
        SealError::Exhausted => -5,
    }
}

/// The return code of a frame that is not opened.
pub(crate) fn open_code(error: OpenError) -> i32 {
    match error {
        OpenError::MissingKey => -1,
        OpenError::NotAuthentic => -2,
        OpenError::Replay => -3,
        OpenError::Malformed => -4,
        OpenError::UnknownSender => -5,
    }
}

/// Seals a frame; returns its length. -1 no key yet, -2 stream not open, -3 output too small, -4 unsupported codec,
/// kind, stream or frame, -5 key exhausted. If negative, the frame must be dropped.
///
/// # Safety
/// `session` is live, `frame` names `frame_len` readable bytes, `out` `out_cap` writable ones, not overlapping.
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
    // SAFETY: by contract.
    let (handle, frame, out) = unsafe { (session.as_mut(), bytes(frame, frame_len), bytes_mut(out, out_cap)) };
    let (Some(handle), Some((codec, kind))) = (handle, codec_and_kind(codec, kind)) else {
        return seal_code(SealError::Unsupported);
    };
    handle.session.seal(now, StreamId(stream), codec, kind, frame, out).map_or_else(seal_code, length)
}

/// Opens a frame; returns its length at the front of `out`. -1 missing key (may be retried after KeyInstalled), -2 not
/// authentic, -3 replayed, -4 malformed, -5 unknown sender, -6 output smaller than the input. If negative, nothing of
/// `out` may be used. `info` gets participant, seat, stream and kind, 4 bytes each, little endian.
///
/// # Safety
/// `session` is live, `frame` names `frame_len` readable bytes, `out` `out_cap` and `info` 16 writable ones, none
/// overlapping.
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
    // SAFETY: by contract.
    let (handle, frame, out, info) =
        unsafe { (session.as_mut(), bytes(frame, frame_len), bytes_mut(out, out_cap), bytes_mut(info, 16)) };
    let (Some(handle), Some(codec)) = (handle, Codec::from_id(codec)) else { return -4 };
    let Some(buffer) = out.get_mut(..frame.len()) else { return -6 };
    buffer.copy_from_slice(frame);
    match handle.session.open(now, codec, buffer) {
        Ok(opened) => {
            let opened_len = opened.range.len();
            buffer.copy_within(opened.range, 0);
            let words = [opened.participant.0, u32::from(opened.seat.0), opened.stream.0, u32::from(opened.kind as u8)];
            for (slot, word) in info.chunks_exact_mut(4).zip(words) {
                slot.copy_from_slice(&word.to_le_bytes());
            }
            length(opened_len)
        }
        Err(error) => {
            buffer.fill(0);
            open_code(error)
        }
    }
}
