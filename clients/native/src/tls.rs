//! How the server's certificate is verified.
//!
//! A server beyond loopback without a domain has a self-signed certificate and prints its SHA-256 at startup; the
//! client pins that. Other certificates must be issued by a public certificate authority.

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::sync::Arc;
use tokio_tungstenite::Connector;

/// How a server's certificate is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// It must be issued by a public certificate authority.
    #[default]
    PublicAuthorities,
    /// It must have this SHA-256; its issuer does not matter.
    Pinned([u8; 32]),
}

impl Trust {
    /// The connector for the WebSocket library.
    pub(crate) fn connector(self) -> Result<Connector, Error> {
        Ok(Connector::Rustls(Arc::new(self.client_config()?)))
    }

    /// A TLS client configuration that verifies in this way.
    ///
    /// # Errors
    /// None in practice: the crypto provider supports the default protocol versions.
    pub fn client_config(self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        Ok(match self {
            Self::PublicAuthorities => {
                let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
                builder.with_root_certificates(roots)
            }
            Self::Pinned(fingerprint) => {
                let verifier = PinnedCertificate { fingerprint, provider };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
        }
        .with_no_client_auth())
    }
}

/// Accepts exactly one certificate; the handshake signature is verified as usual.
#[derive(Debug)]
struct PinnedCertificate {
    fingerprint: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if digest(&self.provider, end_entity) == Some(self.fingerprint) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General("the server's certificate is not the pinned one".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    digest(&aws_lc_rs::default_provider(), bytes)
}

/// SHA-256 by the provider's hash, found through one of its cipher suites.
fn digest(provider: &CryptoProvider, bytes: &[u8]) -> Option<[u8; 32]> {
    let hash = provider.cipher_suites.iter().find_map(|suite| {
        let hash = suite.tls13()?.common.hash_provider;
        (hash.output_len() == 32).then_some(hash)
    })?;
    hash.hash(bytes).as_ref().try_into().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sdp::parse_fingerprint;

    fn verifier(fingerprint: [u8; 32]) -> PinnedCertificate {
        PinnedCertificate { fingerprint, provider: Arc::new(aws_lc_rs::default_provider()) }
    }

    fn verify(verifier: &PinnedCertificate, certificate: &[u8]) -> Result<ServerCertVerified, Error> {
        let name = ServerName::try_from("call.example").unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1));
        verifier.verify_server_cert(&CertificateDer::from(certificate.to_vec()), &[], &name, &[], now)
    }

    #[test]
    fn only_pinned_certificate_is_accepted() {
        // SHA-256 of "abc", FIPS 180-4.
        let abc = parse_fingerprint("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap();
        assert!(verify(&verifier(abc), b"abc").is_ok());
        assert!(verify(&verifier(abc), b"abd").is_err());
    }
}
