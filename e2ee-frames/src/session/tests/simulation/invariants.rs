//! Invariants of every frame, whatever server and network do.
//!
//! * An opened frame is exactly what its sender sealed: this frame, participant, stream and kind.
//! * Each receiver opens a frame at most once.
//! * No device opens a frame that was sealed before its sender sealed the first key to it. That comes after it joined, so
//!   no joiner reads the past.
//! * No device opens a frame that was sealed two switch windows or later after the sender removed it: one window if no new
//!   key was on its way then, else that key's remaining window and one more, and what the server takes to accept either.
//!   If the sender lost its connection meanwhile: 45 s later.
//! * No device opens a frame of an older generation when it has had a newer one of this sender for a switch window and 10 s,
//!   or of an older key 10 s after it opened a frame of a newer one: a former member could speak for a silent sender.
//! * No device opens a frame by a key that it had when it heard of a leave, 45 s after that, nor by one that was sealed to
//!   it before and that the server delivers afterwards.
//! * No device opens a frame by a generation that was sealed to it more than 11 minutes ago.
//! * Keys are sealed to devices that the sender shows at that moment.
//! * A sender's keys only go forward.

use super::{
    millis,
    slots::{Slot, Slots},
};
use crate::{
    FrameKind, Opened, StreamId,
    keys::{
        leaves::{HARD_LIFE, HEARD_LATE},
        receiver::LINGER,
        sender::LIFE_AFTER_LEAVE,
    },
};
use alloc::{collections::BTreeMap, vec::Vec};

/// Bytes of a frame.
pub(super) const FRAME_BYTES: usize = 12;

/// A frame that a device sealed.
pub(super) struct Sealed {
    pub(super) bytes: Vec<u8>,
    pub(super) sender: Slot,
    stream: StreamId,
    pub(super) kind: FrameKind,
    pub(super) at: u64,
    epoch: Epoch,
    opened_by: Slots,
}

impl Sealed {
    pub(super) fn stream(&self) -> StreamId {
        self.stream
    }
}

/// A generation that a sender has sealed to a receiver.
#[derive(Clone, Copy)]
struct Granted {
    generation: u32,
    /// The last time.
    sealed_at: u64,
    /// By a leave after that, it opens nothing from this time on.
    dead_at: u64,
}

/// The frames of a sender that a receiver may read.
#[derive(Clone)]
struct Grant {
    /// From this frame on: the sender sealed the first key to it then.
    first: u32,
    /// But none sealed at this time or later,
    gap_from: u64,
    /// up to this frame, when a key was sealed to it again.
    gap_until: u32,
    /// Keys that the receiver took.
    taken: Newest,
    /// The newest of them.
    generation: Option<u32>,
    /// Keys by which it opened frames.
    used: Newest,
    /// Up to this generation, it opens nothing from this time on: a participant has left.
    doomed: Option<(u32, u64)>,
    generations: Vec<Granted>,
    /// How old the sender's first announce was when it came, so how much older keys may be than the receiver can know.
    unknown_age: Option<u64>,
}

const NOTHING: Grant = Grant {
    first: u32::MAX,
    gap_from: u64::MAX,
    gap_until: u32::MAX,
    taken: Newest([((0, 0), 0); 2]),
    generation: None,
    used: Newest([((0, 0), 0); 2]),
    doomed: None,
    generations: Vec::new(),
    unknown_age: None,
};

/// Generation and step of a key.
type Epoch = (u32, u8);

/// The two newest keys, and when keys older than each expire.
#[derive(Clone, Copy)]
struct Newest([(Epoch, u64); 2]);

impl Newest {
    fn note(&mut self, epoch: Epoch, older_die_at: u64) {
        let Self([older, newest]) = self;
        if epoch > newest.0 {
            *older = core::mem::replace(newest, (epoch, older_die_at));
        }
    }

    fn allow(self, epoch: Epoch, now: u64) -> bool {
        self.0.iter().all(|(newer, dead_at)| epoch >= *newer || now < *dead_at)
    }
}

/// All frames of a call, and who may read them.
#[derive(Default)]
pub(super) struct Ledger {
    frames: Vec<Sealed>,
    /// By sender and receiver.
    grants: Vec<Vec<Grant>>,
    /// Newest epoch of each sender.
    epochs: Vec<Option<Epoch>>,
    /// Of each announce: the device, and when it was made.
    announces: BTreeMap<u32, (Slot, u64)>,
    pub(super) opened: u64,
}

fn content(number: u32, sender: Slot) -> [u8; FRAME_BYTES] {
    let mut content = *b"------------";
    content[..4].copy_from_slice(&number.to_be_bytes());
    content[4] = sender.0;
    content
}

impl Ledger {
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn frame(&self, number: u32) -> &Sealed {
        &self.frames[number as usize]
    }

    /// The content of the next frame.
    pub(super) fn next_content(&self, sender: Slot) -> [u8; FRAME_BYTES] {
        content(self.frames.len() as u32, sender)
    }

    pub(super) fn sealed(&mut self, sender: Slot, stream: StreamId, kind: FrameKind, at: u64, bytes: &[u8]) -> u32 {
        let epoch = self.epochs[sender.index()].unwrap();
        let opened_by = Slots::default();
        self.frames.push(Sealed { bytes: bytes.to_vec(), sender, stream, kind, at, epoch, opened_by });
        self.frames.len() as u32 - 1
    }

    fn grant(&mut self, sender: Slot, receiver: Slot) -> &mut Grant {
        if self.grants.len() <= sender.index() {
            self.grants.resize(sender.index() + 1, Vec::new());
        }
        let grants = &mut self.grants[sender.index()];
        if grants.len() <= receiver.index() {
            grants.resize(receiver.index() + 1, NOTHING);
        }
        &mut grants[receiver.index()]
    }

    /// A sender has sealed a key to a receiver, while it showed these.
    pub(super) fn key_sealed(&mut self, sender: Slot, receiver: Slot, shown: Slots, generation: u32, now: u64) {
        assert!(shown.contains(receiver), "{sender:?} sealed a key to {receiver:?}, which it does not show");
        let next = self.frames.len() as u32;
        let grant = self.grant(sender, receiver);
        grant.first = grant.first.min(next);
        if grant.gap_from != u64::MAX && grant.gap_until == u32::MAX {
            grant.gap_until = next;
        }
        match grant.generations.iter_mut().find(|granted| granted.generation == generation) {
            Some(granted) => (granted.sealed_at, granted.dead_at) = (now, u64::MAX),
            None => grant.generations.push(Granted { generation, sealed_at: now, dead_at: u64::MAX }),
        }
    }

    /// A device has made an announce.
    pub(super) fn announced(&mut self, of: Slot, number: u32, now: u64) {
        self.announces.insert(number, (of, now));
    }

    /// An announce arrives.
    pub(super) fn announce_seen(&mut self, receiver: Slot, number: u32, now: u64) {
        let (of, made_at) = self.announces[&number];
        if of != receiver {
            self.grant(of, receiver).unknown_age.get_or_insert(now - made_at);
        }
    }

    /// A sender has removed a receiver, who must not read what is sealed from this time on.
    pub(super) fn removed(&mut self, sender: Slot, receiver: Slot, from: u64) {
        let grant = self.grant(sender, receiver);
        // Without a key in between, the bound of the earlier removal stands.
        if grant.gap_until != u32::MAX || grant.gap_from == u64::MAX {
            grant.gap_from = from;
            grant.gap_until = u32::MAX;
        }
    }

    /// A sender has lost its connection, so that it replaces its key later than it would have.
    pub(super) fn outage(&mut self, sender: Slot, now: u64) {
        for grant in self.grants.get_mut(sender.index()).into_iter().flatten() {
            if grant.gap_from != u64::MAX && grant.gap_from > now && grant.gap_until == u32::MAX {
                grant.gap_from = now + millis(LIFE_AFTER_LEAVE);
            }
        }
    }

    /// A receiver hears that a participant has left: the keys that it has are dead after a time, and so are those that were
    /// sealed to it before.
    pub(super) fn left(&mut self, receiver: Slot, now: u64) {
        let dead_at = now + millis(LIFE_AFTER_LEAVE);
        for grant in self.grants.iter_mut().filter_map(|grants| grants.get_mut(receiver.index())) {
            let surely_before = millis(HEARD_LATE) + grant.unknown_age.unwrap_or(0);
            for granted in &mut grant.generations {
                if granted.sealed_at + surely_before < now {
                    granted.dead_at = granted.dead_at.min(dead_at);
                }
            }
            let generation = grant.generation;
            if let Some(generation) =
                generation.filter(|newest| grant.doomed.is_none_or(|(doomed, _)| doomed < *newest))
            {
                grant.doomed = Some((generation, dead_at));
            }
        }
    }

    /// A receiver has taken a key of this generation. Older ones are dead at this time.
    pub(super) fn key_taken(&mut self, sender: Slot, receiver: Slot, generation: u32, older_die_at: u64) {
        let grant = self.grant(sender, receiver);
        grant.taken.note((generation, 0), older_die_at);
        grant.generation = grant.generation.max(Some(generation));
    }

    /// A sender uses a key from now on.
    pub(super) fn epoch(&mut self, sender: Slot, epoch: Epoch) {
        if self.epochs.len() <= sender.index() {
            self.epochs.resize(sender.index() + 1, None);
        }
        let newest = &mut self.epochs[sender.index()];
        assert!(*newest < Some(epoch), "{sender:?} went back from {newest:?} to {epoch:?}");
        *newest = Some(epoch);
    }

    /// A receiver has opened a frame.
    pub(super) fn opened(&mut self, now: u64, receiver: Slot, number: u32, opened: &Opened, plain: &[u8]) {
        self.opened += 1;
        let sender = self.frame(number).sender;
        let grant = self.grant(sender, receiver).clone();
        let frame = &mut self.frames[number as usize];
        assert_eq!(
            (opened.participant, opened.seat, opened.stream, opened.kind),
            (frame.sender.participant(), frame.sender.seat(), frame.stream, frame.kind),
            "{receiver:?} attributed frame {number} to another sender"
        );
        assert_eq!(plain, content(number, frame.sender), "{receiver:?} opened something else");
        assert!(frame.opened_by.insert(receiver), "{receiver:?} opened frame {number} twice");
        assert!(
            number >= grant.first,
            "{receiver:?} opened frame {number} of {:?} from before its first key",
            frame.sender
        );
        assert!(
            grant.taken.allow(frame.epoch, now) && grant.used.allow(frame.epoch, now),
            "{receiver:?} opened frame {number} of {:?} by a key that should be dead: {:?}",
            frame.sender,
            frame.epoch
        );
        assert!(
            frame.at < grant.gap_from || number >= grant.gap_until,
            "{receiver:?} opened frame {number} of {:?}, sealed at {} ms, whose keys it should have lost at {} ms",
            frame.sender,
            frame.at,
            grant.gap_from
        );
        assert!(
            grant.doomed.is_none_or(|(generation, dead_at)| frame.epoch.0 > generation || now < dead_at),
            "{receiver:?} opened frame {number} of {:?} by a key of before a leave: {:?}, {:?}",
            frame.sender,
            frame.epoch,
            grant.doomed
        );
        let granted = grant.generations.iter().find(|granted| granted.generation == frame.epoch.0).unwrap();
        let end = granted.sealed_at + grant.unknown_age.unwrap_or(0) + millis(HARD_LIFE);
        assert!(
            now < granted.dead_at && now < end,
            "{receiver:?} opened frame {number} of {:?} by generation {}, sealed to it at {} ms, dead at {} ms or {end} ms",
            frame.sender,
            frame.epoch.0,
            granted.sealed_at,
            granted.dead_at
        );
        let epoch = frame.epoch;
        self.grant(sender, receiver).used.note(epoch, now + millis(LINGER));
    }
}
