//! One session of two devices: how it began, and its ratchet.

use crate::{
    pqxdh::{self, Agreed, Opening, Own},
    prekey::Bundle,
    prekeys::Prekeys,
    ratchet::{Ratchet, RatchetOpenError, RatchetSealError, Step},
    slip::{HEAD_BYTES, Head},
    state::{Writer, read_flag, read_option},
    time::Time,
};
use alloc::vec::Vec;
use core::cmp::Reverse;
use e2ee_core::{Random, Reader};
use e2ee_identity::{AgreementPublic, DeviceCert, DevicePublic};
use zeroize::Zeroizing;

/// Orders the sessions of a pair: both go on with the highest.
///
/// A session has a higher number than all that its initiator knew of. If both start one at the same time, that of the
/// lower device key counts.
type Rank = (u32, Reverse<DevicePublic>);

/// A session, on one side.
pub(crate) struct Session {
    id: [u8; 32],
    pub(crate) number: u32,
    initiator: DevicePublic,
    /// The key that the initiator drew.
    pub(crate) ephemeral: AgreementPublic,
    /// Whether one-time prekeys were used. If not, the responder starts another when it answers.
    pub(crate) one_time: bool,
    /// What goes before each slip, on the initiator's side, until the responder has answered.
    opening: Option<Opening>,
    /// Whether this side has started it in place of one that was lost. Its slips say so as long as the opening goes along.
    replaces: bool,
    /// Whether this side has written.
    pub(crate) written: bool,
    /// When a higher one took its place.
    pub(crate) superseded: Option<Time>,
    ratchet: Ratchet,
}

impl Session {
    /// Starts a session. `None` if a key of the bundle contributes nothing.
    pub(crate) fn initiate(
        own: Own<'_>,
        peer: &DeviceCert,
        bundle: &Bundle,
        (number, replaces): (u32, bool),
        random: &mut (impl Random + ?Sized),
    ) -> Option<Self> {
        let (Agreed { session, root }, opening) = pqxdh::initiate(own, peer, bundle, random)?;
        Some(Self {
            id: session,
            number,
            initiator: own.cert.device,
            ephemeral: opening.ephemeral,
            one_time: opening.has_one_time_keys(),
            opening: Some(opening),
            replaces,
            written: false,
            superseded: None,
            ratchet: Ratchet::initiator(root, bundle.signed.key, random)?,
        })
    }

    /// Joins the session that a peer has started. `None` if a private half is gone.
    pub(crate) fn respond(
        own: Own<'_>,
        peer: &DeviceCert,
        opening: &Opening,
        number: u32,
        prekeys: &Prekeys,
    ) -> Option<Self> {
        let Agreed { session, root } = pqxdh::respond(own, peer, opening, prekeys)?;
        Some(Self {
            id: session,
            number,
            initiator: peer.device,
            ephemeral: opening.ephemeral,
            one_time: opening.has_one_time_keys(),
            opening: None,
            replaces: false,
            written: false,
            superseded: None,
            ratchet: Ratchet::responder(root, prekeys.signed(opening.signed)?.duplicate()),
        })
    }

    #[cfg(test)]
    pub(crate) fn id(&self) -> &[u8; 32] {
        &self.id
    }

    pub(crate) fn rank(&self) -> Rank {
        (self.number, Reverse(self.initiator))
    }

    /// Whether the next slip says that the session replaces a lost one.
    pub(crate) fn says_that_it_replaces(&self) -> bool {
        self.replaces && self.opening.is_some()
    }

    fn prefix(&self, head: Head) -> [u8; 32 + HEAD_BYTES] {
        e2ee_core::array::concat(&[&self.id, &head.to_bytes()])
    }

    /// Seals a payload into a slip.
    pub(crate) fn seal(
        &mut self,
        payload: &[u8],
        random: &mut (impl Random + ?Sized),
    ) -> Result<Vec<u8>, RatchetSealError> {
        let head = Head { first: self.opening.is_some(), number: self.number };
        let sealed = self.ratchet.seal(&self.prefix(head), payload, random)?;
        self.written = true;
        let opening = self.opening.as_ref().map(Opening::to_bytes).unwrap_or_default();
        Ok([&head.to_bytes()[..], &opening, &sealed].concat())
    }

    /// Opens what a slip holds. Nothing changes before [`Self::commit`].
    pub(crate) fn open(
        &self,
        head: Head,
        sealed: &[u8],
        now: Time,
    ) -> Result<(Zeroizing<Vec<u8>>, Step), RatchetOpenError> {
        self.ratchet.open(&self.prefix(head), sealed, now)
    }

    pub(crate) fn commit(&mut self, step: Step, now: Time) {
        self.ratchet.commit(step, now);
        // The peer has the session: it has written in it.
        self.opening = None;
    }

    /// Drops keys of messages that have not come for too long.
    pub(crate) fn forget(&mut self, now: Time) {
        self.ratchet.forget(now);
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.bytes(&self.id);
        writer.u32(self.number);
        writer.bytes(&self.initiator.0);
        writer.bytes(&self.ephemeral.0);
        writer.flag(self.one_time);
        writer.option(self.opening.as_ref(), |writer, opening| writer.bytes(&opening.to_bytes()));
        writer.flag(self.replaces);
        writer.flag(self.written);
        writer.option(self.superseded.as_ref(), |writer, time| writer.u64(time.0));
        self.ratchet.write(writer);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            id: reader.array()?,
            number: reader.u32()?,
            initiator: DevicePublic(reader.array()?),
            ephemeral: AgreementPublic(reader.array()?),
            one_time: read_flag(reader)?,
            opening: read_option(reader, Opening::read)?,
            replaces: read_flag(reader)?,
            written: read_flag(reader)?,
            superseded: read_option(reader, |reader| reader.u64().map(Time))?,
            ratchet: Ratchet::read(reader)?,
        })
    }
}
