//! The program as it is started: exit codes, messages, and the end by a signal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rushlight-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rushlight"));
        command.args(args).current_dir(&self.0).env_remove("RUSHLIGHT_CONFIG");
        // The ports of the machine may be taken.
        for door in ["RTMP", "RTMPS", "HTTP", "HTTPS"] {
            command.env(format!("RUSHLIGHT_{door}__LISTEN"), "127.0.0.1:0");
        }
        command
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server that is killed if the test fails.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn mistakes_in_the_file_are_all_named_and_end_with_code_2() {
    let folder = Folder::new("mistakes");
    folder.write("rushlight.toml", "[http]\nlisen = []\n\n[hub]\npace = \"fast\"\n");
    let (code, stdout, stderr) = folder.run(&["serve", "--check"]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("rushlight.toml:2: http.lisen: unknown key, did you mean listen?\n"), "{stderr}");
    assert!(stderr.contains("rushlight.toml:5: hub.pace: invalid type: string \"fast\""), "{stderr}");
}

#[test]
fn a_printed_configuration_passes_the_check_and_leaves_no_trace() {
    let folder = Folder::new("print");
    let (code, text, _) = folder.run(&["config", "--defaults"]);
    assert_eq!(code, 0);
    folder.write("my.toml", &text);
    let (code, stdout, stderr) = folder.run(&["serve", "--check", "--config", "my.toml"]);
    assert_eq!((code, stdout.as_str()), (0, "the configuration is valid (my.toml)\n"), "{stderr}");
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_busy_port_is_one_clear_line_and_code_2() {
    let folder = Folder::new("busy");
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap();
    let (code, _, stderr) = folder.run(&["serve", "--rtmp-listen", &address.to_string()]);
    let port = address.port();
    let line = format!(
        "rushlight: port {port} is in use (rtmp.listen = {address}): stop the other program or set rtmp.listen\n"
    );
    assert_eq!((code, stderr), (2, line));
    assert!(!folder.0.join("data").exists(), "no key was made");
}

#[test]
fn keys_are_printed_and_rotated() {
    let folder = Folder::new("keys");
    let first = folder.run(&["keys"]);
    assert_eq!((first.0, first.1.len()), (0, 33));
    assert_eq!(folder.run(&["keys"]).1, first.1);
    let rotated = folder.run(&["keys", "--rotate"]);
    assert_eq!(rotated.0, 0);
    assert_ne!(rotated.1, first.1);
    let (code, token, _) = folder.run(&["keys", "--operator"]);
    assert_eq!((code, token.len()), (0, 33));
    assert_ne!(token, rotated.1);
    assert_eq!(folder.run(&["keys"]).1, rotated.1);
    for (args, setting) in [
        (&["keys", "--rotate"][..], "access.publish_key"),
        (&["keys", "--rotate", "--operator"], "access.operator_token"),
    ] {
        let (code, _, stderr) = folder.run(&[args, &["--set", &format!("{setting}=0123456789")]].concat());
        assert!(code == 2 && stderr.contains(setting), "{stderr}");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_server_in_order() {
    let folder = Folder::new("signal");
    let args = ["serve", "--log", "error"];
    let child = folder.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut server = Server(child);
    let lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let open = lines.map(Result::unwrap).find(|line| line.trim().starts_with("open ")).unwrap();
    let http = open.split(", ").find_map(|door| door.trim().strip_prefix("http ")).unwrap();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(http.trim()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/healthz").starts_with("HTTP/1.1 200 "));
    // A connection that is idle does not hold up the end.
    let _idle = TcpStream::connect(http.trim()).unwrap();
    let killed = Command::new("kill").args(["-TERM", &server.0.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}
