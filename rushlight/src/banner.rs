//! What a start prints: where to watch, where to push, and with which key.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use gateway::Config;

/// What is known when the listeners are open.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// The configuration.
    pub(crate) config: &'a Config,
    /// Protocols and open addresses.
    pub(crate) open: &'a [(&'static str, SocketAddr)],
    /// The address of this machine in its network, if it has one.
    pub(crate) network: Option<IpAddr>,
    /// The key to show; `None` where it would go into a log.
    pub(crate) key: Option<&'a str>,
    /// Where the key is kept, and whether it is new. `None` if the configuration has one.
    pub(crate) key_file: Option<(&'a str, bool)>,
    /// The same of the operator's token, which is never shown.
    pub(crate) token_file: Option<(&'a str, bool)>,
    /// The certificate of the ports with TLS, if there are any.
    pub(crate) certificate: Option<Certificate<'a>>,
}

/// What is shown to clients.
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    /// The file.
    pub(crate) path: &'a str,
    /// Whether nobody trusts it who was not told to.
    pub(crate) self_signed: bool,
    /// Whether it was made just now.
    pub(crate) created: bool,
}

/// The address by which others in the local network reach this machine: the one that it would send from. No packet is
/// sent; the peer is of a range that is reserved for documentation (RFC 5737).
pub(crate) fn network_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}

impl Start<'_> {
    /// The text, of several lines.
    pub(crate) fn text(&self) -> String {
        let mut out = format!("Rushlight {}\n", env!("CARGO_PKG_VERSION"));
        let page = self.page();
        if let Some(http) = self.address("http") {
            for (index, host) in self.hosts(http).iter().enumerate() {
                let label = if index == 0 { "watch" } else { "" };
                let _ = writeln!(out, "  {label:<9} http://{}/{page}", with_port(host, http.port(), 80));
            }
        }
        if let Some(rtmp) = self.address("rtmp") {
            self.push(&mut out, rtmp);
        }
        self.with_tls(&mut out, &page);
        let open = self.open.iter().map(|(protocol, address)| format!("{protocol} {address}"));
        let _ = writeln!(out, "  {:<9} {}", "open", open.collect::<Vec<_>>().join(", "));
        let files = [("key file", self.key_file), ("operator", self.token_file)];
        for (label, file) in files {
            if let Some((path, created)) = file {
                let made = if created { " (made just now)" } else { "" };
                let _ = writeln!(out, "  {label:<9} {path}{made}");
            }
        }
        let _ = writeln!(out, "  {:<9} Ctrl-C", "stop");
        out
    }

    fn push(&self, out: &mut String, rtmp: SocketAddr) {
        let hosts = self.hosts(rtmp);
        let free = self.config.access.publish_loopback_without_key;
        for (index, host) in hosts.iter().enumerate() {
            let label = if index == 0 { "publish" } else { "" };
            let server = format!("rtmp://{}/live", with_port(host, rtmp.port(), 1935));
            let key = match (is_this_machine(host) && free, self.key) {
                (true, _) => "cam".to_owned(),
                (false, Some(key)) => format!("cam?key={key}"),
                (false, None) => "cam?key=KEY".to_owned(),
            };
            let _ = writeln!(out, "  {label:<9} {server}  stream key {key}");
            if index == 0 {
                let _ = writeln!(
                    out,
                    "  {:<9} OBS: Settings, Stream, Service \"Custom\": server and stream key as above",
                    ""
                );
                let url = format!("{server}/{key}");
                let _ = writeln!(out, "  {:<9} ffmpeg -re -i FILE -c copy -f flv \"{url}\"", "");
            }
        }
    }

    fn with_tls(&self, out: &mut String, page: &str) {
        let Some(Certificate { path, self_signed, created }) = self.certificate else { return };
        let mut lines = Vec::new();
        for (protocol, default, path) in [("https", 443, page), ("rtmps", 443, "live")] {
            let Some(listener) = self.address(protocol) else { continue };
            for (index, host) in self.hosts(listener).iter().enumerate() {
                let url = format!("{protocol}://{}/{path}", with_port(host, listener.port(), default));
                match lines.get_mut(index) {
                    None => lines.push(url),
                    Some(line) => *line = format!("{line}  {url}"),
                }
            }
        }
        lines.push(match (self_signed, created) {
            (false, _) => format!("certificate {path}"),
            (true, false) => format!("certificate {path} (self-signed: clients must be told to trust it)"),
            (true, true) => {
                format!("certificate {path} (made just now; self-signed: clients must be told to trust it)")
            }
        });
        for (index, line) in lines.iter().enumerate() {
            let label = if index == 0 { "with TLS" } else { "" };
            let _ = writeln!(out, "  {label:<9} {line}");
        }
    }

    /// The page to look at first.
    fn page(&self) -> String {
        if !self.config.demo.enabled {
            return String::new();
        }
        format!("watch/{}", self.config.demo.channel.rsplit('/').next().unwrap_or_default())
    }

    fn address(&self, protocol: &str) -> Option<SocketAddr> {
        self.open.iter().find(|(name, _)| *name == protocol).map(|(_, address)| *address)
    }

    /// Names by which a listener is reached, this machine first.
    fn hosts(&self, listener: SocketAddr) -> Vec<String> {
        let ip = listener.ip();
        if ip.is_unspecified() {
            return [Some("localhost".to_owned()), self.network.map(host)].into_iter().flatten().collect();
        }
        if ip.is_loopback() { vec!["localhost".to_owned()] } else { vec![host(ip)] }
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn with_port(host: &str, port: u16, default: u16) -> String {
    if port == default { host.to_owned() } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(open: &[(&'static str, &str)], key: Option<&str>, demo: bool) -> String {
        let mut config = Config::default();
        config.demo.enabled = demo;
        let open: Vec<_> = open.iter().map(|(name, address)| (*name, address.parse().unwrap())).collect();
        let network = Some(IpAddr::from([192, 168, 1, 5]));
        let key_file = Some(("data/publish.key", true));
        let token_file = Some(("data/operator.token", false));
        let certificate =
            Some(Certificate { path: "data/tls/certificate.pem", self_signed: true, created: false })
                .filter(|_| open.iter().any(|(name, _)| name.ends_with('s')));
        Start { config: &config, open: &open, network, key, key_file, token_file, certificate }.text()
    }

    #[test]
    fn a_start_says_where_to_watch_and_how_to_push() {
        let text = text(&[("rtmp", "[::]:1935"), ("http", "[::]:8080")], Some("c0ffee"), true);
        for part in [
            "http://localhost:8080/watch/demo\n",
            "http://192.168.1.5:8080/watch/demo\n",
            "rtmp://localhost/live  stream key cam\n",
            "rtmp://192.168.1.5/live  stream key cam?key=c0ffee\n",
            "ffmpeg -re -i FILE -c copy -f flv \"rtmp://localhost/live/cam\"\n",
            "rtmp [::]:1935, http [::]:8080\n",
            "data/publish.key (made just now)\n",
            "  operator  data/operator.token\n",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
    }

    #[test]
    fn ports_with_tls_are_named_beside_their_certificate() {
        let text = text(&[("rtmps", "[::]:1936"), ("https", "[::]:443")], None, true);
        for part in [
            "  with TLS  https://localhost/watch/demo  rtmps://localhost:1936/live\n",
            "            https://192.168.1.5/watch/demo  rtmps://192.168.1.5:1936/live\n",
            "            certificate data/tls/certificate.pem (self-signed: ",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
    }

    #[test]
    fn a_hidden_key_stays_hidden_and_other_ports_are_named() {
        let text = text(&[("rtmp", "203.0.113.7:1936"), ("http", "127.0.0.1:80")], None, false);
        assert!(text.contains("rtmp://203.0.113.7:1936/live  stream key cam?key=KEY\n"), "{text}");
        assert!(text.contains("http://localhost/\n") && !text.contains("192.168"), "{text}");
    }
}
