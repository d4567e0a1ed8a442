use super::*;
use crate::config::Config;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

const PEER: ([u8; 4], u16) = ([192, 0, 2, 1], 40_000);
const ABSENT: &str = "GET /live/none/nothing HTTP/1.1\r\nHost: a\r\nUser-Agent: x/1\r\n\r\n";

fn node() -> (Arc<Env>, net::ShutdownTrigger) {
    let config = Config::default();
    let policy = config.access.to_policy(None, None);
    let (trigger, shutdown) = net::Shutdown::new();
    (Env::new(config, policy, 1, shutdown), trigger)
}

/// The peer's end of a connection, and what becomes of ours.
fn connect(env: &Arc<Env>) -> (Stream, tokio::task::JoinHandle<Option<Prefixed>>) {
    let (ours, theirs) = net::pipe(1 << 14);
    let env = env.clone();
    let serving = tokio::spawn(async move {
        serve(&env, Stream::Pipe(ours), BytesMut::new(), SocketAddr::from(PEER)).await
    });
    (Stream::Pipe(theirs), serving)
}

/// The next answer: its head, and the body that its head tells the length of.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    (head, body)
}

fn parsed(text: &str) -> (Parsed, usize) {
    let mut input = BytesMut::from(text);
    (parse(&mut input), input.len())
}

#[test]
fn a_get_for_media_is_taken_with_all_its_header_lines() {
    let text =
        "GET /live/cam/video0.m3u8?_HLS_msn=3 HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nrange: x\r\n\r\nGET";
    let mut input = BytesMut::from(text);
    let Parsed::Media(request, name, _) = parse(&mut input) else { panic!("not taken") };
    assert_eq!((name, request.uri().path()), ("hls", "/live/cam/video0.m3u8"));
    assert_eq!(request.uri().query(), Some("_HLS_msn=3"));
    let ranges: Vec<_> = request.headers().get_all("range").iter().collect();
    assert_eq!(ranges, ["bytes=0-1", "x"]);
    assert_eq!(request.headers().len(), 3);
    assert_eq!(input, "GET", "what follows stays");
}

#[test]
fn everything_else_is_left_to_hyper_as_it_came() {
    for other in [
        "POST /live/cam.m3u8 HTTP/1.1\r\n\r\n",
        "HEAD /live/cam.m3u8 HTTP/1.1\r\n\r\n",
        "GET /live/cam.m3u8 HTTP/1.0\r\n\r\n",
        "GET http://a/live/cam.m3u8 HTTP/1.1\r\n\r\n",
        "GET /live/cam.m3u8 HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET /live/cam.m3u8 HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\n\r\n",
        "GET /live/cam.m3u8 HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
        "GET /live/cam.m3u8 HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
        "GET /live/cam.m3u8 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        "GET /live/cam.m3u8 HTTP/1.1\r\ncontent-length: 0, 0\r\n\r\n",
        "GET /live/cam.m3u8 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /live/cam.m3u8 HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /live/cam/snapshot.jpg HTTP/1.1\r\n\r\n",
        "GET /live/cam.flv HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET /live/c m.m3u8 HTTP/1.1\r\n\r\n",
    ] {
        assert!(matches!(parsed(other), (Parsed::Other, length) if length == other.len()), "{other}");
    }
    let lines = "x: y\r\n".repeat(HEADERS_MAX + 1);
    assert!(matches!(parsed(&format!("GET /live/cam.m3u8 HTTP/1.1\r\n{lines}\r\n")).0, Parsed::Other));
}

#[tokio::test(start_paused = true)]
async fn requests_have_their_answers_in_turn_until_one_is_not_for_media() {
    let (env, _trigger) = node();
    let (mut peer, serving) = connect(&env);
    let other = "HEAD /live/none.m3u8 HTTP/1.1\r\n\r\n";
    peer.write_all(format!("{ABSENT}{ABSENT}{other}").as_bytes()).await.unwrap();
    for _ in 0..2 {
        let (head, body) = answer(&mut peer).await;
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
        assert!(head.contains("\r\ndate: ") && head.contains("x-content-type-options: nosniff"), "{head}");
        assert!(!body.is_empty());
    }
    let rest = serving.await.unwrap().expect("it goes on with hyper");
    assert_eq!(rest.head, other);
}

#[tokio::test(start_paused = true)]
async fn a_head_may_come_byte_by_byte_but_not_for_ever() {
    let (env, _trigger) = node();
    let (mut peer, serving) = connect(&env);
    // That it was silent before is no part of the time that its head takes.
    tokio::time::sleep(IDLE_MAX - Duration::from_secs(1)).await;
    for byte in ABSENT.as_bytes() {
        peer.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(answer(&mut peer).await.0.starts_with("HTTP/1.1 404"));
    let begun = Instant::now();
    peer.write_all(b"GET /live").await.unwrap();
    assert!(serving.await.unwrap().is_none());
    assert_eq!(begun.elapsed().as_secs(), env.config.http.request_timeout().as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_is_closed() {
    let (env, trigger) = node();
    let begun = Instant::now();
    let (_peer, serving) = connect(&env);
    assert!(serving.await.unwrap().is_none());
    assert_eq!(begun.elapsed().as_secs(), IDLE_MAX.as_secs());

    let (_peer, serving) = connect(&env);
    tokio::task::yield_now().await;
    trigger.trigger();
    assert!(serving.await.unwrap().is_none(), "the node ends");
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_is_not_waited_for() {
    let (env, _trigger) = node();
    let (ours, theirs) = net::pipe(1 << 14);
    let mut sequence = Sequence::new(&env, Stream::Pipe(ours), BytesMut::new());
    drop(theirs);
    assert!(sequence.unless_gone(std::future::pending::<()>()).await.is_none());
}

/// What a peer receives of an answer with this body, and whether the connection goes on.
async fn written(body: Body) -> (String, bool) {
    written_response(Response::new(body)).await
}

async fn written_response(response: Response) -> (String, bool) {
    let (env, _trigger) = node();
    let (ours, theirs) = net::pipe(64);
    let mut sequence = Sequence::new(&env, Stream::Pipe(ours), BytesMut::new());
    let reading = tokio::spawn(async move {
        let mut text = String::new();
        Stream::Pipe(theirs).read_to_string(&mut text).await.unwrap();
        text
    });
    let goes_on = sequence.write(response).await.is_some();
    drop(sequence);
    (reading.await.unwrap(), goes_on)
}

/// A body that says that it has `length` bytes, and has these pieces.
struct Said {
    length: Option<u64>,
    pieces: VecDeque<io::Result<Bytes>>,
}

impl http_body::Body for Said {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<http_body::Frame<Bytes>>>> {
        Poll::Ready(self.pieces.pop_front().map(|piece| piece.map(http_body::Frame::data)))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.length.map_or_else(Default::default, http_body::SizeHint::with_exact)
    }
}

fn body(length: Option<u64>, pieces: impl IntoIterator<Item = io::Result<&'static str>>) -> Body {
    Body::new(Said { length, pieces: pieces.into_iter().map(|piece| piece.map(Bytes::from)).collect() })
}

#[tokio::test(start_paused = true)]
async fn a_body_of_known_length_is_framed_by_it() {
    let length = 6 * PIECES_MAX;
    let (text, goes_on) = written(body(Some(length as u64), (0..length / 2).map(|_| Ok("ab")))).await;
    assert!(text.contains(&format!("content-length: {length}\r\n")) && goes_on, "{text}");
    assert!(text.ends_with(&format!("\r\n\r\n{}", "ab".repeat(length / 2))));
    // One that is not as long as was said must not be followed by anything.
    assert!(!written(body(Some(3), [Ok("ab")])).await.1);
    let (text, goes_on) = written(body(Some(1), [Ok("a"), Ok("b")])).await;
    assert!(text.ends_with("\r\n\r\na") && !goes_on, "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_length_that_the_answer_says_itself_is_kept_to() {
    for (said, pieces, is_kept) in
        [("3", ["ab", "c"], true), ("3", ["ab", ""], false), ("2", ["ab", "c"], false)]
    {
        let mut response = Response::new(body(None, pieces.map(Ok)));
        response.headers_mut().insert("content-length", HeaderValue::from_static(said));
        let (text, goes_on) = written_response(response).await;
        assert_eq!(goes_on, is_kept, "{text}");
        assert!(text.contains(&format!("content-length: {said}\r\n")) && !text.contains("chunked"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_modified_has_no_body() {
    let mut response = Response::new(body(None, [Ok("never sent")]));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    let (text, goes_on) = written_response(response).await;
    assert!(text.ends_with("\r\n\r\n") && !text.contains("chunked") && goes_on, "{text}");
}

#[tokio::test(start_paused = true)]
async fn answers_are_those_that_hyper_gives() {
    let (env, _trigger) = node();
    let (ours, mut theirs) = tokio::io::duplex(1 << 14);
    let peer = SocketAddr::from(PEER);
    tokio::spawn(crate::http::connection::serve_hyper(env.clone(), ours, peer, crate::http::Port("http")));
    let (mut stream, _serving) = connect(&env);
    for path in [
        "/live/none/nothing",
        "/live/none/video0.m3u8?_HLS_msn=x",
        "/live/none.m3u8",
        "/live/none.mpd?rewind=1",
        "/live/..%2Fx.m3u8",
        "/live/none/1.ts",
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nRange: bytes=0-1\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        theirs.write_all(request.as_bytes()).await.unwrap();
        let sorted = |(head, body): (String, Vec<u8>)| {
            let mut lines: Vec<_> =
                head.lines().filter(|line| !line.starts_with("date: ")).map(str::to_owned).collect();
            lines[1..].sort();
            (lines, String::from_utf8(body).unwrap())
        };
        assert_eq!(sorted(answer(&mut stream).await), sorted(answer(&mut theirs).await), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_is_chunked() {
    let (text, goes_on) = written(body(None, ["one", "", "twentyone characters!"].map(Ok))).await;
    assert!(text.contains("transfer-encoding: chunked\r\n") && goes_on, "{text}");
    assert!(text.ends_with("\r\n\r\n3\r\none\r\n15\r\ntwentyone characters!\r\n0\r\n\r\n"), "{text}");
    let (text, goes_on) = written(body(None, [Ok("one"), Err(io::ErrorKind::Other.into())])).await;
    assert!(text.ends_with("3\r\none\r\n") && !goes_on, "it has no end: {text}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up() {
    let (env, _trigger) = node();
    let (ours, theirs) = net::pipe(64);
    let mut sequence = Sequence::new(&env, Stream::Pipe(ours), BytesMut::new());
    let begun = Instant::now();
    assert!(sequence.write(Response::new(Body::from(vec![0; 1 << 16]))).await.is_none());
    assert_eq!(begun.elapsed().as_secs(), env.config.http.write_timeout().as_secs());
    drop(theirs);
}

#[tokio::test(start_paused = true)]
async fn a_connection_holds_no_buffer_between_requests() {
    let (env, _trigger) = node();
    let (ours, theirs) = net::pipe(1 << 14);
    let mut sequence = Sequence::new(&env, Stream::Pipe(ours), BytesMut::new());
    Stream::Pipe(theirs).write_all(ABSENT.as_bytes()).await.unwrap();
    assert!(matches!(sequence.next().await, Some(Next::Media(..))));
    assert_eq!(sequence.input.capacity(), 0);
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_alike_however_they_are_cut(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        begin in prop_oneof![Just(""), Just("GET /live/cam.m3u8 HTTP/1.1\r\n"), Just(ABSENT)],
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = [begin.as_bytes(), &bytes].concat();
        let mut input = BytesMut::from(&whole[..]);
        let is_media = matches!(parse(&mut input), Parsed::Media(..));
        prop_assert!(is_media || input == whole);
        // What was decided of a part of it holds for the whole.
        let first = &whole[..cut.index(whole.len() + 1)];
        match parse(&mut BytesMut::from(first)) {
            Parsed::Media(..) => prop_assert!(is_media),
            Parsed::Other => prop_assert!(!is_media),
            Parsed::Partial => {}
        }
    }
}
