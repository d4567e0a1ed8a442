//! Opening TCP connections.

use crate::Error;
use std::net::{IpAddr, SocketAddr};
use tokio::net::{TcpSocket, TcpStream};

/// Opens a tuned TCP connection, from `local` if given. All addresses of `host` are tried.
///
/// # Errors
/// `Connection` with what the last address said.
pub async fn connect(host: &str, port: u16, local: Option<IpAddr>) -> Result<TcpStream, Error> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, format!("{host} has no address"));
    for address in tokio::net::lookup_host((host, port)).await? {
        match connect_to(address, local).await {
            Ok(stream) => {
                net::tcp::tune(&stream)?;
                return Ok(stream);
            }
            Err(error) => last = std::io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(Error::Connection(last))
}

async fn connect_to(address: SocketAddr, local: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = local.filter(|local| local.is_ipv4() == address.is_ipv4()) {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    socket.connect(address).await
}
