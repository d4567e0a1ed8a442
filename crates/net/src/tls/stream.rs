//! A TLS connection on a TCP socket.

use crate::limits::{TLS_SEALED_BYTES_MAX, WRITE_BUFFERS_MAX};
use rustls::Connection;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TLS connection, of a client or of a server, whose handshake is done.
#[derive(Debug)]
pub struct TlsStream {
    tcp: TcpStream,
    connection: Connection,
    /// Bytes that were opened and not read.
    opened: usize,
    /// The peer sends no more: it said so, or its connection ended.
    ended: bool,
    /// We said that we send no more, or cannot.
    closed: bool,
}

impl TlsStream {
    pub(super) fn new(tcp: TcpStream, mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(TLS_SEALED_BYTES_MAX));
        Self { tcp, connection, opened: 0, ended: false, closed: false }
    }

    /// The socket below.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Drives the handshake to its end.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_flush(cx))?;
            if !self.connection.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if self.ended {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            ready!(self.poll_receive(cx))?;
        }
    }

    /// Waits until a read may bring bytes, the end or an error.
    pub(crate) fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.opened > 0 || self.ended { Poll::Ready(Ok(())) } else { self.tcp.poll_read_ready(cx) }
    }

    /// Waits for the first byte that a read would bring; `None` is the end.
    pub(crate) fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<u8>>> {
        if !ready!(self.poll_open(cx))? {
            return Poll::Ready(Ok(None));
        }
        let mut reader = self.connection.reader();
        Poll::Ready(Ok(reader.fill_buf()?.first().copied()))
    }

    /// Waits until opened bytes are there (true) or the end (false).
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.opened == 0 {
            if self.ended {
                return Poll::Ready(Ok(false));
            }
            ready!(self.poll_receive(cx))?;
        }
        Poll::Ready(Ok(true))
    }

    /// Reads once from the socket and opens what is complete. Must be called with nothing opened.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.connection.read_tls(&mut Incoming { tcp: &mut self.tcp, cx }) {
            // Without close_notify this may be a truncation (RFC 8446 section 6.1). It is the end all the same: live media
            // has no end that anybody could be deceived about, and half of the players end like this.
            Ok(0) => self.ended = true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }
        match self.connection.process_new_packets() {
            Ok(state) => {
                self.opened = state.plaintext_bytes_to_read();
                self.ended |= state.peer_has_closed();
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                // The alert says to the peer what was wrong, if it still listens.
                let _ = self.send();
                self.closed = true;
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)))
            }
        }
    }

    /// Waits until a write may be taken.
    pub(crate) fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        self.tcp.poll_write_ready(cx)
    }

    /// Seals bytes from the front of `slices` and sends them; returns how many were sealed. Fewer than all means that the
    /// socket is full; sealed bytes that it did not take stay inside, at most `TLS_SEALED_BYTES_MAX` and their overhead.
    pub(crate) fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send()?;
        if !self.is_flushed() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut sealed = self.connection.writer().write_vectored(slices)?;
        self.send()?;
        if sealed < bytes {
            let mut rest = [IoSlice::new(&[]); WRITE_BUFFERS_MAX];
            let count = slices.len().min(WRITE_BUFFERS_MAX);
            rest[..count].copy_from_slice(&slices[..count]);
            let mut rest = &mut rest[..count];
            IoSlice::advance_slices(&mut rest, sealed);
            while !rest.is_empty() && self.is_flushed() {
                let more = self.connection.writer().write_vectored(rest)?;
                sealed += more;
                IoSlice::advance_slices(&mut rest, more);
                self.send()?;
            }
        }
        Ok(sealed)
    }

    /// Sends what is sealed until the socket is full.
    fn send(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Outgoing(&self.tcp)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends everything that is sealed.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.send()?;
            if self.is_flushed() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.tcp.poll_write_ready(cx))?;
        }
    }

    /// Whether everything that was sealed has been sent.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.connection.wants_write()
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.connection.send_close_notify();
        }
    }
}

/// Tells the peer that this is the end, as far as the socket takes it at once: many players call an end without
/// close_notify an error.
impl Drop for TlsStream {
    fn drop(&mut self) {
        if !self.connection.is_handshaking() {
            self.close();
            let _ = self.send();
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if out.remaining() == 0 || !ready!(self.poll_open(cx))? {
            return Poll::Ready(Ok(()));
        }
        while self.opened > 0 && out.remaining() > 0 {
            let mut reader = self.connection.reader();
            let chunk = reader.fill_buf()?;
            let count = chunk.len().min(out.remaining());
            out.put_slice(&chunk[..count]);
            reader.consume(count);
            self.opened -= count;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            ready!(this.poll_write_ready(cx))?;
            match this.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        TlsStream::poll_flush(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.close();
        ready!(TlsStream::poll_flush(this, cx))?;
        Pin::new(&mut this.tcp).poll_shutdown(cx)
    }
}

/// The socket as rustls reads from it. When it is empty the waker of the task is registered.
struct Incoming<'a, 'b> {
    tcp: &'a mut TcpStream,
    cx: &'a mut Context<'b>,
}

impl Read for Incoming<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.tcp).poll_read(self.cx, &mut buffer) {
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// The socket as rustls writes to it.
struct Outgoing<'a>(&'a TcpStream);

impl Write for Outgoing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
