//! Keys of others: the rules of `session/reception.rs` and `keys/receiver.rs`.

use crate::{
    device::{Action, Device},
    rules::{Batch, Epoch, Frame, Id, Protocol, Rule, Time},
};

/// Batches of one sender that are held.
const MAX_HELD_OF_SENDER: usize = 4;
/// The end of what lives on.
const NEVER: Time = Time::MAX;

/// The outcome of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was opened.
    Opened,
    /// Its key may still arrive.
    MissingKey,
    /// Not sealed under the key that it names.
    NotAuthentic,
    /// Opened before.
    Replay,
    /// No device on the roster.
    UnknownSender,
}

/// A batch that is held until its sender's announce.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) batch: Batch,
    pub(crate) until: Time,
}

/// A live key of a sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LiveKey {
    epoch: Epoch,
    /// Whether it has opened a frame.
    confirmed: bool,
    dies_at: Time,
    /// Counters that were opened, one bit each: the replay window.
    seen: u64,
}

impl LiveKey {
    fn dies_by(&mut self, at: Time) {
        self.dies_at = self.dies_at.min(at);
    }

    fn open(&mut self, frame: Frame) -> Result<(), Outcome> {
        let bit = 1 << frame.counter;
        if self.seen & bit != 0 {
            return Err(Outcome::Replay);
        }
        if self.epoch != frame.epoch {
            return Err(Outcome::NotAuthentic);
        }
        self.seen |= bit;
        Ok(())
    }
}

/// A key to request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wanted {
    ask_at: Time,
    attempts: u8,
    last_seen: Time,
}

/// What remains of the keys of a sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Past {
    /// Greatest epoch that was erased.
    erased: Option<Epoch>,
    /// The newest generation and when it dies.
    generation: Option<(u16, Time)>,
}

/// A device's state of one sender.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Reception {
    /// Ascending by epoch; `None` if there never was a key since the sender is on the roster.
    live: Option<Vec<LiveKey>>,
    past: Past,
    /// Survives the removal of the sender: greatest epoch installed, and what was erased.
    last_key: Option<Epoch>,
    past_before: Past,
    wanted: Option<Wanted>,
}

/// Why a frame was not opened by the keys.
enum Missing {
    NoSender,
    NoKey { ask: bool },
    Failed(Outcome),
}

/// How to open a frame.
enum Way {
    Exact(usize),
    Forward(usize),
}

impl Reception {
    fn way(&self, protocol: &Protocol, frame: Frame) -> Result<Way, Missing> {
        let Some(live) = &self.live else { return Err(Missing::NoSender) };
        let shown = |generation: u16| generation % protocol.sizes.generations;
        let mut generation_known = false;
        let mut way = None;
        for (index, key) in live.iter().enumerate() {
            if shown(key.epoch.generation) != shown(frame.epoch.generation) {
                continue;
            }
            generation_known = true;
            if key.epoch.step == frame.epoch.step {
                return Ok(Way::Exact(index));
            }
            if key.epoch.step < frame.epoch.step {
                way = Some(Way::Forward(index));
            }
        }
        way.ok_or(Missing::NoKey { ask: !generation_known })
    }

    fn open(&mut self, protocol: &Protocol, now: Time, frame: Frame) -> Result<(), Missing> {
        self.way(protocol, frame)?;
        self.erase_dead(now);
        let way = self.way(protocol, frame)?;
        let Some(live) = &mut self.live else { return Err(Missing::NoSender) };
        let index = match way {
            Way::Exact(index) => {
                live[index].open(frame).map_err(Missing::Failed)?;
                index
            }
            Way::Forward(index) => {
                let base = &live[index];
                let epoch = Epoch { step: frame.epoch.step, ..base.epoch };
                if protocol.has(Rule::ErasedStayErased) && Some(epoch) <= self.past.erased {
                    return Err(Missing::NoKey { ask: false });
                }
                let dies_at = if protocol.has(Rule::DerivedDieToo) { base.dies_at } else { NEVER };
                let mut derived = LiveKey { epoch, confirmed: false, dies_at, seen: 0 };
                derived.open(frame).map_err(Missing::Failed)?;
                self.insert(protocol, derived)
            }
        };
        self.confirm(protocol, now, index);
        Ok(())
    }

    fn confirm(&mut self, protocol: &Protocol, now: Time, index: usize) {
        let Some(live) = &mut self.live else { return };
        if std::mem::replace(&mut live[index].confirmed, true) {
            return;
        }
        let epoch = live[index].epoch;
        for older in live.iter_mut().filter(|older| older.epoch < epoch) {
            older.dies_by(now + protocol.times.linger);
        }
    }

    /// Inserts in order and returns the index. Drops the oldest key beyond the limit.
    fn insert(&mut self, protocol: &Protocol, key: LiveKey) -> usize {
        let live = self.live.get_or_insert_default();
        let mut index = live.partition_point(|other| other.epoch < key.epoch);
        live.insert(index, key);
        if live.len() > protocol.sizes.keys {
            let oldest = live.remove(0);
            self.past.erased = self.past.erased.max(Some(oldest.epoch));
            index = index.saturating_sub(1);
        }
        index
    }

    fn erase_dead(&mut self, now: Time) {
        let erased = &mut self.past.erased;
        if let Some(live) = &mut self.live {
            live.retain(|key| {
                let lives = now < key.dies_at;
                if !lives {
                    *erased = (*erased).max(Some(key.epoch));
                }
                lives
            });
        }
    }

    /// Installs an authentic key, which dies at a time if it is of a new generation.
    fn install(&mut self, protocol: &Protocol, now: Time, epoch: Epoch, dies_at: Time) {
        if protocol.has(Rule::EpochsIncrease) && Some(epoch) < self.last_key {
            return;
        }
        if self.live.is_none() {
            self.live = Some(Vec::new());
            self.past = self.past_before;
        }
        let dies_at = match self.past.generation {
            Some((newest, at)) if newest == epoch.generation => at.min(dies_at),
            _ => dies_at,
        };
        let Some(live) = &mut self.live else { return };
        if live.iter().any(|key| key.epoch == epoch) {
            // What is said of a key that is here can only shorten its life.
            if live.last().is_some_and(|newest| newest.epoch.generation == epoch.generation) {
                self.past.generation = Some((epoch.generation, dies_at));
            }
            for key in live.iter_mut().filter(|key| key.epoch.generation == epoch.generation) {
                key.dies_by(dies_at);
            }
        } else {
            let newest = live.last().map(|key| key.epoch);
            let erased = Some(epoch) <= self.past.erased && protocol.has(Rule::ErasedStayErased);
            let dead = now >= dies_at;
            if erased || dead || Some(epoch) < newest && protocol.has(Rule::EpochsIncrease) {
                return;
            }
            let older = live.partition_point(|key| key.epoch.generation < epoch.generation);
            let shown = |generation: u16| generation % protocol.sizes.generations;
            let clash = live[..older].iter().rposition(|key| shown(key.epoch.generation) == shown(epoch.generation));
            if let Some(last) = clash {
                for key in live.drain(..=last) {
                    self.past.erased = self.past.erased.max(Some(key.epoch));
                }
            }
            let retire_at = now + protocol.times.window + protocol.times.linger;
            if protocol.has(Rule::Retirement) {
                for key in live.iter_mut().filter(|key| key.epoch.generation < epoch.generation) {
                    key.dies_by(retire_at);
                }
            }
            for key in live.iter_mut().filter(|key| key.epoch.generation == epoch.generation) {
                key.dies_by(dies_at);
            }
            self.past.generation = Some((epoch.generation, dies_at));
            self.insert(protocol, LiveKey { epoch, confirmed: false, dies_at, seen: 0 });
        }
        self.last_key = Some(epoch).max(self.last_key);
        self.wanted = None;
    }
}

impl Device {
    pub(crate) fn take_batch(&mut self, protocol: &Protocol, now: Time, held: Held) {
        let Batch { from, to, epoch, .. } = held.batch;
        if to != self.id {
            return;
        }
        if self.roster.contains_key(&from) {
            // An older key is refused unopened.
            let before = self.others.get(&from).and_then(|reception| reception.last_key);
            if Some(epoch) >= before {
                if let Some(anchor) = self.anchors.get_mut(&from) {
                    *anchor = (*anchor).min(now - held.batch.made);
                }
                self.stated_roster(protocol, now, held.batch);
            }
            let dies_at = self.death_of(protocol, now, held.batch);
            self.others.entry(from).or_default().install(protocol, now, epoch, dies_at);
        } else if self.held.iter().filter(|other| other.batch.from == from).count() < MAX_HELD_OF_SENDER {
            self.held.push(held);
        }
    }

    /// When a key dies, whatever arrives later.
    fn death_of(&self, protocol: &Protocol, now: Time, batch: Batch) -> Time {
        let Some(ages) = protocol.times.ages else { return NEVER };
        let anchor = self.anchors.get(&batch.from).copied().unwrap_or_default();
        let made = now.min(batch.made + anchor);
        let life = protocol.times.life;
        let hard = protocol.has(Rule::HardLife).then(|| made.saturating_add(ages.hard_life));
        let dying = (batch.dying && protocol.has(Rule::DyingSaid)).then_some(made + life);
        let leave = self.leaves.iter().find(|at| made + ages.heard_late < **at).map(|at| at + life);
        let leave = leave.filter(|_| protocol.has(Rule::DeathOfWithheld));
        [hard, dying, leave].into_iter().flatten().min().unwrap_or(NEVER)
    }

    /// Opens a frame.
    pub fn open(&mut self, protocol: &Protocol, now: Time, frame: Frame) -> Outcome {
        let opened = match self.others.get_mut(&frame.from) {
            Some(reception) => reception.open(protocol, now, frame),
            None => Err(Missing::NoSender),
        };
        match opened {
            Ok(()) => Outcome::Opened,
            Err(Missing::Failed(Outcome::NotAuthentic)) => {
                self.want_key(protocol, now, frame.from);
                Outcome::NotAuthentic
            }
            Err(Missing::Failed(outcome)) => outcome,
            Err(Missing::NoKey { ask: false }) => Outcome::MissingKey,
            Err(Missing::NoKey { ask: true } | Missing::NoSender) => self.want_key(protocol, now, frame.from),
        }
    }

    fn want_key(&mut self, protocol: &Protocol, now: Time, from: Id) -> Outcome {
        let known = self.others.get(&from).and_then(|reception| reception.live.as_ref());
        if known.is_none() && !self.roster.contains_key(&from) {
            return Outcome::UnknownSender;
        }
        let any = known.is_some_and(|live| !live.is_empty());
        let grace = if any { protocol.times.grace } else { protocol.times.first_grace };
        if protocol.has(Rule::Requests) {
            let wanted = &mut self.others.entry(from).or_default().wanted;
            wanted.get_or_insert(Wanted { ask_at: now + grace, attempts: 0, last_seen: now }).last_seen = now;
        }
        Outcome::MissingKey
    }

    /// A key of this sender is requested, for what its batch says.
    pub(crate) fn want_known(&mut self, now: Time, id: Id) {
        let Some(reception) = self.others.get_mut(&id) else { return };
        if reception.live.as_ref().is_some_and(|live| !live.is_empty()) {
            reception.wanted.get_or_insert(Wanted { ask_at: now, attempts: 0, last_seen: now });
        }
    }

    pub(crate) fn receive(&mut self, protocol: &Protocol, now: Time, actions: &mut Vec<Action>) {
        self.held.retain(|held| now < held.until);
        let times = &protocol.times;
        for reception in self.others.values_mut() {
            reception.wanted.take_if(|wanted| now >= wanted.last_seen + times.forget);
        }
        if now < self.next_request_at || !self.reaches(protocol) {
            return;
        }
        let mut asked = false;
        for (id, reception) in &mut self.others {
            if let Some(wanted) = reception.wanted.as_mut().filter(|wanted| now >= wanted.ask_at) {
                wanted.ask_at = now + (times.request_every << wanted.attempts.min(2));
                wanted.attempts += 1;
                actions.push(Action::RequestKeys(*id));
                asked = true;
            }
        }
        if asked {
            self.next_request_at = now + times.request_every;
        }
    }

    pub(crate) fn erase_dead(&mut self, now: Time) {
        self.others.values_mut().for_each(|reception| reception.erase_dead(now));
    }

    /// A participant has left: every key that is live now dies by `at`.
    pub(crate) fn all_die_by(&mut self, at: Time) {
        for reception in self.others.values_mut() {
            let Some(live) = &mut reception.live else { continue };
            if let Some((_, dies_at)) = &mut reception.past.generation {
                *dies_at = at.min(*dies_at);
            }
            live.iter_mut().for_each(|key| key.dies_by(at));
        }
    }

    /// Missing keys are requested from this time on at the earliest.
    pub(crate) fn want_not_before(&mut self, at: Time) {
        for wanted in self.others.values_mut().filter_map(|reception| reception.wanted.as_mut()) {
            wanted.ask_at = wanted.ask_at.max(at);
        }
    }

    /// Forgets which keys are missing.
    pub(crate) fn want_nothing(&mut self) {
        self.others.retain(|_, reception| {
            reception.wanted = None;
            *reception != Reception::default()
        });
    }

    /// Generations of a sender's live keys.
    pub fn live_generations(&self, from: Id) -> impl Iterator<Item = u16> {
        let live = self.others.get(&from).and_then(|reception| reception.live.as_ref());
        live.into_iter().flatten().map(|key| key.epoch.generation)
    }

    /// A sender is off the roster: its keys are erased.
    pub(crate) fn forget_keys(&mut self, id: Id) {
        if let Some(reception) = self.others.get_mut(&id) {
            if let Some(live) = reception.live.take() {
                let newest = live.last().map(|key| key.epoch);
                let past = std::mem::take(&mut reception.past);
                reception.past_before = Past { erased: newest.max(past.erased), ..past };
            }
            reception.wanted = None;
        }
    }
}
