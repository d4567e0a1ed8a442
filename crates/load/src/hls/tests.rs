//! Viewers against a server that is as small as one can be.

use super::*;
use crate::Target;
use crate::crowd::Seat;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

const MULTIVARIANT: &str = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"a\",DEFAULT=YES,URI=\"cam/a.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"s\"\ncam/v.m3u8\n";
const PART_BYTES: usize = 100_000;

/// How many parts there are, of half a second each, four to a segment.
#[derive(Default)]
struct Stream(Mutex<u32>, Condvar);

impl Stream {
    fn advance(&self) {
        *self.0.lock().unwrap() += 1;
        self.1.notify_all();
    }

    /// Waits until there are more than `index` parts.
    fn await_part(&self, index: u32) -> u32 {
        *self.1.wait_while(self.0.lock().unwrap(), |parts| *parts <= index).unwrap()
    }

    fn playlist(&self, name: &str, parts: u32) -> String {
        let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=0.5\n\
            #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n\
            #EXT-X-PROGRAM-DATE-TIME:2100-01-01T00:00:00.000Z\n"
            .to_owned();
        text += &format!("#EXT-X-MAP:URI=\"{name}-init.mp4\"\n");
        for at in 0..parts {
            let first = if at % 4 == 0 { ",INDEPENDENT=YES" } else { "" };
            text += &format!("#EXT-X-PART:DURATION=0.5,URI=\"{name}-{at}.m4s\"{first}\n");
            if at % 4 == 3 {
                text += "#EXTINF:2,\nwhole.m4s\n";
            }
        }
        text + &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{name}-{parts}.m4s\"\n")
    }

    fn answer(&self, path: &str) -> (u16, Vec<u8>) {
        let number = |name: &str| {
            path.split_once(name).map(|(_, rest)| rest.split('&').next().unwrap().parse::<u32>().unwrap())
        };
        if path == "/live/cam.m3u8" {
            return (200, MULTIVARIANT.into());
        }
        let name = &path["/live/cam/".len()..][..1];
        if path.contains(".m3u8") {
            let wanted =
                number("_HLS_msn=").zip(number("_HLS_part=")).map_or(0, |(segment, part)| 4 * segment + part);
            return (200, self.playlist(name, self.await_part(wanted)).into());
        }
        if let Some(index) = path.strip_suffix(".m4s").and_then(|path| path.rsplit('-').next()?.parse().ok())
        {
            self.await_part(index);
            return (200, vec![0; PART_BYTES]);
        }
        (if path.ends_with("-init.mp4") { 200 } else { 404 }, vec![0; 10])
    }

    /// Answers the requests of one connection. Returns when it ends.
    fn serve(&self, socket: TcpStream) {
        let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
        let mut socket = socket;
        while let Some(Ok(request)) = lines.next() {
            let path = request.split(' ').nth(1).unwrap().to_owned();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let (status, body) = self.answer(&path);
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
            if socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(&body)).is_err() {
                return;
            }
        }
    }
}

fn plan(listener: &TcpListener, viewers: usize) -> Plan {
    let address = listener.local_addr().unwrap();
    let seat = |number| Seat { number, target: 0, join_after: Duration::ZERO, slow: false };
    Plan {
        viewers: (0..viewers).map(seat).collect(),
        targets: vec![(Target::parse(&format!("http://{address}/live/cam.m3u8")).unwrap(), address)],
        connector: None,
        slow_share: 0.0,
        churn: 0.0,
        join_timeout: Duration::from_secs(60),
        seed: 1,
    }
}

/// Runs viewers against the stream until `done`, which may let it advance.
fn run_until(viewers: usize, stream: &Arc<Stream>, done: impl Fn(&Counters) -> bool) -> (Outcome, Counters) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = plan(&listener, viewers);
    let served = stream.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let served = served.clone();
            std::thread::spawn(move || served.serve(socket.unwrap()));
        }
    });
    let (counters, stop) = (Counters::default(), AtomicBool::new(false));
    let outcome = std::thread::scope(|scope| {
        let crowd = scope.spawn(|| run(&plan, Style::Parts, &counters, &stop).unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        while !done(&counters) && Instant::now() < deadline {
            std::thread::yield_now();
        }
        stop.store(true, Relaxed);
        crowd.join().unwrap()
    });
    assert!(done(&counters), "{counters:?} {:?}", outcome.failure);
    (outcome, counters)
}

#[test]
fn viewers_begin_with_a_keyframe_and_take_each_part_once() {
    const VIEWERS: u64 = 5;
    let stream = Arc::new(Stream::default());
    (0..6).for_each(|_| stream.advance());
    let bytes = |counters: &Counters| counters.bytes.load(Relaxed);
    let began = VIEWERS * 2 * 6 * PART_BYTES as u64;
    let (outcome, counters) = run_until(VIEWERS as usize, &stream, |counters| {
        if bytes(counters) > began && *stream.0.lock().unwrap() == 6 {
            // Everybody waits for these.
            stream.advance();
            stream.advance();
        }
        bytes(counters) > began + VIEWERS * 2 * 2 * PART_BYTES as u64
    });
    assert_eq!((counters.started.into_inner(), counters.failed.into_inner()), (VIEWERS, 0));
    assert_eq!((outcome.first_media.count(), outcome.hls.refused), (VIEWERS, 0));
    let most = VIEWERS * 2 * (8 * PART_BYTES as u64 + 20_000);
    assert!(counters.bytes.into_inner() < most, "no part came twice");
}

#[test]
fn a_server_without_the_stream_fails_the_join() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut plan = plan(&listener, 1);
    plan.targets[0].0 =
        Target::parse(&format!("http://{}/live/cam/none.m3u8x.m3u8", plan.targets[0].1)).unwrap();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
        // Open for as long as the other end is.
        let _ = BufReader::new(socket).lines().count();
    });
    let (counters, stop) = (Counters::default(), AtomicBool::new(false));
    let outcome = std::thread::scope(|scope| {
        let crowd = scope.spawn(|| run(&plan, Style::Parts, &counters, &stop).unwrap());
        while counters.failed.load(Relaxed) == 0 {
            std::thread::yield_now();
        }
        stop.store(true, Relaxed);
        crowd.join().unwrap()
    });
    assert_eq!(outcome.failure.as_deref(), Some("the server refused: status 404"));
}

#[test]
fn files_are_asked_for_again_and_again() {
    let stream = Arc::new(Stream::default());
    (0..3).for_each(|_| stream.advance());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut plan = plan(&listener, 3);
    let address = plan.targets[0].1;
    plan.targets = ["v-1.m4s", "a-init.mp4"]
        .map(|file| (Target::parse(&format!("http://{address}/live/cam/{file}")).unwrap(), address))
        .to_vec();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let stream = stream.clone();
            std::thread::spawn(move || stream.serve(socket.unwrap()));
        }
    });
    let (counters, stop) = (Counters::default(), AtomicBool::new(false));
    let style = Style::Files(Duration::from_millis(5));
    std::thread::scope(|scope| {
        let crowd = scope.spawn(|| run(&plan, style, &counters, &stop).unwrap());
        while counters.requests.load(Relaxed) < 60 {
            std::thread::yield_now();
        }
        stop.store(true, Relaxed);
        crowd.join().unwrap();
    });
    assert_eq!((counters.started.into_inner(), counters.failed.into_inner()), (3, 0));
}
