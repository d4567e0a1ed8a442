use super::*;
use crate::{Outbox, Stream};
use bytes::Bytes;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::fs;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LONG: Duration = Duration::from_secs(3600);

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("rushlight-tls-{name}-{}", std::process::id())))
    }

    fn identity(&self, names: &[&str]) -> Arc<Identity> {
        Identity::self_signed(&self.0, names.iter().map(ToString::to_string).collect()).unwrap()
    }

    fn certificate(&self) -> PathBuf {
        self.0.join("certificate.pem")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Both ends of a handshake: what the client and what the server gets.
async fn shake(
    acceptor: &Acceptor,
    trust: &Trust,
    host: &str,
) -> (Result<Stream, ConnectError>, Result<Stream, HandshakeError>) {
    let connector = Connector::new(trust).unwrap();
    let (client, server) = sockets().await;
    tokio::join!(connector.connect(client, host, LONG), acceptor.accept(server, LONG))
}

async fn pair(folder: &Folder) -> (Stream, Stream) {
    let acceptor = Acceptor::rtmp(folder.identity(&["localhost"]));
    let (client, server) = shake(&acceptor, &Trust::File(folder.certificate()), "localhost").await;
    (client.unwrap(), server.unwrap())
}

#[tokio::test]
async fn a_batch_larger_than_the_socket_arrives_whole_and_in_order() {
    let folder = Folder::new("batch");
    let (mut client, mut server) = pair(&folder).await;
    let buffers: Vec<Bytes> = (0..600u32).map(|i| Bytes::from(vec![i as u8; 20_000 + i as usize])).collect();
    let expected: Vec<u8> = buffers.iter().flatten().copied().collect();
    let mut outbox = Outbox::default();
    outbox.try_write_batch(&mut server, |batch| batch.extend(buffers)).unwrap();
    assert!(!outbox.is_empty(), "12 MB do not fit a socket at once");
    outbox.push(Bytes::from_static(b"last"));
    let length = expected.len() + 4;
    let reader = tokio::spawn(async move {
        let mut got = vec![0; length];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0, "the end");
        got
    });
    poll_fn(|cx| outbox.poll_flush(cx, &mut server)).await.unwrap();
    assert!(outbox.is_empty() && server.is_flushed());
    drop(server);
    let got = reader.await.unwrap();
    assert!(got[..expected.len()] == expected[..] && &got[expected.len()..] == b"last");
}

#[tokio::test]
async fn a_peek_leaves_the_byte_and_the_end_can_be_peeked() {
    let folder = Folder::new("peek");
    let (mut client, mut server) = pair(&folder).await;
    client.write_all(b"\x03hello").await.unwrap();
    for _ in 0..2 {
        assert_eq!(poll_fn(|cx| server.poll_peek(cx)).await.unwrap(), Some(3));
    }
    let mut got = [0; 6];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"\x03hello");
    client.shutdown().await.unwrap();
    assert_eq!(poll_fn(|cx| server.poll_peek(cx)).await.unwrap(), None);
    assert!(server.is_tls() && server.tcp().is_some());
}

#[tokio::test]
async fn an_end_without_close_notify_is_an_end() {
    let folder = Folder::new("truncated");
    let (client, mut server) = pair(&folder).await;
    socket2::SockRef::from(client.tcp().unwrap()).shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_says_in_one_line_why_it_does_not_trust_a_server() {
    let folder = Folder::new("trust");
    let acceptor = Acceptor::rtmp(folder.identity(&["localhost", "127.0.0.1", "::1"]));
    let mine = Trust::File(folder.certificate());
    for host in ["localhost", "127.0.0.1", "::1"] {
        assert!(shake(&acceptor, &mine, host).await.0.is_ok(), "{host}");
    }
    assert!(shake(&acceptor, &Trust::Insecure, "example.org").await.0.is_ok());
    let (client, server) = shake(&acceptor, &Trust::System, "localhost").await;
    assert_eq!(
        client.unwrap_err().to_string(),
        "the certificate of localhost is not trusted: self-signed; use --ca FILE or --insecure"
    );
    assert!(matches!(server, Err(HandshakeError::Refused(_))), "{server:?}");
    let wrong = shake(&acceptor, &mine, "example.org").await.0.unwrap_err().to_string();
    assert!(wrong.starts_with("the certificate of example.org is for another name: "), "{wrong}");
    let missing = Connector::new(&Trust::File("/nonexistent/ca.pem".into())).unwrap_err().to_string();
    assert!(missing.starts_with("/nonexistent/ca.pem: "), "{missing}");
}

#[tokio::test]
async fn what_is_not_tls_ends_with_an_error_that_says_so() {
    let folder = Folder::new("garbage");
    let acceptor = Acceptor::rtmp(folder.identity(&["localhost"]));
    for garbage in [&[3; 1537][..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64]] {
        let (mut client, server) = sockets().await;
        client.write_all(garbage).await.unwrap();
        let result = acceptor.accept(server, LONG).await;
        assert!(matches!(result, Err(HandshakeError::NotTls)), "{result:?}");
    }
    // A record that announces more than a record may hold (RFC 8446 section 5.2), and a handshake message that does.
    for garbage in [&b"\x16\x03\x01\xff\xff"[..], b"\x16\x03\x01\x00\x04\x01\xff\xff\xff"] {
        let (mut client, server) = sockets().await;
        client.write_all(garbage).await.unwrap();
        client.write_all(&[0; 100_000]).await.unwrap();
        let result = acceptor.accept(server, LONG).await;
        assert!(matches!(result, Err(HandshakeError::Protocol(_))), "{result:?}");
    }
    let (client, server) = sockets().await;
    drop(client);
    assert!(matches!(acceptor.accept(server, LONG).await, Err(HandshakeError::Lost(_))));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stalls_ends_at_its_deadline() {
    let folder = Folder::new("stall");
    let acceptor = Acceptor::rtmp(folder.identity(&["localhost"]));
    let (mut client, server) = sockets().await;
    client.write_all(b"\x16\x03\x01\x02\x00\x01\x00").await.unwrap();
    assert!(matches!(acceptor.accept(server, LONG).await, Err(HandshakeError::Timeout)));
    let connector = Connector::new(&Trust::Insecure).unwrap();
    let error = connector.connect(client, "localhost", LONG).await.unwrap_err();
    assert!(matches!(error.cause(), HandshakeError::Timeout | HandshakeError::Lost(_)), "{error}");
}

/// A client that says what it was sent behind the handshake: the tickets, and the protocol that was agreed on.
fn tickets_and_protocol(
    acceptor: Acceptor,
    version: &'static rustls::SupportedProtocolVersion,
) -> (u32, Vec<u8>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Trust::Insecure.verifier().unwrap())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut tcp = std::net::TcpStream::connect(address).unwrap();
        let mut stream = rustls::Stream::new(&mut connection, &mut tcp);
        stream.write_all(b"?").unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        (connection.tls13_tickets_received(), connection.alpn_protocol().unwrap_or_default().to_vec())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tcp = listener.accept().unwrap().0;
        tcp.set_nonblocking(true).unwrap();
        let mut server = acceptor.accept(TcpStream::from_std(tcp).unwrap(), LONG).await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
        server.write_all(b"!").await.unwrap();
        server.flush().await.unwrap();
    });
    client.join().unwrap()
}

#[test]
fn rtmp_ports_send_no_tickets_and_agree_on_no_protocol() {
    let folder = Folder::new("tickets");
    let identity = folder.identity(&["localhost"]);
    for version in rustls::ALL_VERSIONS {
        assert_eq!(tickets_and_protocol(Acceptor::rtmp(identity.clone()), version), (0, Vec::new()));
    }
    let http = Acceptor::http(identity, None);
    assert_eq!(tickets_and_protocol(http, &rustls::version::TLS13), (1, b"http/1.1".to_vec()));
}

#[test]
fn an_authority_is_shown_its_challenge_and_others_the_certificate() {
    let folder = Folder::new("challenge");
    let identity = folder.identity(&["localhost"]);
    let challenges = Arc::new(Challenges::default());
    challenges.set("localhost", &[7; 32]).unwrap();
    let asked = |protocol: &[u8]| {
        let acceptor = Acceptor::http(identity.clone(), Some(challenges.clone()));
        first_certificate(acceptor, protocol)
    };
    let own = identity.current().cert[0].to_vec();
    assert_eq!(asked(b"h2").as_ref(), Some(&own));
    let shown = asked(b"acme-tls/1").unwrap();
    assert_ne!(shown, own);
    // RFC 8737 section 3: the extension 1.3.6.1.5.5.7.1.31, critical, with the digest as an octet string in an octet string.
    let extension =
        [b"\x06\x08\x2b\x06\x01\x05\x05\x07\x01\x1f\x01\x01\xff\x04\x22\x04\x20".as_slice(), &[7; 32]]
            .concat();
    assert!(shown.windows(extension.len()).any(|window| window == extension));
    challenges.clear();
    assert_eq!(asked(b"acme-tls/1"), None);
}

/// Accepts what a challenge shows as well: webpki refuses certificates with critical extensions that it does not know.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate that a server shows to a client that offers one protocol.
fn first_certificate(acceptor: Acceptor, protocol: &[u8]) -> Option<Vec<u8>> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || {
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut tcp = std::net::TcpStream::connect(address).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp).ok()?;
        }
        Some(connection.peer_certificates()?.first()?.to_vec())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tcp = listener.accept().unwrap().0;
        tcp.set_nonblocking(true).unwrap();
        // The client says what came of it.
        let _ = acceptor.accept(TcpStream::from_std(tcp).unwrap(), LONG).await;
    });
    client.join().unwrap()
}

fn shown(identity: &Identity, after: Duration) -> Vec<u8> {
    identity.refresh(Instant::now() + after);
    identity.current().cert[0].to_vec()
}

#[test]
fn a_certificate_that_changes_counts_without_a_restart_and_a_broken_one_does_not() {
    let (old, new) = (Folder::new("reload-old"), Folder::new("reload-new"));
    old.identity(&["localhost"]);
    new.identity(&["localhost", "example.org"]);
    let file = |folder: &Folder, name: &str| folder.0.join(name);
    let identity = Identity::from_files(old.certificate(), file(&old, "key.pem")).unwrap();
    assert!(!identity.is_self_signed());
    let first = shown(&identity, LONG);

    fs::copy(new.certificate(), old.certificate()).unwrap();
    assert_eq!(shown(&identity, 2 * LONG), first, "the key is still that of the old one");
    fs::copy(file(&new, "key.pem"), file(&old, "key.pem")).unwrap();
    let second = shown(&identity, 3 * LONG);
    assert_ne!(second, first);

    fs::write(old.certificate(), "nonsense").unwrap();
    assert_eq!(shown(&identity, 4 * LONG), second);
    fs::remove_file(old.certificate()).unwrap();
    assert_eq!(shown(&identity, 5 * LONG), second);
    fs::copy(new.certificate(), old.certificate()).unwrap();
    assert_eq!(shown(&identity, 6 * LONG), second);
}

#[test]
fn files_that_are_no_identity_are_named() {
    let (one, other) = (Folder::new("named-one"), Folder::new("named-other"));
    one.identity(&["localhost"]);
    other.identity(&["localhost"]);
    let problem = |certificate: &Path, key: &Path| {
        Identity::from_files(certificate.to_owned(), key.to_owned()).unwrap_err().to_string()
    };
    let (certificate, key) = (one.certificate(), one.0.join("key.pem"));
    let foreign = problem(&certificate, &other.0.join("key.pem"));
    assert!(foreign.contains("named-other") && foreign.contains("is not the key of"), "{foreign}");
    let missing = problem(Path::new("/nonexistent.pem"), &key);
    assert!(missing.starts_with("/nonexistent.pem: cannot be read: "), "{missing}");
    let empty = problem(&key, &key);
    assert!(empty.ends_with("there is no PEM certificate in it"), "{empty}");
    let empty = problem(&certificate, &certificate);
    assert!(empty.ends_with("there is no PEM private key in it"), "{empty}");
}

#[test]
fn a_certificate_of_our_own_is_renewed_before_its_end_with_the_same_key() {
    let folder = Folder::new("renew");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let files = identity::Files { certificate: folder.certificate(), key: folder.0.join("key.pem") };
    let days = |days: u64| SystemTime::now() + Duration::from_secs(days * 24 * 3600);
    let key = || fs::read(&files.key).unwrap();
    assert!(generate::ensure(&files, &names, days(0)).unwrap());
    let identity = Identity::from_files(files.certificate.clone(), files.key.clone()).unwrap();
    let validity = identity.validity().unwrap();
    assert!(validity.to > days(395) && validity.to < days(397), "{validity:?}");
    let first = key();
    assert!(!generate::ensure(&files, &names, days(365)).unwrap());
    assert!(generate::ensure(&files, &names, days(367)).unwrap(), "30 days are left");
    assert!(!generate::ensure(&files, &names, days(367)).unwrap());
    let more = [&names[..], &["example.org".to_owned()]].concat();
    assert!(generate::ensure(&files, &more, days(367)).unwrap(), "a name is new");
    assert_eq!(key(), first);
    fs::remove_file(&files.key).unwrap();
    assert!(generate::ensure(&files, &more, days(367)).unwrap(), "the key is gone");
    assert_ne!(key(), first);
    assert!(files.read().is_ok(), "the two fit");
}

#[test]
fn a_name_that_fits_no_certificate_is_refused() {
    let folder = Folder::new("names");
    let error = Identity::self_signed(&folder.0, vec!["no name".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("\"no name\""), "{error}");
    assert!(!folder.0.exists());
}
