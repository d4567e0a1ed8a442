//! From the end of the handshake to the start of the stream.

use std::time::Instant;

use super::{Auth, Event, Phase, Role, Session};
use crate::amf::{Object, Value};
use crate::command::{self, Capabilities, Command, Status};
use crate::message::{Control, UserControl};
use crate::{chunk, limits};

/// The transaction of `connect` is always this one (`RTMP` section 7.2.1.1).
const CONNECT: f64 = 1.0;

/// The stream that servers create first, and that pipelining relies on.
pub(super) const FIRST_STREAM: u32 = 1;

/// Codecs for servers that only know the list of E-RTMP v1.
const FOUR_CCS: [&str; 12] =
    ["av01", "vp09", "vp08", "hvc1", "vvc1", "avc1", "Opus", "fLaC", "ac-3", "ec-3", ".mp3", "mp4a"];

/// Progress of the start.
#[derive(Debug, Default)]
pub(super) struct Start {
    last_transaction: f64,
    connected: bool,
    /// Transactions of the `createStream` that were sent: one, or two if the first was lost.
    creates: Vec<f64>,
    created: bool,
    /// The transaction of `play` or `publish`.
    asked: Option<f64>,
    /// `play` or `publish` was sent too early and failed.
    failed_early: bool,
    /// When to send `createStream` again.
    pub(super) again_at: Option<Instant>,
}

impl Start {
    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    pub(super) fn next_transaction(&mut self) -> f64 {
        self.last_transaction += 1.0;
        self.last_transaction
    }
}

impl Session {
    /// The first flight after the handshake.
    pub(super) fn greet(&mut self) {
        let chunk_size = self.config.out_chunk_size.clamp(1, chunk::CHUNK_SIZE_MAX);
        if chunk_size != chunk::CHUNK_SIZE_INITIAL {
            // Before connect, as OBS does, so that connect itself fits one chunk.
            self.link.set_chunk_size(chunk_size);
        }
        let properties = self.connect_properties();
        self.request("connect", &[properties.into()]);
        if self.config.pipelined {
            self.create_stream();
            self.ask();
        }
    }

    fn connect_properties(&self) -> Object {
        let config = &self.config;
        let authorised = |url: &str| config.auth.as_ref().map_or(url.to_owned(), |auth| auth.append_to(url));
        let mut object = Object::new().with("app", authorised(&config.app));
        if config.role == Role::Publish {
            object.push("type", "nonprivate");
        }
        let mut object = object
            .with("flashVer", config.flash_ver.as_str())
            .with("tcUrl", authorised(&config.tc_url))
            .with("fpad", false)
            .with("capabilities", 239.0)
            .with("audioCodecs", 4071.0)
            .with("videoCodecs", 252.0)
            .with("objectEncoding", 0.0);
        let mut capabilities = Capabilities { video_function: 1, ..Capabilities::default() };
        if config.enhanced {
            let any = || vec![("*".to_owned(), command::FOUR_CC_FORWARD)];
            capabilities = Capabilities {
                four_cc_list: FOUR_CCS.map(str::to_owned).into(),
                video_four_cc: any(),
                audio_four_cc: any(),
                caps_ex: command::CAPS_RECONNECT
                    | command::CAPS_MULTITRACK
                    | command::CAPS_MOD_EX
                    | command::CAPS_NANO_OFFSET,
                ..capabilities
            };
        }
        capabilities.put(&mut object);
        object
    }

    fn create_stream(&mut self) {
        if self.config.role == Role::Publish && self.start.creates.is_empty() {
            let name = Value::from(self.config.name.as_str());
            self.request("releaseStream", &[Value::Null, name.clone()]);
            self.request("FCPublish", &[Value::Null, name]);
        }
        let transaction = self.request("createStream", &[Value::Null]);
        self.start.creates.push(transaction);
    }

    /// The pipelined `createStream` was lost or refused because it came too early.
    pub(super) fn create_again(&mut self) {
        self.start.again_at = None;
        self.start.failed_early = true;
        self.create_stream();
    }

    /// Sends `play` or `publish`.
    fn ask(&mut self) {
        self.start.failed_early = false;
        let name = Value::from(self.config.name.as_str());
        let transaction = match self.config.role {
            Role::Play => {
                let (stream_id, ms) = (self.stream_id, self.config.buffer_ms);
                // Seconds by the text, milliseconds by what programs send and expect.
                let start = Value::Number(self.config.start * 1000.0);
                let transaction = self.request_on(stream_id, "play", &[Value::Null, name, start]);
                self.link.control(Control::User(UserControl::SetBufferLength { stream_id, ms }));
                for (command, on) in
                    [("receiveAudio", self.config.audio), ("receiveVideo", self.config.video)]
                {
                    if !on {
                        self.tell_stream(command, &[Value::Null, false.into()]);
                    }
                }
                transaction
            }
            Role::Publish => self.request_on(self.stream_id, "publish", &[Value::Null, name, "live".into()]),
        };
        self.start.asked = Some(transaction);
    }

    pub(super) fn take_result(&mut self, now: Instant, command: &Command) {
        if command.transaction == CONNECT && !self.start.connected {
            let status = Status::read(command.arg(0));
            if status.level == "error" {
                return self.reject(status);
            }
            self.start.connected = true;
            // Servers disagree on which of the two objects carries them.
            let of_info = Capabilities::read(command.arg(0));
            self.server = if of_info.is_enhanced() { of_info } else { Capabilities::read(&command.object) };
            self.events.push_back(Event::Connected);
            if self.start.creates.is_empty() {
                self.create_stream();
            } else if !self.start.created {
                self.start.again_at = Some(now + limits::PIPELINE_TIMEOUT);
            }
        } else if self.start.creates.contains(&command.transaction) && !self.start.created {
            self.start.created = true;
            self.start.again_at = None;
            let id = command.arg(0).as_number().map_or(FIRST_STREAM, |id| id as u32);
            if self.start.asked.is_none() || self.start.failed_early || self.stream_id != id {
                self.stream_id = id;
                self.ask();
            }
        }
    }

    pub(super) fn take_error(&mut self, command: &Command) {
        let status = Status::read(command.arg(0));
        let creates = &self.start.creates;
        if command.transaction == CONNECT {
            self.refused_to_connect(command.arg(0), status);
        } else if creates.contains(&command.transaction) && !self.start.created {
            if self.config.pipelined && creates.len() == 1 {
                self.create_again();
            } else {
                self.reject(status);
            }
        } else if self.start.asked == Some(command.transaction) {
            self.refused(status);
        }
        // releaseStream, FCPublish: nothing depends on them.
    }

    /// `connect` failed; the server may say what would help.
    fn refused_to_connect(&mut self, info: &Value, status: Status) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        let nonce = format!("{:08x}", u32::from_be_bytes(self.nonce));
        let answer = |auth: &Auth| auth.answer(&self.config.app, &status.description, &nonce);
        let event = match (redirect(info), self.config.auth.as_ref().and_then(answer)) {
            (Some(tc_url), _) => Event::Redirect { tc_url },
            (None, Some(auth)) => Event::Authenticate(auth),
            (None, None) => return self.reject(status),
        };
        self.phase = Phase::Over;
        self.events.push_back(event);
    }

    /// `play` or `publish` failed. If the stream did not exist yet, it is only asked for again once it does.
    pub(super) fn refused(&mut self, status: Status) {
        if matches!(self.phase, Phase::Starting) && self.config.pipelined && !self.start.created {
            self.start.failed_early = true;
        } else {
            self.reject(status);
        }
    }
}

/// Where a refusal sends the client (Flash Media Server documentation of `Application.redirectConnection`).
fn redirect(info: &Value) -> Option<String> {
    let ex = info.get("ex")?;
    let code = ex.get("code")?;
    let is_redirect = code.as_number() == Some(302.0) || code.as_str() == Some("302");
    is_redirect.then(|| ex.get("redirect")?.as_str().map(str::to_owned)).flatten()
}
