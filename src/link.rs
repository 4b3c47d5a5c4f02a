//! Room links: `https://HOST/r/ROOM#SECRET`. The part after `#` never leaves the devices.

use anyhow::Context;
use signaling::AccessHash;
use std::fmt;
use tacet_proto::{RoomId, bytes::Fixed};

/// The invite secret of a room link: 32 random bytes. `Debug` does not print it.
pub(crate) struct Invite([u8; 32]);

impl Invite {
    /// A new secret.
    pub(crate) fn random() -> anyhow::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).context("the system's random number generator failed")?;
        Ok(Self(bytes))
    }

    /// Hash of the access token, which the server stores. The token allows access to the room but opens no frame.
    pub(crate) fn access_hash(&self) -> AccessHash {
        AccessHash::of(&e2ee_frames::access_token(&self.0))
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invite(..)")
    }
}

/// The link of a room on the server at `origin`, such as `http://127.0.0.1:8800`.
pub(crate) fn room_link(origin: &str, room: RoomId, invite: &Invite) -> String {
    format!("{origin}/r/{room}#{}", Fixed(invite.0).encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_has_room_in_path_and_secret_in_fragment() {
        let link = room_link("http://127.0.0.1:8800", RoomId(Fixed([0; 16])), &Invite([255; 32]));
        assert_eq!(
            link,
            format!("http://127.0.0.1:8800/r/{}#{}", "A".repeat(22), "__________________________________________8")
        );
    }

    #[test]
    fn access_hash_reveals_neither_secret_nor_token() {
        let invite = Invite([7; 32]);
        assert_ne!(invite.access_hash().0, [7; 32]);
        assert_ne!(invite.access_hash().0, e2ee_frames::access_token(&[7; 32]));
        assert_eq!(format!("{invite:?}"), "Invite(..)");
    }
}
