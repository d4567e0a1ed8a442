//! From an URL to a connected byte stream.

use crate::{Error, Options};
use net::Stream;
use rtmp::url::{Scheme, Url};
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::{TcpSocket, TcpStream};

/// Opens a tuned TCP connection, from `local` if given. All addresses of `host` are tried.
///
/// # Errors
/// `Connection` with what the last address said.
pub async fn connect(host: &str, port: u16, local: Option<IpAddr>) -> Result<TcpStream, Error> {
    let failed = |what: String, error: &io::Error| {
        Error::Connection(io::Error::new(error.kind(), format!("{what}: {error}")))
    };
    let addresses = tokio::net::lookup_host((host, port)).await;
    let addresses = addresses.map_err(|error| failed(format!("cannot find the host {host}"), &error))?;
    let mut last =
        Error::Connection(io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")));
    for address in addresses {
        match connect_to(address, local).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = failed(format!("cannot connect to {address}"), &error),
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

/// Opens what carries the chunk stream of `url`.
pub(crate) async fn dial(url: &Url, options: &Options) -> Result<Stream, Error> {
    if !matches!(url.scheme, Scheme::Rtmp | Scheme::Rtmpe | Scheme::Rtmpt | Scheme::Rtmpte) {
        return Err(Error::Url(format!("{url}: {}:// is not supported", url.scheme.as_str())));
    }
    Ok(Stream::Tcp(connect(&url.host, url.port, options.local).await?))
}
