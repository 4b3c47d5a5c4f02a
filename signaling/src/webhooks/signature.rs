//! Signatures of messages, as Standard Webhooks has them: over `id.timestamp.body`, by HMAC-SHA256 under the secret of the endpoint
//! (`v1`), and by Ed25519 under the key of the server (`v1a`), which a receiver verifies without a secret.

use aws_lc_rs::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use data_encoding::BASE64;
use tacet_proto::bytes::Fixed;

/// The secret of an endpoint.
pub(super) type EndpointSecret = Fixed<32>;

/// The secret as its receiver configures it.
pub(super) fn shown(secret: &EndpointSecret) -> String {
    format!("whsec_{}", BASE64.encode(&secret.0))
}

/// The key of the server.
#[derive(Debug)]
pub(super) struct Signer(Ed25519KeyPair);

impl Signer {
    /// `None` if the seed is none, which does not happen.
    pub(super) fn new(seed: &[u8; 32]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }

    /// The public half as receivers configure it.
    pub(super) fn public_key(&self) -> String {
        format!("whpk_{}", BASE64.encode(self.0.public_key().as_ref()))
    }

    /// The header `webhook-signature` of a message.
    pub(super) fn sign(&self, secret: &EndpointSecret, id: &str, timestamp: u64, body: &str) -> String {
        let content = format!("{id}.{timestamp}.{body}");
        let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret.0), content.as_bytes());
        let signature = self.0.sign(content.as_bytes());
        format!("v1,{} v1a,{}", BASE64.encode(code.as_ref()), BASE64.encode(signature.as_ref()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    #[test]
    fn message_has_both_signatures() {
        let (signer, secret) = (Signer::new(&[7; 32]).unwrap(), Fixed([9; 32]));
        let header = signer.sign(&secret, "msg_1", 1_700_000_000, "{}");
        let [code, signature] = header.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let content = b"msg_1.1700000000.{}";
        let code = BASE64.decode(code.strip_prefix("v1,").unwrap().as_bytes()).unwrap();
        let key = BASE64.decode(shown(&secret).strip_prefix("whsec_").unwrap().as_bytes()).unwrap();
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), content, &code).unwrap();
        let signature = BASE64.decode(signature.strip_prefix("v1a,").unwrap().as_bytes()).unwrap();
        let public = BASE64.decode(signer.public_key().strip_prefix("whpk_").unwrap().as_bytes()).unwrap();
        UnparsedPublicKey::new(&ED25519, &public).verify(content, &signature).unwrap();
        assert!(UnparsedPublicKey::new(&ED25519, &public).verify(b"msg_2.1700000000.{}", &signature).is_err());
    }
}
