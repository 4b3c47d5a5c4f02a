//! Microphone and loudspeaker on a machine without a sound card: ALSA is configured with a device that plays into a
//! file and records from one.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};
use tacet_native::{
    audio::Channels,
    device::{DeviceError, Loudspeaker, Microphone, Role, devices},
};

/// The variable from which ALSA takes the path of its configuration.
const CONFIG: &str = "ALSA_CONFIG_PATH";
/// Upper limit of any step.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs one of the `inner_…` tests in its own process with this configuration: ALSA reads the environment only once.
fn with_alsa(test: &str, config: &str, folder: &Path) {
    let path = folder.join("alsa.conf");
    fs::write(&path, config).unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    let run = command.args(["--exact", test, "--ignored", "--nocapture"]).env(CONFIG, &path).env("FOLDER", folder);
    assert!(run.status().unwrap().success(), "{test}");
}

fn folder(name: &str) -> std::path::PathBuf {
    let folder = env::temp_dir().join(format!("tacet-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn until(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !done() {
        assert!(Instant::now() < end, "timeout");
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn device_records_and_plays() {
    let folder = folder("devices");
    // The file device uses `f32`. Identical samples mean the same for any number of channels.
    let steady = std::iter::repeat_n(0.5f32.to_ne_bytes(), 1_000_000).flatten();
    fs::write(folder.join("in.raw"), steady.collect::<Vec<u8>>()).unwrap();
    let config = format!(
        "pcm.nothing {{ type null }}\n\
         pcm.!default {{ type file slave.pcm nothing file \"{out}\" infile \"{input}\" format raw }}\n",
        out = folder.join("out.raw").display(),
        input = folder.join("in.raw").display(),
    );
    with_alsa("inner_device_records_and_plays", &config, &folder);
    let out = fs::read(folder.join("out.raw")).unwrap();
    assert!(out.iter().any(|byte| *byte != 0), "what was played is in the file");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "run by the test above, in its own process"]
fn inner_device_records_and_plays() {
    for role in [Role::Microphone, Role::Loudspeaker] {
        let found = devices(role).unwrap();
        println!("{role}: {found:?}");
    }
    let mut microphone = Microphone::open(None, Channels::Mono).unwrap();
    let mut loudspeaker = Loudspeaker::open(None, Channels::Mono).unwrap();
    let mut recorded = Vec::new();
    until(|| {
        recorded.extend(microphone.block().unwrap().into_iter().flatten());
        recorded.len() >= 25 * 960
    });
    let peak = recorded.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
    assert!((peak - 0.5).abs() < 0.01, "{peak}");
    let mut played = 0;
    until(|| {
        if loudspeaker.wants_block() {
            loudspeaker.play(&[0.5; 960]).unwrap();
            played += 1;
        }
        played >= 50
    });
}

#[test]
fn missing_device_is_an_error() {
    let folder = folder("silence");
    with_alsa("inner_missing_device_is_an_error", "# Nothing.\n", &folder);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "run by the test above, in its own process"]
fn inner_missing_device_is_an_error() {
    let error = Microphone::open(None, Channels::Mono).unwrap_err();
    assert!(matches!(error, DeviceError::None(Role::Microphone)), "{error}");
    let error = Loudspeaker::open(Some("alsa:none_of_that_name"), Channels::Mono).unwrap_err();
    assert!(matches!(error, DeviceError::Unknown { role: Role::Loudspeaker, .. }), "{error}");
    assert!(matches!(Microphone::open(Some("nonsense"), Channels::Mono), Err(DeviceError::Unknown { .. })));
}
