//! The server's end of a connection, led by the test.

use bytes::{Bytes, BytesMut};
use rtmp::server::{Config, Event, Session};
use rtmp::{Message, chunk};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where links connect to.
pub struct Server {
    listener: TcpListener,
}

impl Server {
    pub async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    /// The URL of a stream here.
    pub fn url(&self) -> rtmp::url::Url {
        let address = self.listener.local_addr().unwrap();
        rtmp::url::Url::parse(&format!("rtmp://{address}/live/me")).unwrap()
    }

    pub async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        let session = Session::new(Config::default(), [7; 32], Instant::now());
        Peer { stream, session, input: BytesMut::new(), stream_id: 0 }
    }
}

/// One connection.
pub struct Peer {
    stream: TcpStream,
    pub session: Session,
    input: BytesMut,
    stream_id: u32,
}

impl Peer {
    /// The next event; `None` when the client has closed.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            self.flush().await;
            if let Some(event) = self.session.poll_event() {
                return Some(event);
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => self.session.handle_input(Instant::now(), &mut self.input).unwrap(),
            }
        }
    }

    /// Accepts what the client wants, up to playing.
    pub async fn play(&mut self) {
        loop {
            match self.event().await.unwrap() {
                Event::Connect(_) => self.session.accept_connect(),
                Event::Play(play) => {
                    self.stream_id = play.stream_id;
                    self.session.accept_play(play.stream_id);
                    return self.flush().await;
                }
                _ => {}
            }
        }
    }

    /// Sends messages of the stream that is played.
    pub async fn send(&mut self, messages: &[Message]) {
        let mut out = BytesMut::new();
        for Message { kind, timestamp, payload, .. } in messages {
            let chunk_size = self.session.out_chunk_size();
            chunk::write_message(&mut out, chunk_size, 6, self.stream_id, *kind, *timestamp, &[payload]);
        }
        self.stream.write_all(&out).await.unwrap();
    }

    /// Sends what the session has to say.
    pub async fn flush(&mut self) {
        while let Some(bytes) = self.session.poll_output() {
            self.stream.write_all(&bytes).await.unwrap();
        }
    }

    /// Ends the connection; what was sent still arrives.
    pub async fn hang_up(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Asks whether the client is there, again and again, and does not listen.
    pub async fn ping_until_closed(&mut self) {
        // Protocol control: a message of user control, "ping request" (`RTMP` section 7.1.7).
        let ping = [0x02, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 6, 0, 0, 0, 1];
        let pings = ping.repeat(4096);
        while self.stream.write_all(&pings).await.is_ok() {}
    }

    /// Reads to the end, whatever it is.
    pub async fn ignore(&mut self) {
        while self.stream.read_buf(&mut self.input).await.is_ok_and(|count| count > 0) {
            self.input.clear();
        }
    }

    /// Waits until the client has closed the connection.
    pub async fn closed(&mut self) {
        while self.event().await.is_some() {}
    }
}

/// The settings of an H.264 stream with AAC.
pub fn settings() -> [Message; 2] {
    [
        message(9, 0, &[0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 1, 0x67, 1, 0, 1, 0x68]),
        message(8, 0, &[0xaf, 0, 0x11, 0x90]),
    ]
}

/// Picture `number` of a stream with a keyframe every ten, 40 ms each, that began at `zero`.
pub fn picture(number: u32, zero: u32) -> Message {
    let head = if number.is_multiple_of(10) { 0x17 } else { 0x27 };
    message(9, zero + number * 40, &[head, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, number as u8])
}

/// The number of a picture, and its time.
pub fn number_of(message: &Message) -> Option<(u32, u32)> {
    let is_picture = message.kind == 9 && message.payload[1] == 1;
    is_picture.then(|| (message.payload[10].into(), message.timestamp))
}

fn message(kind: u8, timestamp: u32, payload: &[u8]) -> Message {
    Message { stream_id: 1, kind, timestamp, payload: Bytes::copy_from_slice(payload) }
}
