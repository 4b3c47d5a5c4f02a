//! One device: handles events and returns actions, as `e2ee_frames::Session` does. Here: roster and timers.

use crate::{
    agreement::Agreement,
    distribution::{Own, Which},
    reception::{Held, Reception},
    rules::{Batch, Epoch, Id, Protocol, Rule, Time},
};
use std::collections::BTreeMap;

/// An event for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// An authentic announce of another device, made at this time.
    Announced(Id, Time),
    /// The server reports that a device left, known or not.
    Left(Id),
    /// The server has accepted the batches of the last distribution.
    Accepted,
    /// The connection to the server is lost.
    Detached,
    /// There is a connection again.
    Attached,
    /// A key batch.
    Keys(Batch),
    /// The server passes on a request for the own key.
    KeyRequest(Id),
    /// The stream starts.
    StreamOpened,
    /// The stream stops.
    StreamClosed,
}

/// An action of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Sends a key.
    SendKeys(Batch),
    /// Requests the key of another device.
    RequestKeys(Id),
    /// Uses this own key from now on.
    Use(Epoch),
}

/// A member of a device's roster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Member {
    /// Whether it holds the current own key.
    pub has_current: bool,
    /// Whether it holds the next own key.
    pub has_pending: bool,
    pub(crate) asked: bool,
    pub(crate) answer_after: Time,
}

/// A device in a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// Who this is.
    pub id: Id,
    /// Whether there is a connection to the server.
    pub attached: bool,
    pub(crate) joined_at: Time,
    /// The members, who are shown and may receive keys.
    pub roster: BTreeMap<Id, Member>,
    /// The own keys.
    pub own: Own,
    pub(crate) serve_at: Option<Time>,
    pub(crate) answer_at: Option<Time>,
    /// Requesters that are not on the roster; none unless [`Rule::AnswerMembers`] is left out.
    pub(crate) strangers_asked: Vec<Id>,
    /// Keys of others and their history.
    pub(crate) others: BTreeMap<Id, Reception>,
    pub(crate) held: Vec<Held>,
    pub(crate) next_request_at: Time,
    /// When leaves were heard of; none unless there are [`crate::Ages`].
    pub(crate) leaves: Vec<Time>,
    /// How late the first announce of each device came; none unless there are [`crate::Ages`].
    pub(crate) anchors: BTreeMap<Id, Time>,
    pub(crate) agreement: Agreement,
}

impl Device {
    /// A device that the server has just admitted.
    #[must_use]
    pub fn joined(protocol: &Protocol, id: Id, now: Time) -> Self {
        let mut device = Self {
            id,
            attached: true,
            joined_at: now,
            roster: BTreeMap::new(),
            own: Own::default(),
            serve_at: None,
            answer_at: None,
            strangers_asked: Vec::new(),
            others: BTreeMap::new(),
            held: Vec::new(),
            next_request_at: 0,
            leaves: Vec::new(),
            anchors: BTreeMap::new(),
            agreement: Agreement::default(),
        };
        device.roster_changed(protocol, now);
        device.first_key(protocol, now);
        device
    }

    /// Handles an event and runs the timers that are due.
    pub fn handle(&mut self, protocol: &Protocol, now: Time, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Tick => {}
            Event::Announced(id, made) => self.announced(protocol, now, id, made),
            Event::Left(id) => self.left(protocol, now, id),
            Event::Accepted => self.own.accepted(now),
            Event::Detached => self.attached = false,
            Event::Attached => self.attach(protocol, now),
            Event::Keys(batch) => self.take_batch(protocol, now, Held { batch, until: now + protocol.times.hold }),
            Event::KeyRequest(id) => self.key_request(protocol, now, id),
            Event::StreamOpened => self.stream_opened(protocol, now, &mut actions),
            Event::StreamClosed => self.own.active = false,
        }
        self.erase_dead(now);
        self.distribute(protocol, now, &mut actions);
        self.compare_rosters(protocol, now);
        self.receive(protocol, now, &mut actions);
        actions
    }

    fn announced(&mut self, protocol: &Protocol, now: Time, id: Id, made: Time) {
        if id == self.id || self.roster.contains_key(&id) {
            return;
        }
        self.roster.insert(id, Member::default());
        if protocol.times.ages.is_some() {
            self.anchors.entry(id).or_insert(now - made);
        }
        self.roster_changed(protocol, now);
        self.newcomer(protocol, now);
        for held in std::mem::take(&mut self.held) {
            self.take_batch(protocol, now, held);
        }
    }

    fn left(&mut self, protocol: &Protocol, now: Time, id: Id) {
        if let Some(ages) = protocol.times.ages
            && self.leaves.last().is_none_or(|last| last + ages.apart <= now)
        {
            self.leaves.push(now);
        }
        if protocol.has(Rule::DeathAfterLeave) {
            self.all_die_by(now + protocol.times.life);
        }
        if self.roster.remove(&id).is_some() {
            self.forget_keys(id);
            self.no_longer_states(id);
            self.roster_changed(protocol, now);
        }
        if protocol.has(Rule::RotateOnLeave) {
            self.replace_own_key(protocol, now);
        }
    }

    fn attach(&mut self, protocol: &Protocol, now: Time) {
        self.attached = true;
        self.own.not_before(now);
        self.ask_not_before(protocol, now);
        self.want_not_before(now + protocol.times.grace);
    }

    /// Whether messages reach the server.
    pub(crate) fn reaches(&self, protocol: &Protocol) -> bool {
        self.attached || !protocol.has(Rule::Silence)
    }

    /// Whether this member holds an own key, as recorded.
    #[must_use]
    pub fn believes_holder(&self, id: Id) -> Option<Epoch> {
        let holds = self.roster.get(&id).is_some_and(|member| member.has_current);
        self.own.epoch(Which::Current).filter(|_| holds)
    }
}
