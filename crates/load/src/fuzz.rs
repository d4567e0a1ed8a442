//! Bodies of the fuzz targets.

use crate::{http, ws};
use bytes::BytesMut;

/// A response of any bytes: the head, then the body it announces.
pub fn http(data: &[u8]) {
    let mut input = BytesMut::from(data);
    if let Ok(Some(head)) = http::read_head(&mut input) {
        let mut out = BytesMut::new();
        let _ = http::Body::new(head.framing).decode(&mut input, &mut out);
        assert!(out.len() <= data.len());
    }
    let mut out = BytesMut::new();
    let _ = http::Body::new(http::Framing::Chunked).decode(&mut BytesMut::from(data), &mut out);
    assert!(out.len() <= data.len());
}

/// Frames of any bytes give the same whether they arrive at once or byte by byte.
pub fn websocket(data: &[u8]) {
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut decoder = ws::Decoder::default();
        let (mut input, mut out, mut reply) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            if let Err(error) = decoder.decode(&mut input, &mut out, &mut reply, [7; 4]) {
                return Err((error, out));
            }
        }
        Ok((out, reply))
    };
    let at_once = run(&mut std::iter::once(data));
    let bytewise = run(&mut data.chunks(1));
    assert_eq!(at_once.is_ok(), bytewise.is_ok());
    if let (Ok(at_once), Ok(bytewise)) = (at_once, bytewise) {
        assert_eq!(at_once, bytewise);
    }
}

/// Playlists of both kinds.
pub fn playlist(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = crate::hls::playlist::read_multivariant(&text);
    if let Ok(media) = crate::hls::playlist::read_media(&text) {
        assert!(media.segments.len() <= crate::limits::SEGMENTS_LISTED_MAX);
        assert!(media.parts.len() <= crate::limits::PARTS_LISTED_MAX);
        assert!(media.parts.is_sorted_by(|one, next| one.place < next.place));
    }
}

#[cfg(test)]
mod tests {
    /// Seeds of all targets: well-formed, cut off and broken.
    const SEEDS: [&[u8]; 8] = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nFLV\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nFLV",
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n\x82\x03FLV",
        b"5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
        b"\x82\x03FLV\x89\x02hi\x88\x00",
        b"\x02\x7f\x00\x00\x00\x00\x00\x00\x00\x01a\x80\x00",
        b"#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",URI=\"a\"\n#EXT-X-STREAM-INF:AUDIO=\"s\"\nv\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T06:39:06.4Z\n\
            #EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-PART:DURATION=0.5,URI=\"p\",INDEPENDENT=YES\n#EXTINF:2,\ns\n#EXT-X-ENDLIST\n",
    ];

    #[test]
    fn seeds_pass_all_targets_at_every_length() {
        for seed in SEEDS {
            for length in 0..=seed.len() {
                super::http(&seed[..length]);
                super::websocket(&seed[..length]);
                super::playlist(&seed[..length]);
            }
        }
    }
}
