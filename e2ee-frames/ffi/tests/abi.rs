//! The C ABI as a host in C or JavaScript calls it: two sessions exchange frames through pointers and byte codes.

#![allow(clippy::unwrap_used)]

use e2ee_frames::{ResumeOperation, ResumeStatement, key_exchange::ANNOUNCE_BYTES};
use e2ee_frames_ffi::{
    ClockReading, FrameOrigin, Handle, codes::EF_MISUSE, ef_access_token, ef_alloc, ef_call_code, ef_free, ef_open,
    ef_prove_resume, ef_seal, ef_session_deadline, ef_session_event, ef_session_free, ef_session_new, ef_session_poll,
};

/// Time stands still.
const CLOCK: ClockReading = ClockReading { now: 0, wall: 1_800_000_000_000 };

struct Host(*mut Handle);

impl Host {
    fn new(name: &str, invite: [u8; 32]) -> Self {
        let (room, call) = ([1u8; 16], [2u8; 16]);
        // SAFETY: all pointers are of live arrays with the lengths that the contract names.
        let session =
            unsafe { ef_session_new(room.as_ptr(), call.as_ptr(), invite.as_ptr(), name.as_ptr(), name.len(), &CLOCK) };
        assert!(!session.is_null());
        Self(session)
    }

    fn event(&self, kind: u32, body: &[u8]) -> i32 {
        // SAFETY: the session is live, the body a slice.
        unsafe { ef_session_event(self.0, kind, &CLOCK, body.as_ptr(), body.len()) }
    }

    fn poll(&self) -> Vec<u8> {
        let mut out = vec![0; 17_000];
        // SAFETY: the session is live, the output a slice.
        let length = unsafe { ef_session_poll(self.0, out.as_mut_ptr(), out.len()) };
        out.truncate(usize::try_from(length).unwrap());
        out
    }

    fn seal(&self, stream: u32, frame: &[u8]) -> Result<Vec<u8>, i32> {
        let mut out = vec![0; frame.len() + 64];
        // SAFETY: the session is live, input and output are separate slices.
        let length =
            unsafe { ef_seal(self.0, &CLOCK, stream, 1, 1, frame.as_ptr(), frame.len(), out.as_mut_ptr(), out.len()) };
        out.truncate(usize::try_from(length).map_err(|_| length)?);
        Ok(out)
    }

    fn open(&self, frame: &[u8]) -> Result<(Vec<u8>, FrameOrigin), i32> {
        let (mut out, mut origin) = (vec![0; frame.len()], FrameOrigin::default());
        // SAFETY: the session is live, input, output and origin are separate slices.
        let length = unsafe {
            ef_open(self.0, &CLOCK, 1, frame.as_ptr(), frame.len(), out.as_mut_ptr(), out.len(), &raw mut origin)
        };
        out.truncate(usize::try_from(length).map_err(|_| length)?);
        Ok((out, origin))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: made by `ef_session_new`, freed once.
        unsafe { ef_session_free(self.0) }
    }
}

/// The announces message that a server makes of a SendAnnounce action.
fn announces(participant: u32, seat: u16, action: &[u8]) -> Vec<u8> {
    let (announce, display) = action[2..].split_at(ANNOUNCE_BYTES);
    let mut body = vec![1];
    body.extend_from_slice(&participant.to_be_bytes());
    body.extend_from_slice(&seat.to_be_bytes());
    body.extend_from_slice(announce);
    body.extend_from_slice(&u16::try_from(display.len()).unwrap().to_be_bytes());
    body.extend_from_slice(display);
    body
}

#[test]
fn two_hosts_exchange_frames() {
    let (ada, bob) = (Host::new("Ada", [3; 32]), Host::new("Bob", [3; 32]));
    let (of_ada, of_bob) = (ada.poll(), bob.poll());
    assert_eq!(of_ada[..2], [1, 1]);
    assert_eq!(ada.event(2, &announces(11, 1, &of_bob)), -3, "not joined yet");
    assert_eq!((ada.event(1, &[0, 0]), bob.event(1, &[0, 1])), (0, 0));
    assert_eq!((ada.event(2, &announces(11, 1, &of_bob)), bob.event(2, &announces(10, 0, &of_ada))), (0, 0));
    assert_eq!(ada.seal(1, b"frame"), Err(-2));
    assert_eq!((ada.event(6, &[0, 0, 0, 1]), ada.event(6, &[0, 0, 0, 1])), (0, -2));
    let mut kinds = Vec::new();
    loop {
        let action = ada.poll();
        match action.first() {
            None => break,
            Some(2) => {
                let keys = [&[1], &action[5..]].concat();
                assert_eq!(bob.event(4, &keys), 0);
                assert_eq!(ada.event(8, &action[1..5]), 0);
            }
            Some(4) => assert_eq!(action[1..], [&[0, 0, 0, 11, 0, 1][..], b"Bob"].concat()),
            _ => {}
        }
        kinds.push(action[0]);
    }
    assert_eq!(kinds, [12, 4, 2, 12, 9, 6]);
    let sealed = ada.seal(1, b"frame").unwrap();
    let (frame, origin) = bob.open(&sealed).unwrap();
    assert_eq!(frame, b"frame");
    assert_eq!(origin, FrameOrigin { participant: 10, seat: 0, stream: 1, kind: 1 });
    assert_eq!(bob.open(&sealed), Err(-3));
    let again = ada.seal(1, b"frame").unwrap();
    let mut out = vec![0; again.len()];
    // SAFETY: the session is live, input and output are separate slices; the origin may be null.
    let opened = unsafe {
        ef_open(bob.0, &CLOCK, 1, again.as_ptr(), again.len(), out.as_mut_ptr(), out.len(), std::ptr::null_mut())
    };
    assert_eq!(opened, 5);
    assert_eq!(bob.open(b"not in the envelope of VP8"), Err(-4));
    assert_eq!(bob.open(b"\x11 not a frame of this call"), Err(-2));
}

#[test]
fn poll_keeps_action_that_does_not_fit() {
    let ada = Host::new("Ada", [3; 32]);
    let mut small = [0; 10];
    // SAFETY: the session is live, the output an array.
    let needed = unsafe { ef_session_poll(ada.0, small.as_mut_ptr(), small.len()) };
    assert!(needed < -300);
    assert_eq!(ada.poll().len(), usize::try_from(-needed).unwrap());
    assert_eq!(ada.poll().len(), 0);
}

#[test]
fn malformed_calls_are_refused() {
    let ada = Host::new("Ada", [3; 32]);
    let malformed = [
        (0, &[1][..]),
        (1, &[0]),
        (1, &[0xff, 0xff]),
        (3, &[0; 5]),
        (6, &[0; 3]),
        (8, &[0; 3]),
        (9, &[0]),
        (10, &[]),
        (10, &[2]),
        (99, &[]),
    ];
    for (kind, body) in malformed {
        assert_eq!(ada.event(kind, body), -1, "kind {kind}");
    }
    // SAFETY: null pointers and null sessions are allowed and refused.
    unsafe {
        let null = std::ptr::null_mut();
        assert!(ef_session_new(null, null, null, null, 0, &CLOCK).is_null());
        assert_eq!(ef_session_event(std::ptr::null_mut(), 0, &CLOCK, null, 0), EF_MISUSE);
        assert_eq!(ef_session_poll(std::ptr::null_mut(), null, 0), 0);
        assert_eq!(ef_session_deadline(std::ptr::null()), u64::MAX);
        assert_eq!(ef_access_token(null, null), EF_MISUSE);
        assert_eq!(ef_call_code(std::ptr::null(), null), EF_MISUSE);
        let proof = ef_prove_resume(std::ptr::null(), null, 0, null, 0, null, 0, null, 32, null);
        assert_eq!(proof, EF_MISUSE);
        ef_session_free(std::ptr::null_mut());
    }
    let long = "x".repeat(257);
    let bytes = [0; 32];
    // SAFETY: all pointers are of live memory with the lengths named.
    let refused =
        unsafe { ef_session_new(bytes.as_ptr(), bytes.as_ptr(), bytes.as_ptr(), long.as_ptr(), long.len(), &CLOCK) };
    assert!(refused.is_null());
}

#[test]
fn detectable_misuse_is_refused() {
    const TOO_LONG: usize = i32::MAX as usize + 1;
    let ada = Host::new("Ada", [3; 32]);
    assert_eq!(ada.event(1, &[0, 0]), 0);
    assert_eq!(ada.event(6, &[0, 0, 0, 1]), 0);
    let mut area = [0x11; 200];
    let start = area.as_mut_ptr();
    let null = std::ptr::null_mut();
    // SAFETY: the pointers are into the array, with lengths inside it; what overlaps, is null or claims more than there
    // is must be refused before it is read, which Miri and valgrind would see.
    unsafe {
        let at = |offset| start.add(offset);
        let seal = |frame, frame_len, out, out_cap| ef_seal(ada.0, &CLOCK, 1, 1, 0, frame, frame_len, out, out_cap);
        assert!(seal(at(0), 50, at(50), 150) > 0, "side by side");
        assert_eq!(seal(at(0), 50, at(49), 150), EF_MISUSE, "one byte shared");
        assert_eq!(seal(at(0), 50, at(0), 200), EF_MISUSE, "in place");
        assert_eq!(seal(null, 50, at(50), 150), EF_MISUSE);
        assert_eq!(seal(at(0), 50, null, 150), EF_MISUSE);
        assert_eq!(seal(at(0), TOO_LONG, null, 0), EF_MISUSE);
        assert_eq!(seal(at(0), 50, null, 0), -3);
        assert!(seal(null, 0, at(50), 150) > 0, "an empty frame");
        assert_eq!(ef_seal(null.cast(), &CLOCK, 1, 1, 0, at(0), 50, at(50), 150), EF_MISUSE);
        assert_eq!(ef_seal(ada.0, &CLOCK, 1, 5, 0, at(0), 50, at(50), 150), -4, "no such codec");
        assert_eq!(ef_seal(ada.0, &CLOCK, 1, 1, 2, at(0), 50, at(50), 150), -4, "no such kind");

        let open = |frame, frame_len, out, out_cap, origin: *mut u8| {
            ef_open(ada.0, &CLOCK, 1, frame, frame_len, out, out_cap, origin.cast())
        };
        assert_eq!(open(at(0), 50, at(49), 50, at(100)), EF_MISUSE, "frame and output");
        assert_eq!(open(at(0), 50, at(50), 50, at(49)), EF_MISUSE, "frame and origin");
        assert_eq!(open(at(0), 50, at(50), 50, at(99)), EF_MISUSE, "output and origin");
        assert_eq!(open(null, 50, at(50), 50, at(100)), EF_MISUSE);
        assert_eq!(open(at(0), 50, null, 50, at(100)), EF_MISUSE);
        assert_eq!(open(at(0), TOO_LONG, null, 0, null), EF_MISUSE);
        assert_eq!(open(at(0), 50, at(50), 49, null), -6);
        assert_eq!(ef_open(null.cast(), &CLOCK, 1, at(0), 50, at(50), 50, null.cast()), EF_MISUSE);
        assert_eq!(ef_open(ada.0, &CLOCK, 5, at(0), 50, at(50), 50, null.cast()), -4, "no such codec");

        assert_eq!(ef_session_event(ada.0, 4, &CLOCK, null, 1), EF_MISUSE);
        let no_clock = std::ptr::null();
        assert_eq!(ef_session_event(ada.0, 0, no_clock, null, 0), EF_MISUSE);
        assert_eq!(ef_seal(ada.0, no_clock, 1, 1, 0, at(0), 50, at(50), 150), EF_MISUSE);
        assert_eq!(ef_open(ada.0, no_clock, 1, at(0), 50, at(50), 50, null.cast()), EF_MISUSE);
        assert!(ef_session_new(at(0), at(0), at(0), null, 0, no_clock).is_null());
        assert_eq!(ef_access_token(at(0), at(31)), EF_MISUSE);
        assert_eq!(ef_access_token(at(0), at(32)), 0);
        assert!(ef_session_new(at(0), at(0), at(0), null, 1, &CLOCK).is_null());
    }
}

#[test]
fn alloc_and_free() {
    for length in [0, 1, 17_000, 1 << 20] {
        let pointer = ef_alloc(length);
        assert!(!pointer.is_null());
        // SAFETY: allocated above with this length, freed once.
        unsafe { ef_free(pointer, length) }
    }
    assert!(ef_alloc(usize::MAX).is_null());
}

#[test]
fn access_token_matches_library() {
    let mut token = [0; 32];
    // SAFETY: both are arrays of 32 bytes.
    assert_eq!(unsafe { ef_access_token([7; 32].as_ptr(), token.as_mut_ptr()) }, 0);
    assert_eq!(token, e2ee_frames::access_token(&[7; 32]));
}

#[test]
fn call_code_matches_on_both_sides() {
    let (ada, bob) = (Host::new("Ada", [3; 32]), Host::new("Bob", [3; 32]));
    let code = |host: &Host| {
        let mut code = [0x11; 32];
        // SAFETY: the session is live, the output an array of 32 bytes.
        let result = unsafe { ef_call_code(host.0, code.as_mut_ptr()) };
        (result, code)
    };
    let (of_ada, of_bob) = (ada.poll(), bob.poll());
    assert_eq!(code(&ada), (-1, [0x11; 32]), "not joined yet");
    assert_eq!((ada.event(1, &[0, 0]), bob.event(1, &[0, 1])), (0, 0));
    let alone = code(&ada).1;
    assert_ne!(code(&bob), (0, alone));
    assert_eq!((ada.event(2, &announces(11, 1, &of_bob)), bob.event(2, &announces(10, 0, &of_ada))), (0, 0));
    let (result, together) = code(&ada);
    assert_eq!((result, together), code(&bob));
    assert_eq!(result, 0);
    assert_ne!(together, alone);
    // SAFETY: the session is live; a null output is refused.
    assert_eq!(unsafe { ef_call_code(ada.0, std::ptr::null_mut()) }, EF_MISUSE);
}

/// Room and call of the statement are those of the session; everything else is the caller's.
#[test]
fn proof_of_resume_verifies_against_announce() {
    let ada = Host::new("Ada", [3; 32]);
    let announce = ada.poll();
    let device: [u8; 32] = announce[2..][34..66].try_into().unwrap();
    let (origin, session, token, nonce) = ("https://call.example", [4; 16], b"token", [5; 32]);
    let mut proof = [0; 64];
    let prove = |nonce_len, out: *mut u8| {
        // SAFETY: the session is live; the inputs are slices, and lengths beyond them are refused before they are read.
        unsafe {
            let (origin_len, token_len) = (origin.len(), token.len());
            let (origin, token, nonce) = (origin.as_ptr(), token.as_ptr(), nonce.as_ptr());
            ef_prove_resume(ada.0, origin, origin_len, session.as_ptr(), 7, token, token_len, nonce, nonce_len, out)
        }
    };
    assert_eq!(prove(32, proof.as_mut_ptr()), 0);
    let statement = ResumeStatement {
        operation: ResumeOperation::Session,
        origin,
        room: [1; 16],
        call: [2; 16],
        session,
        participant: 7,
        token,
        nonce,
    };
    assert!(e2ee_core::resume::verify(&device, &statement, &proof));
    proof = [0; 64];
    assert_eq!(prove(31, proof.as_mut_ptr()), EF_MISUSE, "a challenge of another length");
    assert_eq!(prove(0, proof.as_mut_ptr()), EF_MISUSE);
    assert_eq!(prove(32, std::ptr::null_mut()), EF_MISUSE);
    assert_eq!(proof, [0; 64]);
}
