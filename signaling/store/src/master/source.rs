//! Where master keys come from: a file, a systemd credential, an environment variable.

use super::{MasterKeys, keys::ParseError};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The credential's name: `LoadCredentialEncrypted=tacet-mek:…`.
const CREDENTIAL: &str = "tacet-mek";
/// Longest text of master keys: some thousand versions.
const MAX_TEXT_BYTES: usize = 256 * 1024;

/// Why a source has no master keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file cannot be read.
    #[error("cannot read the master keys in {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Other users may read it.
    #[error("other users may read the master keys in {}: chmod 600", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
    },
    /// It lies where the data lies: an archive of the data would hold its key.
    #[error("the master keys in {} must not lie in the folder {}", path.display(), folder.display())]
    BesideData {
        /// The file.
        path: PathBuf,
        /// The data or wrap folder.
        folder: PathBuf,
    },
    /// The server is reachable from elsewhere. Other processes can read its environment.
    #[error("master keys in the environment are for servers on loopback only")]
    EnvironmentInUse,
    /// There are no keys in it.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// Reads a key file, which must be readable by its owner alone, and outside the data folders.
///
/// # Errors
/// See [`SourceError`].
pub fn from_file(path: &Path, data: &[&Path]) -> Result<MasterKeys, SourceError> {
    let unreadable = |source| SourceError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    // Links lead to where the keys are.
    let real = path.canonicalize().map_err(unreadable)?;
    for folder in data {
        let folder = folder.canonicalize().unwrap_or_else(|_| (*folder).to_owned());
        if real.starts_with(&folder) {
            return Err(SourceError::BesideData { path: path.to_owned(), folder });
        }
    }
    if is_open_to_others(&file).map_err(unreadable)? {
        return Err(SourceError::OpenToOthers { path: path.to_owned() });
    }
    parse(file).map_err(unreadable)?.map_err(SourceError::Parse)
}

/// Reads the credential `tacet-mek` in the folder that systemd names in `CREDENTIALS_DIRECTORY`.
///
/// # Errors
/// See [`SourceError`].
pub fn from_credentials(folder: &Path) -> Result<MasterKeys, SourceError> {
    from_file(&folder.join(CREDENTIAL), &[])
}

/// Reads the value of the variable `TACET_MEK`, for development: the keys of a server on loopback.
///
/// # Errors
/// [`SourceError::EnvironmentInUse`] unless `on_loopback`; [`SourceError::Parse`].
pub fn from_environment(value: &str, on_loopback: bool) -> Result<MasterKeys, SourceError> {
    if !on_loopback {
        return Err(SourceError::EnvironmentInUse);
    }
    Ok(MasterKeys::parse(value)?)
}

fn parse(file: File) -> io::Result<Result<MasterKeys, ParseError>> {
    // Never grows, so no copy is left behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT_BYTES));
    file.take(MAX_TEXT_BYTES as u64).read_to_string(&mut text)?;
    Ok(MasterKeys::parse(&text))
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
}

/// Elsewhere access is not a matter of modes.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "fails where files have modes")]
fn is_open_to_others(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::MasterKey;
    use std::fs;

    fn text() -> String {
        format!("1 {}\n", "A".repeat(43))
    }

    fn write(path: &Path, mode: u32) {
        fs::write(path, text()).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    #[test]
    fn file_must_be_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mek");
        write(&path, 0o600);
        assert_eq!(from_file(&path, &[]).unwrap().active(), 1);
        #[cfg(unix)]
        for mode in [0o640, 0o604, 0o620] {
            write(&path, mode);
            assert!(matches!(from_file(&path, &[]), Err(SourceError::OpenToOthers { .. })), "{mode:o}");
        }
        assert!(matches!(from_file(&folder.path().join("none"), &[]), Err(SourceError::Unreadable { .. })));
    }

    #[test]
    fn file_must_not_lie_beside_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let (data, other) = (folder.path().join("data"), folder.path().join("other"));
        fs::create_dir_all(data.join("wrap")).unwrap();
        fs::create_dir(&other).unwrap();
        let inside = data.join("wrap").join("mek");
        write(&inside, 0o600);
        let refused = |path: &Path| matches!(from_file(path, &[&data]), Err(SourceError::BesideData { .. }));
        assert!(refused(&inside));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&inside, other.join("link")).unwrap();
            assert!(refused(&other.join("link")), "a link leads there");
        }
        write(&other.join("mek"), 0o600);
        assert!(from_file(&other.join("mek"), &[&data]).is_ok());
    }

    #[test]
    fn environment_is_for_loopback_only() {
        assert!(matches!(from_environment(&text(), false), Err(SourceError::EnvironmentInUse)));
        assert_eq!(from_environment(&text(), true).unwrap().active(), 1);
    }

    #[test]
    fn credential_has_a_fixed_name() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("tacet-mek"), 0o400);
        assert_eq!(from_credentials(folder.path()).unwrap().active(), 1);
    }
}
