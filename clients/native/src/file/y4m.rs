//! Y4M files: raw pictures, through `vpxenc` and `vpxdec` of Debian's `vpx-tools`.
//!
//! This client carries encoded pictures and has no encoder of its own; an application brings its codec. For files, a
//! program that the user has does it: its output is read as it comes, so that a film need not fit into memory.

use super::ivf::{Frame, Header, IvfError, Reader};
use std::{
    io::{BufReader, Read},
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
};

/// Most bytes of what a program complains that are kept.
const MAX_COMPLAINT_BYTES: u64 = 2_000;

/// Why raw pictures could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum Y4mError {
    /// The program is not installed.
    #[error("{program} is needed for Y4M files and is not installed (on Debian: apt-get install vpx-tools)")]
    Missing {
        /// Its name.
        program: &'static str,
    },
    /// The program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Its name.
        program: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// The program failed.
    #[error("{program} failed ({status}): {complaint}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it said at the end.
        complaint: String,
    },
    /// What it wrote could not be read.
    #[error(transparent)]
    Ivf(#[from] IvfError),
}

/// How to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodingOptions {
    /// Bits a second.
    pub bitrate: u32,
    /// Frames between two key frames at most. An encoder in another program makes none when asked, so that one who joins
    /// waits this long for a picture.
    pub key_frame_every: u32,
}

impl Default for EncodingOptions {
    fn default() -> Self {
        Self { bitrate: 800_000, key_frame_every: 30 }
    }
}

/// A Y4M file that is being encoded to VP8.
#[derive(Debug)]
pub struct Encoding {
    program: Program,
    frames: Reader<BufReader<ChildStdout>>,
}

impl Encoding {
    /// Starts to encode a file.
    ///
    /// # Errors
    /// [`Y4mError::Missing`] without `vpxenc`, [`Y4mError::Failed`] if it cannot read the file.
    pub fn start(path: &Path, options: EncodingOptions) -> Result<Self, Y4mError> {
        Self::start_with("vpxenc", path, options)
    }

    fn start_with(name: &'static str, path: &Path, options: EncodingOptions) -> Result<Self, Y4mError> {
        let mut command = Command::new(name);
        command.args(["--codec=vp8", "--ivf", "--rt", "--cpu-used=8", "--lag-in-frames=0", "--threads=1", "--quiet"]);
        command.args(["--end-usage=cbr", "--error-resilient=1", "--kf-min-dist=0"]);
        command.arg(format!("--kf-max-dist={}", options.key_frame_every));
        command.arg(format!("--target-bitrate={}", options.bitrate.div_ceil(1_000)));
        command.arg("--output=-").arg(operand(path)).stdout(Stdio::piped());
        let (mut program, output) = Program::start(name, command)?;
        match Reader::new(BufReader::new(output)) {
            Ok(frames) => Ok(Self { program, frames }),
            // A program that cannot read its input says so better.
            Err(error) => Err(program.end().err().unwrap_or(error.into())),
        }
    }

    /// Size and time units of the pictures.
    #[must_use]
    pub fn header(&self) -> Header {
        self.frames.header()
    }

    /// The next encoded picture, as soon as it is made; `None` at the end.
    ///
    /// # Errors
    /// [`Y4mError::Failed`], [`Y4mError::Ivf`].
    pub fn frame(&mut self) -> Result<Option<Frame>, Y4mError> {
        match self.frames.frame() {
            Ok(Some(frame)) => Ok(Some(frame)),
            Ok(None) => self.program.end().map(|()| None),
            // Its output has ended, so that waiting for it does not take long.
            Err(error @ IvfError::CutShort { .. }) => Err(self.program.end().err().unwrap_or(error.into())),
            Err(error) => Err(error.into()),
        }
    }
}

/// Decodes an IVF file with VP8 or VP9 to Y4M.
///
/// # Errors
/// [`Y4mError::Missing`] without `vpxdec`, [`Y4mError::Failed`] if it cannot read or write a file.
pub fn decode(ivf: &Path, y4m: &Path) -> Result<(), Y4mError> {
    let mut command = Command::new("vpxdec");
    command.arg("-o").arg(operand(y4m)).arg(operand(ivf)).stdout(Stdio::piped());
    let (mut program, _output) = Program::start("vpxdec", command)?;
    program.end()
}

/// A path as these programs take it: not as an option, nor as standard input.
fn operand(path: &Path) -> std::path::PathBuf {
    if path.as_os_str().as_encoded_bytes().starts_with(b"-") { Path::new(".").join(path) } else { path.to_owned() }
}

/// A running program; ended when it is dropped.
#[derive(Debug)]
struct Program {
    name: &'static str,
    child: Child,
    errors: Option<ChildStderr>,
}

impl Program {
    fn start(name: &'static str, mut command: Command) -> Result<(Self, ChildStdout), Y4mError> {
        let spawned = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Y4mError::Missing { program: name },
            _ => Y4mError::Start { program: name, source },
        })?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let program = Self { name, child, errors };
        match output {
            Some(output) => Ok((program, output)),
            None => Err(Y4mError::Start { program: name, source: std::io::ErrorKind::BrokenPipe.into() }),
        }
    }

    /// Waits for its end.
    fn end(&mut self) -> Result<(), Y4mError> {
        let mut complaint = Vec::new();
        if let Some(errors) = self.errors.take() {
            // Quiet programs say a few lines when they fail; one that says more is not waited for.
            let _ = errors.take(MAX_COMPLAINT_BYTES).read_to_end(&mut complaint);
        }
        let status = self.child.wait().map_err(|source| Y4mError::Start { program: self.name, source })?;
        if status.success() {
            return Ok(());
        }
        let complaint = String::from_utf8_lossy(&complaint);
        let line = complaint.lines().find(|line| !line.trim().is_empty()).unwrap_or("it did not say why");
        Err(Y4mError::Failed { program: self.name, status, complaint: line.trim().to_owned() })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nobody reads on: it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::file::ivf::Writer;
    use std::{fs, path::PathBuf};

    /// Width and height, odd ones: rows of colour are rounded up.
    const SIZE: (usize, usize) = (75, 51);
    const PICTURES: usize = 40;

    /// A file of this process, gone when dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("tacet-{}-{name}", std::process::id())))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    /// Grey pictures, each a little brighter than the one before.
    fn film() -> Vec<u8> {
        let (width, height) = SIZE;
        let mut film = format!("YUV4MPEG2 W{width} H{height} F15:1 Ip A1:1 C420\n").into_bytes();
        for n in 0..PICTURES {
            film.extend(b"FRAME\n");
            film.extend(vec![brightness(n); width * height]);
            film.extend(vec![128; 2 * width.div_ceil(2) * height.div_ceil(2)]);
        }
        film
    }

    fn brightness(picture: usize) -> u8 {
        40 + picture as u8 * 4
    }

    #[test]
    fn pictures_survive_encoding_and_decoding() {
        let (raw, ivf, back) = (Scratch::new("film.y4m"), Scratch::new("film.ivf"), Scratch::new("back.y4m"));
        fs::write(&raw.0, film()).unwrap();
        let options = EncodingOptions { key_frame_every: 10, ..Default::default() };
        let mut encoding = Encoding::start(&raw.0, options).unwrap();
        let header = encoding.header();
        assert_eq!((header.codec, header.width, header.height), (e2ee_frames::Codec::Vp8, 75, 51));
        let mut writer = Writer::new(fs::File::create(&ivf.0).unwrap(), header).unwrap();
        let mut frames = Vec::new();
        while let Some(frame) = encoding.frame().unwrap() {
            writer.write(frame.timestamp, &frame.bytes).unwrap();
            frames.push(frame);
        }
        writer.finish().unwrap();
        assert_eq!(frames.len(), PICTURES);
        let keys: Vec<_> = (0..PICTURES).filter(|n| frames[*n].bytes[0] & 1 == 0).collect();
        assert!(keys.len() >= 4 && keys[0] == 0, "a key frame every ten: {keys:?}");
        let seconds: Vec<_> = frames.iter().map(|frame| header.time(frame.timestamp).as_secs_f64()).collect();
        assert!((seconds[15] - 1.0).abs() < 0.01, "15 a second: {seconds:?}");

        decode(&ivf.0, &back.0).unwrap();
        let film = fs::read(&back.0).unwrap();
        let pictures: Vec<_> =
            film.windows(6).enumerate().filter(|(_, w)| w == b"FRAME\n").map(|(at, _)| at + 6).collect();
        assert_eq!(pictures.len(), PICTURES);
        for (n, at) in pictures.into_iter().enumerate() {
            let middle = film[at + 51 * 75 / 2];
            assert!(middle.abs_diff(brightness(n)) < 12, "picture {n} is {middle}");
        }
    }

    #[test]
    fn what_is_no_film_is_told_in_the_programs_words() {
        let text = Scratch::new("text.y4m");
        fs::write(&text.0, "no film").unwrap();
        let error = Encoding::start(&text.0, EncodingOptions::default()).unwrap_err();
        assert!(matches!(&error, Y4mError::Failed { program: "vpxenc", .. }), "{error}");
        let error = decode(&text.0, Path::new("/nonexistent/film.y4m")).unwrap_err();
        assert!(matches!(&error, Y4mError::Failed { program: "vpxdec", .. }), "{error}");
    }

    #[test]
    fn an_encoding_that_nobody_reads_ends() {
        let raw = Scratch::new("unread.y4m");
        fs::write(&raw.0, film()).unwrap();
        let mut encoding = Encoding::start(&raw.0, EncodingOptions::default()).unwrap();
        assert!(encoding.frame().unwrap().is_some());
        drop(encoding);
    }

    #[test]
    fn a_program_that_is_missing_is_named_with_its_package() {
        let error = Encoding::start_with("tacet-no-such-encoder", Path::new("film.y4m"), EncodingOptions::default());
        let text = error.unwrap_err().to_string();
        assert!(text.contains("tacet-no-such-encoder") && text.contains("apt-get install vpx-tools"), "{text}");
    }

    #[test]
    fn a_path_is_never_taken_for_an_option() {
        assert_eq!(operand(Path::new("-rf")), Path::new("./-rf"));
        assert_eq!(operand(Path::new("film.y4m")), Path::new("film.y4m"));
    }
}
