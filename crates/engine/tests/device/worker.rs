//! A worker with devices that this machine does not have, for tests: it behaves as its arguments say.
//!
//! ```text
//! engine-device WORKER [decode-]BACKEND=BEHAVIOUR ...
//! ```
//!
//! It stands between the server and `WORKER`, a real one, whose encoder or decoder on the processor does the work of the device. All that is
//! known here of their messages is where the back end is, and which of them are frames and pictures.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// What a device does.
#[derive(Debug, Clone)]
enum Behaviour {
    /// `refuse`: it does not open.
    Refuse,
    /// `speed:N`: it works, and a test finds N pictures per second.
    Speed(u64),
    /// `lost:N`: it is gone after N frames or pictures.
    Lost(u32),
    /// `hang:N`: nothing comes of it after N frames or pictures.
    Hang(u32),
    /// `asleep`: it opens, and never decodes anything.
    Asleep,
    /// `unfit:N`: it does not take what comes after N pictures.
    Unfit(u32),
    /// `garbage`: what it says of its frames or pictures is nonsense.
    Garbage,
    /// `sessions:N:FOLDER`: no more than N encoders at once, of which each locks a file.
    Sessions(u32, PathBuf),
}

// `engine::encode::Backend`, `engine::decode::Backend`, `Order` and `Report` by the numbers that postcard gives them.
const BACKENDS: [(&str, u8); 5] = [("nvenc", 4), ("vaapi", 5), ("qsv", 6), ("v4l2", 7), ("videotoolbox", 8)];
const DECODERS: [(&str, u8); 5] = [
    ("decode-nvdec", 1),
    ("decode-qsv", 2),
    ("decode-vaapi", 3),
    ("decode-videotoolbox", 4),
    ("decode-v4l2", 5),
];
const X264: u8 = 0;
const SOFTWARE: u8 = 0;
const DECODE: u8 = 0;
const ENCODE: u8 = 1;
const MEASURE: u8 = 2;
const MEASURE_DECODER: u8 = 3;
const PICTURE: u8 = 0;
const CONFIGURED: u8 = 2;
const PACKET: u8 = 3;
const MEASURED: u8 = 9;
const FAILED: u8 = 10;
const READY: u8 = 12;
const REFUSED: u8 = 13;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        // The server is gone.
        Err(_) => ExitCode::FAILURE,
    }
}

fn run() -> io::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let worker = arguments.next().unwrap_or_default();
    let devices: Vec<_> = arguments.filter_map(|argument| parse(&argument)).collect();
    let mut server = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let Some(mut first) = receive(&mut server)? else { return Ok(ExitCode::SUCCESS) };
    let decodes = match first.first() {
        Some(&(ENCODE | MEASURE)) => Some(false),
        Some(&(DECODE | MEASURE_DECODER)) => Some(true),
        _ => None,
    };
    let is_it = |device: &&Device| Some(device.decodes) == decodes && first.last() == Some(&device.number);
    let device = devices.iter().find(is_it);
    let mut session = None;
    if let Some(Device { behaviour, .. }) = device {
        match behaviour {
            Behaviour::Refuse => return fail(&mut server, "the device does not open: no such device"),
            Behaviour::Sessions(count, folder) => {
                session = lock(*count, folder);
                if session.is_none() {
                    return fail(&mut server, "the device does not open: out of sessions");
                }
            }
            Behaviour::Speed(fps) if first.first() == Some(&MEASURE_DECODER) => {
                send(&mut server, &measured(*fps))?;
                return Ok(ExitCode::SUCCESS);
            }
            _ => {}
        }
        if let Some(backend) = first.last_mut() {
            *backend = if decodes == Some(true) { SOFTWARE } else { X264 };
        }
    }
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new(worker)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::inherit())
        .stderr(Stdio::null())
        .spawn()?;
    send(&mut ours, &first)?;
    let (mut from, mut to) = (server.try_clone()?, ours.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let behaviour = device.map(|device| &device.behaviour);
    let made = if decodes == Some(true) { PICTURE } else { PACKET };
    let mut frames = 0;
    while let Some(mut report) = receive(&mut ours)? {
        let is_made = report.first() == Some(&made);
        frames += u32::from(is_made);
        match (behaviour, report.first()) {
            (Some(Behaviour::Speed(fps)), Some(&MEASURED)) => report = measured(*fps),
            (Some(Behaviour::Lost(after)), Some(_)) if is_made && frames > *after => {
                return fail(&mut server, "a picture is not made: the device is lost");
            }
            (Some(Behaviour::Unfit(after)), Some(_)) if is_made && frames > *after => {
                send(&mut server, &[REFUSED])?;
                return fail(&mut server, "the device does not decode this stream");
            }
            (Some(Behaviour::Hang(after)), Some(_)) if is_made && frames > *after => hang(),
            (Some(Behaviour::Asleep), Some(&READY)) => hang(),
            // A slot that does not exist.
            (Some(Behaviour::Garbage), Some(&PICTURE)) if is_made => report[1] = 0xff,
            (Some(Behaviour::Garbage), Some(&CONFIGURED)) => report = vec![CONFIGURED, 3, 0xff, 0xff, 0xff],
            _ => {}
        }
        send(&mut server, &report)?;
    }
    drop(session);
    let status = child.wait()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

/// What one device does.
struct Device {
    decodes: bool,
    /// That of its back end.
    number: u8,
    behaviour: Behaviour,
}

fn parse(argument: &str) -> Option<Device> {
    let (backend, behaviour) = argument.split_once('=')?;
    let decodes = backend.starts_with("decode-");
    let known = if decodes { DECODERS } else { BACKENDS };
    let (_, number) = known.into_iter().find(|(name, _)| *name == backend)?;
    let mut parts = behaviour.splitn(3, ':');
    let kind = parts.next()?;
    let mut count = || parts.next()?.parse::<u32>().ok();
    let behaviour = match kind {
        "refuse" => Behaviour::Refuse,
        "speed" => Behaviour::Speed(count()?.into()),
        "lost" => Behaviour::Lost(count()?),
        "hang" => Behaviour::Hang(count()?),
        "asleep" => Behaviour::Asleep,
        "unfit" => Behaviour::Unfit(count()?),
        "garbage" => Behaviour::Garbage,
        "sessions" => Behaviour::Sessions(count()?, parts.next()?.into()),
        _ => return None,
    };
    Some(Device { decodes, number, behaviour })
}

/// A place among those that encode at once, until it is dropped.
fn lock(count: u32, folder: &std::path::Path) -> Option<File> {
    (0..count).find_map(|place| {
        let file = File::create(folder.join(place.to_string())).ok()?;
        file.try_lock().ok().map(|()| file)
    })
}

fn fail(server: &mut UnixStream, why: &str) -> io::Result<ExitCode> {
    let mut report = vec![FAILED, why.len() as u8];
    report.extend_from_slice(why.as_bytes());
    send(server, &report)?;
    Ok(ExitCode::FAILURE)
}

/// A report of 60 pictures at so many per second.
fn measured(fps: u64) -> Vec<u8> {
    const PICTURES: u8 = 60;
    let nanos = u64::from(PICTURES) * 1_000_000_000 / fps.max(1);
    let mut report = vec![MEASURED, PICTURES];
    varint(nanos / 1_000_000_000, &mut report);
    varint(nanos % 1_000_000_000, &mut report);
    // No time of the processor.
    report.extend([0, 0]);
    report
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The body of the next message.
fn receive(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    if from.read_exact(&mut length).is_err() {
        return Ok(None);
    }
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    from.read_exact(&mut body)?;
    Ok(Some(body))
}

fn send(to: &mut impl Write, body: &[u8]) -> io::Result<()> {
    to.write_all(&[&(body.len() as u32).to_le_bytes(), body].concat())
}
