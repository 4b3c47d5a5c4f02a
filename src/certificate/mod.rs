//! TLS certificates of the server: the operator's files, or a self-signed certificate that is kept in the data folder.
//!
//! ```text
//!   certificate files ──► FileCertificate ──┐
//!                                           ├──► CurrentCertificate ──► TLS handshakes
//!   data folder ────────► SelfSigned ───────┘    (replaced while connections go on)
//! ```

mod current;
mod files;
mod self_signed;

pub(crate) use current::CurrentCertificate;
pub(crate) use files::FileCertificate;
pub(crate) use self_signed::SelfSigned;

use anyhow::Context;
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::CertifiedKey,
};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use x509_cert::{
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// A certificate chain with its private key. `Debug` does not print the key.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    key: Arc<CertifiedKey>,
    /// When it begins and ceases to be valid, since 1970; `None` if that cannot be read.
    validity: Option<(Duration, Duration)>,
}

impl Certificate {
    /// A certificate from a chain, the server's own first, and its private key.
    ///
    /// # Errors
    /// The key is not the certificate's, or of a kind that TLS cannot use.
    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> anyhow::Result<Self> {
        let validity = chain.first().and_then(|certificate| validity(certificate));
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .context("the private key does not match the certificate")?;
        Ok(Self { key: Arc::new(key), validity })
    }

    /// SHA-256 of the certificate: `AA:BB:…`.
    pub(crate) fn fingerprint(&self) -> String {
        let certificate = self.key.cert.first().map_or(&[][..], |certificate| certificate);
        let hash = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, certificate);
        let pairs: Vec<_> = hash.as_ref().iter().map(|byte| data_encoding::HEXUPPER.encode(&[*byte])).collect();
        pairs.join(":")
    }

    /// The host names for which the certificate is valid; `*.example.org` for all names directly below one.
    pub(crate) fn names(&self) -> Vec<String> {
        self.key.cert.first().map(|certificate| dns_names(certificate)).unwrap_or_default()
    }

    /// The addresses for which the certificate is valid.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.key.cert.first().map(|certificate| ip_addresses(certificate)).unwrap_or_default()
    }

    /// Why browsers refuse the certificate at this time, if they do.
    pub(crate) fn problem(&self, now: SystemTime) -> Option<String> {
        let (begins, ends) = self.validity?;
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let days = |time: Duration| time.as_secs() / (24 * 3_600);
        if now >= ends {
            return Some(format!("expired {} days ago", days(now.saturating_sub(ends))));
        }
        (now < begins).then(|| format!("is not valid for another {} days", days(begins.saturating_sub(now)) + 1))
    }
}

fn validity(certificate: &[u8]) -> Option<(Duration, Duration)> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let validity = certificate.tbs_certificate().validity();
    Some((validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration()))
}

fn dns_names(certificate: &[u8]) -> Vec<String> {
    let name = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        _ => None,
    };
    alternative_names(certificate).iter().filter_map(name).collect()
}

fn ip_addresses(certificate: &[u8]) -> Vec<IpAddr> {
    let address = |name: &GeneralName| match name {
        GeneralName::IpAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(bytes.as_bytes()).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(bytes.as_bytes()).map(IpAddr::from)).ok()
        }
        _ => None,
    };
    alternative_names(certificate).iter().filter_map(address).collect()
}

/// Subject alternative names (RFC 5280 section 4.2.1.6); none if they cannot be read.
fn alternative_names(certificate: &[u8]) -> Vec<GeneralName> {
    let Ok(certificate) = x509_cert::Certificate::from_der(certificate) else { return Vec::new() };
    match certificate.tbs_certificate().get_extension::<SubjectAltName>() {
        Ok(Some((_, SubjectAltName(names)))) => names,
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use time::OffsetDateTime;

    /// A certificate that is valid between these seconds since 1970.
    fn valid(from: i64, until: i64) -> Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.not_before = OffsetDateTime::from_unix_timestamp(from).unwrap();
        parameters.not_after = OffsetDateTime::from_unix_timestamp(until).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Certificate::new(vec![certificate.der().clone()], key).unwrap()
    }

    #[test]
    fn certificate_outside_its_validity_is_a_problem() {
        let day = 24 * 3_600;
        let certificate = valid(100 * day, 200 * day);
        let at = |days: u64| certificate.problem(SystemTime::UNIX_EPOCH + Duration::from_secs(days * 24 * 3_600));
        assert_eq!(at(150), None);
        assert_eq!(at(203).as_deref(), Some("expired 3 days ago"));
        assert_eq!(at(90).as_deref(), Some("is not valid for another 11 days"));
        assert_eq!(certificate.fingerprint().len(), 32 * 3 - 1);
    }

    #[test]
    fn names_of_a_certificate_are_read() {
        let names = ["call.example.org", "*.example.net", "192.0.2.1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let certificate = Certificate::new(vec![made.cert.der().clone()], key).unwrap();
        assert_eq!(certificate.names(), ["call.example.org", "*.example.net"]);
        assert_eq!(certificate.addresses(), [IpAddr::from([192, 0, 2, 1])]);
    }

    #[test]
    fn key_of_another_certificate_is_refused() {
        let certificate = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let other = PrivatePkcs8KeyDer::from(rcgen::KeyPair::generate().unwrap().serialize_der()).into();
        let error = Certificate::new(vec![certificate.cert.der().clone()], other).unwrap_err();
        assert!(error.to_string().contains("does not match"), "{error}");
    }
}
