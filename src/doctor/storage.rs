//! The data folder: whether the server can keep there what must outlive it.

use super::finding::Finding;
use crate::data::{self, DataSetting};
use std::path::Path;
use tacet_data::{DataDirectory, OpenError};

/// Below this, rooms may fail to be kept before anyone looks again.
const LITTLE_SPACE: u64 = 100 << 20;

/// The data folder, and whether a running server uses it. A folder that does not exist is not created.
pub(super) fn finding(setting: Option<DataSetting>) -> (Finding, bool) {
    let subject = "data folder";
    match data::path(setting) {
        Ok(None) => {
            let remedy = "leave out --data none, or name a folder by --data DIR";
            (Finding::warning(subject, "none: all links end when the server stops", remedy), false)
        }
        Ok(Some(path)) if !path.exists() => {
            (Finding::ok(subject, format!("{} will be created", path.display())), false)
        }
        Ok(Some(path)) => match DataDirectory::open(&path) {
            Ok(_) => (space(&path, free(&path)), false),
            Err(OpenError::InUse { .. }) => {
                let shown = path.display();
                (Finding::ok(subject, format!("{shown}, in use by the server that runs")), true)
            }
            Err(error) => {
                let remedy = "run this as the user of the server, or choose another folder by --data DIR";
                (Finding::problem(subject, crate::one_line(&error.into()), remedy), false)
            }
        },
        Err(error) => (Finding::problem(subject, crate::one_line(&error), "--data DIR"), false),
    }
}

fn space(path: &Path, free: Option<u64>) -> Finding {
    let (subject, shown) = ("data folder", path.display());
    match free {
        Some(bytes) if bytes < LITTLE_SPACE => Finding::warning(
            subject,
            format!("{shown} has {} MB of free space; on a full disk no room can be created", bytes / 1_000_000),
            "free space on its disk",
        ),
        Some(bytes) => Finding::ok(subject, format!("{shown}, {} MB free", bytes / 1_000_000)),
        None => Finding::ok(subject, shown.to_string()),
    }
}

/// Bytes that the user of this process may still write to the disk of a folder.
#[cfg(unix)]
fn free(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::finding::Grade, *};

    #[test]
    fn folder_is_free_in_use_or_unusable() {
        let temporary = tempfile::tempdir().unwrap();
        let at = |name: &str| Some(DataSetting::At(temporary.path().join(name)));
        let (new, _) = finding(at("new"));
        assert!(new.grade == Grade::Ok && new.text.ends_with("will be created"), "{new:?}");
        assert!(!temporary.path().join("new").exists(), "nothing is created");

        let open = DataDirectory::open(&temporary.path().join("used")).unwrap();
        let (used, is_running) = finding(at("used"));
        assert!(used.grade == Grade::Ok && is_running, "{used:?}");
        drop(open);
        let (free, is_running) = finding(at("used"));
        assert!(!free.is_problem() && !is_running, "{free:?}");

        std::fs::write(temporary.path().join("file"), "").unwrap();
        assert!(finding(at("file")).0.is_problem());
        assert_eq!(finding(Some(DataSetting::None)).0.grade, Grade::Warning);
    }

    #[test]
    fn little_space_is_a_warning() {
        let grade = |bytes| space(Path::new("/x"), Some(bytes)).grade;
        assert_eq!([LITTLE_SPACE - 1, LITTLE_SPACE].map(grade), [Grade::Warning, Grade::Ok]);
    }
}
