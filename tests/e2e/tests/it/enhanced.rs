//! Enhanced RTMP: what ffmpeg 9 publishes comes out unchanged, every packet of every track, for the viewer who waited
//! and for the one who joins late.

use e2e::clip::{self, Layout};
use e2e::framehash::{self, Extent};
use e2e::program::{self, Repeat};
use e2e::{Server, need, until};
use std::time::Duration;

const PLAY_MAX: Duration = Duration::from_secs(60);

fn survives(layout: Layout) {
    let ffmpeg = need!(program::ffmpeg());
    let ffmpeg9 = need!(program::ffmpeg9());
    let clip = need!(clip::enhanced(&ffmpeg, &ffmpeg9, layout));
    let server = Server::start();
    let file = |name: &str| server.scratch().join(name);

    let waited = program::record_hashes(&ffmpeg9, &server.rtmp_url("cam"), &file("waited"));
    server.await_players(1);
    let _publisher = program::publish(&ffmpeg9, &clip, Repeat::Once, &server.rtmp_url("cam"));
    server.await_live("cam");
    until("two seconds are published", || {
        (server.channel("cam")?["uptimeMs"].as_u64()? > 2_000).then_some(())
    });
    let late = program::record_hashes(&ffmpeg9, &server.rtmp_url("cam"), &file("late"));
    let over_http = program::record_hashes(&ffmpeg9, &server.flv_url("cam"), &file("http"));

    let source = framehash::of_file(&ffmpeg9, &clip);
    for (player, name, extent) in [
        (waited, "waited", Extent::Whole),
        (late, "late", Extent::ToTheEnd),
        (over_http, "http", Extent::ToTheEnd),
    ] {
        let printed = player.finish(PLAY_MAX);
        let played = framehash::parse(&std::fs::read_to_string(file(name)).unwrap()).unwrap();
        framehash::compare(&source, &played, extent).unwrap_or_else(|why| panic!("{name}: {why}\n{printed}"));
    }
}

#[test]
fn hevc_and_aac_survive() {
    survives(Layout::HevcAac);
}

#[test]
fn av1_and_opus_survive() {
    survives(Layout::Av1Opus);
}

#[test]
fn vp9_and_flac_survive() {
    survives(Layout::Vp9Flac);
}

#[test]
fn h264_and_ac3_survive() {
    survives(Layout::H264Ac3);
}

#[test]
fn two_h264_and_two_aac_tracks_survive() {
    survives(Layout::TwoOfEach);
}

#[test]
fn tracks_of_four_codecs_survive() {
    survives(Layout::FourCodecs);
}
