//! Cosignatures, version 1 (c2sp.org/tlog-cosignature): a witness's signature over a checkpoint and a time.
//!
//! ```text
//! signed     "cosignature/v1\n" "time " seconds "\n" text of the checkpoint
//! signature  seconds8 || Ed25519 signature64
//! ```
//! It states that at this time the checkpoint is the largest tree of its log that the witness has seen, and that it
//! extends all others.

use crate::time::Timestamp;
use alloc::string::String;
use e2ee_core::{Domain, Label, Reader, array};

/// What a cosignature starts with. Its line break and C2SP's fixed text keep it apart from the project's own labels.
pub const COSIGNATURE_LABEL: Label = Domain::new("cosignature/v1\n").root();

/// Bytes of a time and a signature.
pub const COSIGNATURE_BYTES: usize = 72;

/// The bytes of a cosignature in a note's signature line.
pub(crate) struct Cosignature {
    pub(crate) time: Timestamp,
    pub(crate) signature: [u8; 64],
}

impl Cosignature {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (time, signature) = (Timestamp::from_secs(reader.u64()?)?, reader.array()?);
        reader.end()?;
        Some(Self { time, signature })
    }

    pub(crate) fn to_bytes(&self) -> [u8; COSIGNATURE_BYTES] {
        array::concat(&[&self.time.as_secs().to_be_bytes(), &self.signature])
    }
}

/// What is signed after the label.
pub(crate) fn message(text: &str, time: Timestamp) -> String {
    alloc::format!("time {time}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checkpoint, KeyName, Note, WitnessKey, key::KeyId};
    use alloc::vec::Vec;

    /// The example of the C2SP text. Its keys were not published, so the signature itself cannot be checked.
    const EXAMPLE: &str = "example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
";

    #[test]
    fn c2sp_example_is_read_byte_for_byte() {
        let note = Note::parse(EXAMPLE.as_bytes()).unwrap();
        let signature = &note.signatures()[1];
        assert_eq!(
            (signature.name().as_str(), signature.id()),
            ("witness.example.com/w1", KeyId([0x8d, 0x66, 0xcf, 0x3f]))
        );
        let cosignature = Cosignature::parse(signature.bytes()).unwrap();
        assert_eq!(cosignature.time.as_secs(), 1_679_315_147);
        assert_eq!(cosignature.to_bytes()[..], *signature.bytes());
        assert_eq!(alloc::format!("{note}"), EXAMPLE);
    }

    #[test]
    fn c2sp_message_is_reproduced() {
        let note = Note::parse(EXAMPLE.as_bytes()).unwrap();
        let message = message(note.text(), Timestamp::from_secs(1_679_315_147).unwrap());
        assert_eq!(
            [COSIGNATURE_LABEL.as_bytes(), message.as_bytes()].concat(),
            b"cosignature/v1
time 1679315147
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
"
        );
    }

    #[test]
    fn malformed_cosignatures_are_refused() {
        let late = [&(1_u64 << 63).to_be_bytes()[..], &[0; 64]].concat();
        for bytes in [Vec::new(), [0; 71].to_vec(), [0; 73].to_vec(), late] {
            assert!(Cosignature::parse(&bytes).is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn time_is_signed() {
        let key = WitnessKey::from_seed("witness.example/a", &[2; 32]).unwrap();
        let checkpoint = Checkpoint::new(&KeyName::new("call.example/directory").unwrap(), 3, [7; 32]).unwrap();
        let good = key.cosign(&checkpoint, Timestamp::from_secs(5).unwrap());
        let text = alloc::format!("{checkpoint}");
        assert_eq!(key.verifier().verify(&text, &good).unwrap().time, Timestamp::from_secs(5));
        for bit in 0..COSIGNATURE_BYTES * 8 {
            let mut bytes = good.bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let flipped = crate::NoteSignature::new(good.name().clone(), good.id(), bytes);
            assert!(key.verifier().verify(&text, &flipped).is_err(), "bit {bit}");
        }
    }
}
