//! Sealed names: nonce12 || AES-256-GCM under the invite's display key, bound to the device by the join id as AAD.

use super::identity::JoinId;
use alloc::{string::String, vec::Vec};
use e2ee_core::{Aead, Primitives, Random};
use zeroize::Zeroizing;

/// Maximum length of a name, bytes of UTF-8.
pub(crate) const MAX_NAME_BYTES: usize = 256;
/// Maximum length of a sealed name that is accepted, bytes.
pub(crate) const MAX_DISPLAY_BYTES: usize = 512;

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Seals a name for everyone who has the link. `None` if the cipher fails.
pub(crate) fn seal<P: Primitives>(
    key: &Zeroizing<[u8; 32]>,
    join_id: &JoinId,
    name: &str,
    random: &mut (impl Random + ?Sized),
) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_BYTES];
    random.fill(&mut nonce);
    let mut sealed = nonce.to_vec();
    sealed.extend_from_slice(name.as_bytes());
    let tag = P::Aead::new(&**key)?.seal(&nonce, &join_id.0, sealed.get_mut(NONCE_BYTES..)?).ok()?;
    sealed.extend_from_slice(&tag);
    Some(sealed)
}

/// Opens a sealed name; `None` if it is not authentic for this device, not UTF-8 or too long.
pub(crate) fn open<P: Primitives>(key: &Zeroizing<[u8; 32]>, join_id: &JoinId, sealed: &[u8]) -> Option<String> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let (name, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let mut name = name.to_vec();
    P::Aead::new(&**key)?.open(nonce, &join_id.0, &mut name, tag).ok()?;
    String::from_utf8(name).ok()
}
