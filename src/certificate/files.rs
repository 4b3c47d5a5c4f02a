//! The operator's certificate: PEM files, which are read again when they change.

use super::Certificate;
use anyhow::{Context, bail};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The files of a certificate chain and its private key.
#[derive(Debug)]
pub(crate) struct FileCertificate {
    chain: PathBuf,
    key: PathBuf,
    /// The files as they were when they were last read.
    read: Stamps,
    /// The files as they were when they were last looked at.
    seen: Stamps,
}

/// What tells two versions of a file apart: time of change and length. A file that is missing has none.
type Stamp = Option<(SystemTime, u64)>;
type Stamps = [Stamp; 2];

impl FileCertificate {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read or holds something else, or the key is another certificate's.
    pub(crate) fn read(chain: PathBuf, key: PathBuf) -> anyhow::Result<(Self, Certificate)> {
        let read = [stamp(&chain), stamp(&key)];
        let certificate = load(&chain, &key)?;
        Ok((Self { chain, key, read, seen: read }, certificate))
    }

    /// Reads the files again, whether they have changed or not.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn again(&mut self) -> anyhow::Result<Certificate> {
        self.seen = self.stamps();
        self.read = self.seen;
        load(&self.chain, &self.key)
    }

    /// Reads the files again if they have changed since they were read, and not since the last call: a program that replaces
    /// both may be between the two.
    pub(crate) fn if_changed(&mut self) -> Option<anyhow::Result<Certificate>> {
        let now = self.stamps();
        let settled = now == std::mem::replace(&mut self.seen, now);
        (settled && now != self.read).then(|| self.again())
    }

    fn stamps(&self) -> Stamps {
        [stamp(&self.chain), stamp(&self.key)]
    }
}

fn stamp(path: &Path) -> Stamp {
    let of = |path: &Path| {
        let metadata = fs::metadata(path)?;
        Ok::<_, io::Error>((metadata.modified()?, metadata.len()))
    };
    of(path).ok()
}

fn load(chain: &Path, key: &Path) -> anyhow::Result<Certificate> {
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read certificates from {}", chain.display()))?;
    if certificates.is_empty() {
        bail!("no certificate in {}", chain.display());
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read a private key from {}", key.display()))?;
    Certificate::new(certificates, private)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            let files = Self(tempfile::tempdir().unwrap());
            files.write();
            files
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Writes a new certificate and its key.
        fn write(&self) {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            self.put("chain", &made.cert.pem());
            self.put("key", &made.signing_key.serialize_pem());
        }

        /// Writes a file, whose time of change differs from all before, which the file system's clock may not.
        fn put(&self, name: &str, text: &str) {
            let before = stamp(&self.path(name)).map_or(SystemTime::UNIX_EPOCH, |(changed, _)| changed);
            fs::write(self.path(name), text).unwrap();
            let file = fs::File::options().write(true).open(self.path(name)).unwrap();
            file.set_modified(before + Duration::from_secs(1)).unwrap();
        }

        fn read(&self) -> (FileCertificate, Certificate) {
            FileCertificate::read(self.path("chain"), self.path("key")).unwrap()
        }
    }

    #[test]
    fn changed_files_are_read_once_they_have_settled() {
        let files = Files::new();
        let (mut certificate, first) = files.read();
        assert!(certificate.if_changed().is_none());
        files.write();
        assert!(certificate.if_changed().is_none(), "they may be changing still");
        let second = certificate.if_changed().unwrap().unwrap();
        assert_ne!(second.fingerprint(), first.fingerprint());
        assert!(certificate.if_changed().is_none(), "read once");
    }

    #[test]
    fn broken_files_are_an_error_once_for_each_change() {
        let files = Files::new();
        let (mut certificate, _) = files.read();
        for (name, broken) in [("key", "nonsense"), ("chain", "")] {
            files.put(name, broken);
            assert!(certificate.if_changed().is_none());
            certificate.if_changed().unwrap().unwrap_err();
            assert!(certificate.if_changed().is_none(), "reported once");
        }
        fs::remove_file(files.path("chain")).unwrap();
        assert!(certificate.if_changed().is_none());
        certificate.if_changed().unwrap().unwrap_err();
        certificate.again().unwrap_err();
        files.write();
        certificate.again().unwrap();
    }
}
