//! Sealing and opening a frame do not allocate, which a counting allocator checks.

#![allow(clippy::unwrap_used)]

use e2ee_frames::{
    Action, Clock, Codec, Event, FrameKind, MonotonicTime, Seat, Session, SessionConfig, StreamId, WallTime, codec,
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

const CLOCK: Clock = Clock { now: MonotonicTime::from_millis(0), wall: WallTime::from_millis(1_800_000_000_000) };
const CAMERA: StreamId = StreamId::CAMERA;

std::thread_local! {
    /// Per thread, because the test runner has others.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator with a counter.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: the system's allocator, and a number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn allocations(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

/// A device, and the server's message that announces it.
fn device(number: u16) -> (Session, Vec<u8>) {
    let random = move |bytes: &mut [u8]| bytes.fill(number as u8);
    let config = SessionConfig::new([1; 16], [2; 16], [3; 32], "someone");
    let mut session = Session::new(config, random, CLOCK).unwrap();
    let Some(Action::SendAnnounce { announce, display, .. }) = session.poll() else { panic!("announce") };
    let length = u16::try_from(display.len()).unwrap().to_be_bytes();
    let body =
        [&[1][..], &u32::from(number).to_be_bytes(), &number.to_be_bytes(), &announce, &length, &display].concat();
    session.handle(CLOCK, Event::Joined { seat: Seat(number) }).unwrap();
    (session, body)
}

#[test]
fn frames_allocate_nothing() {
    let ((mut ada, of_ada), (mut bob, of_bob)) = (device(1), device(2));
    ada.handle(CLOCK, Event::Announces(&of_bob)).unwrap();
    bob.handle(CLOCK, Event::Announces(&of_ada)).unwrap();
    ada.handle(CLOCK, Event::StreamOpened(CAMERA)).unwrap();
    while let Some(action) = ada.poll() {
        if let Action::SendKeyBatch { number, body } = action {
            bob.handle(CLOCK, Event::Keys(&[&[1], body.as_slice()].concat())).unwrap();
            ada.handle(CLOCK, Event::KeyBatchAccepted { number }).unwrap();
        }
    }
    let frame: Vec<u8> = (0..10_000u32).map(|index| (index % 7) as u8).collect();
    let mut out = vec![0; codec::max_sealed_bytes(Codec::H264, frame.len())];
    let mut call = |codec, kind| {
        let length = ada.seal(CLOCK, CAMERA, codec, kind, &frame, &mut out).unwrap();
        bob.open(CLOCK, codec, &mut out[..length]).unwrap();
    };
    // The first frame of a stream makes its keys.
    assert!(allocations(|| call(Codec::Opus, FrameKind::Delta)) > 0, "the allocator counts");
    for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
        for kind in [FrameKind::Key, FrameKind::Delta] {
            assert_eq!(allocations(|| (0..100).for_each(|_| call(codec, kind))), 0, "{codec:?} {kind:?}");
        }
    }
}
