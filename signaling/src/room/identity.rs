//! What a client says of itself, held against what the server knows of it.
//!
//! Receivers check who signed an announce and who can open a key. Until they have done so they have to keep what names a
//! seat, a device or a join id, and only so much of it. The server knows which of its clients each of these belongs to,
//! and passes none on from another.

use super::{Refusal, Room, refusal};
use e2ee_core::{Domain, Label, Primitives, Standard};
use tacet_proto::{
    CallId, ErrorCode, ParticipantId, RoomId, Seat,
    binary::{
        ANNOUNCE_BYTES, ANNOUNCE_CALL, ANNOUNCE_DEVICE_KEY, ANNOUNCE_DISPLAY_HASH, ANNOUNCE_INCARNATION, ANNOUNCE_ROOM,
        ANNOUNCE_SEQ, BATCH_ANNOUNCE_SEQ, BATCH_CALL, BATCH_JOIN_ID, BATCH_KID, BATCH_ROOM, BATCH_SEAT, BatchHeader,
        MAX_DISPLAY_BYTES, WantedKey,
    },
    bytes::Base64,
    resume::Expected,
};

/// Hash that is a join id, as in `e2ee-frames`.
const JOIN_ID: Label = Domain::new("e2ee-frames/1").label("join");

/// The device that a member has announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: [u8; 32],
    incarnation: [u8; 16],
    /// First half of the join id.
    join_id: [u8; 16],
    /// Number of its last announce.
    seq: u32,
}

impl Identity {
    /// Reads an announce and its sealed name.
    ///
    /// # Errors
    /// They are malformed, do not belong together, or are for another room or call.
    fn read(room: RoomId, call: CallId, announce: &Base64, display: &Base64) -> Result<Self, Refusal> {
        let announce: &[u8; ANNOUNCE_BYTES] =
            announce.0.as_slice().try_into().map_err(|_| refusal(ErrorCode::BadMessage, "announce: wrong length"))?;
        if display.0.len() > MAX_DISPLAY_BYTES {
            return Err(refusal(ErrorCode::BadMessage, "display: too long"));
        }
        let wrong = refusal(ErrorCode::NotYours, "announce: for another room or call");
        if announce.get(ANNOUNCE_ROOM) != Some(&room.0.0) || announce.get(ANNOUNCE_CALL) != Some(&call.0.0) {
            return Err(wrong);
        }
        if announce.get(ANNOUNCE_DISPLAY_HASH) != Some(&Standard::digest(&display.0)) {
            return Err(refusal(ErrorCode::BadMessage, "display: not the one that was announced"));
        }
        let fields = || {
            let device: [u8; 32] = announce.get(ANNOUNCE_DEVICE_KEY)?.try_into().ok()?;
            let incarnation: [u8; 16] = announce.get(ANNOUNCE_INCARNATION)?.try_into().ok()?;
            let seq = u32::from_be_bytes(announce.get(ANNOUNCE_SEQ)?.try_into().ok()?);
            let join_id = Standard::hash(&JOIN_ID, &[&room.0.0, &call.0.0, &device, &incarnation]);
            Some(Self { device, incarnation, join_id: *join_id.first_chunk()?, seq })
        };
        fields().ok_or(wrong)
    }

    /// Public key of the device.
    pub(super) fn device(&self) -> &[u8; 32] {
        &self.device
    }

    /// First half of the join id.
    #[cfg(test)]
    pub(super) fn join_id(&self) -> &[u8; 16] {
        &self.join_id
    }

    /// Checks that an announce renews the one of this identity.
    pub(super) fn check_renewal(&self, renewed: &Self) -> Result<(), Refusal> {
        if (renewed.device, renewed.incarnation) != (self.device, self.incarnation) {
            return Err(refusal(ErrorCode::NotYours, "announce: of another device or incarnation"));
        }
        if renewed.seq <= self.seq {
            return Err(refusal(ErrorCode::NotYours, "announce: its number does not grow"));
        }
        Ok(())
    }
}

impl Room {
    /// Reads an announce for this room and call.
    pub(super) fn identity(&self, announce: &Base64, display: &Base64) -> Result<Identity, Refusal> {
        let call = self.call.ok_or(refusal(ErrorCode::Internal, "there is no call"))?;
        Identity::read(self.room, call, announce, display)
    }

    /// The member that announced the same device.
    pub(super) fn owner_of(&self, identity: &Identity) -> Option<ParticipantId> {
        let same = |identity: &Identity, other: &Identity| identity.device == other.device;
        self.members.iter().find(|(_, member)| same(identity, &member.identity)).map(|(owner, _)| *owner)
    }

    /// Checks what the header of a key batch says of its sender.
    pub(super) fn check_batch(&self, from: ParticipantId, header: &BatchHeader) -> Result<(), Refusal> {
        let Some((member, call)) = self.members.get(&from).zip(self.call) else { return Ok(()) };
        let not_yours = |detail| Err(refusal(ErrorCode::NotYours, detail));
        let (seat, identity) = (member.announced.seat, &member.identity);
        let field = |range| header.0.get::<std::ops::Range<usize>>(range).unwrap_or_default();
        if field(BATCH_ROOM) != self.room.0.0 || field(BATCH_CALL) != call.0.0 {
            return not_yours("key batch: for another room or call");
        }
        if field(BATCH_SEAT) != seat.0.to_be_bytes() {
            return not_yours("key batch: the seat of another participant");
        }
        if field(BATCH_JOIN_ID) != identity.join_id {
            return not_yours("key batch: the join id of another device");
        }
        let seq = field(BATCH_ANNOUNCE_SEQ).try_into().map(u32::from_be_bytes);
        if seq.is_ok_and(|seq| seq > identity.seq) {
            return not_yours("key batch: an announce that was not sent");
        }
        let kid = field(BATCH_KID).try_into().map(u64::from_be_bytes);
        if kid.is_ok_and(|kid| Seat::of_kid(kid) != seat) {
            return not_yours("key batch: the KID of another participant");
        }
        Ok(())
    }
}

/// Checks that no key is asked of the requester itself.
pub(super) fn check_wanted(seat: Seat, wanted: &[WantedKey]) -> Result<(), Refusal> {
    if wanted.iter().any(|wanted| wanted.owner() == seat) {
        return Err(refusal(ErrorCode::NotYours, "key request: names its sender as the owner"));
    }
    Ok(())
}

/// Checks that the participants which one still has on its roster are others.
pub(super) fn check_expected(own: ParticipantId, expects: &[Expected]) -> Result<(), Refusal> {
    if expects.iter().any(|expected| expected.participant == own) {
        return Err(refusal(ErrorCode::NotYours, "expects: names its sender"));
    }
    Ok(())
}

/// Whether a text is 1 to `most` visible ASCII characters: a name that programs give to themselves or their objects.
pub(crate) fn is_token(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
