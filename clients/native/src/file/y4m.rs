//! Y4M files: raw video, through `vpxenc` and `vpxdec` of Debian's `vpx-tools`.
//!
//! This client sends encoded video and has no encoder. For files, `vpxenc` encodes: its output is read as it is
//! produced, so that a file need not fit into memory. No Y4M is parsed here.

use super::ivf::{Frame, Header, IvfError, Reader};
use std::{
    io::{BufReader, Read},
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
};

/// Maximum size of a program's error output that is kept, in bytes.
const MAX_COMPLAINT_BYTES: u64 = 2_000;

/// Why raw video could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum Y4mError {
    /// The program is not installed.
    #[error("{program} is needed for Y4M files and is not installed (on Debian: apt-get install vpx-tools)")]
    Missing {
        /// Name of the program.
        program: &'static str,
    },
    /// The program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Name of the program.
        program: &'static str,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The program failed.
    #[error("{program} failed ({status}): {complaint}")]
    Failed {
        /// Name of the program.
        program: &'static str,
        /// Exit status.
        status: ExitStatus,
        /// First line of its error output.
        complaint: String,
    },
    /// The program's output could not be read.
    #[error(transparent)]
    Ivf(#[from] IvfError),
}

/// Options of the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodingOptions {
    /// Bit rate, in bit/s.
    pub bitrate: u32,
    /// Maximum number of frames between two key frames. An external encoder cannot produce one on request, so a
    /// participant that joins waits up to this long for the first frame.
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
    /// Starts encoding a file.
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
            // The program's own error explains better why there is no output.
            Err(error) => Err(program.end().err().unwrap_or(error.into())),
        }
    }

    /// Size and time base of the video.
    #[must_use]
    pub fn header(&self) -> Header {
        self.frames.header()
    }

    /// The next encoded frame; blocks until it is encoded. `None` at the end.
    ///
    /// # Errors
    /// [`Y4mError::Failed`], [`Y4mError::Ivf`].
    pub fn frame(&mut self) -> Result<Option<Frame>, Y4mError> {
        match self.frames.frame() {
            Ok(Some(frame)) => Ok(Some(frame)),
            Ok(None) => self.program.end().map(|()| None),
            // The output has ended, so the program exits soon.
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

/// A path that these programs take neither for an option nor for standard input.
fn operand(path: &Path) -> std::path::PathBuf {
    if path.as_os_str().as_encoded_bytes().starts_with(b"-") { Path::new(".").join(path) } else { path.to_owned() }
}

/// A running program; killed when it is dropped.
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

    /// Waits for the program to exit.
    fn end(&mut self) -> Result<(), Y4mError> {
        let mut complaint = Vec::new();
        if let Some(errors) = self.errors.take() {
            // Programs print a few lines when they fail; longer output is cut off.
            let _ = errors.take(MAX_COMPLAINT_BYTES).read_to_end(&mut complaint);
        }
        let status = self.child.wait().map_err(|source| Y4mError::Start { program: self.name, source })?;
        if status.success() {
            return Ok(());
        }
        let complaint = String::from_utf8_lossy(&complaint);
        let line = complaint.lines().find(|line| !line.trim().is_empty()).unwrap_or("no error message");
        Err(Y4mError::Failed { program: self.name, status, complaint: line.trim().to_owned() })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The output is no longer read. The program may have exited already.
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

    /// Odd width and height: chroma planes are rounded up.
    const SIZE: (usize, usize) = (75, 51);
    const FRAMES: usize = 40;

    /// A temporary file of this process, removed when dropped.
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

    /// Grey frames, each a little brighter than the one before.
    fn film() -> Vec<u8> {
        let (width, height) = SIZE;
        let mut film = format!("YUV4MPEG2 W{width} H{height} F15:1 Ip A1:1 C420\n").into_bytes();
        for n in 0..FRAMES {
            film.extend(b"FRAME\n");
            film.extend(vec![brightness(n); width * height]);
            film.extend(vec![128; 2 * width.div_ceil(2) * height.div_ceil(2)]);
        }
        film
    }

    fn brightness(frame: usize) -> u8 {
        40 + frame as u8 * 4
    }

    #[test]
    fn video_survives_encoding_and_decoding() {
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
        assert_eq!(frames.len(), FRAMES);
        let keys: Vec<_> = (0..FRAMES).filter(|n| frames[*n].bytes[0] & 1 == 0).collect();
        assert!(keys.len() >= 4 && keys[0] == 0, "a key frame every ten: {keys:?}");
        let seconds: Vec<_> = frames.iter().map(|frame| header.time(frame.timestamp).as_secs_f64()).collect();
        assert!((seconds[15] - 1.0).abs() < 0.01, "15 a second: {seconds:?}");

        decode(&ivf.0, &back.0).unwrap();
        let film = fs::read(&back.0).unwrap();
        let frames_at: Vec<_> =
            film.windows(6).enumerate().filter(|(_, w)| w == b"FRAME\n").map(|(at, _)| at + 6).collect();
        assert_eq!(frames_at.len(), FRAMES);
        for (n, at) in frames_at.into_iter().enumerate() {
            let middle = film[at + 51 * 75 / 2];
            assert!(middle.abs_diff(brightness(n)) < 12, "frame {n} is {middle}");
        }
    }

    #[test]
    fn invalid_file_reports_the_programs_error() {
        let text = Scratch::new("text.y4m");
        fs::write(&text.0, "no film").unwrap();
        let error = Encoding::start(&text.0, EncodingOptions::default()).unwrap_err();
        assert!(matches!(&error, Y4mError::Failed { program: "vpxenc", .. }), "{error}");
        let error = decode(&text.0, Path::new("/nonexistent/film.y4m")).unwrap_err();
        assert!(matches!(&error, Y4mError::Failed { program: "vpxdec", .. }), "{error}");
    }

    #[test]
    fn dropped_encoding_ends() {
        let raw = Scratch::new("unread.y4m");
        fs::write(&raw.0, film()).unwrap();
        let mut encoding = Encoding::start(&raw.0, EncodingOptions::default()).unwrap();
        assert!(encoding.frame().unwrap().is_some());
        drop(encoding);
    }

    #[test]
    fn missing_program_error_names_package() {
        let error = Encoding::start_with("tacet-no-such-encoder", Path::new("film.y4m"), EncodingOptions::default());
        let text = error.unwrap_err().to_string();
        assert!(text.contains("tacet-no-such-encoder") && text.contains("apt-get install vpx-tools"), "{text}");
    }

    #[test]
    fn path_is_never_an_option() {
        assert_eq!(operand(Path::new("-rf")), Path::new("./-rf"));
        assert_eq!(operand(Path::new("film.y4m")), Path::new("film.y4m"));
    }
}
