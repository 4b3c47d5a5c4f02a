//! The call code: digits that participants compare to verify that they are in the same call with the same devices.
//!
//! ```text
//! roster = SHA-256("e2ee-frames/1 roster" || join ids in ascending order)             own device included
//! code   = HKDF-SHA-512(salt = "e2ee-frames/1 call code", roster, info = policy1 || room16 || call16, 32)
//! digits = six groups; group n, from 0, is bytes 5n..5n + 5 of the code as a big-endian number, mod 100,000
//! ```
//! A join id is itself a hash of room, call, device key and incarnation, so the code binds the key of every device:
//! substituting an announce changes it. It contains no identity keys yet; a code with them needs a separate label.
//!
//! The code is not secret. The six groups are 99.7 bits of the 256; a group deviates from uniform by less than 2^-23. A
//! machine in the middle that shows the two sides different devices of its choice must find two equal codes, which takes
//! 2^50 trials for the digits and 2^128 for all bytes, during the call and with the invite secret.

use super::{identity::Call, schedule::POLICY};
use crate::label;
use core::fmt;
use e2ee_core::Primitives;

const GROUPS: usize = 6;
const GROUP_BYTES: usize = 5;

/// Equal on all devices of a call with the same roster, and on no others: see [`crate::Session::call_code`].
///
/// It displays as 30 digits in six groups, to be read aloud; a QR code has all 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallCode([u8; 32]);

impl CallCode {
    /// The code of the roster with this hash.
    pub(crate) fn derive<P: Primitives>(call: &Call, roster: &[u8; 32]) -> Self {
        let mut code = [0; 32];
        P::derive(label::CALL_CODE.as_bytes(), roster, &mut [(&[&[POLICY], &call.room, &call.call], &mut code)]);
        Self(code)
    }

    /// All 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The six groups: numbers below 100,000, displayed with five digits each.
    #[must_use]
    pub fn groups(&self) -> [u32; GROUPS] {
        let mut groups = [0; GROUPS];
        for (group, bytes) in groups.iter_mut().zip(self.0.chunks_exact(GROUP_BYTES)) {
            let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
            *group = (number % 100_000) as u32;
        }
        groups
    }
}

impl fmt::Display for CallCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.groups();
        write!(f, "{a:05} {b:05} {c:05} {d:05} {e:05} {g:05}")
    }
}

impl fmt::Debug for CallCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallCode({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use e2ee_core::Standard;

    #[test]
    fn digits_are_groups_of_five_bytes() {
        let mut bytes = [0xff; 32];
        // 2^40 - 1 = 1,099,511,627,775.
        assert_eq!(CallCode(bytes).to_string(), "27775 27775 27775 27775 27775 27775");
        bytes[..10].copy_from_slice(&[0, 0, 0, 0, 7, 0, 0, 1, 0x86, 0xa1]);
        assert_eq!(CallCode(bytes).to_string(), "00007 00001 27775 27775 27775 27775");
        let digits = CallCode(bytes).to_string();
        bytes[30..].fill(0);
        assert_eq!(CallCode(bytes).to_string(), digits, "the last two bytes are not among the digits");
    }

    #[test]
    fn call_code_binds_room_call_and_roster() {
        let call = Call { room: [1; 16], call: [2; 16] };
        let code = |call: &Call, roster: u8| CallCode::derive::<Standard>(call, &[roster; 32]);
        assert_eq!(code(&call, 3), code(&call, 3));
        assert_ne!(code(&call, 3), code(&call, 4));
        assert_ne!(code(&call, 3), code(&Call { room: [9; 16], ..call }, 3));
        assert_ne!(code(&call, 3), code(&Call { call: [9; 16], ..call }, 3));
        assert_ne!(code(&call, 3), code(&Call { room: call.call, call: call.room }, 3));
    }
}
