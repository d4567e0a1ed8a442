//! Bodies of the fuzz targets. Each panics where an invariant breaks; ordinary tests run them on seeds.

use crate::Source;
use crate::source::Mp4Source;
use media::Packet;
use std::io::Cursor;

/// Packets taken from one file. An index of a few bytes can name the same media millions of times.
const PACKETS_MAX: usize = 1_000;

/// An MP4 file: no packet is larger than the file, and a rewound file plays the same.
pub fn mp4(data: &[u8]) {
    let Ok(mut source) = Mp4Source::new(Cursor::new(data)) else { return };
    let once = read(&mut source);
    assert!(
        once.iter().all(|packet| packet.role != media::Role::Frame || packet.payload.len() <= data.len())
    );
    assert!(source.rewind().is_ok());
    assert_eq!(read(&mut source), once);
}

fn read(source: &mut impl Source) -> Vec<Packet> {
    let packets = std::iter::from_fn(|| source.next().ok().flatten());
    packets.take(PACKETS_MAX).collect()
}
