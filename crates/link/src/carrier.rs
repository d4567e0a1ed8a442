//! What carries the bytes of a session: a stream, or HTTP requests on one.

use crate::dial::{Dialed, dial};
use crate::limits::REDIALS_MAX;
use crate::{Error, Options};
use bytes::{Buf, Bytes, BytesMut};
use net::Stream;
use rtmp::tunnel::Client;
use rtmp::url::{Scheme, Url};
use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::AsyncWrite;

/// Bytes asked for in one read. A keyframe of a 2 Mbit/s stream fits.
const READ_BYTES: usize = 64 << 10;

/// A connected carrier and the bytes that wait for it.
#[derive(Debug)]
pub(crate) struct Carrier {
    stream: Stream,
    /// When the first TCP connection stood.
    pub(crate) connected: Instant,
    /// What the stream has not taken yet.
    output: BytesMut,
    tunnel: Option<Box<Tunnel>>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

#[derive(Debug)]
struct Tunnel {
    client: Client,
    /// The beginning of a response.
    http: BytesMut,
    /// The session outlives its connections; where to make another.
    url: Url,
    options: Options,
    /// The connection has ended.
    cut: bool,
    /// Connections made in a row that brought nothing.
    redials: u32,
    redialing: Redialing,
}

/// The next connection of a tunnel, while it is made.
struct Redialing(Option<Dialing>);

type Dialing = Pin<Box<dyn Future<Output = Result<Stream, Error>> + Send + Sync>>;

impl fmt::Debug for Redialing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "under way" } else { "no" })
    }
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Bytes of the carrier; maybe none of the session.
    Some,
    /// The peer sends no more.
    End,
}

impl Carrier {
    /// Connects as the URL says.
    pub(crate) async fn open(url: &Url, options: &Options, deadline: Instant) -> Result<Self, Error> {
        let Dialed { stream, connected } = dial_url(url, options, deadline).await?;
        let tunnel = url.scheme.is_tunnel().then(|| {
            Box::new(Tunnel {
                client: Client::new(&url.http_authority(), Instant::now()),
                http: BytesMut::new(),
                url: url.clone(),
                options: options.clone(),
                cut: false,
                redials: 0,
                redialing: Redialing(None),
            })
        });
        Ok(Self { stream, connected, output: BytesMut::new(), tunnel, bytes_in: 0, bytes_out: 0 })
    }

    /// Address of the peer.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.stream.tcp()?.peer_addr().ok()
    }

    /// Queues bytes of the session. They count as queued until they have left.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        match &mut self.tunnel {
            Some(tunnel) => tunnel.client.send(bytes),
            None => self.output.extend_from_slice(&bytes),
        }
    }

    /// Queues the end of the session, where the carrier has one of its own.
    pub(crate) fn close(&mut self) {
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.client.close();
        }
    }

    /// Whether [`Carrier::close`] asks the peer something that it answers.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.tunnel.is_some()
    }

    /// Bytes that have not left yet.
    pub(crate) fn queued(&self) -> usize {
        self.output.len() + self.tunnel.as_ref().map_or(0, |tunnel| tunnel.client.queued())
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.tunnel.as_ref()?.client.poll_timeout()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        match &mut self.tunnel {
            Some(tunnel) => tunnel.client.handle_timeout(now).map_err(crate::connection::overdue),
            None => Ok(()),
        }
    }

    /// Connects again, if the connection of a tunnel has ended. Nothing is lost when the future is dropped.
    pub(crate) async fn repair(&mut self) -> Result<(), Error> {
        let Some(tunnel) = &mut self.tunnel else { return Ok(()) };
        if !tunnel.cut && !tunnel.client.needs_connection() {
            return Ok(());
        }
        let Tunnel { url, options, redials, redialing, .. } = &mut **tunnel;
        let dialing = match &mut redialing.0 {
            Some(dialing) => dialing,
            None if *redials >= REDIALS_MAX => {
                return Err(Error::Closed("again and again without an answer"));
            }
            none => {
                *redials += 1;
                let (url, options) = (url.clone(), options.clone());
                none.insert(Box::pin(async move {
                    let deadline = Instant::now() + options.timeout;
                    Ok(dial_url(&url, &options, deadline).await?.stream)
                }))
            }
        };
        let dialed = dialing.as_mut().await;
        redialing.0 = None;
        self.stream = dialed?;
        tunnel.client.reconnected(Instant::now())?;
        tunnel.cut = false;
        tunnel.http.clear();
        self.output.clear();
        Ok(())
    }

    /// Reads once, and appends what there is of the session to `plain`.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        plain: &mut BytesMut,
    ) -> Poll<Result<Read, Error>> {
        let Some(tunnel) = &mut self.tunnel else {
            plain.reserve(READ_BYTES);
            let count = ready!(self.stream.poll_read_buf(cx, plain))?;
            self.bytes_in += count as u64;
            return Poll::Ready(Ok(if count == 0 { Read::End } else { Read::Some }));
        };
        if tunnel.client.is_closed() {
            return Poll::Ready(Ok(Read::End));
        }
        tunnel.http.reserve(READ_BYTES);
        match ready!(self.stream.poll_read_buf(cx, &mut tunnel.http)) {
            Ok(0) | Err(_) => tunnel.cut = true,
            Ok(count) => {
                self.bytes_in += count as u64;
                tunnel.redials = 0;
                tunnel.client.handle_input(Instant::now(), &mut tunnel.http, plain)?;
            }
        }
        Poll::Ready(Ok(Read::Some))
    }

    /// Writes what the stream takes now.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        self.collect_requests();
        while !self.output.is_empty() {
            match self.stream.try_write_vectored(&[IoSlice::new(&self.output)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.output.advance(count);
                    self.bytes_out += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The reader will learn of it, behind all that the peer sent before.
                Err(_) if self.tunnel.is_some() => self.output.clear(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes until everything has left the stream.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.collect_requests();
        while !self.output.is_empty() {
            ready!(self.stream.poll_write_ready(cx))?;
            self.write()?;
        }
        self.stream.poll_flush(cx)
    }

    /// Says that no more bytes come.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn collect_requests(&mut self) {
        if let Some(tunnel) = &mut self.tunnel {
            while let Some(bytes) = tunnel.client.poll_output() {
                self.output.extend_from_slice(&bytes);
            }
        }
    }
}

async fn dial_url(url: &Url, options: &Options, deadline: Instant) -> Result<Dialed, Error> {
    if url.scheme == Scheme::Rtmfp {
        return Err(Error::Url(format!("{url}: rtmfp:// is not supported")));
    }
    dial(&url.host, url.port, url.scheme.is_tls(), options, deadline).await
}
