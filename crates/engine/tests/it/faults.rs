use crate::clip::Clip;
use crate::{PATIENCE, collect, config, options, packets, publish, shown};
use engine::encode::{Backend, Config};
use engine::host::{Launch, Options, Output, Transcoder};
use media::Role;

/// Ends the process of an outlet as a crash would.
pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Waits for something that nothing tells of.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it comes");
}

#[tokio::test]
async fn an_encoder_that_dies_is_replaced_and_the_other_rung_loses_nothing() {
    let clip = Clip::usual();
    let (transcoder, mut inlet) = Transcoder::start(options());
    let (mut hit, spared) = (transcoder.add(config(320, 180)), transcoder.add(config(160, 90)));
    let spared = tokio::spawn(collect(spared));
    let (first, rest) = clip.packets.split_at(clip.packets.len() / 2);
    for packet in first {
        inlet.push(packet.clone()).await.unwrap();
    }
    let mut outputs = vec![hit.next().await.unwrap()];
    kill(hit.usage().pid.unwrap());
    while !matches!(outputs.last(), Some(Output::Replaced { .. })) {
        outputs.push(tokio::time::timeout(PATIENCE, hit.next()).await.unwrap().unwrap());
    }
    let hit = tokio::spawn(async move {
        let mut outputs = Vec::new();
        while let Some(output) = hit.next().await {
            outputs.push(output);
        }
        (outputs, hit.usage())
    });
    for packet in rest {
        inlet.push(packet.clone()).await.unwrap();
    }
    drop(inlet);
    let (after, usage) = tokio::time::timeout(PATIENCE, hit).await.unwrap().unwrap();
    let after = packets(&after);
    assert_eq!(after[0].role, Role::Config);
    assert!(after[1].flags.keyframe, "players go on at once");
    let times = shown(after, false);
    assert_eq!(times.last(), shown(&clip.packets, false).last());
    assert_eq!((usage.restarts, usage.error.unwrap().contains("signal: 9")), (1, true));
    let spared = tokio::time::timeout(PATIENCE, spared).await.unwrap().unwrap();
    assert_eq!(shown(packets(&spared), false), shown(&clip.packets, false));
}

#[tokio::test]
async fn a_decoder_that_dies_is_replaced_and_no_picture_comes_twice() {
    let clip = Clip::usual();
    let (transcoder, mut inlet) = Transcoder::start(options());
    let outlet = tokio::spawn(collect(transcoder.add(config(320, 180))));
    let (mut next, mut interrupted) = (0, 0);
    while let Some(packet) = clip.packets.get(next) {
        if next == 50 && interrupted == 0 {
            until(|| transcoder.decoder().pictures >= 35).await;
            transcoder.decoder().pid.into_iter().for_each(kill);
            until(|| transcoder.decoder().restarts > 0).await;
        }
        next = match inlet.push(packet.clone()).await {
            Ok(()) => next + 1,
            Err(_) => {
                interrupted += 1;
                inlet.push(clip.packets[0].clone()).await.unwrap();
                clip.joins_at(next)
            }
        };
    }
    drop(inlet);
    let outputs = tokio::time::timeout(PATIENCE, outlet).await.unwrap().unwrap();
    let times = shown(packets(&outputs), false);
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    let missing: Vec<_> =
        shown(&clip.packets, false).into_iter().filter(|pts| !times.contains(pts)).collect();
    assert_eq!((interrupted, transcoder.decoder().restarts), (1, 1));
    assert!(missing.is_empty(), "the GOP was decoded again: {missing:?}");
}

#[tokio::test]
async fn a_probe_finds_what_works_and_says_why_the_rest_does_not() {
    let probed = engine::host::probe(&options().launch).await.unwrap();
    let ranked = engine::host::ranked(&probed);
    for backend in [Backend::X264, Backend::X265, Backend::SvtAv1] {
        assert!(ranked.contains(&backend), "{backend}: {probed:?}");
    }
    assert!(probed.iter().filter_map(|probed| probed.speed.as_ref().err()).all(|why| !why.is_empty()));
}

#[tokio::test]
async fn a_back_end_that_is_not_there_is_passed_over() {
    let clip = Clip::usual();
    let (transcoder, inlet) = Transcoder::start(options());
    let outlet = transcoder.add(Config { backend: Some(Backend::Nvenc), ..config(320, 180) });
    let outputs = tokio::spawn(async move {
        let (mut outputs, mut outlet) = (Vec::new(), outlet);
        while let Some(output) = outlet.next().await {
            outputs.push(output);
        }
        (outputs, outlet.usage())
    });
    publish(inlet, &clip).await;
    let (outputs, usage) = tokio::time::timeout(PATIENCE, outputs).await.unwrap().unwrap();
    assert!(matches!(&outputs[0], Output::Replaced { why } if why.contains("nvenc")), "{:?}", outputs[0]);
    assert_eq!(usage.backend, Some(Backend::X264));
    assert!(packets(&outputs)[1].flags.keyframe);
}

#[tokio::test]
async fn workers_that_cannot_start_end_the_rung_with_an_error() {
    let launch = Launch { program: "/nonexistent/engine-worker".into(), arguments: Vec::new() };
    let (transcoder, _inlet) = Transcoder::start(Options { launch, ..options() });
    let mut outlet = transcoder.add(config(320, 180));
    while tokio::time::timeout(PATIENCE, outlet.next()).await.unwrap().is_some() {}
    assert!(outlet.usage().error.unwrap().contains("cannot be started"));
}

#[tokio::test]
async fn a_stream_of_garbage_costs_nothing_but_itself() {
    let clip = Clip::usual();
    let (transcoder, mut inlet) = Transcoder::start(options());
    let outlet = tokio::spawn(collect(transcoder.add(config(320, 180))));
    let spared = tokio::spawn(async { crate::transcode(&Clip::usual(), vec![config(160, 90)]).await });
    for (index, packet) in clip.packets.iter().enumerate() {
        let mut packet = packet.clone();
        if packet.role == Role::Frame && index % 7 != 1 {
            let garbled: Vec<u8> =
                packet.payload.iter().map(|byte| byte.rotate_left(3) ^ index as u8).collect();
            packet.payload = garbled.into();
        }
        if inlet.push(packet).await.is_err() {
            continue;
        }
    }
    drop(inlet);
    tokio::time::timeout(PATIENCE, outlet).await.unwrap().unwrap();
    assert_eq!(shown(packets(&spared.await.unwrap()[0]), false), shown(&clip.packets, false));
}

/// What the kernel says of a worker.
fn status(pid: u32, field: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.trim_start_matches(':').trim().to_owned()
}

#[tokio::test]
async fn workers_have_given_up_their_rights_when_they_work() {
    let clip = Clip::usual();
    let (transcoder, mut inlet) = Transcoder::start(options());
    let mut outlet = transcoder.add(config(320, 180));
    for packet in &clip.packets {
        inlet.push(packet.clone()).await.unwrap();
    }
    outlet.next().await.unwrap();
    let pid = outlet.usage().pid.unwrap();
    assert_eq!((status(pid, "Seccomp"), status(pid, "NoNewPrivs")), ("2".to_owned(), "1".to_owned()));
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let files: Vec<_> = files.map(|file| std::fs::read_link(file.unwrap().path()).unwrap()).collect();
    assert!(files.len() <= 5, "{files:?}");
}

#[tokio::test]
async fn an_outlet_that_is_dropped_ends_its_process() {
    let clip = Clip::usual();
    let (transcoder, mut inlet) = Transcoder::start(options());
    let (mut outlet, mut other) = (transcoder.add(config(320, 180)), transcoder.add(config(160, 90)));
    for packet in &clip.packets[..40] {
        inlet.push(packet.clone()).await.unwrap();
    }
    outlet.next().await.unwrap();
    let pid = outlet.usage().pid.unwrap();
    drop(outlet);
    let gone = async {
        while std::fs::metadata(format!("/proc/{pid}")).is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    for packet in &clip.packets[40..] {
        inlet.push(packet.clone()).await.unwrap();
    }
    assert!(other.next().await.is_some());
}

/// Stops a process as a hang would.
fn stop(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
}

#[tokio::test]
async fn an_encoder_that_hangs_is_replaced_and_holds_up_nobody_for_long() {
    let clip = Clip::new("320x180", 30, 12, &["-c:v", "libx264", "-preset", "ultrafast"]);
    let (transcoder, mut inlet) = Transcoder::start(Options { is_live: true, ..options() });
    let (mut hung, other) = (transcoder.add(config(160, 90)), transcoder.add(config(160, 90)));
    let other = tokio::spawn(collect(other));
    let hung = tokio::spawn(async move {
        hung.next().await;
        stop(hung.usage().pid.unwrap());
        let mut why = None;
        while let Some(output) = hung.next().await {
            if let Output::Replaced { why: said } = output {
                why = Some(said);
            }
        }
        (why, hung.usage())
    });
    for packet in &clip.packets {
        inlet.push(packet.clone()).await.unwrap();
    }
    drop(inlet);
    let (why, usage) = tokio::time::timeout(PATIENCE, hung).await.unwrap().unwrap();
    assert_eq!((why.as_deref(), usage.restarts), (Some("it hangs"), 1));
    let other = tokio::time::timeout(PATIENCE, other).await.unwrap().unwrap();
    assert_eq!(shown(packets(&other), false), shown(&clip.packets, false));
}

/// A worker that was taken over: it says `body` again and again, whatever it is told.
fn hostile(body: &[u8]) -> Options {
    let message: String =
        (body.len() as u32).to_le_bytes().iter().chain(body).map(|byte| format!("\\x{byte:02x}")).collect();
    let program = format!("import socket\ns=socket.socket(fileno=0)\nwhile True: s.sendall(b'{message}')");
    let launch = Launch { program: "/usr/bin/python3".into(), arguments: vec!["-c".into(), program.into()] };
    Options { launch, ..options() }
}

#[tokio::test]
async fn workers_that_talk_without_end_or_nonsense_are_ended() {
    let clip = std::sync::Arc::new(Clip::usual());
    // Postcard: the number of the report, then its fields. Free, Configured, Packet, Skipped, Failed; one that is none; a long one.
    let bodies: [&[u8]; 7] =
        [&[1, 200], &[2, 1, 7], &[3, 0, 0, 1, 0, 1, 9], &[4, 0], &[6, 1, b'x'], &[99], &[0xff; 3]];
    for body in bodies {
        let (transcoder, mut inlet) = Transcoder::start(hostile(body));
        let mut outlet = transcoder.add(config(320, 180));
        let clip = clip.clone();
        let pushing = tokio::spawn(async move {
            for packet in &clip.packets {
                // It is interrupted again and again.
                let _ = inlet.push(packet.clone()).await;
            }
        });
        while tokio::time::timeout(PATIENCE, outlet.next()).await.expect("it is given up").is_some() {}
        assert!(outlet.usage().error.is_some(), "{body:?}");
        pushing.abort();
    }
}
