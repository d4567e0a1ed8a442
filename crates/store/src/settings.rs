//! What names a store.

use crate::limits::{CONNECT_TIMEOUT, REQUEST_TIMEOUT, RETRIES_MAX};
use crate::{Error, Kind};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The types of what is kept, for who reads it from the bucket without us.
const TYPES: [(&str, &str); 5] = [
    ("mp4", "video/mp4"),
    ("flv", "video/x-flv"),
    ("ts", "video/mp2t"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("json", "application/json"),
];

/// Where a store is, and who we are to it. What is left out is taken from the environment (`AWS_ACCESS_KEY_ID`, `AWS_REGION`,
/// `AWS_ENDPOINT_URL`, ...), or from the machine, where it is one of that provider.
#[derive(Clone, Default)]
pub struct Settings {
    /// `s3://BUCKET/PREFIX`, or `file:///FOLDER`.
    pub url: String,
    /// Where the S3 server is, if it is none of Amazon: `https://HOST:PORT`.
    pub endpoint: Option<String>,
    /// `us-east-1`, where nothing else is said.
    pub region: Option<String>,
    /// The name of the key.
    pub access_key_id: Option<String>,
    /// The key itself.
    pub secret_access_key: Option<String>,
    /// Whether requests may go over plain HTTP.
    pub allow_http: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("url", &self.url)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// What an address names.
enum Place<'a> {
    S3 { bucket: &'a str, prefix: &'a str },
    Folder(&'a Path),
}

impl Settings {
    /// Whether the address is one. Looks at nothing but its letters.
    ///
    /// # Errors
    ///
    /// A message that says what to write.
    pub fn check(&self) -> Result<(), Error> {
        self.place().map(drop)
    }

    fn place(&self) -> Result<Place<'_>, Error> {
        let url = &self.url;
        let wrong = |what: &str| {
            Err(Error::Settings(format!("{url:?} {what}: name s3://BUCKET/PREFIX or file:///FOLDER")))
        };
        let Some((scheme, rest)) = url.split_once("://") else { return wrong("is no address") };
        match scheme {
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let prefix = prefix.trim_end_matches('/');
                let is_bucket = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
                if bucket.is_empty() || !bucket.chars().all(is_bucket) {
                    return wrong("names no bucket");
                }
                match object_store::path::Path::parse(prefix) {
                    Ok(_) => Ok(Place::S3 { bucket, prefix }),
                    Err(_) => wrong("has no prefix that can be one"),
                }
            }
            "file" if Path::new(rest).is_absolute() => Ok(Place::Folder(Path::new(rest))),
            "file" => wrong("is no whole path"),
            _ => wrong("is not supported"),
        }
    }

    /// Opens the store, and says below which prefix its objects are.
    pub(crate) fn to_store(&self) -> Result<(Kind, String), Error> {
        match self.place()? {
            Place::S3 { bucket, prefix } => Ok((Kind::S3(Arc::new(self.to_s3(bucket)?)), prefix.to_owned())),
            Place::Folder(folder) => {
                let failed = |error: String| Error::Settings(format!("{}: {error}", folder.display()));
                std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
                let files =
                    LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(error.to_string()))?;
                Ok((
                    Kind::Folder(Arc::new(files.with_automatic_cleanup(true).with_fsync(true))),
                    String::new(),
                ))
            }
        }
    }

    fn to_s3(&self, bucket: &str) -> Result<object_store::aws::AmazonS3, Error> {
        let mut options = ClientOptions::new()
            .with_allow_http(self.allow_http)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(REQUEST_TIMEOUT);
        for (suffix, media) in TYPES {
            options = options.with_content_type_for_suffix(suffix, media);
        }
        let backoff = BackoffConfig { init_backoff: Duration::from_millis(100), ..BackoffConfig::default() };
        let retry = RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: REQUEST_TIMEOUT };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_client_options(options)
            .with_allow_http(self.allow_http)
            .with_retry(retry);
        let given = [
            (
                &self.endpoint,
                AmazonS3Builder::with_endpoint as fn(AmazonS3Builder, String) -> AmazonS3Builder,
            ),
            (&self.region, AmazonS3Builder::with_region),
            (&self.access_key_id, AmazonS3Builder::with_access_key_id),
            (&self.secret_access_key, AmazonS3Builder::with_secret_access_key),
        ];
        for (value, set) in given {
            if let Some(value) = value {
                builder = set(builder, value.clone());
            }
        }
        builder.build().map_err(|error| Error::Settings(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str) -> Result<String, String> {
        let settings = Settings { url: url.to_owned(), ..Settings::default() };
        settings.to_store().map(|(_, prefix)| prefix).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_is_a_bucket_and_a_prefix() {
        assert_eq!(open("s3://bucket").unwrap(), "");
        assert_eq!(open("s3://bucket/").unwrap(), "");
        assert_eq!(open("s3://bucket/a/b/").unwrap(), "a/b");
    }

    #[test]
    fn what_is_no_address_says_what_to_write() {
        for url in [
            "",
            "bucket",
            "s3://",
            "s3:///x",
            "s3://key:secret@bucket/",
            "s3://bucket/../x",
            "file://x",
            "gs://x",
        ] {
            let message = open(url).unwrap_err();
            assert!(
                message.contains("s3://BUCKET/PREFIX") || message.contains("file:///FOLDER"),
                "{url}: {message}"
            );
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let settings = Settings { secret_access_key: Some("hush-hush".to_owned()), ..Settings::default() };
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
