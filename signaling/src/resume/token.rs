//! Resume tokens: what the server knew of a session when it last heard from it, sealed for itself.
//!
//! ```text
//!   nonce12 || AES-256-GCM(resume key, associated data: a label, claims95) || tag16
//!   claims  =  kind1 || room16 || call16 || session16 || participant4 || seat2 || device_key32 || issued8
//! ```
//!
//! A server that has forgotten everything else, and has the key, learns from a token whose place is whose. A token
//! admits to nothing by itself: a session token needs a proof by the device key in it, a reload token is good for one
//! use and loses the seat.

use super::{ResumeKey, ResumeKeys};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use std::time::{Duration, SystemTime};
use tacet_proto::{
    CallId, ParticipantId, RoomId, Seat, SessionId,
    bytes::{Base64, Fixed},
    resume::Tokens,
};

/// Keeps tokens apart from anything else that may ever be sealed by the same key.
const LABEL: &[u8] = b"tacet/1 resume token";
/// Bytes of the claims.
const CLAIMS: usize = 1 + 3 * 16 + 4 + 2 + 32 + 8;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TokenKind {
    /// Continues the session in the process that has its keys.
    Session = 1,
    /// Returns after the page was loaded again.
    Reload = 2,
}

/// Whose session it is, and where its place was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The call.
    pub call: CallId,
    /// The session.
    pub session: SessionId,
    /// The participant.
    pub participant: ParticipantId,
    /// The participant's seat, if it has joined.
    pub seat: Seat,
    /// Public key of the participant's device, if it has joined. It is not all zeros.
    pub device: Option<[u8; 32]>,
}

/// An opened token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What it is for.
    pub kind: TokenKind,
    /// What it says.
    pub claims: Claims,
    /// Time since it was issued, by the wall clock; zero if that clock was set back.
    pub age: Duration,
}

/// A token is not valid: it is of another server or room, or older than the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token does not open")]
pub struct InvalidToken;

/// Seals both tokens of a session.
///
/// # Errors
/// The operating system provides no random numbers.
pub fn issue(keys: &ResumeKeys, room: RoomId, claims: &Claims) -> Result<Tokens, aws_lc_rs::error::Unspecified> {
    let (key, now) = (keys.current(), SystemTime::now());
    let token = |kind| seal(&key, room, kind, claims, now).map(Base64);
    Ok(Tokens { session: token(TokenKind::Session)?, reload: token(TokenKind::Reload)? })
}

/// Opens a token of this room.
///
/// # Errors
/// It is not valid here.
pub fn open(keys: &ResumeKeys, room: RoomId, token: &[u8]) -> Result<Opened, InvalidToken> {
    open_at(keys, room, token, SystemTime::now())
}

fn seal(
    key: &ResumeKey,
    RoomId(Fixed(room)): RoomId,
    kind: TokenKind,
    claims: &Claims,
    now: SystemTime,
) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
    let Claims { call, session, participant, seat, device } = claims;
    let issued = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let issued = u64::try_from(issued.as_millis()).unwrap_or(u64::MAX);
    let mut sealed = [
        &[kind as u8][..],
        &room,
        &call.0.0,
        &session.0.0,
        &participant.0.to_be_bytes(),
        &seat.0.to_be_bytes(),
        &device.unwrap_or_default(),
        &issued.to_be_bytes(),
    ]
    .concat();
    let key = RandomizedNonceKey::new(&AES_256_GCM, &key.0)?;
    let nonce = key.seal_in_place_append_tag(Aad::from(LABEL), &mut sealed)?;
    Ok([&nonce.as_ref()[..], &sealed].concat())
}

fn open_at(keys: &ResumeKeys, room: RoomId, token: &[u8], now: SystemTime) -> Result<Opened, InvalidToken> {
    let claims = [Some(keys.current()), keys.previous()].into_iter().flatten().find_map(|key| unseal(&key, token));
    read(&claims.ok_or(InvalidToken)?, room, now).ok_or(InvalidToken)
}

fn unseal(key: &ResumeKey, token: &[u8]) -> Option<[u8; CLAIMS]> {
    let (nonce, sealed) = token.split_first_chunk::<NONCE_LEN>()?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, &key.0).ok()?;
    let mut sealed = sealed.to_vec();
    let claims = key.open_in_place(Nonce::from(nonce), Aad::from(LABEL), &mut sealed).ok()?;
    <[u8; CLAIMS]>::try_from(&*claims).ok()
}

fn read(claims: &[u8; CLAIMS], RoomId(Fixed(expected)): RoomId, now: SystemTime) -> Option<Opened> {
    let (&[kind], rest) = claims.split_first_chunk()?;
    let (&room, rest) = rest.split_first_chunk::<16>()?;
    let (&call, rest) = rest.split_first_chunk()?;
    let (&session, rest) = rest.split_first_chunk()?;
    let (&participant, rest) = rest.split_first_chunk()?;
    let (&seat, rest) = rest.split_first_chunk()?;
    let (&device, rest) = rest.split_first_chunk::<32>()?;
    let (&issued, _) = rest.split_first_chunk()?;
    if room != expected {
        return None;
    }
    let kind = [TokenKind::Session, TokenKind::Reload].into_iter().find(|known| *known as u8 == kind)?;
    let issued = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(u64::from_be_bytes(issued)))?;
    Some(Opened {
        kind,
        claims: Claims {
            call: CallId(Fixed(call)),
            session: SessionId(Fixed(session)),
            participant: ParticipantId(u32::from_be_bytes(participant)),
            seat: Seat(u16::from_be_bytes(seat)),
            device: Some(device).filter(|device| *device != [0; 32]),
        },
        age: now.duration_since(issued).unwrap_or_default(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tacet_proto::resume::MAX_TOKEN_BYTES;

    const ROOM: RoomId = RoomId(Fixed([1; 16]));
    const CLAIMED: Claims = Claims {
        call: CallId(Fixed([2; 16])),
        session: SessionId(Fixed([3; 16])),
        participant: ParticipantId(0x0405_0607),
        seat: Seat(8),
        device: Some([9; 32]),
    };

    fn key(byte: u8) -> ResumeKey {
        ResumeKey([byte; 32])
    }

    #[test]
    fn token_says_what_was_sealed_and_how_old_it_is() {
        let (keys, now) = (ResumeKeys::new(key(1), None), SystemTime::now());
        for kind in [TokenKind::Session, TokenKind::Reload] {
            let early = Claims { device: None, ..CLAIMED };
            let token = seal(&key(1), ROOM, kind, &early, now).unwrap();
            assert_eq!(open_at(&keys, ROOM, &token, now).unwrap().claims, early);
            let token = seal(&key(1), ROOM, kind, &CLAIMED, now).unwrap();
            assert!(token.len() <= MAX_TOKEN_BYTES);
            let opened = open_at(&keys, ROOM, &token, now + Duration::from_secs(70)).unwrap();
            assert_eq!((opened.kind, opened.claims), (kind, CLAIMED));
            assert_eq!(opened.age.as_secs(), 70);
            let earlier = open_at(&keys, ROOM, &token, now - Duration::from_secs(3_600)).unwrap();
            assert_eq!(earlier.age, Duration::ZERO, "the clock was set back");
        }
    }

    #[test]
    fn token_opens_with_the_key_that_sealed_it_for_two_days() {
        let keys = ResumeKeys::new(key(1), None);
        let token = issue(&keys, ROOM, &CLAIMED).unwrap().session.0;
        keys.rotate(key(2));
        assert!(open(&keys, ROOM, &token).is_ok());
        keys.rotate(key(3));
        assert_eq!(open(&keys, ROOM, &token), Err(InvalidToken));
    }

    #[test]
    fn token_of_another_room_or_changed_does_not_open() {
        let keys = ResumeKeys::new(key(1), None);
        let token = issue(&keys, ROOM, &CLAIMED).unwrap().session.0;
        assert_eq!(open(&keys, RoomId(Fixed([7; 16])), &token), Err(InvalidToken));
        for length in 0..token.len() {
            assert_eq!(open(&keys, ROOM, &token[..length]), Err(InvalidToken));
        }
        for bit in 0..token.len() * 8 {
            let mut changed = token.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&keys, ROOM, &changed), Err(InvalidToken), "bit {bit}");
        }
    }
}
