//! TLS certificate of the server: the operator's, or a self-signed one.

use anyhow::{Context, bail};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
};
use std::{path::Path, sync::Arc};

/// A TLS configuration.
pub(crate) struct Tls {
    /// For the listener. ALPN offers HTTP/1.1 only, which WebSockets need.
    pub(crate) config: Arc<ServerConfig>,
    /// SHA-256 of the certificate if it is self-signed: `AA:BB:…`.
    pub(crate) fingerprint: Option<String>,
}

/// Reads certificate chain and private key from PEM files.
pub(crate) fn from_files(cert: &Path, key: &Path) -> anyhow::Result<Tls> {
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read certificates from {}", cert.display()))?;
    if chain.is_empty() {
        bail!("no certificate in {}", cert.display());
    }
    let key_der = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read a private key from {}", key.display()))?;
    let config = configure(chain, key_der).context("the private key does not match the certificate")?;
    Ok(Tls { config, fingerprint: None })
}

/// Makes a self-signed certificate for these names and addresses, valid as long as the process runs.
pub(crate) fn self_signed(names: Vec<String>) -> anyhow::Result<Tls> {
    let made = rcgen::generate_simple_self_signed(names).context("cannot make a certificate")?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let cert = made.cert.der().clone();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &cert);
    let pairs: Vec<_> = hash.as_ref().iter().map(|byte| data_encoding::HEXUPPER.encode(&[*byte])).collect();
    Ok(Tls { config: configure(vec![cert], key)?, fingerprint: Some(pairs.join(":")) })
}

fn configure(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> anyhow::Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
