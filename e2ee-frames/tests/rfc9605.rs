//! All of RFC 9605 Appendix C, through the public interface.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use data_encoding::HEXLOWER;
use e2ee_frames::{
    hazmat::{AesCtrHmac, CtrContext, CtrSuite, FixedKeyContext},
    sframe::{
        Suite,
        header::{self, Header},
    },
};
use serde_json::Value;

fn appendix(section: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/rfc9605.json")).unwrap();
    vectors[section].as_array().unwrap().clone()
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn ctr_suite(vector: &Value) -> CtrSuite {
    match number(&vector["cipher_suite"]) {
        1 => CtrSuite::Aes128CtrHmacSha256Tag80,
        2 => CtrSuite::Aes128CtrHmacSha256Tag64,
        3 => CtrSuite::Aes128CtrHmacSha256Tag32,
        other => panic!("suite {other} is none with AES-CTR"),
    }
}

/// Every form of these bytes with one bit flipped, and the bytes without their last.
fn spoiled(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let flipped = (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    });
    flipped.chain([bytes[..bytes.len() - 1].to_vec()])
}

#[test]
fn c_1_headers() {
    let vectors = appendix("header");
    assert_eq!(vectors.len(), 289);
    for vector in vectors {
        let number = |value: &Value| u64::from_be_bytes(bytes(value).try_into().unwrap());
        let header = Header { kid: number(&vector[0]), ctr: number(&vector[1]) };
        let encoded = bytes(&vector[2]);
        assert_eq!(header.encode().as_bytes(), encoded);
        assert_eq!(header::parse(&encoded), Ok((header, encoded.len())));
    }
}

#[test]
fn c_2_aead_of_aes_ctr_and_hmac() {
    let vectors = appendix("aes_ctr_hmac");
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let key = bytes(&vector["key"]);
        assert_eq!(key, [bytes(&vector["enc_key"]), bytes(&vector["auth_key"])].concat());
        let aead = AesCtrHmac::new(ctr_suite(&vector), key.as_slice().try_into().unwrap());
        let nonce: [u8; 12] = bytes(&vector["nonce"]).try_into().unwrap();
        let (aad, plain, sealed) = (bytes(&vector["aad"]), bytes(&vector["pt"]), bytes(&vector["ct"]));
        assert_eq!(aead.seal(&nonce, &aad, &plain).unwrap(), sealed);
        assert_eq!(aead.open(&nonce, &aad, &sealed).unwrap(), plain);
        assert!(aead.open(&nonce, b"other", &sealed).is_err());
        assert!(spoiled(&sealed).all(|sealed| aead.open(&nonce, &aad, &sealed).is_err()));
    }
}

#[test]
fn c_3_frames_of_suites_1_to_3() {
    let vectors = appendix("sframe_aes_ctr_hmac");
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let context = CtrContext::new(ctr_suite(&vector), &bytes(&vector["base_key"]), number(&vector["kid"]));
        let (metadata, plain, sealed) = (bytes(&vector["metadata"]), bytes(&vector["pt"]), bytes(&vector["ct"]));
        assert_eq!(context.seal(number(&vector["ctr"]), &metadata, &plain).unwrap(), sealed);
        assert_eq!(context.open(&metadata, &sealed).unwrap(), plain);
        assert!(context.open(b"other", &sealed).is_err());
        assert!(spoiled(&sealed).all(|sealed| context.open(&metadata, &sealed).is_err()));
    }
}

#[test]
fn c_3_frames_of_suites_4_and_5() {
    let vectors = appendix("sframe");
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let suite = match number(&vector["cipher_suite"]) {
            4 => Suite::Aes128GcmSha256,
            5 => Suite::Aes256GcmSha512,
            other => panic!("suite {other} is none with AES-GCM"),
        };
        let mut context = FixedKeyContext::new(suite, &bytes(&vector["base_key"]), number(&vector["kid"])).unwrap();
        let (metadata, plain, sealed) = (bytes(&vector["metadata"]), bytes(&vector["pt"]), bytes(&vector["ct"]));
        assert_eq!(context.seal(number(&vector["ctr"]), &metadata, &plain).unwrap(), sealed);
        assert!(context.open(b"other", &sealed).is_err());
        assert!(spoiled(&sealed).all(|sealed| context.open(&metadata, &sealed).is_err()));
        assert_eq!(context.open(&metadata, &sealed).unwrap(), plain);
    }
}
