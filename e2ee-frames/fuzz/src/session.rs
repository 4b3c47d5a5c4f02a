//! A whole session through the bytes of the C ABI: any events in any order at any time, with frames in between.
//!
//! Actions are always well-formed, no timer stays due, and only Ada's frames open, each once.

use crate::stage::{MAX_ACTION_BYTES, START, Stage, at, drain, seal};
use e2ee_frames::{Action, Clock, Codec, FrameKind, Session};
use e2ee_frames_ffi::{
    codes::{ActionKind, EventKind},
    wire,
};
use std::time::Duration;
use tacet_fuzz::Script;

/// Steps of a script besides events.
const OPEN: u8 = 12;
const SEAL: u8 = 13;
/// The wall clock jumps, which ends the session: its keys may be in use elsewhere.
const JUMP: u8 = 14;
/// Events that came after these numbers were taken.
const SEND_CHAT: u8 = 15;
const CHAT_ANSWERED: u8 = 16;
/// Number of kinds, one of them invalid.
const KINDS: u8 = 18;

/// The target: kinds of events, each with how much later it happens and an edit of a genuine body.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let mut stage = Stage::new();
    let announcements = stage.announcements();
    let messages = stage.messages();
    let frames: Vec<_> = (0u8..3)
        .filter_map(|number| seal(&mut stage.ada, at(START), Codec::Vp8, FrameKind::Delta, &[number; 9]))
        .map(|(frame, _)| frame)
        .collect();
    let mut opened = [false; 3];
    let (mut now, mut jumped, mut over) = (START, Duration::ZERO, false);
    while let (Some(kind), Some(later)) = (script.byte(), script.byte()) {
        // From milliseconds to an hour, so that everything expires within one input.
        now += u64::from(later) * u64::from(later) * 50;
        let clock = |jumped| Clock { wall: at(now).wall.saturating_add(jumped), ..at(now) };
        match kind % KINDS {
            OPEN => {
                let genuine: Vec<_> = frames.iter().map(Vec::as_slice).collect();
                let mut frame = script.edit(&genuine);
                if let Ok(open) = stage.bob.open(clock(jumped), Codec::Vp8, &mut frame) {
                    let content = frame.get(open.range).unwrap_or_default();
                    let number = content.first().map_or(usize::MAX, |number| usize::from(*number));
                    let once = opened.get_mut(number).expect("a frame of Ada");
                    assert!(content == [number as u8; 9] && !std::mem::replace(once, true), "opened twice");
                    assert!(!over, "opened after its end");
                }
            }
            SEAL => {
                let sealed = seal(&mut stage.bob, clock(jumped), Codec::H264, FrameKind::Key, script.bytes(40));
                assert!(!over || sealed.is_none(), "sealed after its end");
            }
            JUMP => jumped += Duration::from_secs(60),
            kind => {
                let kind = match kind {
                    SEND_CHAT => EventKind::SendChat as u8,
                    CHAT_ANSWERED => EventKind::ChatAnswered as u8,
                    kind if kind > JUMP => u8::MAX,
                    kind => kind,
                };
                let genuine: Vec<&[u8]> = match EventKind::from_number(u32::from(kind)) {
                    Some(EventKind::Joined) => vec![&[0, 4], &[0, 3]],
                    Some(EventKind::Announces) => announcements.iter().map(Vec::as_slice).collect(),
                    Some(EventKind::Left) => vec![&[0, 0, 0, 10], &[0, 0, 0, 11]],
                    Some(EventKind::Keys) => vec![&stage.keys],
                    Some(EventKind::KeyRequest) => vec![&[0, 3, 1]],
                    Some(EventKind::StreamOpened | EventKind::StreamClosed) => vec![&[0, 0, 0, 1], &[0, 0, 0, 0]],
                    Some(EventKind::KeyBatchAccepted) => vec![&[0, 0, 0, 1], &[0, 0, 0, 2], &[0, 0, 0, 3]],
                    Some(EventKind::Attached) => vec![&[0], &[1]],
                    Some(EventKind::Chat) => messages.iter().map(Vec::as_slice).collect(),
                    Some(EventKind::SendChat) => vec![b"\0\0\0\0\0\0\0\x01\x01hello", b"\x01\0\0\0\0\0\0\x02\x02!"],
                    Some(EventKind::ChatAnswered) => vec![b"\0\0\0\0\0\0\0\x01", b"\x01\0\0\0\0\0\0\x02"],
                    Some(EventKind::Tick | EventKind::Detached) | None => vec![&[]],
                };
                let body = script.edit(&genuine);
                // Most are refused; the assertions below hold in both cases.
                let _ = wire::handle(&mut stage.bob, u32::from(kind), clock(jumped), &body);
            }
        }
        over |= settle(&mut stage.bob, clock(jumped));
    }
}

/// Polls all actions and asserts that a tick leaves no timer due. Returns whether the session has ended.
fn settle(bob: &mut Session, clock: Clock) -> bool {
    let mut actions = drain(bob);
    if bob.deadline().is_some_and(|deadline| deadline <= clock.now) {
        // Refused if it is this tick that ends the session.
        let _ = wire::handle(bob, EventKind::Tick as u32, clock, &[]);
        actions.extend(drain(bob));
        assert!(bob.deadline().is_none_or(|deadline| deadline > clock.now), "a timer that stays due");
    }
    for action in &actions {
        let bytes = wire::encode(action);
        assert!(bytes.len() <= MAX_ACTION_BYTES);
        let first = bytes.first().map_or(0, |kind| i32::from(*kind));
        assert!((ActionKind::SendAnnounce as i32..=ActionKind::ChatReceived as i32).contains(&first));
    }
    actions.iter().any(|action| matches!(action, Action::Ended(_)))
}
