//! What all devices agree on: names of keys and frames, times, sizes, and which rule is left out.

/// A device.
pub type Id = u8;

/// Time in ticks.
pub type Time = u16;

/// Generation and ratchet step of a sender's key. Later keys are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// A new random key each.
    pub generation: u16,
    /// How often it was ratcheted.
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
    /// Whose key it is.
    pub from: Id,
    /// For whom.
    pub to: Id,
    /// Which key.
    pub epoch: Epoch,
}

/// A sealed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frame {
    /// Whose key sealed it.
    pub from: Id,
    /// Which key. The frame itself shows the generation modulo [`Sizes::generations`].
    pub epoch: Epoch,
    /// Under which counter, at most 63.
    pub counter: u8,
}

/// How long things take, ticks.
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
    /// A requester is answered at most this often.
    pub answer_every: Time,
    /// Age at which a generation is replaced.
    pub rotation: Time,
    /// How long a batch waits for its sender's announce.
    pub hold: Time,
    /// A request goes out at most this often.
    pub request_every: Time,
    /// How long a key that a frame named may be on its way before it is asked for.
    pub grace: Time,
    /// The same for a sender of whom no key has come yet.
    pub first_grace: Time,
    /// A key that no frame names any more is not asked for.
    pub forget: Time,
}

/// How many of what there are.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Ratchet steps of a generation.
    pub steps: u8,
    /// Generations that frames tell apart.
    pub generations: u16,
    /// Live keys of a sender.
    pub keys: usize,
}

impl Sizes {
    /// Those of `e2ee-frames`.
    pub const REAL: Self = Self { steps: 8, generations: 8, keys: 4 };
}

/// A rule that can be left out, to see what it is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A newcomer is given the next step of a key that has sealed frames, not the key itself.
    RatchetOnJoin,
    /// Who leaves while a generation is on its way that it was given is rotated out once that generation is in use.
    Again,
    /// A leave makes a new generation.
    RotateOnLeave,
    /// A key request is answered only with a key that the requester was given before.
    AnswerHolders,
    /// A key request is answered only if the requester is on the roster.
    AnswerMembers,
    /// A stream that starts uses a key that everybody on the roster has, and that newcomers cannot look back with.
    Start,
    /// Counters go on when a stream opens again.
    CountersGoOn,
    /// A key that was erased never comes back.
    ErasedStayErased,
    /// A key that is older than one taken before is refused.
    EpochsIncrease,
    /// Older generations die by time even if no frame of a newer one comes.
    Retirement,
    /// A derived key dies no later than the key it was derived from.
    DerivedDieToo,
    /// A key that frames name and that is missing is asked for.
    Requests,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 12] = [
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
    ];
}

/// Everything that does not change during a call.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// How long things take.
    pub times: Times,
    /// How many there are.
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
