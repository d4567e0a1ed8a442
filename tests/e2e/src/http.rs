//! A small HTTP/1.1 client: enough to look at every header and to read a response that never ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A response head, and the body still to be read.
#[derive(Debug)]
pub struct Response {
    /// Such as 200.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The rest.
    pub body: Body,
}

impl Response {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The whole body as text.
    ///
    /// # Errors
    /// If the connection fails first.
    pub fn text(mut self) -> io::Result<String> {
        let mut text = String::new();
        self.body.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// A response body without its framing.
#[derive(Debug)]
pub struct Body {
    input: BufReader<TcpStream>,
    framing: Framing,
}

#[derive(Debug)]
enum Framing {
    Length(u64),
    Chunked { left: u64 },
    UntilClose,
}

impl Body {
    /// The connection below, for protocols that take over after the head (WebSocket).
    pub fn into_inner(self) -> BufReader<TcpStream> {
        self.input
    }
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.framing {
            Framing::UntilClose => self.input.read(out),
            Framing::Length(left) => {
                let n = (&mut self.input).take(*left).read(out)?;
                *left -= n as u64;
                Ok(n)
            }
            Framing::Chunked { left } => {
                if *left == 0 {
                    let mut line = String::new();
                    self.input.read_line(&mut line)?;
                    if line.trim().is_empty() {
                        line.clear();
                        self.input.read_line(&mut line)?;
                    }
                    let size = line.trim().split(';').next().unwrap_or_default();
                    *left = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::UnexpectedEof)?;
                    if *left == 0 {
                        self.framing = Framing::Length(0);
                        return Ok(0);
                    }
                }
                let n = (&mut self.input).take(*left).read(out)?;
                *left -= n as u64;
                Ok(n)
            }
        }
    }
}

/// Connects, with time limits on every read and write so that no test can hang.
///
/// # Errors
/// If nothing listens.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a request on a connection of its own and reads the response head.
///
/// # Errors
/// If the connection fails or the head is no HTTP.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    let mut stream = connect(address)?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(body)?;
    read_head(stream, method == "HEAD")
}

/// Sends `GET path` and reads the response head.
///
/// # Errors
/// As [`request`].
pub fn get(address: SocketAddr, path: &str) -> io::Result<Response> {
    request(address, "GET", path, &[("Connection", "close")], b"")
}

/// Reads a response head from a connection on which a request was sent.
///
/// # Errors
/// As [`request`].
pub fn read_head(stream: TcpStream, no_body: bool) -> io::Result<Response> {
    let mut input = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let wrong = || io::Error::other(format!("not a response head: {lines:?}"));
    let status = lines
        .first()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|s| s.parse().ok())
        .ok_or_else(wrong)?;
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let find = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let framing = if no_body || status == 204 || status == 304 {
        Framing::Length(0)
    } else if find("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        Framing::Chunked { left: 0 }
    } else if let Some(length) = find("content-length").and_then(|value| value.parse().ok()) {
        Framing::Length(length)
    } else {
        Framing::UntilClose
    };
    Ok(Response { status, headers, body: Body { input, framing } })
}
