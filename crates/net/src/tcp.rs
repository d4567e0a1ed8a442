//! TCP listeners and sockets, tuned for live media.

use crate::limits;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tokio::net::TcpStream;

/// Opens `count` listeners on one address, one per shard. Port 0 picks a free port and uses it for all.
///
/// A busy port is `AddrInUse`, also when the holder set SO_REUSEPORT itself: a probe without that option comes first, so
/// that two servers never share a port by accident. An IPv6 wildcard address also takes IPv4 connections.
pub fn listen(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let probe = socket(address)?;
    probe.bind(&address.into())?;
    let bound = probe.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    drop(probe);
    (0..count.max(1))
        .map(|_| {
            let socket = socket(bound)?;
            socket.set_reuse_port(true)?;
            socket.bind(&bound.into())?;
            socket.listen(limits::LISTEN_BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Prepares an accepted or connected socket.
///
/// - No Nagle: the play reply, the headers and the keyframe go in one write, and must leave at once. Nagle against a
///   delayed ACK costs 40 ms of startup.
/// - Keepalive and a limit on unacknowledged data, so that a peer that vanished is noticed within a minute.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5)),
    )?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_millis(limits::UNACKNOWLEDGED_MS_MAX.into())))?;
    Ok(())
}

/// Lets the system hold at most this many bytes that are not on their way yet (TCP_NOTSENT_LOWAT). What the socket does
/// not take then waits where it is seen to wait; otherwise a slow peer has megabytes in front of it before anybody notices.
pub fn limit_unsent(stream: &TcpStream, bytes: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    SockRef::from(stream).set_tcp_notsent_lowat(bytes)?;
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, bytes);
    Ok(())
}

/// Acknowledges what has arrived at once instead of up to 40 ms later (TCP_QUICKACK). To be called after each read of a
/// negotiation: a client with Nagle's algorithm on, as most are, holds its next command back until the last one is
/// acknowledged. A failure costs only time, so there is none to report.
pub fn acknowledge_now(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(stream).set_tcp_quickack(true);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_a_port_but_two_servers_do_not() {
        let first = listen("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = first[0].local_addr().unwrap();
        assert_eq!(first[1].local_addr().unwrap(), address);
        assert_eq!(listen(address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
