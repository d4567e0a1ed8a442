//! The key that publishes and the token of the operator: made on first start, kept in the data folder, readable by its owner
//! only.

use gateway::Secret;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What a file in the data folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The key that publishes.
    PublishKey,
    /// What the operator gives to the API.
    OperatorToken,
}

impl Kind {
    const fn file_name(self) -> &'static str {
        match self {
            Kind::PublishKey => "publish.key",
            Kind::OperatorToken => "operator.token",
        }
    }
}

/// 128 bits cannot be guessed over a network, or anywhere else.
const KEY_BYTES: usize = 16;

/// A key or token, and where it is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyFile {
    /// 32 hexadecimal digits, or what the owner wrote into the file.
    pub(crate) key: Secret,
    /// The file.
    pub(crate) path: PathBuf,
    /// Whether it was made just now.
    pub(crate) created: bool,
}

/// Reads the one in `folder`, or makes one.
pub(crate) fn load(folder: &Path, kind: Kind) -> Result<KeyFile, String> {
    let path = folder.join(kind.file_name());
    match fs::read_to_string(&path) {
        Ok(text) => {
            let key = text.trim();
            if key.is_empty() {
                return Err(format!(
                    "{} is empty: remove it, and the next start makes a new one",
                    path.display()
                ));
            }
            Ok(KeyFile { key: key.into(), path, created: false })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(folder, kind),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// Makes a new one, in place of one that is there. Running servers keep the old one until they are started again.
pub(crate) fn create(folder: &Path, kind: Kind) -> Result<KeyFile, String> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system gives no random numbers: {error}"))?;
    let key: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join(kind.file_name());
    let failed = |error: io::Error| format!("{} cannot be written: {error} (data_dir)", path.display());
    net::write_private(&path, format!("{key}\n").as_bytes()).map_err(failed)?;
    Ok(KeyFile { key: key.into(), path, created: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that is removed in the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("rushlight-{name}-{}", std::process::id()));
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_first_start_makes_a_key_and_the_second_reads_it() {
        let folder = Folder::new("key");
        let data = folder.0.join("deep/data");
        let first = load(&data, Kind::PublishKey).unwrap();
        let text = first.key.expose();
        assert!(first.created && text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()));
        let second = load(&data, Kind::PublishKey).unwrap();
        assert_eq!((second.created, second.key), (false, first.key.clone()));
        let rotated = create(&data, Kind::PublishKey).unwrap();
        assert_ne!(rotated.key, first.key);
        assert_eq!(load(&data, Kind::PublishKey).unwrap().key, rotated.key);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "nothing else is left behind");
        let token = load(&data, Kind::OperatorToken).unwrap();
        assert!(token.created && token.key != rotated.key && token.path.ends_with("operator.token"));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new("mode");
        for kind in [Kind::PublishKey, Kind::OperatorToken] {
            let key = load(&folder.0, kind).unwrap();
            assert_eq!(fs::metadata(&key.path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(&folder.0).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn an_empty_file_is_an_error_and_no_open_door() {
        let folder = Folder::new("empty");
        fs::create_dir_all(&folder.0).unwrap();
        fs::write(folder.0.join("publish.key"), "\n").unwrap();
        assert!(load(&folder.0, Kind::PublishKey).unwrap_err().contains("is empty"));
    }
}
