//! `tacet call`, run as from a terminal and from scripts.

#![cfg(all(feature = "serve", feature = "call"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use serde_json::Value;
use std::{
    f32::consts::TAU,
    fs,
    io::{BufRead, BufReader, Lines, Write},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use support::{Server, TempDir};
use tacet_native::{
    audio::Channels,
    file::{ivf, wav},
};

/// Upper limit of any step: only a failing test waits this long.
const TIMEOUT: Duration = Duration::from_secs(60);

fn call(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tacet"));
    command.arg("call").args(arguments).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> Output {
    call(arguments).output().unwrap()
}

/// A running `tacet call --json`.
struct Running {
    child: Child,
    events: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = call(arguments).arg("--json").stdout(Stdio::piped()).spawn().unwrap();
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, events }
    }

    /// The next event of a type.
    fn event(&mut self, t: &str) -> Value {
        self.events
            .by_ref()
            .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
            .find(|event| event["t"] == t)
            .unwrap_or_else(|| panic!("it ended without {t}"))
    }

    /// Sends SIGINT, as Ctrl-C does.
    fn interrupt(&self) {
        let interrupt = format!("kill -INT {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    }

    /// Waits for its end. Returns the exit status and the remaining events.
    fn end(mut self) -> (ExitStatus, Vec<Value>) {
        let rest = self.events.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write_tone(path: &str, hertz: f32, seconds: usize) {
    let mut file = wav::Writer::create(Path::new(path), Channels::Mono).unwrap();
    let samples: Vec<f32> = (0..48_000 * seconds).map(|n| (TAU * hertz * n as f32 / 48_000.0).sin() / 2.0).collect();
    file.write(&samples).unwrap();
    file.finish().unwrap();
}

fn read_audio(path: &str) -> Vec<f32> {
    let mut reader = wav::Reader::open(Path::new(path), Channels::Mono).unwrap();
    std::iter::from_fn(|| reader.block().unwrap()).flatten().collect()
}

/// Amplitude of a frequency in samples (Goertzel).
fn strength(samples: &[f32], hertz: f32) -> f32 {
    let step = f64::from(TAU * hertz / 48_000.0);
    let (sine, cosine) = samples.iter().enumerate().fold((0.0, 0.0), |(sine, cosine), (n, sample)| {
        let angle = n as f64 * step;
        (sine + f64::from(*sample) * angle.sin(), cosine + f64::from(*sample) * angle.cos())
    });
    (2.0 * f64::hypot(sine, cosine) / samples.len().max(1) as f64) as f32
}

/// Number of 200 ms chunks that contain a frequency.
fn heard(samples: &[f32], hertz: f32) -> usize {
    samples.chunks(9_600).filter(|chunk| strength(chunk, hertz) > 0.25).count()
}

/// Frames that look like VP8 by their first byte.
fn write_video(path: &str, frames: u32) -> Vec<Vec<u8>> {
    let header = ivf::Header { codec: e2ee_frames::Codec::Vp8, width: 64, height: 48, rate: 25, scale: 1 };
    let mut file = ivf::Writer::new(fs::File::create(path).unwrap(), header).unwrap();
    let frame = |n: u32| {
        let mut frame: Vec<u8> =
            (0..2_000u32).map(|i| ((i ^ n << 12).wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        frame[0] = if n.is_multiple_of(10) { 0x10 } else { 0x11 };
        frame
    };
    let frames: Vec<_> = (0..frames).map(frame).collect();
    for (n, frame) in frames.iter().enumerate() {
        file.write(n as u64, frame).unwrap();
    }
    file.finish().unwrap().flush().unwrap();
    frames
}

#[test]
fn played_audio_is_recorded() {
    let (server, folder) = (Server::start(&[]), TempDir::new());
    let [tone, record] = ["tone.wav", "record.wav"].map(|name| folder.file(name));
    write_tone(&tone, 525.0, 1);
    let mut listener = Running::start(&[&server.link, "--name", "Listener", "--record", &record]);
    listener.event("connected");
    let player = Running::start(&[&server.link, "--name", "Player", "--play", &tone, "--loop"]);
    assert_eq!(listener.event("participant_joined")["name"], "Player");
    assert_eq!(listener.event("audio_ready")["source"], "microphone");
    // The file is readable at any time, and grows every second.
    let patience = Instant::now() + TIMEOUT;
    while heard(&read_audio(&record), 525.0) < 10 {
        assert!(Instant::now() < patience, "{} fifths of a second", heard(&read_audio(&record), 525.0));
        sleep(Duration::from_millis(200));
    }
    player.interrupt();
    assert!(player.end().0.success());
    listener.event("participant_left");
    listener.interrupt();
    let (status, events) = listener.end();
    assert!(status.success());
    let reasons: Vec<_> = events.iter().filter(|event| event["t"] == "ended").map(|event| &event["reason"]).collect();
    assert_eq!(reasons, ["left"], "once");
    assert_eq!(events.last().unwrap()["t"], "summary");
    assert!(events.last().unwrap()["opened"].as_u64().unwrap() > 100);
    assert!(heard(&read_audio(&record), 525.0) >= 10);
}

#[test]
fn video_is_recorded_unchanged() {
    let (server, folder) = (Server::start(&[]), TempDir::new());
    let (film, recordings) = (folder.file("film.ivf"), folder.file("recordings"));
    let frames = write_video(&film, 50);
    let mut viewer = Running::start(&[&server.link, "--name", "Viewer", "--record-video", &recordings]);
    viewer.event("connected");
    let shower = Running::start(&[&server.link, "--name", "Film", "--video", &film]);
    let track = viewer.event("track_added");
    assert_eq!((&track["source"], &track["codec"]), (&Value::from("camera"), &Value::from("vp8")));
    let (status, events) = shower.end();
    assert!(status.success(), "it leaves at the end of its file: {events:?}");
    viewer.event("participant_left");
    viewer.interrupt();
    assert!(viewer.end().0.success());

    let path = Path::new(&recordings).join(format!("Film-{}-camera.ivf", track["participant"]));
    let mut reader = ivf::Reader::new(BufReader::new(fs::File::open(path).unwrap())).unwrap();
    let recorded: Vec<_> = std::iter::from_fn(|| reader.frame().unwrap()).collect();
    assert!(recorded.len() >= 20, "{} of {}", recorded.len(), frames.len());
    // Nothing is missing after the first key frame.
    let first = frames.len() - recorded.len();
    assert!(first.is_multiple_of(10), "it begins with a key frame: {first}");
    assert!(recorded.iter().zip(&frames[first..]).all(|(recorded, shown)| recorded.bytes == *shown));
    let times: Vec<_> = recorded.iter().map(|frame| frame.timestamp).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 3_600), "25 a second: {times:?}");
}

#[test]
fn seconds_flag_ends_the_call() {
    let server = Server::start(&[]);
    let output = output(&[&server.link, "--seconds", "0.5"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "joined");
    assert!(lines.contains(&"left") && !text.contains('\u{1b}'), "no terminal, no escapes: {text}");
}

#[test]
fn code_is_shown_for_comparison() {
    let server = Server::start(&[]);
    let mut ada = Running::start(&[&server.link]);
    ada.event("joined");
    let mut bob = call(&[&server.link, "--code"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(bob.stdout.take().unwrap()).lines();
    ada.event("participant_joined");
    let event = ada.event("call_code");
    let code = event["code"].as_str().unwrap();
    assert!(
        code.len() == 35 && code.split(' ').all(|group| group.len() == 5 && group.parse::<u32>().is_ok()),
        "{code}"
    );
    assert_eq!(event["bytes"].as_str().unwrap().len(), 43, "32 bytes in base64url");
    let mut codes = lines.map(Result::unwrap).filter(|line| line.starts_with("call code "));
    let first = codes.next().unwrap();
    assert!(
        first.contains("reads the first three groups aloud, another one the last three; if a group differs"),
        "{first}"
    );
    let same = format!("call code {code}");
    assert!(first.starts_with(&same) || codes.any(|line| line == same), "explained once");
    bob.kill().unwrap();
    bob.wait().unwrap();
}

#[test]
fn link_is_read_from_stdin() {
    let server = Server::start(&[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tacet"))
        .args(["call", "-", "--seconds", "0.1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", server.link).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Exit status and error message of a failed start.
fn failure(arguments: &[&str]) -> (i32, String) {
    let output = output(arguments);
    assert!(!output.status.success());
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn lost_server_is_named_and_waited_for() {
    let mut server = Server::start(&[]);
    let mut running = Running::start(&[&server.link]);
    running.event("connected");
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    while !running.event("reconnecting")["cause"].as_str().unwrap().starts_with("cannot reach 127.0.0.1:") {}
    running.interrupt();
    let (status, events) = running.end();
    assert!(status.success(), "a person may leave at any time: {events:?}");
    assert!(events.iter().any(|event| event["t"] == "ended" && event["code"] == "left"), "{events:?}");
}

#[test]
fn errors_name_the_mistake_without_secrets() {
    let (server, folder) = (Server::start(&[]), TempDir::new());
    let secret = server.link.split_once('#').unwrap().1.to_owned();
    let other_secret = server.link.replace(&secret, &"A".repeat(43));
    let text_file = folder.file("text.wav");
    fs::write(&text_file, "not audio").unwrap();
    let nowhere = "http://127.0.0.1:9/r/AAAAAAAAAAAAAAAAAAAAAA#AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let missing = folder.file("missing.wav");
    let unwritable = folder.file("no/such/folder.wav");
    let room = server.link.split_once("/r/").unwrap().1.split_once('#').unwrap().0;
    let other_room = server.link.replace(room, &"A".repeat(22));
    for (arguments, status, expected) in [
        (vec!["http://127.0.0.1/r/short#x"], 1, "room link"),
        (vec![nowhere], 6, "cannot reach 127.0.0.1:9"),
        (vec![&other_secret], 5, "the credential is not valid for this room"),
        (vec![&other_room], 3, "no such room"),
        (vec![&server.link, "--play", &missing], 1, "missing.wav"),
        (vec![&server.link, "--play", &text_file], 1, "not a WAV file"),
        (vec![&server.link, "--video", &text_file], 1, ".ivf"),
        (vec![&server.link, "--record", &unwritable], 1, "--record"),
        (vec![&server.link, "--seconds=-1"], 1, "--seconds"),
        (vec![&server.link, &server.link], 2, "unexpected argument"),
        (vec![&server.link, "--pin", &"ab".repeat(32)], 1, "--pin is for https"),
    ] {
        let (code, message) = failure(&arguments);
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert!(!message.contains(&secret) && !message.contains(&"A".repeat(43)), "{message}");
        assert_eq!(code, status, "{arguments:?}");
    }
}

/// A token is no argument, since others on the machine see those.
#[test]
fn token_of_a_file_or_the_environment_is_shown() {
    const KEY: &str = "correct horse battery";
    let server = Server::start(&["--api-key", KEY]);
    let token = |role: &str| {
        let arguments = ["token", "--room", &server.link, "--role", role, "--api-key", KEY];
        let made = Command::new(env!("CARGO_BIN_EXE_tacet")).args(arguments).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        String::from_utf8(made.stdout).unwrap()
    };
    let folder = TempDir::new();
    let [file, tone] = ["token.txt", "tone.wav"].map(|name| folder.file(name));
    fs::write(&file, token("listener")).unwrap();
    write_tone(&tone, 440.0, 1);
    let refused = output(&[&server.link, "--token-file", &file, "--play", &tone, "--loop"]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && text.contains("its role does not allow it"), "{text}");

    let mut wrong = call(&[&server.link, "--seconds", "1"]);
    let wrong = wrong.env("TACET_ROOM_TOKEN", "not.a.token").output().unwrap();
    let text = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!(wrong.status.code(), Some(5), "{text}");
    assert!(text.contains("the room token is not valid"), "{text}");
}
