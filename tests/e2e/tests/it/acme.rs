//! Certificates from an authority: Pebble, the test server of Let's Encrypt.

use e2e::process::{self, Scratch};
use e2e::{Process, Server, need, program, until};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// A port that nothing listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Pebble with a certificate of its own in `folder`, which looks at names of this machine on `tls_port`.
struct Pebble {
    process: Process,
    directory: String,
}

impl Pebble {
    fn start(folder: &Path, tls_port: u16) -> Result<Self, String> {
        let (pebble, openssl) = (program::find("pebble")?, program::find("openssl")?);
        let mut command = Command::new(openssl);
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
        command.arg("-keyout").arg(folder.join("ca-key.pem")).arg("-out").arg(folder.join("ca.pem"));
        process::run(&mut command)?;
        let (port, management) = (free_port(), free_port());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.join("ca.pem"),
            "privateKey": folder.join("ca-key.pem"),
            "httpPort": 5002,
            "tlsPort": tls_port,
        }});
        std::fs::write(folder.join("pebble.json"), config.to_string()).map_err(|error| error.to_string())?;
        let mut command = Command::new(pebble);
        command.args(["-strict=false", "-config"]).arg(folder.join("pebble.json"));
        let process =
            Process::spawn(command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0"));
        until("pebble listens", || process.output().contains("Listening on").then_some(()));
        Ok(Self { process, directory: format!("https://localhost:{port}/dir") })
    }
}

/// The issuer and the names of the certificate that a server shows on its RTMPS port.
fn shown(server: &Server) -> Option<String> {
    let script = format!(
        "openssl s_client -connect {} -servername localhost </dev/null 2>/dev/null | \
         openssl x509 -noout -issuer -ext subjectAltName",
        server.rtmps
    );
    process::run(Command::new("sh").args(["-c", &script])).ok()
}

fn settings(folder: &Path, pebble: &Pebble, https: u16, domain: &str) -> [String; 4] {
    [
        format!("https.listen=127.0.0.1:{https}"),
        format!("tls.acme_domains={domain}"),
        format!("tls.acme_directory={}", pebble.directory),
        format!("tls.acme_ca={}", folder.join("ca.pem").display()),
    ]
}

#[test]
fn a_certificate_is_obtained_from_an_authority_and_kept() {
    let (folder, https) = (Scratch::new(), free_port());
    let pebble = need!(Pebble::start(folder.path(), https));
    let data = format!("data_dir={}", folder.file("data").display());
    let mut settings = settings(folder.path(), &pebble, https, "localhost").to_vec();
    settings.push(data);
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    let (file, account) = (folder.file("data/tls/acme.pem"), folder.file("data/tls/acme-account.json"));
    let orders = || pebble.process.output().matches("Added order").count();

    let server = Server::with(&settings);
    let certificate = until("the certificate of the authority is shown", || {
        shown(&server).filter(|shown| shown.contains("Pebble Intermediate"))
    });
    assert!(certificate.contains("DNS:localhost"), "{certificate}");
    assert!(server.metric("rushlight_tls_certificate_expires_timestamp_seconds", &[]) > 1e9);
    let first = std::fs::read_to_string(&file).unwrap();
    assert!(first.starts_with(&format!("for localhost from {}\n", pebble.directory)), "{first}");
    drop(server);

    // The next start has it at once; without it, the account orders another.
    let server = Server::with(&settings);
    assert!(shown(&server).is_some_and(|shown| shown.contains("Pebble Intermediate")));
    assert_eq!(orders(), 1);
    drop(server);
    std::fs::remove_file(&file).unwrap();
    let accounts = std::fs::read(&account).unwrap();
    let server = Server::with(&settings);
    until("another certificate is shown", || {
        shown(&server).filter(|shown| shown.contains("Pebble Intermediate"))
    });
    assert_ne!(std::fs::read_to_string(&file).unwrap(), first);
    assert_eq!((orders(), std::fs::read(&account).unwrap()), (2, accounts));
}

#[test]
fn a_name_that_does_not_lead_here_is_reported_and_the_server_goes_on() {
    let folder = Scratch::new();
    // The authority looks at a port where nobody answers.
    let pebble = need!(Pebble::start(folder.path(), free_port()));
    let settings = settings(folder.path(), &pebble, free_port(), "localhost");
    let server = Server::with(&settings.each_ref().map(String::as_str));
    until("the failure is reported", || {
        let log = server.process.output();
        log.lines()
            .any(|line| {
                line.contains("ERROR") && line.contains("localhost: ") && line.contains("Failed to connect")
            })
            .then_some(())
    });
    assert!(shown(&server).is_some_and(|shown| shown.contains("Rushlight")), "the self-signed one stays");
}
