//! Files in object storage: S3 and what speaks like it, or a folder that something else looks after.
//!
//! A [`Store`] keeps objects under names like `live/cam/1.mp4`, below a prefix. Files go up in parts ([`Store::put_file`]): what
//! has arrived stays there, so that an upload goes on after a failure, and after a restart, where it was. The crate tries
//! nothing again by itself beyond what a connection that was closed meanwhile needs: who calls knows how long to wait, and says so.
//!
//! Needs a tokio runtime with its timers and its network.

mod error;
pub mod limits;
mod settings;
mod upload;

pub use error::Error;
pub use settings::Settings;
pub use upload::{Go, Progress};

use bytes::Bytes;
use object_store::aws::AmazonS3;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Objects below one prefix of one bucket, or files in one folder.
#[derive(Clone)]
pub struct Store {
    kind: Kind,
    prefix: String,
}

#[derive(Clone)]
enum Kind {
    S3(Arc<AmazonS3>),
    Folder(Arc<LocalFileSystem>),
}

impl fmt::Debug for Store {
    /// Without what opens it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Store {
    /// The store that `settings` name. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// Where the settings name none: the message says what to change.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let (kind, prefix) = settings.to_store()?;
        Ok(Self { kind, prefix })
    }

    fn objects(&self) -> &dyn ObjectStore {
        match &self.kind {
            Kind::S3(store) => store.as_ref(),
            Kind::Folder(store) => store.as_ref(),
        }
    }

    /// Where the object `name` is. What leads elsewhere is no name.
    fn path(&self, name: &str) -> Result<Path, Error> {
        let is_step = |step: &str| {
            !matches!(step, "" | "." | "..") && !step.contains(|c: char| c == '\\' || c.is_control())
        };
        if !name.split('/').all(is_step) {
            return Err(Error::Name);
        }
        let whole = if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        Path::parse(whole).map_err(|_| Error::Name)
    }

    /// Keeps a few bytes as `name`, in place of what had that name.
    ///
    /// # Errors
    ///
    /// The store is not to be had, or does not take it.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<(), Error> {
        self.objects().put(&self.path(name)?, PutPayload::from_bytes(bytes)).await?;
        Ok(())
    }

    /// The bytes of an object.
    ///
    /// # Errors
    ///
    /// There is none of that name, or the store is not to be had.
    pub async fn size(&self, name: &str) -> Result<u64, Error> {
        Ok(self.objects().head(&self.path(name)?).await?.size)
    }

    /// Reads a part of an object. A range that goes on behind its end gives what there is.
    ///
    /// # Errors
    ///
    /// There is none of that name, nothing of it is in the range, or the store is not to be had.
    pub async fn read(&self, name: &str, range: Range<u64>) -> Result<Bytes, Error> {
        Ok(self.objects().get_range(&self.path(name)?, range).await?)
    }

    /// Removes an object. One that is not there is no error.
    ///
    /// # Errors
    ///
    /// The store is not to be had, or does not let go of it.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        match self.objects().delete(&self.path(name)?).await.map_err(Error::from) {
            Err(Error::NotFound) => Ok(()),
            other => other,
        }
    }

    /// The names of the folders in `folder`; those at the top, where it is empty. As many as there are.
    ///
    /// # Errors
    ///
    /// The store is not to be had.
    pub async fn folders(&self, folder: &str) -> Result<Vec<String>, Error> {
        Ok(self.list(folder).await?.common_prefixes.iter().filter_map(last_step).collect())
    }

    /// The names and the bytes of the objects in `folder`. As many as there are.
    ///
    /// # Errors
    ///
    /// The store is not to be had.
    pub async fn files(&self, folder: &str) -> Result<Vec<(String, u64)>, Error> {
        let found = self.list(folder).await?.objects;
        Ok(found.iter().filter_map(|object| Some((last_step(&object.location)?, object.size))).collect())
    }

    async fn list(&self, folder: &str) -> Result<object_store::ListResult, Error> {
        let path = if folder.is_empty() {
            Path::parse(&self.prefix).map_err(|_| Error::Name)?
        } else {
            self.path(folder)?
        };
        Ok(self.objects().list_with_delimiter(Some(&path)).await?)
    }
}

fn last_step(path: &Path) -> Option<String> {
    path.filename().map(str::to_owned)
}

#[cfg(test)]
mod tests;
