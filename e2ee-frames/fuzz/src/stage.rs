//! The setup of the targets: Ada, who has announced herself and sealed her key, and Bob, who receives the input.
//!
//! Random numbers are seeded and time is an argument, so that the outcome of an input is deterministic.

use e2ee_frames::{
    Action, ChatContent, ChatId, Clock, Codec, Event, FrameKind, MonotonicTime, OpenError, ParticipantId, Seat,
    Session, SessionConfig, StreamId, WallTime, codec,
};

pub(crate) const ADA: ParticipantId = ParticipantId(10);
pub(crate) const ADA_SEAT: Seat = Seat(3);
const BOB: ParticipantId = ParticipantId(11);
pub(crate) const BOB_SEAT: Seat = Seat(4);
pub(crate) const STREAM: StreamId = StreamId::CAMERA;
/// What Ada says.
pub(crate) const TEXTS: [&str; 2] = ["hello", "and goodbye"];
/// Monotonic time at the start.
pub(crate) const START: u64 = 1_000;
/// Longest action, as the C header promises.
pub(crate) const MAX_ACTION_BYTES: usize = 17_000;
/// Wall clock at monotonic time 0.
const EPOCH: u64 = 1_800_000_000_000;

/// Both clocks at a monotonic time.
pub(crate) fn at(now: u64) -> Clock {
    Clock { now: MonotonicTime::from_millis(now), wall: WallTime::from_millis(EPOCH + now) }
}

/// Both devices, and the messages from Ada to Bob.
pub(crate) struct Stage {
    /// Has joined, knows Bob and has a key.
    pub(crate) ada: Session,
    /// Has announced himself, and has received nothing.
    pub(crate) bob: Session,
    /// Body of an announces message with Ada's announce.
    pub(crate) announces: Vec<u8>,
    /// Body of a keys message with Ada's key for Bob.
    pub(crate) keys: Vec<u8>,
    announces_of_bob: Vec<u8>,
}

/// Random numbers with a seed (splitmix64).
fn dice(mut state: u64) -> impl FnMut(&mut [u8]) + Send + 'static {
    move |bytes: &mut [u8]| {
        for chunk in bytes.chunks_mut(8) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.iter_mut().zip((mixed ^ (mixed >> 31)).to_le_bytes()).for_each(|(slot, byte)| *slot = byte);
        }
    }
}

fn device(name: &str, seed: u64) -> Session {
    let config = SessionConfig::new([1; 16], [2; 16], [3; 32], name);
    Session::new(config, dice(seed), at(START)).expect("a short name and the usual timing")
}

/// The body that a server makes of an announce.
fn announces(participant: ParticipantId, seat: Seat, session: &mut Session) -> Vec<u8> {
    let Some(Action::SendAnnounce { announce, display, .. }) = session.poll() else { panic!("no announce") };
    let length = u16::try_from(display.len()).expect("a short name").to_be_bytes();
    [&[1], &participant.0.to_be_bytes()[..], &seat.0.to_be_bytes(), &announce, &length, &display].concat()
}

/// All pending actions of a session.
pub(crate) fn drain(session: &mut Session) -> Vec<Action> {
    std::iter::from_fn(|| session.poll()).collect()
}

impl Stage {
    /// The state before the input.
    pub(crate) fn new() -> Self {
        let (mut ada, mut bob) = (device("Ada", 1), device("Bob", 2));
        let of_ada = announces(ADA, ADA_SEAT, &mut ada);
        let of_bob = announces(BOB, BOB_SEAT, &mut bob);
        let scene = [Event::Joined { seat: ADA_SEAT }, Event::Announces(&of_bob), Event::StreamOpened(STREAM)];
        let actions: Vec<_> = scene.into_iter().flat_map(|event| tell(&mut ada, event)).collect();
        let keys = batch(&actions).expect("Ada's key for Bob");
        Self { ada, bob, announces: of_ada, keys, announces_of_bob: of_bob }
    }

    /// Bob has joined.
    pub(crate) fn seat_bob(&mut self) {
        tell(&mut self.bob, Event::Joined { seat: BOB_SEAT });
    }

    /// Bob has joined and sees Ada.
    pub(crate) fn introduce_ada(&mut self) {
        self.seat_bob();
        tell(&mut self.bob, Event::Announces(&self.announces));
    }

    /// Bob has joined, sees Ada and holds her key.
    pub(crate) fn hand_over_key(&mut self) {
        self.introduce_ada();
        tell(&mut self.bob, Event::Keys(&self.keys));
    }

    /// Ada's request for Bob's key, as the server passes it on: of a frame of Bob, whose keys she never got.
    pub(crate) fn key_request(&mut self) -> Vec<u8> {
        self.introduce_ada();
        tell(&mut self.bob, Event::StreamOpened(STREAM));
        let (frame, _) = seal(&mut self.bob, at(START), Codec::Opus, FrameKind::Delta, b"who is this").expect("a key");
        assert_eq!(self.ada.open(at(START), Codec::Opus, &mut frame.clone()), Err(OpenError::MissingKey));
        let later = START + 1_500;
        self.ada.handle(at(later), Event::Tick).expect("time passes");
        let wanted = drain(&mut self.ada).into_iter().find_map(|action| match action {
            Action::SendKeyRequest(wanted) => Some(wanted),
            _ => None,
        });
        [&ADA_SEAT.0.to_be_bytes()[..], &[1], &wanted.expect("a request")].concat()
    }

    /// Bodies of two chat messages of Ada, as the server passes them on: see [`TEXTS`].
    pub(crate) fn messages(&mut self) -> Vec<Vec<u8>> {
        let mut say = |number: u64, text: &str| {
            let content = ChatContent::Text(text.to_owned());
            let id = ChatId::new(content.kind(), number);
            tell(&mut self.ada, Event::SendChat { id, content: &content })
        };
        let mut actions = (1u64..).zip(TEXTS).flat_map(|(number, text)| say(number, text)).collect::<Vec<_>>();
        // She waits for announces of those who are in the call.
        self.ada.handle(at(START + 1_000), Event::Tick).expect("time passes");
        actions.extend(drain(&mut self.ada));
        let body = |action: &Action| match action {
            Action::SendChat { id, sealed } => Some([&ADA.0.to_be_bytes()[..], &id.to_bytes(), sealed].concat()),
            _ => None,
        };
        actions.iter().filter_map(body).collect()
    }

    /// Genuine bodies of announces messages: Ada's, Bob's own, and both.
    pub(crate) fn announcements(&self) -> [Vec<u8>; 3] {
        let both =
            [&[2], self.announces.get(1..).unwrap_or_default(), self.announces_of_bob.get(1..).unwrap_or_default()];
        [self.announces.clone(), self.announces_of_bob.clone(), both.concat()]
    }
}

/// Passes an event that must be accepted, and accepts the key batches that follow, as a server does. Returns all actions.
pub(crate) fn tell(session: &mut Session, event: Event<'_>) -> Vec<Action> {
    session.handle(at(START), event).expect("a genuine event");
    let mut actions = drain(session);
    let numbers: Vec<u32> = actions
        .iter()
        .filter_map(|action| match action {
            Action::SendKeyBatch { number, .. } => Some(*number),
            _ => None,
        })
        .collect();
    for number in numbers {
        session.handle(at(START), Event::KeyBatchAccepted { number }).expect("a genuine event");
        actions.extend(drain(session));
    }
    actions
}

/// The body of a keys message with the first key batch of some actions.
fn batch(actions: &[Action]) -> Option<Vec<u8>> {
    actions.iter().find_map(|action| match action {
        Action::SendKeyBatch { body, .. } => Some([&[1], body.as_slice()].concat()),
        _ => None,
    })
}

/// Seals a frame. Returns it with its visible kind, or `None` without a key or an open stream.
pub(crate) fn seal(
    session: &mut Session,
    clock: Clock,
    codec: Codec,
    kind: FrameKind,
    frame: &[u8],
) -> Option<(Vec<u8>, FrameKind)> {
    let mut out = vec![0; codec::max_sealed_bytes(codec, frame.len())];
    let length = session.seal(clock, STREAM, codec, kind, frame, &mut out).ok()?;
    out.truncate(length);
    Some((out, codec::shown(codec, kind)))
}
