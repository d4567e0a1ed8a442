use super::*;
use crate::config::{Config as Settings, parse_channel};
use bytes::Bytes;
use hub::Publisher;
use media::{Codec, Flags, Time};

/// Of 1920x1080.
const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x28, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02,
    0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x0f, 0xa4, 0x00, 0x03, 0xa9, 0x80, 0x3c, 0x60, 0xc6, 0x58, 0x01,
    0x00, 0x04, 0x68, 0xef, 0x8f, 0xcb, 0xfd, 0xf8, 0xf8, 0x00,
];

fn env() -> (Arc<Env>, net::ShutdownTrigger) {
    let settings = Settings::default();
    let policy = settings.access.to_policy(None, None);
    let (trigger, shutdown) = net::Shutdown::new();
    (Env::new(settings, policy, 1, shutdown), trigger)
}

fn publish(env: &Env, name: &StreamName) -> Publisher {
    let mut publisher = env.origin.publish(name, Instant::now()).unwrap();
    for (role, payload) in [(Role::Config, AVCC), (Role::Frame, &[0, 0, 0, 2, 0x65, 0][..])] {
        let packet = Packet {
            track: TrackId::VIDEO,
            codec: Codec::H264,
            role,
            flags: Flags { keyframe: role == Role::Frame, disposable: false },
            dts: Time::ZERO,
            pts: Time::ZERO,
            payload: Bytes::from_static(payload),
        };
        publisher.write(packet, Instant::now()).unwrap();
    }
    publisher
}

#[tokio::test]
async fn a_stream_that_ends_before_its_rung_has_begun_ends_the_branch() {
    let (env, _trigger) = env();
    let [base, rung] = ["live/cam", "live/cam~480p"].map(|name| parse_channel(name).unwrap());
    let publisher = publish(&env, &base);
    let options = ReadOptions { wait_max: Duration::from_secs(60), ..ReadOptions::default() };
    let _viewer = env.origin.read(&rung, options, Instant::now()).unwrap();
    let demand = env.origin.read(&base, ReadOptions::default(), Instant::now()).unwrap();
    env.transcoding
        .table()
        .demands
        .insert(rung, super::super::Demand { base: base.clone(), _presence: demand });
    // Workers that cannot be started make no picture.
    let launch = Launch { program: "/nonexistent/worker".into(), arguments: Vec::new() };
    let branch = Branch::new(env.clone(), base, launch, Arc::new(Notify::new()));
    publisher.finish();
    let branch = tokio::spawn(branch.run());
    // A branch that began the rung again and again would never end.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    assert!(branch.is_finished(), "it must not begin the rung again and again");
    assert!(env.metrics.transcode().started.get() <= 2, "{}", env.metrics.transcode().started.get());
}
