//! The identity of one process in one call: a signing key and an incarnation, both random, and their join id.

use crate::label;
use core::cmp::Ordering;
use e2ee_core::{Label, Primitives, Random, ResumeStatement, SigningKey, array, resume};
use zeroize::Zeroizing;

/// The room and call to which keys and announces are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) room: [u8; 16],
    pub(crate) call: [u8; 16],
}

impl Call {
    /// The join id of one process of one device in this call.
    pub(crate) fn join_id<P: Primitives>(&self, device: &[u8; 32], incarnation: &[u8; 16]) -> JoinId {
        JoinId(P::hash(&label::JOIN_ID, &[&self.room, &self.call, device, incarnation]))
    }
}

/// Identifies one process of one device in one call: a hash of room, call, device key and incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct JoinId(pub(crate) [u8; 32]);

impl Ord for JoinId {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for JoinId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The order of join ids and their halves. Every search that inlined it would take a kilobyte of the wasm module.
#[inline(never)]
pub(crate) fn compare(one: &[u8], other: &[u8]) -> Ordering {
    one.cmp(other)
}

impl JoinId {
    /// The first half, by which messages name a sender.
    pub(crate) fn prefix(&self) -> &[u8; 16] {
        array::split::<16, 16, 32>(&self.0).0
    }
}

/// The signing key and incarnation of this device. Fresh for every session, so that counters never restart under old keys.
pub(crate) struct Identity<P: Primitives> {
    signing: P::Signing,
    pub(crate) device: [u8; 32],
    pub(crate) incarnation: [u8; 16],
    pub(crate) join_id: JoinId,
}

impl<P: Primitives> Identity<P> {
    pub(crate) fn generate(call: &Call, random: &mut (impl Random + ?Sized)) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(&mut *seed);
        let mut incarnation = [0; 16];
        random.fill(&mut incarnation);
        let signing = P::Signing::from_seed(&seed);
        let device = signing.public();
        Self { device, incarnation, join_id: call.join_id::<P>(&device, &incarnation), signing }
    }

    pub(crate) fn sign(&self, label: &Label, bytes: &[u8]) -> [u8; 64] {
        self.signing.sign(label, bytes)
    }

    /// Erases the signing key. What identified this device stays.
    pub(crate) fn erase(&mut self) {
        self.signing = P::Signing::from_seed(&[0; 32]);
    }

    pub(crate) fn prove_resume(&self, statement: &ResumeStatement<'_>) -> [u8; 64] {
        resume::prove(&self.signing, statement)
    }
}
