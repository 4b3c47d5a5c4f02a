//! Sessions behind an opaque pointer.

use crate::{
    clock::{self, ClockReading},
    codes::{EF_MISUSE, EventRefusal},
    memory::{array, bytes, bytes_mut, overlap},
    random, wire,
};
use e2ee_frames::{MonotonicTime, ResumeOperation, ResumeStatement, Session, SessionConfig, access_token};

/// A device in a call. Opaque: created by `ef_session_new`, freed by `ef_session_free`.
pub struct Handle {
    pub(crate) session: Session,
    room: [u8; 16],
    call: [u8; 16],
    /// The action that did not fit the last buffer.
    unread: Option<Vec<u8>>,
}

/// Derives the guest access, which a client shows the server, from the invite secret of the link, which the server never
/// receives.
///
/// Returns 0 or `EF_MISUSE`.
///
/// # Safety
/// `invite` names 32 readable bytes, `out` 32 writable ones. They do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_access_token(invite: *const u8, out: *mut u8) -> i32 {
    if out.is_null() || overlap(invite, 32, out, 32) {
        return EF_MISUSE;
    }
    // SAFETY: by contract, and they do not overlap.
    let (Some(invite), Some(out)) = (unsafe { array(invite) }, unsafe { bytes_mut(out, 32) }) else { return EF_MISUSE };
    out.copy_from_slice(&access_token(&invite));
    0
}

/// A new device with fresh keys in a call. Its announce is the first action.
///
/// `room` (16 bytes) and `call` (16) say where, as the server names them; `invite` (32) is the secret of the link;
/// `name` (`name_len` bytes of UTF-8, 256 at most, no final NUL) is what others are shown, sealed. All bytes are copied.
///
/// Returns a session to be freed by `ef_session_free`; NULL if the name is longer than 256 bytes or not UTF-8, or if a
/// pointer is NULL.
///
/// # Safety
/// The pointers name as many readable bytes as said, `clock` an `ef_clock`; `name` may be NULL if `name_len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_session_new(
    room: *const u8,
    call: *const u8,
    invite: *const u8,
    name: *const u8,
    name_len: usize,
    clock: *const ClockReading,
) -> *mut Handle {
    // SAFETY: by contract.
    let Some(clock) = (unsafe { clock::read(clock) }) else { return std::ptr::null_mut() };
    // SAFETY: by contract.
    let (room, call, invite, name) = unsafe { (array(room), array(call), array(invite), bytes(name, name_len)) };
    let (Some(room), Some(call), Some(invite), Some(Ok(name))) = (room, call, invite, name.map(std::str::from_utf8))
    else {
        return std::ptr::null_mut();
    };
    match Session::new(SessionConfig::new(room, call, invite, name), random::fill, clock) {
        Ok(session) => Box::into_raw(Box::new(Handle { session, room, call, unread: None })),
        Err(_) => std::ptr::null_mut(),
    }
}

/// Erases a session's keys and frees it. NULL is ignored.
///
/// # Safety
/// `session` is NULL, or came from `ef_session_new` and was not freed before; no other thread is using it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_session_free(session: *mut Handle) {
    if !session.is_null() {
        // SAFETY: by contract it is a box with no other owner.
        drop(unsafe { Box::from_raw(session) });
        #[cfg(target_family = "wasm")]
        crate::erase::stack();
    }
}

/// Passes an event to a session: a kind of `ef_event`, and its body, which is copied. Poll afterwards.
///
/// Returns 0, an `ef_event_error`, or `EF_MISUSE`. If negative, nothing changed but time.
///
/// # Safety
/// `session` is live and used by no other thread; `clock` names an `ef_clock`, `body` `body_len` readable bytes, or is
/// NULL if that is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_session_event(
    session: *mut Handle,
    kind: u32,
    clock: *const ClockReading,
    body: *const u8,
    body_len: usize,
) -> i32 {
    // SAFETY: by contract.
    let (handle, clock, body) = unsafe { (session.as_mut(), clock::read(clock), bytes(body, body_len)) };
    let (Some(handle), Some(clock), Some(body)) = (handle, clock, body) else { return EF_MISUSE };
    match wire::handle(&mut handle.session, kind, clock, body) {
        Ok(()) => 0,
        Err(error) => EventRefusal::from(error) as i32,
    }
}

/// Writes the next action: an `ef_action` in the first byte of `out`, then its body. To be called until it returns 0,
/// after every other call of this session.
///
/// Returns the bytes written; 0 if there is no action; minus the number of bytes needed if `out_cap` is too small, in
/// which case the next call returns the same action. 17,000 bytes always suffice. A NULL session has no action, a NULL
/// `out` is too small.
///
/// # Safety
/// `session` is live and used by no other thread; `out` names `out_cap` writable bytes, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_session_poll(session: *mut Handle, out: *mut u8, out_cap: usize) -> i32 {
    // SAFETY: by contract.
    let (handle, out) = unsafe { (session.as_mut(), bytes_mut(out, out_cap)) };
    let (Some(handle), out) = (handle, out.unwrap_or_default()) else { return 0 };
    let next = handle.unread.take().or_else(|| handle.session.poll().map(|action| wire::encode(&action)));
    let Some(action) = next else { return 0 };
    let length = i32::try_from(action.len()).unwrap_or(i32::MAX);
    match out.get_mut(..action.len()) {
        Some(out) => {
            out.copy_from_slice(&action);
            length
        }
        None => {
            handle.unread = Some(action);
            -length
        }
    }
}

/// When the next `EF_EVENT_TICK` is due, in the milliseconds of `ef_clock.now`; a time that has passed means at once.
/// `UINT64_MAX` for never, and for a NULL session.
///
/// # Safety
/// `session` is NULL, or live and used by no other thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_session_deadline(session: *const Handle) -> u64 {
    // SAFETY: by contract.
    unsafe { session.as_ref() }.and_then(|handle| handle.session.deadline()).map_or(u64::MAX, MonotonicTime::as_millis)
}

/// The call code: 32 bytes that are the same on all devices with the same roster, and on no others. People compare them
/// to learn that no other device is in the call, by a QR code of all bytes, or as 30 digits in six groups: group n, from
/// 0, is bytes 5n..5n + 5 as a big-endian number, modulo 100,000, with five digits. It changes when anyone joins or
/// leaves.
///
/// Returns 0 and writes `out`; -1 before `EF_EVENT_JOINED` and after the session has ended; or `EF_MISUSE`.
///
/// # Safety
/// `session` is live and used by no other thread; `out` names 32 writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_call_code(session: *const Handle, out: *mut u8) -> i32 {
    if out.is_null() {
        return EF_MISUSE;
    }
    // SAFETY: by contract.
    let (Some(handle), Some(out)) = (unsafe { session.as_ref() }, unsafe { bytes_mut(out, 32) }) else {
        return EF_MISUSE;
    };
    let Some(code) = handle.session.call_code() else { return -1 };
    out.copy_from_slice(code.as_bytes());
    0
}

/// Signs the statement by which a device continues its session with the server over a new connection. Works after
/// `EF_ENDED_CLOCK_JUMPED`, too, for a device that returns with new keys; free the session then.
///
/// `origin` (`origin_len` bytes of UTF-8) is the server's as the client reached it, such as `https://call.example`;
/// `server_session` (16 bytes) and `participant` are what the server named them; `token` (`token_len` bytes) is the latest
/// one of the server, and `nonce` the challenge of the new connection. Room and call are those of `ef_session_new`.
///
/// Returns 0 and writes `out`; -1 in a forked copy, which has no key to sign with; or `EF_MISUSE`, also for a nonce that does
/// not have 32 bytes: nothing is signed then.
///
/// # Safety
/// `session` is live and used by no other thread; the other pointers name as many readable bytes as said, `out` 64 writable
/// ones. `out` does not overlap the others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_prove_resume(
    session: *const Handle,
    origin: *const u8,
    origin_len: usize,
    server_session: *const u8,
    participant: u32,
    token: *const u8,
    token_len: usize,
    nonce: *const u8,
    nonce_len: usize,
    out: *mut u8,
) -> i32 {
    const PROOF: usize = 64;
    let inputs = [(origin, origin_len), (server_session, 16), (token, token_len), (nonce, nonce_len)];
    if out.is_null() || inputs.iter().any(|(input, length)| overlap(*input, *length, out, PROOF)) {
        return EF_MISUSE;
    }
    // SAFETY: by contract, and the output overlaps no input.
    let (handle, origin, token, out) =
        unsafe { (session.as_ref(), bytes(origin, origin_len), bytes(token, token_len), bytes_mut(out, PROOF)) };
    // SAFETY: by contract.
    let (server_session, nonce) = unsafe { (array(server_session), bytes(nonce, nonce_len)) };
    let (Some(handle), Some(Ok(origin)), Some(token), Some(out)) = (handle, origin.map(str::from_utf8), token, out)
    else {
        return EF_MISUSE;
    };
    let (Some(server_session), Some(Ok(nonce))) = (server_session, nonce.map(<[u8; 32]>::try_from)) else {
        return EF_MISUSE;
    };
    let Some(proof) = handle.session.prove_resume(&ResumeStatement {
        operation: ResumeOperation::Session,
        origin,
        room: handle.room,
        call: handle.call,
        session: server_session,
        participant,
        token,
        nonce,
    }) else {
        return -1;
    };
    out.copy_from_slice(&proof);
    0
}
