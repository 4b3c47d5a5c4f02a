//! A self-signed certificate, kept in the data folder: after a restart browsers see the one that their users chose to trust.

use super::Certificate;
use anyhow::Context;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use tacet_data::{DataDirectory, Table};

/// How long a certificate is valid. Apple's platforms accept no more than 825 days.
const LIFE: Duration = Duration::from_secs(820 * 24 * 3_600);
/// Clocks of clients may be behind by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3_600);
/// The record's key in its table.
const RECORD: &str = "certificate";

/// The certificate for some names, and where it is kept, if anywhere.
#[derive(Debug)]
pub(crate) struct SelfSigned {
    names: Vec<String>,
    table: Option<Table<Stored>>,
}

/// The record on the disk. `Debug` would print the key, so there is none.
#[derive(Serialize, Deserialize)]
struct Stored {
    certificate: String,
    key: String,
    names: Vec<String>,
}

impl SelfSigned {
    /// The certificate that is kept for these names and addresses, or a new one if there is none or it has expired. Without
    /// a data folder it ends with the process.
    ///
    /// # Errors
    /// The data folder cannot be read or written, or no certificate can be made.
    pub(crate) fn open(
        data: Option<&DataDirectory>,
        names: Vec<String>,
        now: SystemTime,
    ) -> anyhow::Result<(Self, Certificate)> {
        let Some(data) = data else {
            let own = Self { names, table: None };
            let certificate = own.make(now)?;
            return Ok((own, certificate));
        };
        let (table, records) = data.table::<Stored>("tls")?;
        let own = Self { names, table: Some(table) };
        let stored = records.into_iter().find(|(key, _)| key == RECORD).map(|(_, stored)| stored);
        let certificate = match stored {
            None => own.make(now)?,
            Some(stored) if stored.names != own.names => {
                tracing::warn!("the server's address has changed: a new self-signed certificate was made");
                own.make(now)?
            }
            Some(stored) => {
                let kept = stored.load().context("the certificate in the data folder cannot be used")?;
                own.successor(&kept, now)?.unwrap_or(kept)
            }
        };
        Ok((own, certificate))
    }

    /// A new certificate, if this one is not valid any more.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub(crate) fn successor(&self, old: &Certificate, now: SystemTime) -> anyhow::Result<Option<Certificate>> {
        let Some(problem) = old.problem(now) else { return Ok(None) };
        let new = self.make(now)?;
        tracing::warn!(
            fingerprint = new.fingerprint(),
            "the self-signed certificate {problem}: a new one was made, and browsers will warn again"
        );
        Ok(Some(new))
    }

    fn make(&self, now: SystemTime) -> anyhow::Result<Certificate> {
        let make = || {
            let key = rcgen::KeyPair::generate()?;
            let mut parameters = rcgen::CertificateParams::new(self.names.clone())?;
            parameters.not_before = (now - CLOCK_SKEW).into();
            parameters.not_after = (now + LIFE).into();
            Ok::<_, rcgen::Error>((parameters.self_signed(&key)?.pem(), key.serialize_pem()))
        };
        let (certificate, key) = make().context("cannot make a certificate")?;
        let stored = Stored { certificate, key, names: self.names.clone() };
        if let Some(table) = &self.table {
            table.put(RECORD, &stored).context("cannot keep the self-signed certificate")?;
        }
        stored.load()
    }
}

impl Stored {
    fn load(&self) -> anyhow::Result<Certificate> {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes())?;
        Certificate::new(vec![certificate], PrivateKeyDer::from_pem_slice(self.key.as_bytes())?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The fingerprint that the next process shows.
    fn shown(folder: &Path, name: &str, now: SystemTime) -> String {
        let data = DataDirectory::open(folder).unwrap();
        SelfSigned::open(Some(&data), vec![name.to_owned()], now).unwrap().1.fingerprint()
    }

    #[test]
    fn kept_certificate_is_shown_until_it_expires() {
        let (folder, start) = (tempfile::tempdir().unwrap(), SystemTime::now());
        let first = shown(folder.path(), "192.0.2.1", start);
        assert_eq!(shown(folder.path(), "192.0.2.1", start + LIFE / 2), first);
        let second = shown(folder.path(), "192.0.2.1", start + LIFE * 2);
        assert_ne!(second, first, "it has expired");
        assert_eq!(shown(folder.path(), "192.0.2.1", start + LIFE * 2), second, "the new one is kept");
        assert_ne!(shown(folder.path(), "192.0.2.2", start + LIFE * 2), second, "another address");
    }

    #[test]
    fn certificate_without_a_folder_is_new_each_time() {
        let make = || SelfSigned::open(None, vec!["localhost".to_owned()], SystemTime::now()).unwrap();
        let (own, first) = make();
        assert_ne!(make().1.fingerprint(), first.fingerprint());
        assert!(own.successor(&first, SystemTime::now()).unwrap().is_none());
        assert!(own.successor(&first, SystemTime::now() + LIFE * 2).unwrap().is_some());
    }
}
