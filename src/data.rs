//! Where the server keeps what must outlive it.

use anyhow::bail;
use etcetera::BaseStrategy;
use serde::Deserialize;
use std::{env, path::PathBuf, str::FromStr};
use tacet_data::{DataDirectory, OpenError};

/// The data folder, or none. `none` is memory only; `./none` is a folder of that name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum DataSetting {
    None,
    At(PathBuf),
}

// Not `From<String>`, which clap would prefer and which cannot refuse an empty text: that would be the working directory.
impl TryFrom<String> for DataSetting {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for DataSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("expected a folder, or none".to_owned()),
            "none" => Ok(Self::None),
            folder => Ok(Self::At(folder.into())),
        }
    }
}

/// Where the data folder of the settings is; without a setting, systemd's or the platform's. `None` for memory only.
///
/// # Errors
/// There is no setting, and the user has no folder.
pub(crate) fn path(setting: Option<DataSetting>) -> anyhow::Result<Option<PathBuf>> {
    match setting {
        Some(DataSetting::None) => Ok(None),
        Some(DataSetting::At(path)) => Ok(Some(path)),
        None => default().map(Some),
    }
}

/// Opens the data folder of the settings. Returns `None` for memory only.
///
/// # Errors
/// The folder cannot be used, or another server uses it.
pub(crate) fn open(setting: Option<DataSetting>) -> anyhow::Result<Option<DataDirectory>> {
    let Some(path) = path(setting)? else { return Ok(None) };
    match DataDirectory::open(&path) {
        Ok(data) => Ok(Some(data)),
        Err(error @ OpenError::InUse { .. }) => {
            bail!("{error}: each needs its own. Choose another with --data DIR, or none with --data none")
        }
        Err(error) => {
            let cause = crate::one_line(&error.into());
            bail!("{cause}. Choose another folder with --data DIR, or keep everything in memory with --data none")
        }
    }
}

/// `$STATE_DIRECTORY`, which systemd sets from `StateDirectory=`, or `tacet` in the user's folder for data.
fn default() -> anyhow::Result<PathBuf> {
    if let Some(folders) = env::var_os("STATE_DIRECTORY") {
        // A unit may name several; the first is for this.
        if let Some(first) = env::split_paths(&folders).next().filter(|path| path.is_absolute()) {
            return Ok(first);
        }
    }
    match etcetera::choose_base_strategy() {
        Ok(folders) => Ok(folders.data_dir().join("tacet")),
        Err(_) => bail!("this user has no home folder: say where to keep rooms with --data DIR, or --data none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_setting_is_a_folder_or_none() {
        assert_eq!("none".parse(), Ok(DataSetting::None));
        assert_eq!("/var/lib/tacet".parse(), Ok(DataSetting::At("/var/lib/tacet".into())));
        assert_eq!("./none".parse(), Ok(DataSetting::At("./none".into())));
        assert!("".parse::<DataSetting>().is_err());
    }
}
