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
    sealed: u8,
}

/// A key that the others already hold and that is not used yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pending {
    key: SendKey,
    use_at: Time,
    /// A holder has left since.
    pub again: bool,
}

/// All own keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Own {
    current: Option<SendKey>,
    /// The next one.
    pub pending: Option<Pending>,
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
}

impl Device {
    /// Seals a frame if there is a stream and a key.
    pub fn seal(&mut self, protocol: &Protocol, now: Time, actions: &mut Vec<Action>) -> Option<Frame> {
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
        self.switch_if_due(protocol, now, actions);
        let due = self.own.current.as_ref().is_some_and(|key| aged(protocol, now, key));
        if self.own.active && self.own.pending.is_none() && due {
            self.rotate(protocol, now, protocol.times.window, actions);
        }
        if self.serve_at.is_some_and(|at| now >= at) {
            self.serve_at = None;
            self.serve_newcomers(protocol, now, actions);
        }
        if self.answer_at.is_some_and(|at| now >= at) {
            self.answer_at = None;
            self.answer(protocol, actions);
        }
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
            if eager && self.own.pending.is_none() {
                self.rotate(protocol, now, 0, actions);
            }
            return;
        };
        let (unused, aged) = (current.sealed == 0, aged(protocol, now, current));
        let lacking = self.lacking(Which::Current);
        if !lacking.is_empty() {
            if unused && eager {
                self.seal_to(Which::Current, &lacking, actions);
            } else if active {
                let replace = aged && self.own.pending.is_none();
                if replace || !self.ratchet(protocol, actions) {
                    if self.own.pending.is_none() {
                        self.rotate(protocol, now, protocol.times.window, actions);
                    }
                } else {
                    self.seal_to(Which::Current, &lacking, actions);
                }
            }
        }
        if self.own.pending.is_some() {
            let lacking = self.lacking(Which::Pending);
            self.seal_to(Which::Pending, &lacking, actions);
        }
    }

    /// Steps the ratchet of the current key. Returns false behind its last step.
    fn ratchet(&mut self, protocol: &Protocol, actions: &mut Vec<Action>) -> bool {
        if !protocol.has(Rule::RatchetOnJoin) {
            return true;
        }
        let Some(SendKey { epoch, made_at, .. }) = self.own.current else { return false };
        let step = epoch.step + 1;
        if step >= protocol.sizes.steps {
            return false;
        }
        self.put_in_use(SendKey { epoch: Epoch { step, ..epoch }, made_at, sealed: 0 }, actions);
        true
    }

    fn put_in_use(&mut self, key: SendKey, actions: &mut Vec<Action>) {
        actions.push(Action::Use(key.epoch));
        self.own.current = Some(key);
    }

    fn rotate(&mut self, protocol: &Protocol, now: Time, window: Time, actions: &mut Vec<Action>) {
        let epoch = Epoch { generation: self.own.next_generation, step: 0 };
        self.own.next_generation += 1;
        let window = if self.roster.is_empty() { 0 } else { window };
        let key = SendKey { epoch, made_at: now, sealed: 0 };
        self.own.pending = Some(Pending { key, use_at: now + window, again: false });
        self.roster.values_mut().for_each(|member| member.has_pending = false);
        let all = self.lacking(Which::Pending);
        self.seal_to(Which::Pending, &all, actions);
        if window == 0 {
            self.switch(protocol, now, actions);
        }
    }

    fn switch(&mut self, protocol: &Protocol, now: Time, actions: &mut Vec<Action>) {
        let Some(Pending { key, again, use_at }) = self.own.pending.take() else { return };
        for member in self.roster.values_mut() {
            member.has_current = std::mem::replace(&mut member.has_pending, false);
        }
        self.put_in_use(key, actions);
        if again {
            let late = now.saturating_sub(use_at);
            self.rotate(protocol, now, protocol.times.window.saturating_sub(late), actions);
        }
    }

    fn switch_if_due(&mut self, protocol: &Protocol, now: Time, actions: &mut Vec<Action>) {
        if self.own.pending.as_ref().is_some_and(|pending| now >= pending.use_at) {
            self.switch(protocol, now, actions);
        }
    }

    /// Replaces keys that members held who are off the roster.
    pub(crate) fn holders_left(
        &mut self,
        protocol: &Protocol,
        now: Time,
        held_current: bool,
        held_pending: bool,
        actions: &mut Vec<Action>,
    ) {
        match &mut self.own.pending {
            Some(pending) => pending.again |= held_pending && protocol.has(Rule::Again),
            None if held_current && self.own.current.is_some() => {
                let window = if self.own.active { protocol.times.window } else { 0 };
                self.rotate(protocol, now, window, actions);
            }
            None => {}
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
        let Some(current) = &self.own.current else {
            self.rotate(protocol, now, 0, actions);
            return;
        };
        let (unused, aged) = (current.sealed == 0, aged(protocol, now, current));
        let lacking = self.lacking(Which::Current);
        if lacking.is_empty() && !aged {
            return;
        }
        if unused && !aged || !protocol.has(Rule::Start) {
            self.seal_to(Which::Current, &lacking, actions);
        } else if self.own.pending.is_some() {
            let lacking = self.lacking(Which::Pending);
            self.seal_to(Which::Pending, &lacking, actions);
            self.switch(protocol, now, actions);
        } else {
            self.rotate(protocol, now, 0, actions);
        }
    }

    /// Seals an own key to members and records that they hold it.
    fn seal_to(&mut self, which: Which, recipients: &[Id], actions: &mut Vec<Action>) {
        let Some(epoch) = self.own.epoch(which) else { return };
        for to in recipients {
            actions.push(Action::SendKeys(Batch { from: self.id, to: *to, epoch }));
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

    fn answer(&mut self, protocol: &Protocol, actions: &mut Vec<Action>) {
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
        self.seal_to(Which::Current, &current, actions);
        self.seal_to(Which::Pending, &pending, actions);
    }
}

fn aged(protocol: &Protocol, now: Time, key: &SendKey) -> bool {
    now >= key.made_at + protocol.times.rotation
}
