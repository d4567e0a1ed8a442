//! From a host to a connected byte stream.

use crate::limits::ADDRESSES_MAX;
use crate::{Error, Options};
use net::Stream;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{timeout, timeout_at};

/// A stream that was just connected.
#[derive(Debug)]
pub struct Dialed {
    /// Ready for the first byte.
    pub stream: Stream,
    /// When the TCP connection stood, before any handshake of TLS.
    pub connected: Instant,
}

/// Connects to a host by the deadline, with TLS where `secure`. All addresses of the host are tried. Of the options those of
/// the connection count.
///
/// # Errors
/// `Connection` with what the last address said, or what is wrong with TLS.
pub async fn dial(
    host: &str,
    port: u16,
    secure: bool,
    options: &Options,
    deadline: Instant,
) -> Result<Dialed, Error> {
    let tcp = connect(host, port, options, deadline).await?;
    if let Some(bytes) = options.unsent_bytes_max {
        net::tcp::limit_unsent(&tcp, bytes)?;
    }
    let connected = Instant::now();
    let stream = match secure {
        true => {
            let within = deadline.saturating_duration_since(connected);
            options.tls.connector()?.connect(tcp, host, within).await.map_err(Error::Tls)?
        }
        false => Stream::Tcp(tcp),
    };
    Ok(Dialed { stream, connected })
}

async fn connect(host: &str, port: u16, options: &Options, deadline: Instant) -> Result<TcpStream, Error> {
    let failed = |what: String, error: &io::Error| {
        Error::Connection(io::Error::new(error.kind(), format!("{what}: {error}")))
    };
    let addresses = timeout_at(deadline.into(), tokio::net::lookup_host((host, port))).await;
    let addresses = addresses
        .map_err(|_| Error::Timeout("no address of the host"))?
        .map_err(|error| failed(format!("cannot find the host {host}"), &error))?;
    let mut last =
        Error::Connection(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")));
    let addresses: Vec<SocketAddr> = addresses.take(ADDRESSES_MAX).collect();
    let mut left = addresses.len() as u32;
    for address in addresses {
        // One that is silent leaves time for the others.
        let share = deadline.saturating_duration_since(Instant::now()) / left.max(1);
        left -= 1;
        if !options.reach.allows(address.ip()) {
            last = Error::Url(format!("{host} is in a network that is not to be reached from here"));
            continue;
        }
        match timeout(share, connect_to(address, options.local)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = failed(format!("cannot connect to {address}"), &error),
            Err(_) => last = failed(format!("cannot connect to {address}"), &io::ErrorKind::TimedOut.into()),
        }
    }
    Err(last)
}

async fn connect_to(address: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = local.filter(|local| local.is_ipv4() == address.is_ipv4()) {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    let stream = socket.connect(address).await?;
    net::tcp::tune(&stream)?;
    Ok(stream)
}
