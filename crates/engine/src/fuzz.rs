//! Bodies of the fuzz targets. Each panics where an invariant breaks; ordinary tests run them on seeds.

use crate::ipc::{self, Report};
use crate::picture::{Layout, SLOT_BYTES};

/// What a worker process might say to the server once it has been taken over.
pub fn reports(data: &[u8]) {
    let mut bytes = data;
    while let Ok(Some(report)) = ipc::receive::<Report>(&mut bytes) {
        if let Report::Picture(picture) = &report
            && let Some(layout) = Layout::of(picture.width, picture.height)
        {
            assert!(layout.bytes() <= SLOT_BYTES);
        }
        let written = ipc::write(&report);
        assert!(ipc::receive::<Report>(&mut &written[..]).is_ok_and(|read| read.as_ref() == Some(&report)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::Coded;
    use crate::picture::{Picture, Region};
    use std::time::Duration;

    #[test]
    fn seeds_pass() {
        let picture = Picture {
            slot: 3,
            pts: 40_000_000,
            keyframe: true,
            width: 1920,
            height: 1080,
            pixel_aspect: (1, 1),
            primaries: 1,
            transfer: 1,
            matrix: 1,
            full_range: false,
        };
        let coded =
            Coded { pts: 0, dts: -1, keyframe: false, disposable: true, payload: vec![0, 0, 0, 1, 9] };
        let all = [
            Report::Picture(picture),
            Report::Regions(vec![Region { x: 600, y: 200, width: 90, height: 90 }]),
            Report::Free(9),
            Report::Configured(vec![1, 0x64, 0, 0x1f]),
            Report::Packet(coded),
            Report::Skipped(1234),
            Report::Taken,
            Report::Seen { pts: 40, black: 1000, changed: Some(3) },
            Report::Heard { pts: 40, peak_db: -60 },
            Report::Measured { pictures: 60, wall: Duration::from_secs(1), cpu: Duration::from_secs(1) },
            Report::Failed("why".to_owned()),
            Report::Done,
        ];
        let bytes: Vec<u8> = all.iter().flat_map(ipc::write).collect();
        reports(&bytes);
        for cut in 0..bytes.len() {
            reports(&bytes[cut..]);
            reports(&bytes[..cut]);
        }
    }
}
