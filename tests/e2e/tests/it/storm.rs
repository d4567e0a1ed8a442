//! Many viewers in the same moment.

use e2e::program::{self, Repeat};
use e2e::{Server, clip, need, until};

const VIEWERS: usize = 200;

#[test]
fn two_hundred_viewers_join_at_once() {
    let ffmpeg = need!(program::ffmpeg());
    let clip = need!(clip::h264_aac(&ffmpeg));
    let server = Server::start();
    let _publisher = program::publish(&ffmpeg, &clip, Repeat::Forever, &server.rtmp_url("cam"));
    server.await_live("cam");
    std::thread::scope(|scope| {
        let viewers: Vec<_> = (0..VIEWERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut flv = server.open_flv("cam", "")?;
                    let mut configured = false;
                    let first = flv.find(|tag| {
                        configured |= tag.kind == 9 && tag.is_config();
                        tag.is_picture()
                    })?;
                    // Two keyframes more: it goes on after the burst.
                    flv.find(|tag| tag.is_keyframe())?;
                    flv.find(|tag| tag.is_keyframe())?;
                    std::io::Result::Ok(configured && first.is_keyframe())
                })
            })
            .collect();
        for viewer in viewers {
            assert!(
                viewer.join().unwrap().unwrap(),
                "the first picture was no keyframe, or came unconfigured"
            );
        }
    });
    until("all of them are gone", || (server.sessions("play") == 0).then_some(()));
    assert!(server.is_live("cam"));
}
