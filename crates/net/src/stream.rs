//! A byte stream to a peer, whatever carries it.

use crate::Pipe;
use crate::tls::TlsStream;
use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connected byte stream.
///
/// An enum instead of a trait object: on the way to a thousand players the call of a write must stay one that the compiler
/// sees through.
///
/// A transport may keep bytes inside that it has accepted (ciphertext that the socket has not taken). Those are sent by
/// [`Stream::poll_flush`], and until then [`Stream::is_flushed`] is false.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// A bare TCP socket. It keeps nothing inside.
    Tcp(TcpStream),
    /// A stream inside this process, that something else than a socket carries on.
    Pipe(Pipe),
    /// TLS on a TCP socket. Boxed: its state is large, and plain streams are many.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Waits until a read may bring bytes, the end or an error. It may still find nothing.
    pub fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_read_ready(cx),
            Self::Pipe(pipe) => pipe.poll_read_ready(cx),
            Self::Tls(tls) => tls.poll_read_ready(cx),
        }
    }

    /// Reads once into the spare capacity of `buffer`, which must not be zero; 0 is the end of the stream.
    pub fn poll_read_buf(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        match self {
            // Not `try_read_buf`: a read that brings less than asked for then needs no second one to learn that the socket
            // is empty.
            Self::Tcp(tcp) => pin!(tcp.read_buf(buffer)).poll(cx),
            Self::Pipe(pipe) => pipe.poll_read_buf(cx, buffer),
            Self::Tls(tls) => pin!(tls.read_buf(buffer)).poll(cx),
        }
    }

    /// Waits for the first byte that a read will bring, and leaves it there; `None` is the end of the stream.
    pub fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<u8>>> {
        match self {
            Self::Tcp(tcp) => {
                let mut byte = [0];
                let count = ready!(tcp.poll_peek(cx, &mut ReadBuf::new(&mut byte)))?;
                Poll::Ready(Ok((count > 0).then_some(byte[0])))
            }
            Self::Pipe(pipe) => pipe.poll_peek(cx),
            Self::Tls(tls) => tls.poll_peek(cx),
        }
    }

    /// Waits until a write may be taken.
    pub fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_write_ready(cx),
            Self::Pipe(pipe) => pipe.poll_write_ready(cx),
            Self::Tls(tls) => tls.poll_write_ready(cx),
        }
    }

    /// Accepts bytes from the front of `slices` and returns how many; `WouldBlock` when it takes none now.
    pub fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.try_write_vectored(slices),
            Self::Pipe(pipe) => pipe.try_write_vectored(slices),
            Self::Tls(tls) => tls.try_write_vectored(slices),
        }
    }

    /// Takes whole buffers from the front of `buffers` and returns how many, without copying their bytes. 0 where the
    /// transport takes none so: [`Stream::try_write_vectored`] tells why.
    pub fn try_give(&mut self, buffers: &[Bytes]) -> usize {
        match self {
            Self::Pipe(pipe) => pipe.try_give(buffers).unwrap_or(0),
            Self::Tcp(_) | Self::Tls(_) => 0,
        }
    }

    /// Sends what was accepted and is still inside.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) | Self::Pipe(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => tls.poll_flush(cx),
        }
    }

    /// Whether nothing that was accepted is still inside.
    pub fn is_flushed(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Pipe(_) => true,
            Self::Tls(tls) => tls.is_flushed(),
        }
    }

    /// Acknowledges what has arrived at once; see [`crate::tcp::acknowledge_now`].
    pub fn acknowledge_now(&self) {
        if let Some(tcp) = self.tcp() {
            crate::tcp::acknowledge_now(tcp);
        }
    }

    /// The socket, if this stream has one of its own.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            Self::Pipe(_) => None,
            Self::Tls(tls) => Some(tls.tcp()),
        }
    }

    /// Whether the bytes are sealed by TLS on their way.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Self::Tcp(tcp)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, out),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, out),
            Self::Pipe(pipe) => {
                let mut buffer = BytesMut::with_capacity(out.remaining());
                ready!(pipe.poll_read_buf(cx, &mut buffer))?;
                out.put_slice(&buffer);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, bytes),
            Self::Pipe(pipe) => pipe.poll_write_vectored(cx, &[IoSlice::new(bytes)]),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write_vectored(cx, slices),
            Self::Pipe(pipe) => pipe.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Stream::poll_flush(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
            Self::Pipe(pipe) => {
                pipe.finish();
                Poll::Ready(Ok(()))
            }
        }
    }
}
