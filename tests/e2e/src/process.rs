//! Child processes that end with the test.

use crate::wait;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where builds of this profile lie: `target/debug` for an ordinary test run.
pub fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("the test knows its own path");
    exe.ancestors().nth(2).expect("the test lies in <profile>/deps").to_path_buf()
}

/// A folder that belongs to one test and is removed with it, unless the test fails.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new empty folder.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = profile_dir().join("../tmp/e2e").join(name);
        std::fs::create_dir_all(&path).expect("the scratch folder can be made");
        Self(path.canonicalize().expect("the scratch folder exists"))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A running program. Its output goes to a log, which a failing test prints; dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
    _scratch: Scratch,
}

impl Process {
    /// Starts `command` with no input, its output in a log of its own.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(command: &mut Command) -> Self {
        let scratch = Scratch::new();
        let log = scratch.file("log");
        let out = File::create(&log).expect("the log can be made");
        let name =
            Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stderr(out.try_clone().expect("the log can be shared"))
            .stdout(out)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { child, name, log, _scratch: scratch }
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The processes that it has started.
    ///
    /// # Panics
    /// If it has ended.
    pub fn children(&self) -> Vec<u32> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs");
        let lists = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
        lists
            .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
            .collect()
    }

    /// Its exit status, if it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.try_wait().is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end within `deadline`.
    #[track_caller]
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let name = self.name.clone();
        wait::until_within(deadline, &format!("{name} ends by itself"), || self.try_wait())
    }

    /// Waits for its end and returns what it printed.
    ///
    /// # Panics
    /// If it does not end in time or ends with a failure.
    #[track_caller]
    pub fn finish(mut self, deadline: Duration) -> String {
        let status = self.wait(deadline);
        assert!(status.success(), "{} ended with {status}:\n{}", self.name, self.output());
        self.output()
    }

    /// Sends `signal` (a name such as `INT`).
    pub fn signal(&self, signal: &str) {
        let _ = Command::new("sh").args(["-c", &format!("kill -{signal} {}", self.id())]).status();
    }

    /// Kills it as a crash would, without a farewell to its peers.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let output = self.output();
            let lines: Vec<_> = output.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("--- the last lines of {}:\n{tail}\n---", self.name);
        }
    }
}

/// Runs `command` to its end and returns its standard output.
///
/// # Errors
/// What it printed on stderr, if it fails or cannot be started.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}
