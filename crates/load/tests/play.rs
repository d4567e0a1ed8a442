//! Playing from servers that send a known stream.

use base64::Engine;
use bytes::{Bytes, BytesMut};
use load::play::{Options, connect};
use media::container::flv;
use media::{Codec, Flags, Packet, Role, Time, TrackId};
use rtmp::server::{Config, Event, Session};
use sha1::{Digest, Sha1};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn clip() -> Vec<Packet> {
    let packet = |track, role, ms, payload: &'static [u8]| Packet {
        track,
        codec: if track == TrackId::VIDEO { Codec::H264 } else { Codec::Aac },
        role,
        flags: Flags {
            keyframe: track == TrackId::VIDEO && role == Role::Frame && ms == 0,
            disposable: false,
        },
        dts: Time::from_millis(ms),
        pts: Time::from_millis(ms),
        payload: Bytes::from_static(payload),
    };
    vec![
        packet(
            TrackId::VIDEO,
            Role::Config,
            0,
            &[1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 1, 0x67, 1, 0, 1, 0x68],
        ),
        packet(TrackId::AUDIO, Role::Config, 0, &[0x11, 0x90]),
        packet(TrackId::VIDEO, Role::Frame, 0, &[0, 0, 0, 2, 0x65, 1]),
        packet(TrackId::AUDIO, Role::Frame, 10, &[0x21, 0x10]),
        packet(TrackId::VIDEO, Role::Frame, 40, &[0, 0, 0, 2, 0x41, 1]),
    ]
}

fn flv_file() -> BytesMut {
    let mut out = BytesMut::new();
    flv::write_file_header(true, true, &mut out);
    for packet in clip() {
        flv::write_tag(&packet, &mut out);
    }
    out
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Reads an HTTP request head.
async fn request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Plays `url` to its end and checks that the clip came, with all steps of the start-up in order.
async fn plays_the_clip(url: String) {
    let mut player = connect(&url, &Options::default()).await.unwrap();
    let mut packets = Vec::new();
    while let Some((packet, arrived)) = player.next().await.unwrap() {
        assert!(arrived >= player.stages().start);
        packets.push(packet);
    }
    assert_eq!(packets, clip());
    let steps: Vec<_> = player.stages().steps().iter().map(|(_, time)| time.unwrap()).collect();
    assert!(steps.is_sorted(), "{steps:?}");
    assert!(player.bytes_in() > 0);
}

#[tokio::test]
async fn flv_over_http_in_chunks() {
    let (listener, address) = listen().await;
    let server = async {
        let mut stream = listener.accept().await.unwrap().0;
        assert!(request(&mut stream).await.starts_with("GET /live/a.flv?x=1 HTTP/1.1\r\n"));
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
        for piece in flv_file().chunks(7) {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
            stream.write_all(piece).await.unwrap();
            stream.write_all(b"\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        stream
    };
    let url = format!("http://{address}/live/a.flv?x=1");
    tokio::join!(server, plays_the_clip(url));
}

#[tokio::test]
async fn flv_over_http_until_the_connection_closes() {
    let (listener, address) = listen().await;
    let server = async {
        let mut stream = listener.accept().await.unwrap().0;
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await.unwrap();
        stream.write_all(&flv_file()).await.unwrap();
    };
    tokio::join!(server, plays_the_clip(format!("http://{address}/live/a.flv")));
}

#[tokio::test]
async fn flv_over_websocket() {
    let (listener, address) = listen().await;
    let server = async {
        let mut stream = listener.accept().await.unwrap().0;
        let head = request(&mut stream).await;
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let proof = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
        let accept = base64::prelude::BASE64_STANDARD.encode(proof);
        let answer = format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {accept}\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.write_all(b"\x89\x01p").await.unwrap();
        for piece in flv_file().chunks(50) {
            stream.write_all(&[0x82, piece.len() as u8]).await.unwrap();
            stream.write_all(piece).await.unwrap();
        }
        stream.write_all(b"\x88\x00").await.unwrap();
        let mut replies = Vec::new();
        stream.read_to_end(&mut replies).await.unwrap();
        assert_eq!(
            (replies[0], replies[1], replies[7]),
            (0x8a, 0x81, 0x88),
            "a pong of one byte, then a close"
        );
    };
    tokio::join!(server, plays_the_clip(format!("ws://{address}/live/a.flv")));
}

#[tokio::test]
async fn rtmp_in_one_flight() {
    let (listener, address) = listen().await;
    let server = async {
        let mut stream = listener.accept().await.unwrap().0;
        let mut session = Session::new(Config::default(), [7; 32], Instant::now());
        let mut input = BytesMut::new();
        while stream.read_buf(&mut input).await.unwrap() > 0 {
            session.handle_input(Instant::now(), &mut input).unwrap();
            let mut media = BytesMut::new();
            while let Some(event) = session.poll_event() {
                match event {
                    Event::Connect(_) => session.accept_connect(),
                    Event::Play(play) => {
                        assert_eq!((play.app.as_str(), play.name.as_str()), ("live", "a"));
                        session.accept_play(play.stream_id);
                        write_clip(&mut media, session.out_chunk_size(), play.stream_id);
                    }
                    _ => {}
                }
            }
            while let Some(bytes) = session.poll_output() {
                stream.write_all(&bytes).await.unwrap();
            }
            if !media.is_empty() {
                stream.write_all(&media).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
    };
    tokio::join!(server, plays_the_clip(format!("rtmp://{address}/live/a")));
}

fn write_clip(out: &mut BytesMut, chunk_size: u32, stream_id: u32) {
    for packet in clip() {
        let mut head = BytesMut::new();
        flv::write_body_head(&packet, &mut head);
        let (kind, timestamp) = (flv::kind_of(&packet), packet.dts.millis() as u32);
        let parts = [&head[..], &packet.payload[..]];
        rtmp::chunk::write_message(out, chunk_size, 6, stream_id, kind, timestamp, &parts);
    }
}

#[tokio::test]
async fn refusals_say_what_the_server_said() {
    let (listener, address) = listen().await;
    let server = async {
        let mut stream = listener.accept().await.unwrap().0;
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        stream
    };
    let url = format!("http://{address}/live/nobody.flv");
    let options = Options::default();
    let (_stream, refused) = tokio::join!(server, connect(&url, &options));
    assert_eq!(refused.unwrap_err().to_string(), "the server refused: 404 Not Found");
}
