//! `rushlight serve`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use gateway::acme::Acme;
use gateway::config::{LimitsConfig, LogFormat};
use gateway::{BindError, Config, Env, Secret};
use net::tls::Identity;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::{FAILED, IMPOSSIBLE, SettingsArgs, fail};
use crate::banner::{self, Certificate, Start};
use crate::keyfile::{self, KeyFile, Kind};
use crate::{demo, logging};

/// Files that a node needs beside its connections: listeners, logs, the runtimes' own.
const FILES_BESIDE_CONNECTIONS: u64 = 100;

/// Run the server.
///
/// Publish to rtmp://HOST/live/NAME with OBS, ffmpeg or any RTMP program, and watch at http://HOST:8080/watch/NAME.
/// From this machine publishing needs no key; from elsewhere it needs the key that the first start prints.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rushlight serve                                   RTMP on ports 1935 and 1936 (TLS), pages on 8080 and 8443 (TLS)
  rushlight serve --demo                            with a channel to watch at once
  rushlight serve --http-listen 127.0.0.1:9000      pages for this machine only
  rushlight serve --set tls.certificate=chain.pem --set tls.key=key.pem
  rushlight serve --set hub.second_publisher=take-over
  rushlight serve --config /etc/rushlight.toml --check
  RUSHLIGHT_HTTP__LISTEN=0.0.0.0:80 rushlight serve

Stop it with Ctrl-C or SIGTERM: sessions end in order within 5 seconds, a second signal ends them at once.")]
pub(crate) struct ServeArgs {
    /// Check the configuration and exit
    #[arg(long)]
    check: bool,

    /// Write the open addresses to this file as JSON once the server listens, for scripts that use port 0
    #[arg(long, value_name = "FILE")]
    addresses_file: Option<PathBuf>,

    #[command(flatten)]
    settings: SettingsArgs,
}

pub(crate) fn run(args: &ServeArgs) -> ExitCode {
    let loaded = match args.settings.load() {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if args.check {
        let file =
            loaded.file.map_or_else(|| "no file, defaults".to_owned(), |file| file.display().to_string());
        println!("the configuration is valid ({file})");
        return ExitCode::SUCCESS;
    }
    // Until everything else has ended.
    let _logs = match logging::start(&loaded.config.log) {
        Ok(logs) => logs,
        Err(error) => return fail(IMPOSSIBLE, error),
    };
    if let Some(file) = &loaded.file {
        info!(file = %file.display(), "configuration read");
    }
    match serve(loaded.config, args.addresses_file.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Bind(error)) => fail(IMPOSSIBLE, error),
        Err(Failed::Other(error)) => fail(FAILED, error),
    }
}

/// Why the server could not run.
#[derive(Debug)]
enum Failed {
    Bind(BindError),
    Other(String),
}

fn serve(config: Config, addresses_file: Option<&Path>) -> Result<(), Failed> {
    let other = |what: &str, error: std::io::Error| Failed::Other(format!("{what}: {error}"));
    let files = net::limits::raise_file_limit();
    let connections = files.saturating_sub(FILES_BESIDE_CONNECTIONS);
    let wanted = config.limits.connections_max;
    if connections < wanted as u64 {
        // The default is higher than most systems allow without being asked.
        if wanted == LimitsConfig::default().connections_max {
            debug!(connections, "open files of this process limit the connections");
        } else {
            warn!(
                connections,
                wanted, "open files of this process limit the connections: raise its limit (ulimit -n)"
            );
        }
    }
    let shards = config.shards();
    // Before the key: a second start by mistake leaves no trace.
    let mut bound = gateway::bind(&config, shards).map_err(Failed::Bind)?;
    let load = |configured: &Option<Secret>, kind| match configured {
        Some(_) => Ok(None),
        None => keyfile::load(&config.data_dir, kind).map(Some).map_err(Failed::Other),
    };
    let key = load(&config.access.publish_key, Kind::PublishKey)?;
    let token = load(&config.access.operator_token, Kind::OperatorToken)?;
    let secret = |file: &Option<KeyFile>| file.as_ref().map(|file| file.key.clone());
    let policy = config.access.to_policy(secret(&key), secret(&token));
    let (trigger, shutdown) = net::Shutdown::new();
    let env = Env::new(config, policy, shards, shutdown);
    #[cfg(feature = "engine")]
    match super::engine::launch() {
        Ok(launch) => env.set_engine(launch),
        Err(error) => warn!(%error, "there are no rungs: this program does not find itself"),
    }

    let open: Vec<_> = bound.addresses().collect();
    announce(&env.config, &open, key.as_ref(), token.as_ref(), bound.identity());
    let acme = bound.take_acme();
    let running =
        gateway::run(env.clone(), bound, shards).map_err(|error| other("cannot start threads", error))?;

    if let Some(file) = addresses_file {
        write_addresses(file, &open).map_err(|error| other("cannot write --addresses-file", error))?;
    }

    // Signals and the demo channel are no business of the threads that carry media.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| other("cannot start a runtime", error))?;
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new()
        .name("join".to_owned())
        .spawn(move || {
            running.join();
            // Nobody listens any more after a second signal.
            let _ = ended.send(());
        })
        .map_err(|error| other("cannot start threads", error))?;
    runtime.block_on(async {
        let signals = Signals::new().map_err(|error| other("cannot listen for signals", error))?;
        supervise(env, acme, trigger, signals, end).await
    })
}

/// Writes `{"rtmp": ["127.0.0.1:1935"], ...}`. The file appears whole or not at all: who waits for it may read it at once.
fn write_addresses(file: &Path, open: &[(&'static str, SocketAddr)]) -> std::io::Result<()> {
    let mut by_protocol = BTreeMap::<_, Vec<_>>::new();
    for (protocol, address) in open {
        by_protocol.entry(protocol).or_default().push(address);
    }
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(".part");
    std::fs::write(&unfinished, serde_json::to_vec(&by_protocol)?)?;
    std::fs::rename(&unfinished, file)
}

/// Runs until the shards have ended, asked by a signal.
async fn supervise(
    env: Arc<Env>,
    acme: Option<Acme>,
    trigger: net::ShutdownTrigger,
    mut signals: Signals,
    mut end: oneshot::Receiver<()>,
) -> Result<(), Failed> {
    if env.config.demo.enabled
        && let Ok(name) = gateway::config::parse_channel(&env.config.demo.channel)
    {
        let node = env.clone();
        tokio::spawn(env.clone().keep_running("demo", move || demo::run(node.clone(), name.clone())));
    }
    if let Some(acme) = acme {
        let (acme, shutdown) = (Arc::new(acme), env.shutdown.clone());
        let obtain = move || {
            let (acme, shutdown) = (acme.clone(), shutdown.clone());
            async move { acme.run(shutdown).await }
        };
        tokio::spawn(env.clone().keep_running("acme", obtain));
    }
    tokio::select! {
        signal = signals.next() => info!(signal, sessions = env.sessions.len(), "shutting down"),
        _ = &mut end => return Err(Failed::Other("all threads have ended; this is a bug, please report it".to_owned())),
    }
    trigger.trigger();
    tokio::select! {
        signal = signals.next() => warn!(signal, sessions = env.sessions.len(), "ended at once"),
        _ = &mut end => info!("ended"),
    }
    Ok(())
}

/// The signals that end a server.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(not(unix))]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// The name of the next one.
    #[cfg(unix)]
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

/// Says where everything is. A key is shown on a terminal and when it is new; a log keeps what it is told, so
/// later starts of a service name only the file.
fn announce(
    config: &Config,
    open: &[(&'static str, SocketAddr)],
    key: Option<&KeyFile>,
    token: Option<&KeyFile>,
    identity: Option<&Identity>,
) {
    let shown = std::io::stdout().is_terminal() || key.is_some_and(|key| key.created);
    let configured =
        config.access.publish_key.as_ref().map(Secret::expose).filter(|_| std::io::stdout().is_terminal());
    let path = |file: &KeyFile| (file.path.display().to_string(), file.created);
    let (key_file, token_file) = (key.map(path), token.map(path));
    let certificate = identity.map(|identity| identity.certificate_file().display().to_string());
    let start = Start {
        config,
        open,
        network: banner::network_address(),
        key: key.filter(|_| shown).map(|key| key.key.expose()).or(configured),
        key_file: key_file.as_ref().map(|(path, created)| (path.as_str(), *created)),
        token_file: token_file.as_ref().map(|(path, created)| (path.as_str(), *created)),
        certificate: identity.zip(certificate.as_deref()).map(|(identity, path)| Certificate {
            path,
            self_signed: identity.is_self_signed(),
            created: identity.is_created(),
        }),
    };
    match config.log.format {
        LogFormat::Text => print!("{}", start.text()),
        LogFormat::Json => {
            for (protocol, address) in open {
                info!(protocol, %address, "open");
            }
            if let Some(key) = key {
                info!(path = %key.path.display(), created = key.created, "publish key");
            }
            if let Some(token) = token {
                info!(path = %token.path.display(), created = token.created, "operator token");
            }
            if let (Some(identity), Some(path)) = (identity, &certificate) {
                info!(
                    path,
                    self_signed = identity.is_self_signed(),
                    created = identity.is_created(),
                    "certificate"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_by_protocol_and_whole() {
        let folder = std::env::temp_dir().join(format!("rushlight-addresses-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("open.json");
        let open = [("rtmp", "[::1]:1935"), ("http", "127.0.0.1:80"), ("rtmp", "127.0.0.1:1935")];
        let open = open.map(|(protocol, address)| (protocol, address.parse().unwrap()));
        let written = write_addresses(&file, &open).and_then(|()| std::fs::read_to_string(&file));
        let files = std::fs::read_dir(&folder).unwrap().count();
        std::fs::remove_dir_all(&folder).unwrap();
        let expected = r#"{"http":["127.0.0.1:80"],"rtmp":["[::1]:1935","127.0.0.1:1935"]}"#;
        assert_eq!((written.unwrap().as_str(), files), (expected, 1));
    }
}
