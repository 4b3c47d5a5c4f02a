//! A PostgreSQL server of Debian's package, for one test program, in a temporary folder on a Unix socket.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long the server may take to start, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);
const DATABASES: [&str; 2] = ["keys", "vault"];

pub(crate) struct Server {
    folder: tempfile::TempDir,
    process: Child,
}

impl Server {
    /// Starts a server with two databases and two roles, of which neither may connect to the other one's.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let user = user();
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let data = folder.path().join("data");
        let mut initdb = command(&program("initdb"), user);
        initdb.args(["--auth=trust", "--encoding=UTF8", "--no-sync", "--username=postgres", "--pgdata"]).arg(&data);
        let made = initdb.stdout(Stdio::null()).status().unwrap();
        assert!(made.success(), "initdb fails");
        let mut server = command(&program("postgres"), user);
        server.arg("-D").arg(&data).arg("-k").arg(folder.path());
        // Nothing of it must outlast the test.
        server.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off"]);
        let process = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { folder, process };
        server.prepare();
        server
    }

    /// Parameters for a database and role.
    pub(crate) fn parameters(&self, role: &str, database: &str) -> String {
        format!("host={} user={role} dbname={database}", self.folder.path().display())
    }

    fn prepare(&self) {
        let started = Instant::now();
        let mut postgres = loop {
            match postgres::Client::connect(&self.parameters("postgres", "postgres"), postgres::NoTls) {
                Ok(client) => break client,
                Err(error) => assert!(started.elapsed() < PATIENCE, "the server does not start: {error}"),
            }
            thread::sleep(Duration::from_millis(20));
        };
        for name in DATABASES {
            for sql in [
                format!("CREATE ROLE {name} LOGIN"),
                format!("CREATE DATABASE {name} OWNER {name}"),
                format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"),
            ] {
                postgres.batch_execute(&sql).unwrap();
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Leaves no processes and no shared memory behind.
        let mut stop = command(&program("pg_ctl"), user());
        stop.args(["stop", "--silent", "--mode=immediate", "--pgdata"]).arg(self.folder.path().join("data"));
        if !stop.status().is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// The user that the server runs as: it refuses to run as root. `None` for the one that runs the tests.
fn user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    is_root.then(|| {
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let line =
            users.lines().find(|line| line.starts_with("postgres:")).expect("Debian's package makes a user postgres");
        let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
        (fields.next().unwrap(), fields.next().unwrap())
    })
}

fn command(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env_clear();
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// The newest version that is installed.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let programs = versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists());
    programs.max().expect("PostgreSQL is missing: make setup-rust installs it")
}
