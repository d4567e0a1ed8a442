use super::*;
use crate::Config;
use crate::config::ChannelAccess;
use crate::metrics::Role;
use crate::sessions::NewSession;
use crate::testing::publish;
use http::HeaderName;
use http_body_util::BodyExt;
use std::net::SocketAddr;
use tower_service::Service;

const NEAR: &str = "127.0.0.1:40000";
const FAR: &str = "192.0.2.9:40000";
const TOKEN: &str = "token-of-the-operator";

struct Node {
    env: Arc<Env>,
    router: Router,
    trigger: net::ShutdownTrigger,
}

impl Node {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let policy = config.access.to_policy(Some("0123456789abcdef".into()), Some(TOKEN.into()));
        let (trigger, shutdown) = net::Shutdown::new();
        let env = Env::new(config, policy, 1, shutdown);
        let files = [
            ("index.html", "<!doctype html>home"),
            ("watch.html", "<!doctype html><script>early()</script>"),
            ("assets/main-1.js", "main()"),
            ("favicon.svg", "<svg/>"),
        ];
        let files = files.map(|(path, content)| (path.to_owned(), Bytes::from_static(content.as_bytes())));
        Self { router: with_site(env.clone(), Site::new(files)), env, trigger }
    }

    async fn send(&self, request: http::request::Builder, peer: &str, body: impl Into<Body>) -> Answer {
        let mut request = request.body(body.into()).unwrap();
        request.extensions_mut().insert(Peer(peer.parse::<SocketAddr>().unwrap()));
        let response = self.router.clone().call(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body: String::from_utf8(body.into()).unwrap() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path), FAR, ()).await
    }

    fn publish(&self, name: &str) -> hub::Publisher {
        publish(&self.env, name)
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn problem(&self) -> api::Problem {
        assert_eq!(self.header(header::CONTENT_TYPE), api::PROBLEM_CONTENT_TYPE, "{}", self.body);
        let problem: api::Problem = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        problem
    }
}

#[tokio::test]
async fn pages_have_their_own_policy_and_every_answer_is_nosniff() {
    let node = Node::new(|_| {});
    let watch = node.get("/watch/cam-1").await;
    assert_eq!(
        (watch.status, watch.header(header::CONTENT_TYPE)),
        (StatusCode::OK, "text/html; charset=utf-8")
    );
    assert!(watch.header(header::CONTENT_SECURITY_POLICY).contains("'sha256-"), "inline script by hash");
    for path in ["/", "/assets/main-1.js", "/favicon.svg", "/healthz", "/api/v1/channels", "/absent"] {
        let answer = node.get(path).await;
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
        assert!(!answer.header(header::CONTENT_SECURITY_POLICY).is_empty(), "{path}");
    }
    assert!(node.get("/assets/main-1.js").await.header(header::CACHE_CONTROL).contains("immutable"));
}

#[tokio::test]
async fn errors_are_problems_with_the_right_status() {
    let node = Node::new(|_| {});
    for path in [
        "/absent",
        "/assets/absent.js",
        "/api/v1/absent",
        "/watch/..%2fx",
        "/index.html",
        "/api/v1/channels/live/x",
    ] {
        let answer = node.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!answer.problem().detail.is_empty());
    }
    for (method, path) in [
        ("POST", "/"),
        ("DELETE", "/api/v1/channels"),
        ("GET", "/api/v1/beacon"),
        ("PUT", "/assets/main-1.js"),
    ] {
        let answer = node.send(Request::builder().method(method).uri(path), FAR, ()).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        answer.problem();
    }
}

#[tokio::test]
async fn readiness_ends_with_the_shutdown_while_health_goes_on() {
    let node = Node::new(|_| {});
    assert_eq!(node.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    node.env.ready.store(true, std::sync::atomic::Ordering::Release);
    assert_eq!(node.get("/readyz").await.status, StatusCode::OK);
    node.trigger.trigger();
    assert_eq!(node.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(node.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_live_channel_is_listed_and_an_awaited_name_is_not() {
    let node = Node::new(|_| {});
    let _publisher = node.publish("live/cam");
    let awaited = crate::config::parse_channel("live/rude-words").unwrap();
    let _reader = node.env.origin.read(&awaited, hub::ReadOptions::default(), Instant::now()).unwrap();
    let list = node.get("/api/v1/channels").await;
    let list: api::Channels = serde_json::from_str(&list.body).unwrap();
    assert_eq!(list.channels.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["live/cam"]);
    assert!(list.channels[0].live);
    let detail: api::ChannelDetail =
        serde_json::from_str(&node.get("/api/v1/channels/live/cam").await.body).unwrap();
    assert_eq!((detail.channel.video.unwrap().codec, detail.log.keyframes), ("h264".to_owned(), 1));
    assert_eq!(node.get("/api/v1/channels/live/rude-words").await.status, StatusCode::NOT_FOUND);
    assert!(node.get("/metrics").await.body.contains("rushlight_hub_streams 1\n"));
}

#[tokio::test]
async fn a_channel_with_a_play_key_shows_itself_to_those_who_have_the_key() {
    let node = Node::new(|config| {
        config.access.channel.push(ChannelAccess {
            name: "live/private".to_owned(),
            play_key: Some("friends only".into()),
            ..ChannelAccess::default()
        });
    });
    let _publisher = node.publish("live/private");
    assert!(!node.get("/api/v1/channels").await.body.contains("private"));
    let path = "/api/v1/channels/live/private";
    assert_eq!(node.get(path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(node.get(&format!("{path}?key=friends%20onlx")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(node.get(&format!("{path}?key=friends%20only")).await.status, StatusCode::OK);
    for query in ["?key=wrong", "?key=", ""] {
        assert!(!node.get(&format!("/api/v1/channels{query}")).await.body.contains("private"));
    }
    assert!(node.get("/api/v1/channels?key=friends%20only").await.body.contains("private"));
}

#[test]
fn a_list_is_made_anew_when_it_is_old_and_for_each_key_once() {
    let mut lists = Lists::default();
    let start = Instant::now();
    let mut made = 0;
    let mut get = |key, now| {
        lists.get(key, now, || {
            made += 1;
            Bytes::from(made.to_string())
        })
    };
    assert_eq!((get(None, start), get(Some("a"), start)), ("1".into(), "2".into()));
    let young = start + CHANNELS_AGE_MAX / 2;
    assert_eq!((get(None, young), get(Some("a"), young)), ("1".into(), "2".into()));
    assert_eq!(get(None, start + CHANNELS_AGE_MAX), "3");
}

#[tokio::test]
async fn addresses_of_viewers_are_told_to_those_who_have_the_token_wherever_they_are() {
    let node = Node::new(|_| {});
    let new = NewSession {
        role: Role::Play,
        stream: crate::config::parse_channel("live/cam").unwrap(),
        address: "203.0.113.5:1234".parse().unwrap(),
        user_agent: Some("VLC/3"),
        started: Instant::now(),
    };
    let _session = node.env.sessions.open(new, &node.env.metrics.protocol("rtmp")).unwrap();
    let ask = |peer: &'static str, headers: &[(&str, &str)]| {
        let mut request = Request::get("/api/v1/sessions");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        node.send(request, peer, ())
    };
    for scheme in ["Bearer", "bearer"] {
        let answer = ask(FAR, &[("authorization", &format!("{scheme} {TOKEN}"))]).await;
        assert!(answer.body.contains("203.0.113.5:1234"), "{}", answer.body);
        assert!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_empty());
    }
    // What a reverse proxy on this machine sends for anybody, if it is not told otherwise.
    let proxied = [("host", "127.0.0.1:8080")];
    let basic = format!("Basic {TOKEN}");
    for (peer, headers, challenge) in [
        (NEAR, &proxied[..], "Bearer realm=\"rushlight\""),
        (NEAR, &[("host", "localhost:8080")], "Bearer realm=\"rushlight\""),
        (NEAR, &[("authorization", &basic)], "Bearer realm=\"rushlight\""),
        (FAR, &[], "Bearer realm=\"rushlight\""),
        (NEAR, &[("authorization", "Bearer wrong")], "Bearer realm=\"rushlight\", error=\"invalid_token\""),
    ] {
        let answer = ask(peer, headers).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{peer} {headers:?}");
        assert_eq!(answer.header(header::WWW_AUTHENTICATE), challenge);
        let detail = answer.problem().detail;
        assert!(detail.contains("operator.token") && !detail.contains("203.0.113.5"), "{detail}");
    }
}

#[tokio::test]
async fn pages_of_allowed_sites_may_read_without_a_preflight() {
    let node = Node::new(|config| config.http.allow_origins = vec!["https://a.example".to_owned()]);
    let from = async |origin: &str| {
        let answer = node.send(Request::get("/api/v1/channels").header("origin", origin), FAR, ()).await;
        assert!(answer.header(header::VARY).contains("origin"));
        answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN).to_owned()
    };
    assert_eq!(from("https://a.example").await, "https://a.example");
    assert_eq!(from("https://b.example").await, "");
    for path in ["/api/v1/beacon", "/live/cam.flv"] {
        let preflight = Request::options(path)
            .header("origin", "https://a.example")
            .header("access-control-request-method", "POST");
        let answer = node.send(preflight, FAR, ()).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{path}");
        assert!(answer.header(header::ACCESS_CONTROL_ALLOW_METHODS).contains("POST"));
    }
}

#[tokio::test]
async fn beacons_are_counted_whatever_content_type_they_come_with() {
    let node = Node::new(|_| {});
    let good = r#"{"session":"a1","stream":"live/cam","protocol":"ws-flv","renderer":"mse","event":"start",
        "t":{"t1":1,"t2":2,"t3":3,"t4":4,"t5":90},"watchedMs":1000}"#;
    let post = |content_type: &'static str, body: String| {
        node.send(Request::post("/api/v1/beacon").header("content-type", content_type), FAR, body)
    };
    assert_eq!(post("text/plain;charset=UTF-8", good.to_owned()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(post("application/json", good.to_owned()).await.status, StatusCode::NO_CONTENT);
    for (body, status) in [
        ("{".to_owned(), StatusCode::BAD_REQUEST),
        (good.replace("live/cam", "../../etc"), StatusCode::BAD_REQUEST),
        (good.replace("ws-flv", "my-own-label"), StatusCode::BAD_REQUEST),
        (" ".repeat(beacon::limits::BODY_BYTES_MAX + 1), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let answer = post("text/plain", body).await;
        assert_eq!(answer.status, status);
        answer.problem();
    }
    let text = node.get("/metrics").await.body;
    assert!(text.contains("rushlight_player_beacons_total 2\n"), "{text}");
    assert!(text.contains("rushlight_player_beacons_rejected_total 4\n"), "{text}");
}

#[tokio::test]
async fn an_address_that_sends_reports_without_end_is_refused() {
    let node = Node::new(|_| {});
    let post = || node.send(Request::post("/api/v1/beacon"), FAR, "{");
    let answers = 1_000;
    let mut refused = 0;
    for _ in 0..answers {
        let answer = post().await;
        refused += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
        answer.problem();
    }
    assert!((1..answers).contains(&refused), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_report_that_never_ends_is_given_up() {
    let node = Node::new(|_| {});

    let answer = node.send(Request::post("/api/v1/beacon"), FAR, Body::new(Never)).await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
    answer.problem();
}

/// A body of which nothing ever comes.
struct Never;

impl http_body::Body for Never {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

const RELAYS: &str = "/api/v1/relays";
const PUSH: &str = "/api/v1/relays/push";
const TARGET: &str = r#"{"stream":"live/cam","url":"rtmp://host.example/app/secret-key","name":"example"}"#;

fn ask(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header(header::HOST, "localhost:8080")
}

fn operator(method: &str, path: &str) -> http::request::Builder {
    ask(method, path).header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
}

#[tokio::test]
async fn the_operator_adds_lists_and_removes_targets() {
    let node = Node::new(|_| {});
    let added = node.send(operator("POST", PUSH), FAR, TARGET).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.body);
    let target: api::PushTarget = serde_json::from_str(&added.body).unwrap();
    assert_eq!((target.stream.as_str(), target.added), ("live/cam", true));
    assert_eq!(target.url, "rtmp://host.example:1935/app/***");
    let list = node.send(operator("GET", RELAYS), FAR, ()).await;
    let list: api::Relays = serde_json::from_str(&list.body).unwrap();
    assert_eq!((list.push.len(), list.push[0].id.as_str()), (1, target.id.as_str()));
    assert_eq!(node.send(operator("POST", PUSH), FAR, TARGET).await.status, StatusCode::CONFLICT);
    let path = format!("{PUSH}/{}", target.id);
    assert_eq!(node.send(operator("DELETE", &path), FAR, ()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(node.send(operator("DELETE", &path), FAR, ()).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn others_need_the_publish_key_of_the_stream_for_its_relays() {
    let node = Node::new(|config| {
        let (name, publish_key) = ("live/own".to_owned(), Some("own-key-1234".into()));
        config.access.channel.push(ChannelAccess { name, publish_key, play_key: None });
    });
    let key = "?key=0123456789abcdef";
    let refused = |answer: &Answer, status: StatusCode| {
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(!answer.problem().detail.is_empty());
    };
    for peer in [FAR, NEAR] {
        refused(&node.send(ask("GET", RELAYS), peer, ()).await, StatusCode::UNAUTHORIZED);
        refused(&node.send(ask("POST", PUSH), peer, TARGET).await, StatusCode::UNAUTHORIZED);
        refused(&node.send(ask("DELETE", &format!("{PUSH}/1")), peer, ()).await, StatusCode::UNAUTHORIZED);
        let wrong = format!("{PUSH}?key=wrong-key");
        refused(&node.send(ask("POST", &wrong), peer, TARGET).await, StatusCode::FORBIDDEN);
    }
    let own = TARGET.replace("live/cam", "live/own");
    let with_key = format!("{PUSH}{key}");
    refused(&node.send(ask("POST", &with_key), FAR, own.clone()).await, StatusCode::FORBIDDEN);
    assert_eq!(
        node.send(ask("POST", &format!("{PUSH}?key=own-key-1234")), FAR, own).await.status,
        StatusCode::CREATED
    );
    let added = node.send(ask("POST", &with_key), FAR, TARGET).await;
    assert_eq!(added.status, StatusCode::CREATED);
    let list = node.get(&format!("{RELAYS}{key}")).await;
    let list: api::Relays = serde_json::from_str(&list.body).unwrap();
    assert_eq!(list.push.iter().map(|target| target.stream.as_str()).collect::<Vec<_>>(), ["live/cam"]);
    let path = format!("{PUSH}/{}", list.push[0].id);
    refused(
        &node.send(ask("DELETE", &format!("{path}?key=wrong-key")), FAR, ()).await,
        StatusCode::FORBIDDEN,
    );
    assert_eq!(
        node.send(ask("DELETE", &format!("{path}{key}")), FAR, ()).await.status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn targets_that_make_no_sense_are_refused_with_a_reason() {
    let node = Node::new(|_| {});
    for (body, reason) in [
        ("x", "not understood"),
        (r#"{"stream":"live/cam","url":"rtmp://h/a/n"}"#, "name"),
        (r#"{"stream":"live","url":"rtmp://h/a/n","name":"x"}"#, "live/name"),
        (r#"{"stream":"live/*","url":"rtmp://h/a/n","name":"x"}"#, "'*'"),
        (r#"{"stream":"live/cam","url":"http://h/a/n","name":"x"}"#, "url"),
        (r#"{"stream":"live/cam","url":"rtmp://h/a/n","name":""}"#, "name"),
    ] {
        let answer = node.send(operator("POST", PUSH), FAR, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.problem().detail.contains(reason), "{body}: {}", answer.body);
    }
    let long = format!(r#"{{"stream":"live/cam","url":"rtmp://h/a/{}","name":"x"}}"#, "n".repeat(10_000));
    assert_eq!(node.send(operator("POST", PUSH), FAR, long).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}
