//! What lies between a viewer's socket and the stream: TLS, and the HTTP requests of a tunnel.

use crate::target::Target;
use bytes::{Buf, BytesMut};
use net::tls::{ClientConnection, Connector};
use rtmp::tunnel::Client;
use std::io::{self, BufRead, Write};
use std::time::Instant;

/// The layers of one viewer. Viewers without any have none of this.
pub(super) struct Layers {
    tls: Option<ClientConnection>,
    tunnel: Option<Tunnel>,
    /// Bytes for TLS, or for the socket where there is none.
    output: BytesMut,
}

struct Tunnel {
    client: Client,
    http: BytesMut,
}

impl Layers {
    /// The layers that the target's scheme asks for, if any. `connector` is there if any target has TLS.
    pub(super) fn new(
        target: &Target,
        connector: Option<&Connector>,
        now: Instant,
    ) -> Result<Option<Box<Self>>, String> {
        let tls = match connector.filter(|_| target.is_tls()) {
            Some(connector) => Some(connector.start(target.address().0).map_err(|error| error.to_string())?),
            None => None,
        };
        let tunnel = match target {
            Target::Rtmp(url) if url.scheme.is_tunnel() => {
                Some(Tunnel { client: Client::new(&url.http_authority(), now), http: BytesMut::new() })
            }
            _ => None,
        };
        let is_bare = tls.is_none() && tunnel.is_none();
        Ok((!is_bare).then(|| Box::new(Self { tls, tunnel, output: BytesMut::new() })))
    }

    /// Whether what arrives has to be read, because something has to be said about it.
    pub(super) fn has_tunnel(&self) -> bool {
        self.tunnel.is_some()
    }

    /// Takes what the socket brought, and appends what is in it of the stream to `plain`.
    pub(super) fn receive(&mut self, now: Instant, bytes: &[u8], plain: &mut BytesMut) -> Result<(), String> {
        match (&mut self.tls, &mut self.tunnel) {
            (Some(tls), Some(tunnel)) => open(tls, bytes, &mut tunnel.http)?,
            (Some(tls), None) => return open(tls, bytes, plain),
            (None, Some(tunnel)) => tunnel.http.extend_from_slice(bytes),
            (None, None) => plain.extend_from_slice(bytes),
        }
        if let Some(tunnel) = &mut self.tunnel {
            let taken = tunnel.client.handle_input(now, &mut tunnel.http, plain);
            taken.map_err(|error| error.to_string())?;
            if tunnel.http.is_empty() {
                // Thousands of viewers keep no buffers while they wait.
                tunnel.http = BytesMut::new();
            }
        }
        Ok(())
    }

    /// Queues bytes of the stream; [`Layers::flush`] sends them.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        match &mut self.tunnel {
            Some(tunnel) => tunnel.client.send(bytes.to_vec().into()),
            None => self.output.extend_from_slice(bytes),
        }
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        if let Some(tunnel) = &mut self.tunnel {
            while let Some(bytes) = tunnel.client.poll_output() {
                self.output.extend_from_slice(&bytes);
            }
        }
        match &mut self.tls {
            Some(tls) => {
                let sealed = tls.writer().write(&self.output)?;
                self.output.advance(sealed);
                while tls.wants_write() {
                    match tls.write_tls(socket) {
                        Err(error) if is_full(&error) => break,
                        written => written?,
                    };
                }
            }
            None => write(&mut self.output, socket)?,
        }
        if self.output.is_empty() {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// When the tunnel wants to be asked again.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.tunnel.as_ref()?.client.poll_timeout()
    }

    /// Lets time pass; what is due is sent by [`Layers::flush`].
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), String> {
        let Some(tunnel) = &mut self.tunnel else { return Ok(()) };
        tunnel.client.handle_timeout(now).map_err(|error| error.to_string())
    }

    /// Whether the server has ended the tunnel or its connection.
    pub(super) fn is_over(&self) -> bool {
        self.tunnel
            .as_ref()
            .is_some_and(|tunnel| tunnel.client.is_closed() || tunnel.client.needs_connection())
    }

    /// Ends the session of a tunnel, which would outlive its connection.
    pub(super) fn close(&mut self) {
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.client.close();
        }
    }
}

/// Opens what is whole of `ciphertext`, and appends it to `out`.
fn open(tls: &mut ClientConnection, mut ciphertext: &[u8], out: &mut BytesMut) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("the TLS connection failed: {error}");
    while !ciphertext.is_empty() {
        if tls.read_tls(&mut ciphertext).map_err(|error| failed(&error))? == 0 {
            break;
        }
        let mut left = match tls.process_new_packets() {
            Ok(state) => state.plaintext_bytes_to_read(),
            Err(error) => return Err(failed(&error)),
        };
        while left > 0 {
            let mut reader = tls.reader();
            let opened = reader.fill_buf().map_err(|error| failed(&error))?;
            out.extend_from_slice(opened);
            let count = opened.len();
            reader.consume(count);
            left -= count.min(left);
        }
    }
    Ok(())
}

/// Writes what the socket takes, and removes it from the front of `output`.
pub(super) fn write(output: &mut BytesMut, socket: &mut impl Write) -> io::Result<()> {
    while !output.is_empty() {
        match socket.write(output) {
            Ok(count) => output.advance(count),
            Err(error) if is_full(&error) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A socket that is still connecting takes as little as one that is full.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the layers write now.
    fn written(layers: &mut Layers) -> String {
        let mut socket = Vec::new();
        layers.flush(&mut socket).unwrap();
        String::from_utf8(socket).unwrap()
    }

    fn reply(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn a_tunnel_asks_again_when_it_was_answered_and_says_goodbye() {
        let target = Target::parse("rtmpt://h/live/a").unwrap();
        let now = Instant::now();
        let mut layers = Layers::new(&target, None, now).unwrap().unwrap();
        let mut plain = BytesMut::new();
        layers.send(b"hello");
        assert!(written(&mut layers).starts_with("POST /open/1 HTTP/1.1\r\nHost: h\r\n"));
        layers.receive(now, reply("abc\n").as_bytes(), &mut plain).unwrap();
        let sent = written(&mut layers);
        assert!(sent.starts_with("POST /send/abc/0 ") && sent.ends_with("hello"), "{sent}");
        let answer = reply("\x01media");
        let (head, rest) = answer.split_at(20);
        layers.receive(now, head.as_bytes(), &mut plain).unwrap();
        layers.receive(now, rest.as_bytes(), &mut plain).unwrap();
        assert_eq!(&plain[..], b"media");
        assert!(written(&mut layers).starts_with("POST /idle/abc/1 "), "data calls for more at once");
        assert!(!layers.is_over());
        layers.receive(now, reply("\x01").as_bytes(), &mut plain).unwrap();
        layers.close();
        assert!(written(&mut layers).starts_with("POST /close/abc/2 "));
        layers.receive(now, reply("\0").as_bytes(), &mut plain).unwrap();
        assert!(layers.is_over());
    }

    #[test]
    fn a_server_that_is_no_tunnel_fails_the_join() {
        let target = Target::parse("rtmpte://h/live/a").unwrap();
        let now = Instant::now();
        let mut layers = Layers::new(&target, None, now).unwrap().unwrap();
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        assert!(layers.receive(now, answer, &mut BytesMut::new()).is_err());
    }

    #[test]
    fn plain_targets_have_no_layers() {
        for url in ["rtmp://h/live/a", "rtmpe://h/live/a", "http://h/a.flv", "ws://h/a.flv"] {
            assert!(
                Layers::new(&Target::parse(url).unwrap(), None, Instant::now()).unwrap().is_none(),
                "{url}"
            );
        }
    }
}
