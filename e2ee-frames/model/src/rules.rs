//! Definitions shared by all devices: names of keys and frames, times, sizes, and the rule that is left out.

/// A device.
pub type Id = u8;

/// Time in ticks.
pub type Time = u16;

/// Generation and ratchet step of a sender's key. Later keys are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// A new random key each.
    pub generation: u16,
    /// Number of ratchet steps.
    pub step: u8,
}

impl Epoch {
    /// Whether a holder of this key can compute the other.
    #[must_use]
    pub fn leads_to(self, other: Self) -> bool {
        self.generation == other.generation && self.step <= other.step
    }
}

/// A key, boxed by its sender for one recipient. It opens for no other device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Batch {
    /// The sender.
    pub from: Id,
    /// The recipient.
    pub to: Id,
    /// The key.
    pub epoch: Epoch,
    /// When it was sealed; 0 unless there are [`Ages`].
    pub made: Time,
    /// Whether it says that a holder of the key has left; never unless there are [`Ages`].
    pub dying: bool,
    /// The sender's roster, one bit for each device; 0 unless there are [`Rosters`].
    pub roster: u32,
}

/// A sealed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frame {
    /// The sender.
    pub from: Id,
    /// The key. The frame itself has the generation modulo [`Sizes::generations`].
    pub epoch: Epoch,
    /// The counter, at most 63.
    pub counter: u8,
}

/// Durations in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Between the sealing of a new generation and its use.
    pub window: Time,
    /// How long an older key opens frames after the first frame of a newer one.
    pub linger: Time,
    /// Joins within it are served together.
    pub coalesce_joins: Time,
    /// After joining, newcomers are served at once.
    pub settle: Time,
    /// Requests within it are answered together.
    pub coalesce_answers: Time,
    /// Minimum time between two answers to one requester.
    pub answer_every: Time,
    /// Age at which a generation is replaced.
    pub rotation: Time,
    /// How long a batch is held for its sender's announce.
    pub hold: Time,
    /// Minimum time between two requests.
    pub request_every: Time,
    /// How long a key that a frame names may be in flight before it is requested.
    pub grace: Time,
    /// The same for a sender without any key yet.
    pub first_grace: Time,
    /// A key that no frame names any more is not requested.
    pub forget: Time,
    /// How long keys live on after a participant has left.
    pub life: Time,
    /// How the age of a key counts, if it does.
    pub ages: Option<Ages>,
    /// How rosters are compared, if they are.
    pub rosters: Option<Rosters>,
}

/// Durations by which keys die of age.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    /// How long a generation opens frames after it was sealed.
    pub hard_life: Time,
    /// How much later than a sender a receiver may hear of a leave.
    pub heard_late: Time,
    /// Leaves closer together count as one.
    pub apart: Time,
}

/// Durations by which rosters are compared.
#[derive(Clone, Copy, Debug)]
pub struct Rosters {
    /// The own roster must rest this long before a sender is asked.
    pub rest: Time,
}

/// Sizes.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Ratchet steps of a generation.
    pub steps: u8,
    /// Generations that frames distinguish.
    pub generations: u16,
    /// Live keys of a sender.
    pub keys: usize,
}

impl Sizes {
    /// The values of `e2ee-frames`.
    pub const REAL: Self = Self { steps: 8, generations: 8, keys: 4 };
}

/// A rule that can be left out, to show what it prevents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A newcomer receives the next step of a key that has sealed frames, not the key itself.
    RatchetOnJoin,
    /// After a leave during a rotation, if the leaver holds the next generation, another rotation follows the switch.
    Again,
    /// A leave makes a new generation.
    RotateOnLeave,
    /// A key request is answered only with a key that the requester received before.
    AnswerHolders,
    /// A key request is answered only if the requester is on the roster.
    AnswerMembers,
    /// A stream that starts uses a key that the whole roster has, and that does not reveal the past to newcomers.
    Start,
    /// Counters continue when a stream opens again.
    CountersGoOn,
    /// A key that was erased never comes back.
    ErasedStayErased,
    /// A key that is older than one taken before is refused.
    EpochsIncrease,
    /// Older generations expire even if no frame of a newer one arrives.
    Retirement,
    /// A derived key expires no later than the key it was derived from.
    DerivedDieToo,
    /// A missing key that frames name is requested.
    Requests,
    /// A new generation is used only when the server has accepted its distribution.
    Acceptance,
    /// A key that a leaver may have taken along seals nothing after its time.
    OwnDeath,
    /// A key that a receiver has when a participant leaves opens nothing after its time.
    DeathAfterLeave,
    /// Nor does one that was sealed before and arrives later.
    DeathOfWithheld,
    /// Nor does one that its sender seals again while it goes on with it for a while.
    DyingSaid,
    /// A generation opens nothing when it is old.
    HardLife,
    /// Without a connection nothing is sent.
    Silence,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::RatchetOnJoin,
        Self::Again,
        Self::RotateOnLeave,
        Self::AnswerHolders,
        Self::AnswerMembers,
        Self::Start,
        Self::CountersGoOn,
        Self::ErasedStayErased,
        Self::EpochsIncrease,
        Self::Retirement,
        Self::DerivedDieToo,
        Self::Requests,
        Self::Acceptance,
        Self::OwnDeath,
        Self::DeathAfterLeave,
        Self::DeathOfWithheld,
        Self::DyingSaid,
        Self::HardLife,
        Self::Silence,
    ];
}

/// Everything that does not change during a call.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// Durations.
    pub times: Times,
    /// Sizes.
    pub sizes: Sizes,
    /// Small rooms make the first key at join rather than at the first stream.
    pub eager: bool,
    /// The rule that is left out.
    pub without: Option<Rule>,
}

impl Protocol {
    /// Whether a rule is followed.
    #[must_use]
    pub fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}
