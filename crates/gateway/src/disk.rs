//! The space that is left on the disk of a folder.

use std::fmt;
use std::io;
use std::path::Path;

/// Bytes that this process may still write to the disk of `folder`. A folder that does not exist yet counts as the nearest one
/// above it that does. Blocks.
///
/// # Errors
///
/// What the system says of the folder.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let mut at = folder;
    loop {
        match rustix::fs::statvfs(at) {
            Ok(found) => return Ok(found.f_bavail.saturating_mul(found.f_frsize)),
            Err(rustix::io::Errno::NOENT) => match at.parent() {
                Some(parent) if parent.as_os_str().is_empty() => at = Path::new("."),
                Some(parent) => at = parent,
                None => return Err(rustix::io::Errno::NOENT.into()),
            },
            Err(error) => return Err(error.into()),
        }
    }
}

/// Fails where fewer than `bytes_min` bytes would be free in `folder` once `bytes` more are written there. Blocks.
///
/// # Errors
///
/// Of the kind [`io::ErrorKind::StorageFull`], with [`LowSpace`] in it; or what the system says of the folder.
pub(crate) fn check_free(folder: &Path, bytes: u64, bytes_min: u64) -> io::Result<()> {
    if bytes_min == 0 {
        return Ok(());
    }
    let free = free_bytes(folder)?;
    if free >= bytes_min.saturating_add(bytes) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::StorageFull,
        LowSpace { free, needed: bytes_min.saturating_add(bytes) },
    ))
}

/// A disk has less room than it shall keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LowSpace {
    /// Bytes that are free.
    pub(crate) free: u64,
    /// Bytes that should be.
    pub(crate) needed: u64,
}

impl LowSpace {
    /// The one in an error of [`check_free`].
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl fmt::Display for LowSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "disk nearly full ({} free, {} needed)", Size(self.free), Size(self.needed))
    }
}

impl std::error::Error for LowSpace {}

/// A number of bytes for people: `1.5 GiB`.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        let (mut value, mut unit) = (self.0 as f64 / 1024.0, 0);
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            (value, unit) = (value / 1024.0, unit + 1);
        }
        write!(f, "{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_does_not_exist_yet_has_the_space_of_the_one_above() {
        let there = std::env::temp_dir();
        let missing = there.join("no-such-folder/nor/this");
        assert!(free_bytes(&there).unwrap() > 0 && free_bytes(&missing).unwrap() > 0);
        assert!(free_bytes(Path::new("no-such-folder")).unwrap() > 0);
        assert!(check_free(&missing, 0, 1).is_ok() && check_free(&missing, u64::MAX, 0).is_ok());
    }

    #[test]
    fn less_space_than_there_shall_be_is_an_error_for_people() {
        let error = check_free(&std::env::temp_dir(), 0, u64::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(LowSpace::of(&error).is_some() && LowSpace::of(&io::Error::other("another")).is_none());
        let low = LowSpace { free: 1536, needed: 5 << 30 };
        assert_eq!(low.to_string(), "disk nearly full (1.5 KiB free, 5.0 GiB needed)");
    }
}
