//! The own keys of a device: the rules of `session/distribution.rs` and `keys/sender.rs`.

use crate::{
    device::{Action, Device},
    rules::{Batch, Epoch, Frame, Id, Protocol, Rule, Time},
};

/// Which own key is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The current one.
    Current,
    /// The next one.
    Pending,
}

/// An own key with the counter of its stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SendKey {
    epoch: Epoch,
    made_at: Time,
    dies_at: Option<Time>,
    sealed: u8,
}

impl SendKey {
    fn dead(&self, now: Time) -> bool {
        self.dies_at.is_some_and(|at| now >= at)
    }
}

/// A key that is distributed and not used yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pending {
    key: SendKey,
    use_at: Time,
    /// A holder may have left since.
    pub again: bool,
    /// Whether the server has accepted its distribution.
    pub accepted: bool,
}

/// All own keys. Without a current one, no frame is sealed until the next one is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Own {
    current: Option<SendKey>,
    /// The next one.
    pub pending: Option<Pending>,
    /// A participant has left since the last generation was made.
    leave_owed: bool,
    next_generation: u16,
    /// Whether the stream is open.
    pub active: bool,
}

impl Own {
    /// Name of an own key.
    #[must_use]
    pub fn epoch(&self, which: Which) -> Option<Epoch> {
        match which {
            Which::Current => self.current.as_ref().map(|key| key.epoch),
            Which::Pending => self.pending.as_ref().map(|pending| pending.key.epoch),
        }
    }

    pub(crate) fn accepted(&mut self, now: Time) {
        if let Some(pending) = self.pending.as_mut().filter(|pending| !pending.accepted) {
            pending.accepted = true;
            self.not_before(now);
        }
    }

    /// The next key is used from this time on at the earliest.
    pub(crate) fn not_before(&mut self, at: Time) {
        if let Some(pending) = &mut self.pending {
            pending.use_at = pending.use_at.max(at);
        }
    }

    fn leave_owed(&self) -> bool {
        self.leave_owed || self.current.is_none() && self.pending.as_ref().is_some_and(|pending| pending.again)
    }

    fn erase_dead(&mut self, now: Time) {
        if self.pending.take_if(|pending| pending.key.dead(now)).is_some() {
            self.leave_owed = true;
        }
        self.current.take_if(|key| key.dead(now));
    }
}

impl Device {
    /// Seals a frame if there is a stream and a key.
    pub fn seal(&mut self, protocol: &Protocol, now: Time, actions: &mut Vec<Action>) -> Option<Frame> {
        self.own.erase_dead(now);
        self.switch_if_due(protocol, now, actions);
        if !self.own.active {
            return None;
        }
        let key = self.own.current.as_mut()?;
        let counter = key.sealed;
        key.sealed += 1;
        Some(Frame { from: self.id, epoch: key.epoch, counter })
    }

    pub(crate) fn distribute(&mut self, protocol: &Protocol, now: Time, actions: &mut Vec<Action>) {
        self.own.erase_dead(now);
        if !self.reaches(protocol) {
            return;
        }
        self.switch_if_due(protocol, now, actions);
        if self.own.leave_owed() {
            self.rotate(protocol, now, self.takeover(protocol), actions);
        }
        let due = self.own.current.as_ref().is_some_and(|key| aged(protocol, now, key));
        if self.own.active && self.own.pending.is_none() && due {
            self.rotate(protocol, now, self.takeover(protocol), actions);
        }
        if self.serve_at.is_some_and(|at| now >= at) {
            self.serve_at = None;
            self.serve_newcomers(protocol, now, actions);
        }
        if self.answer_at.is_some_and(|at| now >= at) {
            self.answer_at = None;
            self.answer(protocol, now, actions);
        }
    }

    /// How long the current key seals frames while the next one is distributed; `None` if it seals none and is erased.
    fn takeover(&self, protocol: &Protocol) -> Option<Time> {
        (self.own.active && self.own.current.is_some()).then_some(protocol.times.window)
    }

    pub(crate) fn first_key(&mut self, protocol: &Protocol, now: Time) {
        self.serve_at = Some(now + protocol.times.coalesce_joins);
    }

    pub(crate) fn newcomer(&mut self, protocol: &Protocol, now: Time) {
        let settling = now < self.joined_at + protocol.times.settle;
        let at = if settling { now } else { now + protocol.times.coalesce_joins };
        self.serve_at = Some(self.serve_at.map_or(at, |serve_at| serve_at.min(at)));
    }

    fn lacking(&self, which: Which) -> Vec<Id> {
        let lacks = |id: &Id| match which {
            Which::Current => !self.roster[id].has_current,
            Which::Pending => !self.roster[id].has_pending,
        };
        self.roster.keys().copied().filter(lacks).collect()
    }

    fn serve_newcomers(&mut self, protocol: &Protocol, now: Time, actions: &mut Vec<Action>) {
        let active = self.own.active;
        let eager = active || protocol.eager;
        let Some(current) = &self.own.current else {
            if self.own.pending.is_some() {
                let lacking = self.lacking(Which::Pending);
                self.seal_to(protocol, now, Which::Pending, &lacking, actions);
            } else if eager {
                self.rotate(protocol, now, None, actions);
            }
            return;
        };
        let (unused, aged) = (current.sealed == 0, aged(protocol, now, current));
        let lacking = self.lacking(Which::Current);
        if !lacking.is_empty() {
            if unused && eager {
                self.seal_to(protocol, now, Which::Current, &lacking, actions);
            } else if active {
                let replace = aged && self.own.pending.is_none();
                if replace || !self.ratchet(protocol, actions) {
                    if self.own.pending.is_none() {
                        self.rotate(protocol, now, self.takeover(protocol), actions);
                    }
                } else {
                    self.seal_to(protocol, now, Which::Current, &lacking, actions);
                }
            }
        }
        if self.own.pending.is_some() {
            let lacking = self.lacking(Which::Pending);
            self.seal_to(protocol, now, Which::Pending, &lacking, actions);
        }
    }

    /// Steps the ratchet of the current key. Returns false behind its last step.
    fn ratchet(&mut self, protocol: &Protocol, actions: &mut Vec<Action>) -> bool {
        if !protocol.has(Rule::RatchetOnJoin) {
            return true;
        }
        let Some(SendKey { epoch, made_at, dies_at, .. }) = self.own.current else { return false };
        let step = epoch.step + 1;
        if step >= protocol.sizes.steps {
            return false;
        }
        self.put_in_use(SendKey { epoch: Epoch { step, ..epoch }, made_at, dies_at, sealed: 0 }, actions);
        true
    }

    fn put_in_use(&mut self, key: SendKey, actions: &mut Vec<Action>) {
        actions.push(Action::Use(key.epoch));
        self.own.current = Some(key);
    }

    fn rotate(&mut self, protocol: &Protocol, now: Time, takeover: Option<Time>, actions: &mut Vec<Action>) {
        let epoch = Epoch { generation: self.own.next_generation, step: 0 };
        self.own.next_generation += 1;
        self.own.leave_owed = false;
        if takeover.is_none() {
            self.own.current = None;
        }
        let window = takeover.filter(|_| !self.roster.is_empty()).unwrap_or(0);
        let key = SendKey { epoch, made_at: now, dies_at: None, sealed: 0 };
        let accepted = self.roster.is_empty() || !protocol.has(Rule::Acceptance);
        self.own.pending = Some(Pending { key, use_at: now + window, again: false, accepted });
        let current = self.own.current.is_some();
        for member in self.roster.values_mut() {
            member.has_current &= current;
            member.has_pending = false;
        }
        let all = self.lacking(Which::Pending);
        self.seal_to(protocol, now, Which::Pending, &all, actions);
        self.switch_if_due(protocol, now, actions);
    }

    fn switch(&mut self, protocol: &Protocol, now: Time, actions: &mut Vec<Action>) {
        let Some(Pending { key, use_at, again, .. }) = self.own.pending.take() else { return };
        for member in self.roster.values_mut() {
            member.has_current = std::mem::replace(&mut member.has_pending, false);
        }
        self.put_in_use(key, actions);
        if again {
            let late = now - use_at;
            let takeover = self.takeover(protocol).filter(|window| late < *window).map(|window| window - late);
            self.rotate(protocol, now, takeover, actions);
        }
    }

    fn switch_if_due(&mut self, protocol: &Protocol, now: Time, actions: &mut Vec<Action>) {
        let due = self.own.pending.as_ref().is_some_and(|pending| pending.accepted && now >= pending.use_at);
        if due && self.reaches(protocol) {
            self.switch(protocol, now, actions);
        }
    }

    /// A participant that may hold the own keys has left: they are replaced, as soon as there is a connection.
    pub(crate) fn replace_own_key(&mut self, protocol: &Protocol, now: Time) {
        let Own { current, pending, leave_owed, .. } = &mut self.own;
        let keys = current.iter_mut().chain(pending.iter_mut().map(|pending| &mut pending.key));
        for key in keys.filter(|_| protocol.has(Rule::OwnDeath)) {
            key.dies_at = key.dies_at.or(Some(now + protocol.times.life));
        }
        match (current, pending) {
            (Some(_), Some(pending)) => pending.again |= protocol.has(Rule::Again),
            (None, None) => {}
            _ => *leave_owed = true,
        }
    }

    pub(crate) fn stream_opened(&mut self, protocol: &Protocol, now: Time, actions: &mut Vec<Action>) {
        if self.own.active {
            return;
        }
        self.own.active = true;
        if !protocol.has(Rule::CountersGoOn)
            && let Some(key) = &mut self.own.current
        {
            key.sealed = 0;
        }
        if !self.reaches(protocol) {
            self.serve_at = Some(now);
            return;
        }
        let Some(current) = &self.own.current else {
            if self.own.pending.is_some() {
                let lacking = self.lacking(Which::Pending);
                self.seal_to(protocol, now, Which::Pending, &lacking, actions);
            } else {
                self.rotate(protocol, now, None, actions);
            }
            return;
        };
        let (unused, aged) = (current.sealed == 0, aged(protocol, now, current));
        let lacking = self.lacking(Which::Current);
        if lacking.is_empty() && !aged {
            return;
        }
        if unused && !aged || !protocol.has(Rule::Start) {
            self.seal_to(protocol, now, Which::Current, &lacking, actions);
        } else if self.own.pending.as_ref().is_some_and(|pending| !pending.again) {
            let lacking = self.lacking(Which::Pending);
            self.seal_to(protocol, now, Which::Pending, &lacking, actions);
            self.own.current = None;
            self.roster.values_mut().for_each(|member| member.has_current = false);
            if let Some(pending) = &mut self.own.pending {
                pending.use_at = now;
            }
            self.switch_if_due(protocol, now, actions);
        } else {
            self.rotate(protocol, now, None, actions);
        }
    }

    /// Seals an own key to members and records that they hold it.
    fn seal_to(&mut self, protocol: &Protocol, now: Time, which: Which, recipients: &[Id], actions: &mut Vec<Action>) {
        let key = match which {
            Which::Current => self.own.current.as_ref(),
            Which::Pending => self.own.pending.as_ref().map(|pending| &pending.key),
        };
        let Some(SendKey { epoch, dies_at, .. }) = key.cloned() else { return };
        let ages = protocol.times.ages.is_some();
        let (made, dying) = if ages { (now, dies_at.is_some()) } else { (0, false) };
        let roster = self.roster_bits(protocol);
        for to in recipients {
            actions.push(Action::SendKeys(Batch { from: self.id, to: *to, epoch, made, dying, roster }));
            if let Some(member) = self.roster.get_mut(to) {
                match which {
                    Which::Current => member.has_current = true,
                    Which::Pending => member.has_pending = true,
                }
            }
        }
    }

    /// Another device requests the own key.
    pub(crate) fn key_request(&mut self, protocol: &Protocol, now: Time, requester: Id) {
        let mut asked = false;
        match self.roster.get_mut(&requester) {
            Some(member) if now >= member.answer_after => {
                member.answer_after = now + protocol.times.answer_every;
                member.asked = true;
                asked = true;
            }
            Some(_) => {}
            None if !protocol.has(Rule::AnswerMembers) => {
                self.strangers_asked.push(requester);
                asked = true;
            }
            None => {}
        }
        if asked && self.answer_at.is_none() {
            self.answer_at = Some(now + protocol.times.coalesce_answers);
        }
    }

    fn answer(&mut self, protocol: &Protocol, now: Time, actions: &mut Vec<Action>) {
        let (mut current, mut pending) = (std::mem::take(&mut self.strangers_asked), Vec::new());
        let anyone = !protocol.has(Rule::AnswerHolders);
        for (id, member) in self.roster.iter_mut().filter(|(_, member)| member.asked) {
            member.asked = false;
            if member.has_current || anyone {
                current.push(*id);
            }
            if member.has_pending {
                pending.push(*id);
            }
        }
        self.seal_to(protocol, now, Which::Current, &current, actions);
        self.seal_to(protocol, now, Which::Pending, &pending, actions);
    }
}

fn aged(protocol: &Protocol, now: Time, key: &SendKey) -> bool {
    now >= key.made_at + protocol.times.rotation
}
