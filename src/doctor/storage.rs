//! The data folder: whether the server can keep there what must outlive it.

use super::finding::Finding;
use crate::data::{self, DataSetting};
use std::{io, path::Path};
use tacet_data::DataDirectory;

const SUBJECT: &str = "data folder";
/// Below this, rooms may fail to be kept before anyone looks again.
const LITTLE_SPACE: u64 = 100 << 20;

/// The data folder, and whether a running server uses it. Creates nothing.
pub(super) fn finding(setting: Option<DataSetting>) -> (Finding, bool) {
    let path = match data::path(setting) {
        Ok(Some(path)) => path,
        Ok(None) => {
            let remedy = "leave out --data none, or name a folder by --data DIR";
            return (Finding::warning(SUBJECT, "none: all links end when the server stops", remedy), false);
        }
        Err(error) => return (Finding::problem(SUBJECT, crate::one_line(&error), "--data DIR"), false),
    };
    // A link that leads nowhere is there, too.
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return (to_be_created(&path), false);
    }
    let unusable = |cause: String| {
        let remedy = "run this as the user of the server, or choose another folder by --data DIR";
        Finding::problem(SUBJECT, format!("{}: {cause}", path.display()), remedy)
    };
    if !path.is_dir() {
        return (unusable("not a folder".to_owned()), false);
    }
    match DataDirectory::is_in_use(&path) {
        Ok(true) => (Finding::ok(SUBJECT, format!("{}, in use by the server that runs", path.display())), true),
        Ok(false) => match denied(&path) {
            Some(error) => (unusable(error.to_string()), false),
            None => (free(&path), false),
        },
        Err(error) => (unusable(crate::one_line(&error.into())), false),
    }
}

/// A folder that the server creates when it starts, if it may.
fn to_be_created(path: &Path) -> Finding {
    let parent = path.ancestors().skip(1).find(|parent| parent.exists());
    let shown = path.display();
    match parent.map(|parent| (parent, denied(parent))) {
        Some((parent, Some(error))) => Finding::problem(
            SUBJECT,
            format!("{shown} cannot be created in {}: {error}", parent.display()),
            "run this as the user of the server, or choose another folder by --data DIR",
        ),
        _ => Finding::ok(SUBJECT, format!("{shown} will be created; another one, if the service sets STATE_DIRECTORY")),
    }
}

fn free(path: &Path) -> Finding {
    let shown = path.display();
    if DataDirectory::is_open_to_others(path) {
        let text = format!("other users may look into {shown}, which holds private keys");
        return Finding::warning(SUBJECT, text, format!("chmod 700 {shown}"));
    }
    space(path, free_bytes(path))
}

fn space(path: &Path, free: Option<u64>) -> Finding {
    let shown = path.display();
    match free {
        Some(bytes) if bytes < LITTLE_SPACE => Finding::warning(
            SUBJECT,
            format!("{shown} has {} MB of free space; on a full disk no room can be created", bytes / 1_000_000),
            "free space on its disk",
        ),
        Some(bytes) => Finding::ok(SUBJECT, format!("{shown}, {} MB free", bytes / 1_000_000)),
        None => Finding::ok(SUBJECT, shown.to_string()),
    }
}

/// Why the user of this process cannot write to a folder, or to one in it.
#[cfg(unix)]
fn denied(path: &Path) -> Option<io::Error> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let may = |path: &Path| {
        accessat(CWD, path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
            .map_err(io::Error::from)
    };
    let tables = || path.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    may(path).err().or_else(|| tables().filter(|table| table.is_dir()).find_map(|table| may(&table).err()))
}

#[cfg(not(unix))]
fn denied(_: &Path) -> Option<io::Error> {
    None
}

/// Bytes that the user of this process may still write to the disk of a folder.
#[cfg(unix)]
fn free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
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
        assert!(new.grade == Grade::Ok && new.text.contains("will be created"), "{new:?}");
        std::fs::create_dir(temporary.path().join("empty")).unwrap();
        finding(at("empty"));
        let left = temporary.path().join("empty").read_dir().unwrap().count();
        assert!(left == 0 && !temporary.path().join("new").exists(), "nothing is created");

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

    #[cfg(unix)]
    #[test]
    fn links_to_nowhere_and_open_folders_are_named() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let temporary = tempfile::tempdir().unwrap();
        let path = |name: &str| temporary.path().join(name);
        symlink(path("nowhere"), path("link")).unwrap();
        assert!(finding(Some(DataSetting::At(path("link")))).0.is_problem());
        std::fs::create_dir(path("open")).unwrap();
        std::fs::set_permissions(path("open"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let (open, _) = finding(Some(DataSetting::At(path("open"))));
        assert!(open.grade == Grade::Warning && open.remedy.is_some_and(|remedy| remedy.contains("chmod 700")));
    }

    #[test]
    fn little_space_is_a_warning() {
        let grade = |bytes| space(Path::new("/x"), Some(bytes)).grade;
        assert_eq!([LITTLE_SPACE - 1, LITTLE_SPACE].map(grade), [Grade::Warning, Grade::Ok]);
    }
}
