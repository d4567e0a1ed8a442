//! Files that only their owner may read.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file that only this user can read, and its folder where there is none. It is written beside and moved, so that
/// there is never half a file, and an old one counts until the new one is whole.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no name of a file"));
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    let fresh = folder.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = write_new(&fresh, content).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_the_owner_can_read_what_is_written_and_nothing_else_is_left_behind() {
        let folder = std::env::temp_dir().join(format!("rushlight-private-{}", std::process::id()));
        let file = folder.join("deep/secret");
        let written = write_private(&file, b"old").and_then(|()| write_private(&file, b"new"));
        let content = fs::read(&file);
        let mode = |path: &Path| fs::metadata(path).map(|data| data.permissions().mode() & 0o777).ok();
        let modes = (mode(&file), mode(file.parent().unwrap()));
        let count = fs::read_dir(file.parent().unwrap()).map(Iterator::count).ok();
        fs::remove_dir_all(&folder).unwrap();
        written.unwrap();
        assert_eq!(
            (content.unwrap().as_slice(), modes, count),
            (&b"new"[..], (Some(0o600), Some(0o700)), Some(1))
        );
    }
}
