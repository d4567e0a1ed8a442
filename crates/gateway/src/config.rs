//! The configuration of a node: one typed tree, its defaults, its documentation and its checks.
//!
//! Every section is declared once by `section!`: the doc comment of a field is also the comment that
//! `rushlight config` prints, so the two cannot drift apart. Durations are whole milliseconds (`*_ms`), sizes are
//! bytes (`*_bytes*`). Where values come from (file, environment, flags) is the business of the program; this module
//! knows no file format.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::Secret;
use crate::pattern::Pattern;
use crate::policy::{ChannelRule, Policy};
use media::StreamName;
use serde::{Deserialize, Serialize};

/// One documented key of a section: its name and the lines of its description.
pub type KeyDoc = (&'static str, &'static [&'static str]);

/// Declares a section: the struct, its defaults, and the description of each key as data.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr, )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $name {
            /// What the section is about.
            pub const ABOUT: &'static [&'static str] = &[$($about),+];
            /// Its keys in order, with their descriptions.
            pub const KEYS: &'static [KeyDoc] = &[$( (stringify!($field), &[$($doc),+]) ),+];
        }
    };
}

mod record;
mod redirect;
mod relay;
mod slate;
mod timeshift;
mod transcode;
mod watermark;

pub use record::{RecordConfig, RecordFormat, RecordPolicy, RecordRule};
pub use redirect::RtmpRedirect;
pub(crate) use relay::target_name;
pub use relay::{PullMode, RelayConfig, RelayPull, RelayPush, RelayUrl};
pub use slate::SlateConfig;
pub use timeshift::TimeshiftConfig;
pub use transcode::{
    BackendName, CodecName, Ladder, PresetName, TranscodeConfig, TranscodeRule, TranscodeTemplate,
};
pub use watermark::{ClockName, ColorName, PlaceName, Watermark, Watermarks};

section! {
    /// Everything a node can be told. An empty file is a working configuration.
    Config {
        /// Where keys and state are kept. Created on first start, readable by this user only.
        data_dir: PathBuf = PathBuf::from("data"),
        /// RTMP: publishing from OBS, ffmpeg and phones, and playing.
        rtmp: RtmpConfig = RtmpConfig::default(),
        /// RTMP over TLS. What is set for RTMP holds here too.
        rtmps: RtmpsConfig = RtmpsConfig::default(),
        /// HTTP: pages, playing over HTTP-FLV and WebSocket, API, metrics.
        http: HttpConfig = HttpConfig::default(),
        /// HTTP over TLS. What is set for HTTP holds here too.
        https: HttpsConfig = HttpsConfig::default(),
        /// The certificate of the ports with TLS.
        tls: TlsConfig = TlsConfig::default(),
        /// HLS: playing in segments, which every phone can.
        hls: HlsConfig = HlsConfig::default(),
        /// How streams are kept and handed to players.
        hub: HubConfig = HubConfig::default(),
        /// Who may publish and play.
        access: AccessConfig = AccessConfig::default(),
        /// Other servers: sending streams to them and fetching streams from them.
        relay: RelayConfig = RelayConfig::default(),
        /// Recording live streams to files.
        record: RecordConfig = RecordConfig::default(),
        /// Rewinding live streams.
        timeshift: TimeshiftConfig = TimeshiftConfig::default(),
        /// Rungs: smaller versions of live streams, made while somebody watches them.
        transcode: TranscodeConfig = TranscodeConfig::default(),
        /// A picture for viewers while the publisher of their stream is away.
        slate: SlateConfig = SlateConfig::default(),
        /// Ceilings that protect the machine.
        limits: LimitsConfig = LimitsConfig::default(),
        /// Threads.
        runtime: RuntimeConfig = RuntimeConfig::default(),
        /// What is logged, and how.
        log: LogConfig = LogConfig::default(),
        /// A bundled clip that runs as a channel, to see a player at work at once.
        demo: DemoConfig = DemoConfig::default(),
    }
}

section! {
    /// RTMP: publishing from OBS, ffmpeg and phones, and playing.
    RtmpConfig {
        /// Addresses to listen on. `[::]` takes IPv6 and IPv4. An empty list switches RTMP off.
        listen: Vec<SocketAddr> = vec![any(1935)],
        /// Size of the chunks that are sent, in bytes. Large chunks cost less; every player reads them.
        chunk_size: u32 = 65_536,
        /// A connection that has not finished handshake and connect by then is closed.
        handshake_timeout_ms: u64 = 10_000,
        /// A publisher that sends nothing for so long is gone.
        idle_timeout_ms: u64 = 30_000,
        /// A player that takes nothing for so long is gone, and so is one that takes less than 16 KiB while more waits for it.
        write_timeout_ms: u64 = 30_000,
        /// A player that pauses for so long is gone.
        pause_max_ms: u64 = 600_000,
        /// Shared objects of Flash programs, kept in memory while they are used: `"off"`, `"publishers"` lets those change them
        /// who may publish, `"players"` all who may play. Whoever may do neither does not see them.
        shared_objects: SharedObjectWriters = SharedObjectWriters::Off,
        /// The SWF files that may play over RTMP.
        swf: Vec<SwfFile> = Vec::new(),
        /// Applications that have moved.
        redirect: Vec<RtmpRedirect> = Vec::new(),
    }
}

section! {
    /// A SWF file that may play over RTMP. With one or more of them, programs that do not know any may not play; HTTP,
    /// WebSocket and publishing are not restricted. It keeps other people's players out, and not who has the file.
    SwfFile {
        /// The hash of the file, as 64 hexadecimal digits. `rtmpdump --swfVfy URL` prints it.
        hash: Secret = Secret::default(),
        /// The bytes of the file without compression. `rtmpdump` prints them too.
        size: u32 = 0,
    }
}

section! {
    /// HTTP: pages, playing over HTTP-FLV and WebSocket, API, metrics.
    HttpConfig {
        /// Addresses to listen on. `[::]` takes IPv6 and IPv4. An empty list switches HTTP off.
        listen: Vec<SocketAddr> = vec![any(8080)],
        /// Origins of web pages that may play and read the API from another site: `"*"` for all, or
        /// `"https://example.org"` entries. An empty list allows this server's own pages only.
        allow_origins: Vec<String> = vec!["*".to_owned()],
        /// A request whose head has not arrived by then is closed, and so is one that takes longer to answer
        /// (media excepted).
        request_timeout_ms: u64 = 10_000,
        /// A player that takes nothing for so long is gone, and so is one that takes less than 16 KiB while more waits for it.
        write_timeout_ms: u64 = 30_000,
    }
}

section! {
    /// RTMP over TLS. What is set for RTMP holds here too.
    RtmpsConfig {
        /// Addresses to listen on. `[::]` takes IPv6 and IPv4. An empty list switches RTMPS off.
        listen: Vec<SocketAddr> = vec![any(1936)],
    }
}

section! {
    /// HTTP over TLS. What is set for HTTP holds here too.
    HttpsConfig {
        /// Addresses to listen on. `[::]` takes IPv6 and IPv4. An empty list switches HTTPS off.
        listen: Vec<SocketAddr> = vec![any(8443)],
    }
}

section! {
    /// The certificate of the ports with TLS.
    TlsConfig {
        /// A PEM file: the certificate of this server, then those that lead to its issuer. It is read again when it
        /// changes. Unset, a self-signed one is made in `<data_dir>/tls`.
        certificate: Option<PathBuf> = None,
        /// The PEM file with the private key of `certificate`.
        key: Option<PathBuf> = None,
        /// More names and addresses for the self-signed certificate, beside those of this machine:
        /// `["live.example.org", "192.0.2.1"]`.
        names: Vec<String> = Vec::new(),
        /// Names that lead to this server, for which a certificate is obtained, and renewed, from an authority that speaks
        /// ACME. It must reach `https.listen` as port 443 of each. Setting this agrees to the terms of the authority.
        acme_domains: Vec<String> = Vec::new(),
        /// Where the authority sends warnings: an e-mail address.
        acme_contact: Option<String> = None,
        /// The directory of the authority. The default is Let's Encrypt.
        acme_directory: String = "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
        /// A PEM file with the certificate of the authority's own server, if this system does not trust it.
        acme_ca: Option<PathBuf> = None,
        /// A connection that has not finished the TLS handshake by then is closed.
        handshake_timeout_ms: u64 = 10_000,
    }
}

section! {
    /// HLS: playing in segments, which every phone can. Segments are made while somebody watches, and kept in memory.
    HlsConfig {
        /// How long segments are at least. They begin at keyframes, so a longer GOP makes longer segments. Players without
        /// low latency stay three segments behind; with it, segments of two seconds are as good as longer ones.
        segment_ms: u64 = 2_000,
        /// How long the parts of a segment are that players with low latency fetch: they stay three of them behind. What suits
        /// the durations of frames best is chosen near it.
        part_ms: u64 = 334,
        /// How much a playlist lists, and how far back players can seek. As much again is kept for those on the way.
        window_ms: u64 = 10_000,
        /// Most memory for the segments of one track, in bytes. Older segments leave first.
        bytes_max: usize = 64 << 20,
        /// How long segments go on being made when nobody asks for any.
        idle_ms: u64 = 30_000,
        /// Streams that are packaged before anybody asks, so that the first viewer can go back as far as others: names such as
        /// `"live/me"`, or patterns: `"live/*"`, `"live/show-*"`, `"*/*"`.
        always: Vec<String> = Vec::new(),
        /// `"aes-128"` encrypts segments and parts, so that caches between have nothing that plays without the keys. Keys are given
        /// to who may play. There is no DASH then; other protocols are as they are.
        encrypt: HlsEncryption = HlsEncryption::None,
        /// How many segments a key is for.
        key_segments: u64 = 10,
    }
}

section! {
    /// How streams are kept and handed to players.
    HubConfig {
        /// How long players are held when a publisher is lost; one that returns in time continues the stream.
        grace_ms: u64 = 15_000,
        /// How long a player waits for a stream that does not exist yet.
        wait_ms: u64 = 15_000,
        /// What happens to a second publisher of a stream: `"reject"` refuses it, `"take-over"` ends the first,
        /// `"stand-by"` keeps it ready to take over when the first is lost.
        second_publisher: SecondPublisher = SecondPublisher::Reject,
        /// Packets are handed on in batches of so much time. 0 hands on each packet at once (lowest latency).
        batch_ms: u64 = 0,
        /// How much of a stream stays in memory for joining at an older position. The newest GOP always stays.
        retain_ms: u64 = 10_000,
        /// A player that falls so far behind skips to the newest keyframe.
        lag_max_ms: u64 = 8_000,
        /// Most memory of one stream, in bytes. Older GOPs leave first.
        log_bytes_max: usize = 32 << 20,
        /// A joining player gets the keyframe and this much media at once...
        burst_ms: u64 = 500,
        /// ...and what is still missing at this multiple of the media rate, so that a burst into its network does
        /// not stall its start. 0 sends all at once.
        pace: f64 = 2.0,
    }
}

section! {
    /// Who may publish and play. Keys travel as `?key=...` behind the stream name.
    AccessConfig {
        /// Programs on this machine publish without a key, over RTMP and RTMPS. Nobody does over HTTP (RTMPT). Switch it off
        /// where a program on this machine passes connections of others on to RTMP, such as a proxy that ends TLS: all of them
        /// come from this machine.
        publish_loopback_without_key: bool = true,
        /// The key that publishes to every channel without a key of its own. Unset, it is the one in
        /// `<data_dir>/publish.key`, which the first start writes.
        publish_key: Option<Secret> = None,
        /// The key that plays every channel without a key of its own. Unset, those channels are public.
        play_key: Option<Secret> = None,
        /// With it, playing takes a signature that ends at a time, or a key: `rushlight sign URL --for 2h` makes such addresses, and
        /// so can other programs that have this secret. Unset, there are none.
        sign_secret: Option<Secret> = None,
        /// What the operator gives to see sessions and to steer relays over the API: `Authorization: Bearer ...`. Unset, it is the
        /// one in `<data_dir>/operator.token`, which the first start writes.
        operator_token: Option<Secret> = None,
        /// Channels with keys of their own.
        channel: Vec<ChannelAccess> = Vec::new(),
    }
}

section! {
    /// A channel with keys of its own.
    ChannelAccess {
        /// The channel: `"live/name"`.
        name: String = String::new(),
        /// Publishing to this channel needs this key instead of the general one.
        publish_key: Option<Secret> = None,
        /// Playing this channel needs this key instead of the general one, also where others are public.
        play_key: Option<Secret> = None,
    }
}

section! {
    /// Ceilings that protect the machine.
    LimitsConfig {
        /// Most connections at once, all protocols together. Further ones are closed at accept.
        connections_max: usize = 100_000,
        /// Most connections at once from one address, a /64 of IPv6 counting as one. 0 is no ceiling.
        connections_per_address_max: usize = 0,
        /// Most streams at once, live or awaited. Streams that players wait for take half of them at most.
        streams_max: usize = 10_000,
        /// Most players of one stream.
        readers_per_stream_max: usize = 100_000,
    }
}

section! {
    /// Threads.
    RuntimeConfig {
        /// Threads that carry media. 0 is one per processor core.
        threads: usize = 0,
        /// How many segments a new connection may send before the first acknowledgement, so that a keyframe needs one round
        /// trip less. Linux, with CAP_BPF and CAP_NET_ADMIN; without them, or with 0, the kernel's own value (10) holds.
        initial_window_segments: u32 = 32,
    }
}

section! {
    /// What is logged, and how. Logs go to standard error.
    LogConfig {
        /// `"error"`, `"warn"`, `"info"`, `"debug"`, `"trace"`, or per part: `"info,gateway=debug"`.
        level: String = "info".to_owned(),
        /// `"text"` for people, `"json"` for collectors.
        format: LogFormat = LogFormat::Text,
    }
}

section! {
    /// A bundled clip that runs as a channel, to see a player at work at once.
    DemoConfig {
        /// Whether it runs.
        enabled: bool = false,
        /// The channel it is published to.
        channel: String = "live/demo".to_owned(),
    }
}

/// What happens to a second publisher of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecondPublisher {
    /// It is refused.
    #[default]
    Reject,
    /// It replaces the first.
    TakeOver,
    /// It waits until the first is lost.
    StandBy,
}

/// Who may change shared objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SharedObjectWriters {
    /// There are none. What viewers can write to each other is a way to annoy each other, so it is switched on by those who
    /// have a program that needs it.
    #[default]
    Off,
    /// Those who may publish.
    Publishers,
    /// Those who may play.
    Players,
}

/// How segments of HLS are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HlsEncryption {
    /// They are not.
    #[default]
    None,
    /// AES-128, each segment and part as a whole.
    #[serde(rename = "aes-128")]
    Aes128,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One readable line per event, in colour on a terminal.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
}

/// A value that has the right type but makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The key, dotted: `hub.pace`; entries of lists are numbered from 0: `access.channel.0.name`.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl std::error::Error for Invalid {}

/// A section as documentation: its name, what it is about, its keys.
#[derive(Debug, Clone, Copy)]
pub struct SectionDoc {
    /// The name in the file; empty for the top level.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static [&'static str],
    /// Its keys in order.
    pub keys: &'static [KeyDoc],
    /// Whether it stands in a file any number of times, as `[[name]]`.
    pub list: bool,
}

/// Shorter keys can be guessed over the network.
const KEY_BYTES_MIN: usize = 8;
/// Keys travel in URLs and RTMP stream names, which have ceilings of their own.
const KEY_BYTES_MAX: usize = 256;
/// The least chunk size of RTMP is 1; below this the headers cost more than the media.
const CHUNK_SIZE_MIN: u32 = 128;
/// RTMP section 5.4.1 allows 0xFFFFFF at most (no message is larger).
const CHUNK_SIZE_MAX: u32 = 0xFF_FFFF;
/// No deadline of a day or more has ever helped anybody; it is a unit mistaken.
const DURATION_MS_MAX: u64 = 24 * 3600 * 1000;

impl Config {
    /// All sections, in the order in which a file shows them.
    pub fn sections() -> Vec<SectionDoc> {
        macro_rules! doc {
            ($name:literal, list of $section:ty) => {
                SectionDoc { list: true, ..doc!($name, $section) }
            };
            ($name:literal, $section:ty) => {
                SectionDoc { name: $name, about: <$section>::ABOUT, keys: <$section>::KEYS, list: false }
            };
        }
        vec![
            doc!("", Config),
            doc!("rtmp", RtmpConfig),
            doc!("rtmp.swf", list of SwfFile),
            doc!("rtmp.redirect", list of RtmpRedirect),
            doc!("rtmps", RtmpsConfig),
            doc!("http", HttpConfig),
            doc!("https", HttpsConfig),
            doc!("tls", TlsConfig),
            doc!("hls", HlsConfig),
            doc!("hub", HubConfig),
            doc!("access", AccessConfig),
            doc!("access.channel", list of ChannelAccess),
            doc!("relay", RelayConfig),
            doc!("relay.push", list of RelayPush),
            doc!("relay.pull", list of RelayPull),
            doc!("record", RecordConfig),
            doc!("record.rule", list of RecordRule),
            doc!("timeshift", TimeshiftConfig),
            doc!("transcode", TranscodeConfig),
            doc!("transcode.rule", list of TranscodeRule),
            doc!("transcode.template", list of TranscodeTemplate),
            doc!("slate", SlateConfig),
            doc!("limits", LimitsConfig),
            doc!("runtime", RuntimeConfig),
            doc!("log", LogConfig),
            doc!("demo", DemoConfig),
        ]
    }

    /// Checks what types cannot say. All problems are reported, not only the first.
    pub fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut problems = Vec::new();
        let mut wrong = |key: &str, message: String| {
            problems.push(Invalid { key: key.to_owned(), message });
        };

        if self.data_dir.as_os_str().is_empty() {
            wrong("data_dir", "is empty: name a folder".to_owned());
        }
        let doors = [
            ("rtmp.listen", &self.rtmp.listen),
            ("rtmps.listen", &self.rtmps.listen),
            ("http.listen", &self.http.listen),
            ("https.listen", &self.https.listen),
        ];
        if doors.iter().all(|(_, listen)| listen.is_empty()) {
            wrong("rtmp.listen", "is empty, and so are the other lists: nothing would listen".to_owned());
        }
        for (i, (key, listen)) in doors.iter().enumerate() {
            let taken = doors[..i].iter().find_map(|(other, others)| {
                let address =
                    listen.iter().find(|address| address.port() != 0 && others.contains(address))?;
                Some(format!("{address} is also in {other}: each protocol needs a port of its own"))
            });
            if let Some(message) = taken {
                wrong(key, message);
            }
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            let (set, unset) =
                if self.tls.key.is_some() { ("key", "certificate") } else { ("certificate", "key") };
            wrong(&format!("tls.{unset}"), format!("is not set, but tls.{set} is: the two belong together"));
        }
        if !self.tls.acme_domains.is_empty() {
            if self.tls.certificate.is_some() {
                wrong(
                    "tls.acme_domains",
                    "is set, and so is tls.certificate: there can be one of them".to_owned(),
                );
            }
            if self.https.listen.is_empty() {
                wrong("tls.acme_domains", "needs https.listen: the authority looks there".to_owned());
            }
            if !self.tls.acme_directory.starts_with("https://") {
                wrong("tls.acme_directory", "is no https URL".to_owned());
            }
        }
        for (i, name) in self.tls.acme_domains.iter().enumerate() {
            if !net::tls::is_dns_name(name) {
                wrong(&format!("tls.acme_domains.{i}"), format!("{name:?} is no name of a host"));
            }
        }
        if !(CHUNK_SIZE_MIN..=CHUNK_SIZE_MAX).contains(&self.rtmp.chunk_size) {
            wrong("rtmp.chunk_size", format!("must lie between {CHUNK_SIZE_MIN} and {CHUNK_SIZE_MAX} bytes"));
        }
        for (i, swf) in self.rtmp.swf.iter().enumerate() {
            if swf.parse().is_none() {
                wrong(&format!("rtmp.swf.{i}.hash"), "is not 64 hexadecimal digits".to_owned());
            }
        }
        for (key, value, least) in [
            ("rtmp.handshake_timeout_ms", self.rtmp.handshake_timeout_ms, 1),
            ("rtmp.idle_timeout_ms", self.rtmp.idle_timeout_ms, 1),
            ("rtmp.write_timeout_ms", self.rtmp.write_timeout_ms, 1),
            ("rtmp.pause_max_ms", self.rtmp.pause_max_ms, 0),
            ("tls.handshake_timeout_ms", self.tls.handshake_timeout_ms, 1),
            ("http.request_timeout_ms", self.http.request_timeout_ms, 1),
            ("http.write_timeout_ms", self.http.write_timeout_ms, 1),
            ("hls.window_ms", self.hls.window_ms, 0),
            ("hls.idle_ms", self.hls.idle_ms, 1_000),
            ("hub.grace_ms", self.hub.grace_ms, 0),
            ("hub.wait_ms", self.hub.wait_ms, 0),
            ("hub.retain_ms", self.hub.retain_ms, 0),
            ("hub.lag_max_ms", self.hub.lag_max_ms, 1),
            ("hub.burst_ms", self.hub.burst_ms, 0),
        ] {
            if !(least..=DURATION_MS_MAX).contains(&value) {
                wrong(key, format!("must lie between {least} and {DURATION_MS_MAX} (milliseconds)"));
            }
        }
        if self.hub.batch_ms > 1000 {
            wrong(
                "hub.batch_ms",
                "must lie between 0 and 1000: it is added to the latency of everybody".to_owned(),
            );
        }
        if !(500..=30_000).contains(&self.hls.segment_ms) {
            wrong("hls.segment_ms", "must lie between 500 and 30000 (milliseconds)".to_owned());
        }
        if !(50..=2_000).contains(&self.hls.part_ms) || self.hls.part_ms > self.hls.segment_ms {
            wrong(
                "hls.part_ms",
                "must lie between 50 and 2000 (milliseconds), and not above hls.segment_ms".to_owned(),
            );
        }
        for (i, pattern) in self.hls.always.iter().enumerate() {
            if let Err(message) = Pattern::parse(pattern) {
                wrong(&format!("hls.always.{i}"), message);
            }
        }
        if !(1..=100_000).contains(&self.hls.key_segments) {
            wrong("hls.key_segments", "must lie between 1 and 100000".to_owned());
        }
        if self.hls.bytes_max < 1 << 20 {
            wrong("hls.bytes_max", "must be 1048576 (1 MiB) or more".to_owned());
        }
        if self.hub.log_bytes_max < 1 << 20 {
            wrong("hub.log_bytes_max", "must be 1048576 (1 MiB) or more to hold one GOP".to_owned());
        }
        if !(self.hub.pace == 0.0 || (1.0..=100.0).contains(&self.hub.pace)) {
            wrong(
                "hub.pace",
                "must be 0, or lie between 1 and 100 (a multiple of the media rate)".to_owned(),
            );
        }
        for (i, origin) in self.http.allow_origins.iter().enumerate() {
            if !is_origin(origin) {
                wrong(
                    &format!("http.allow_origins.{i}"),
                    format!(
                        "{origin:?} is neither \"*\" nor like \"https://example.org\" (no path, no final slash)"
                    ),
                );
            }
        }
        let keys = [
            ("access.publish_key", &self.access.publish_key),
            ("access.play_key", &self.access.play_key),
            ("access.sign_secret", &self.access.sign_secret),
            ("access.operator_token", &self.access.operator_token),
        ];
        for (field, key) in keys {
            if let Some(message) = key.as_ref().and_then(|key| key_problem(key.expose())) {
                wrong(field, message);
            }
        }
        let mut seen = std::collections::HashSet::new();
        for (i, channel) in self.access.channel.iter().enumerate() {
            match parse_channel(&channel.name) {
                Err(message) => wrong(&format!("access.channel.{i}.name"), message),
                Ok(name) if !seen.insert(name.clone()) => {
                    wrong(&format!("access.channel.{i}.name"), format!("{name} is listed twice"));
                }
                Ok(_) => {}
            }
            for (field, key) in [("publish_key", &channel.publish_key), ("play_key", &channel.play_key)] {
                if let Some(message) = key.as_ref().and_then(|key| key_problem(key.expose())) {
                    wrong(&format!("access.channel.{i}.{field}"), message);
                }
            }
        }
        redirect::validate(&self.rtmp.redirect, &mut wrong);
        self.relay.validate(&mut wrong);
        self.record.validate(&mut wrong);
        self.timeshift.validate(&mut wrong);
        self.transcode.validate(&mut wrong);
        self.slate.validate(Duration::from_millis(self.hub.grace_ms), &mut wrong);
        for (key, value) in [
            ("limits.connections_max", self.limits.connections_max),
            ("limits.streams_max", self.limits.streams_max),
            ("limits.readers_per_stream_max", self.limits.readers_per_stream_max),
        ] {
            if value == 0 {
                wrong(key, "must be 1 or more".to_owned());
            }
        }
        let segments_max = net::initial_window::SEGMENTS_MAX;
        if self.runtime.initial_window_segments > segments_max {
            wrong("runtime.initial_window_segments", format!("must lie between 0 and {segments_max}"));
        }
        if self.runtime.threads > 1024 {
            wrong("runtime.threads", "must lie between 0 (one per core) and 1024".to_owned());
        }
        if let Some(part) = self.log.level.split(',').find(|part| !is_log_directive(part)) {
            wrong(
                "log.level",
                format!(
                    "{part:?} is neither a level (off, error, warn, info, debug, trace) nor like gateway=debug"
                ),
            );
        }
        if let Err(message) = parse_channel(&self.demo.channel) {
            wrong("demo.channel", message);
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl SwfFile {
    /// The file as the protocol knows it; `None` if the hash is none.
    pub fn parse(&self) -> Option<rtmp::Swf> {
        let digits: Vec<u8> = self
            .hash
            .expose()
            .chars()
            .map(|digit| digit.to_digit(16).map(|value| value as u8))
            .collect::<Option<_>>()?;
        let pairs: &[[u8; 2]; 32] = digits.as_chunks().0.try_into().ok().filter(|_| digits.len() == 64)?;
        Some(rtmp::Swf { hash: pairs.map(|[high, low]| high << 4 | low), size: self.size })
    }
}

impl RtmpConfig {
    /// The time a connection has for handshake and connect.
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }

    /// The silence after which a publisher is gone.
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    /// The time a player may take to accept a little of what waits for it.
    pub fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }

    /// The time a player may be paused.
    pub fn pause_max(&self) -> Duration {
        Duration::from_millis(self.pause_max_ms)
    }
}

impl HlsConfig {
    /// Whether `name` is packaged before anybody asks.
    pub(crate) fn is_always(&self, name: &StreamName) -> bool {
        // The configuration was checked at the start.
        self.always.iter().any(|pattern| Pattern::parse(pattern).is_ok_and(|pattern| pattern.matches(name)))
    }
}

impl TlsConfig {
    /// The time a connection has for the TLS handshake.
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }
}

impl HttpConfig {
    /// The time a request has to arrive, and to be answered.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// The time a player may take to accept a little of what waits for it.
    pub fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }
}

impl Config {
    /// What the hub is told. `shards` is the number of threads that read.
    pub fn to_hub(&self, shards: usize) -> hub::Config {
        hub::Config {
            limits: hub::Limits {
                streams_max: self.limits.streams_max,
                // Half at most: anybody can ask for any name, and publishers need room beside those who wait.
                waiting_streams_max: hub::Limits::default()
                    .waiting_streams_max
                    .min(self.limits.streams_max / 2),
                readers_max: self.limits.readers_per_stream_max,
                ..hub::Limits::default()
            },
            log_bytes_max: self.hub.log_bytes_max,
            retain: Duration::from_millis(self.hub.retain_ms),
            batch: Duration::from_millis(self.hub.batch_ms),
            lag_max: Duration::from_millis(self.hub.lag_max_ms),
            grace: Duration::from_millis(self.hub.grace_ms),
            second_publisher: match self.hub.second_publisher {
                SecondPublisher::Reject => hub::SecondPublisher::Reject,
                SecondPublisher::TakeOver => hub::SecondPublisher::TakeOver,
                SecondPublisher::StandBy => hub::SecondPublisher::StandBy,
            },
            shards,
            ..hub::Config::default()
        }
    }

    /// How many threads carry media.
    pub fn shards(&self) -> usize {
        match self.runtime.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        }
    }
}

/// `app/channel` as written in a configuration.
pub fn parse_channel(text: &str) -> Result<StreamName, String> {
    let (app, channel) =
        text.split_once('/').ok_or_else(|| format!("{text:?} is no channel: write \"live/name\""))?;
    StreamName::parse(app, channel).map_err(|error| format!("{text:?}: {error}"))
}

impl HubConfig {
    /// How players are served. The caller adds where to start, and its shard.
    pub fn read_options(&self) -> hub::ReadOptions {
        hub::ReadOptions {
            pace: (self.pace > 0.0).then_some(self.pace as f32),
            burst: Duration::from_millis(self.burst_ms),
            wait_max: Duration::from_millis(self.wait_ms),
            ..hub::ReadOptions::default()
        }
    }
}

impl AccessConfig {
    /// The rules of admission. The key and the token of the data folder count where none is configured.
    pub fn to_policy(&self, publish_key: Option<Secret>, operator_token: Option<Secret>) -> Policy {
        let rule = |channel: &ChannelAccess| ChannelRule {
            publish_key: channel.publish_key.clone(),
            play_key: channel.play_key.clone(),
        };
        Policy {
            publish_key: self.publish_key.clone().or(publish_key),
            play_key: self.play_key.clone(),
            sign_secret: self.sign_secret.clone(),
            operator_token: self.operator_token.clone().or(operator_token),
            publish_loopback_without_key: self.publish_loopback_without_key,
            channels: self.channel.iter().map(|channel| (channel.name.clone(), rule(channel))).collect(),
            // Known with the rest of the configuration.
            rungs: Default::default(),
        }
    }
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)
}

fn is_log_directive(text: &str) -> bool {
    let level = text.split_once('=').map_or(text, |(_, level)| level).trim().to_ascii_lowercase();
    ["off", "error", "warn", "info", "debug", "trace"].contains(&level.as_str())
}

fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some((scheme, host)) = text.split_once("://") else { return false };
    matches!(scheme, "http" | "https")
        && !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:[]_".contains(&b))
}

fn key_problem(key: &str) -> Option<String> {
    if key.len() < KEY_BYTES_MIN || key.len() > KEY_BYTES_MAX {
        return Some(format!("a key has {KEY_BYTES_MIN} to {KEY_BYTES_MAX} characters"));
    }
    let unsafe_in_urls = |b: u8| !(b.is_ascii_alphanumeric() || b"-_.~".contains(&b));
    key.bytes()
        .any(unsafe_in_urls)
        .then(|| "a key has letters, digits, '-', '_', '.' and '~' only".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = Config::default();
        change(&mut config);
        config.validate().err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn every_problem_names_its_key() {
        let found = problems(|c| {
            c.rtmp.chunk_size = 1;
            c.hub.pace = 0.5;
            c.http.allow_origins.push("https://example.org/".to_owned());
            c.access.publish_key = Some("short".into());
            c.access.channel.push(ChannelAccess { name: "live".to_owned(), ..ChannelAccess::default() });
            c.log.level = "info,gateway=loud".to_owned();
            c.demo.channel = "live/../x".to_owned();
        });
        let keys: Vec<_> = found.iter().map(|p| p.split(": ").next().unwrap()).collect();
        assert_eq!(
            keys,
            [
                "rtmp.chunk_size",
                "hub.pace",
                "http.allow_origins.1",
                "access.publish_key",
                "access.channel.0.name",
                "log.level",
                "demo.channel"
            ]
        );
    }

    #[test]
    fn one_address_for_two_protocols_is_refused_unless_the_port_is_chosen_by_the_system() {
        let same = |port: u16| {
            problems(|c| {
                c.rtmp.listen = vec![any(port)];
                c.http.listen = vec![any(port)];
            })
        };
        assert_eq!(same(9000).len(), 1);
        assert_eq!(same(0), Vec::<String>::new());
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let found = problems(|c| c.tls.certificate = Some("chain.pem".into()));
        assert_eq!(found, ["tls.key: is not set, but tls.certificate is: the two belong together"]);
        let found = problems(|c| c.tls.key = Some("key.pem".into()));
        assert_eq!(found, ["tls.certificate: is not set, but tls.key is: the two belong together"]);
    }

    #[test]
    fn a_swf_is_known_by_64_hexadecimal_digits() {
        let swf = |hash: &str| SwfFile { hash: hash.into(), size: 7 }.parse();
        let known = swf(&"0aF".repeat(22)[..64]).unwrap();
        assert_eq!((known.hash[..3].to_vec(), known.size), (vec![0x0a, 0xf0, 0xaf], 7));
        for hash in
            ["", "0a", &"0".repeat(63), &"0".repeat(65), &"0".repeat(66), &"g".repeat(64), &"é".repeat(32)]
        {
            assert_eq!(swf(hash), None, "{hash}");
        }
        let wrong = SwfFile { hash: "5".into(), size: 1 };
        assert_eq!(problems(|c| c.rtmp.swf = vec![wrong]), ["rtmp.swf.0.hash: is not 64 hexadecimal digits"]);
    }

    #[test]
    fn an_authority_needs_names_a_port_and_no_other_certificate() {
        let acme = |c: &mut Config| c.tls.acme_domains = vec!["live.example.org".to_owned()];
        assert_eq!(problems(acme), Vec::<String>::new());
        let found = problems(|c| {
            c.tls.acme_domains = vec!["*.example.org".to_owned(), "192.0.2.1".to_owned()];
            c.tls.acme_directory = "http://example.org".to_owned();
            c.https.listen.clear();
            (c.tls.certificate, c.tls.key) = (Some("chain.pem".into()), Some("key.pem".into()));
        });
        let keys: Vec<_> = found.iter().map(|p| p.split(": ").next().unwrap()).collect();
        let expected = [
            "tls.acme_domains",
            "tls.acme_domains",
            "tls.acme_directory",
            "tls.acme_domains.0",
            "tls.acme_domains.1",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn a_channel_listed_twice_is_refused() {
        let cam = ChannelAccess { name: "live/cam".to_owned(), ..ChannelAccess::default() };
        assert_eq!(
            problems(|c| c.access.channel = vec![cam.clone(), cam]),
            ["access.channel.1.name: live/cam is listed twice"]
        );
    }

    #[test]
    fn keys_that_a_url_would_change_are_refused() {
        for key in ["key with space", "key&more=x", "schlüssel", "a?b=cdefg", "#12345678"] {
            assert!(key_problem(key).is_some(), "{key}");
        }
        assert_eq!(key_problem("0123456789abcdef"), None);
    }

    #[test]
    fn players_that_wait_leave_room_for_publishers() {
        for streams_max in [1, 2, 3, 1_000, 10_000] {
            let limits = LimitsConfig { streams_max, ..LimitsConfig::default() };
            let origin = hub::Origin::new(Config { limits, ..Config::default() }.to_hub(1));
            let name = |number: usize| parse_channel(&format!("live/{number}")).unwrap();
            let now = std::time::Instant::now();
            let read = |number| origin.read(&name(number), hub::ReadOptions::default(), now);
            let waiting: Vec<_> = (0..streams_max).map_while(|number| read(number).ok()).collect();
            assert!(waiting.len() <= streams_max / 2, "{} of {streams_max}", waiting.len());
            assert!(origin.publish(&name(streams_max), now).is_ok());
        }
    }

    #[test]
    fn origins_have_a_scheme_and_no_path() {
        for good in ["*", "https://example.org", "http://localhost:8080", "http://[::1]:8080"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in
            ["example.org", "https://", "https://example.org/", "https://a b", "null", "https://x\r\ny"]
        {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
