use super::*;
use std::path::PathBuf;

/// A store in a folder of its own.
struct Folder(PathBuf, Store);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("rushlight-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let url = format!("file://{}/kept", folder.display());
        let store = Store::open(&Settings { url, ..Settings::default() }).unwrap();
        Self(folder, store)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn what_was_put_is_there_in_whole_and_in_part() {
    let Folder(folder, store) = &Folder::new("put");
    store.put("live/cam~1/a.json", Bytes::from_static(b"0123456789")).await.unwrap();
    assert_eq!(store.size("live/cam~1/a.json").await.unwrap(), 10);
    assert_eq!(store.read("live/cam~1/a.json", 2..5).await.unwrap(), "234");
    assert_eq!(store.folders("").await.unwrap(), ["live"]);
    assert_eq!(store.folders("live").await.unwrap(), ["cam~1"]);
    assert_eq!(store.files("live/cam~1").await.unwrap(), [("a.json".to_owned(), 10)]);

    let file = folder.join("big");
    let content = vec![7; limits::PART_BYTES_MIN as usize + 9];
    std::fs::write(&file, &content).unwrap();
    let mut steps = Vec::new();
    let watch = |progress: &Progress| {
        steps.push(progress.bytes_done());
        Go::On
    };
    let bytes = store.put_file("live/big", &file, &mut Progress::default(), watch).await.unwrap();
    assert_eq!((bytes, steps), (content.len() as u64, vec![0, limits::PART_BYTES_MIN, content.len() as u64]));
    assert_eq!(store.read("live/big", 0..u64::MAX).await.unwrap(), content);

    store.delete("live/big").await.unwrap();
    store.delete("live/big").await.unwrap();
    assert!(matches!(store.size("live/big").await, Err(Error::NotFound)));
}

#[tokio::test]
async fn no_name_leads_out_of_the_store() {
    let Folder(folder, store) = &Folder::new("names");
    std::fs::write(folder.join("secret"), b"x").unwrap();
    for name in [
        "",
        ".",
        "..",
        "../secret",
        "/etc/passwd",
        "a/../../secret",
        "a/./b",
        "a//b",
        "a/",
        "/a",
        "a\\b",
        "a\0b",
        "a\nb",
        "..%2fsecret/..",
        "\u{7f}",
    ] {
        assert!(matches!(store.size(name).await, Err(Error::Name)), "{name:?}");
        assert!(matches!(store.put(name, Bytes::new()).await, Err(Error::Name)), "{name:?}");
        assert!(matches!(store.delete(name).await, Err(Error::Name)), "{name:?}");
    }
    // What looks like a step in another writing is a name like any other.
    store.put("..%2fsecret", Bytes::from_static(b"y")).await.unwrap();
    assert_eq!(std::fs::read(folder.join("secret")).unwrap(), b"x");
}

#[tokio::test]
async fn a_store_that_is_away_says_so_in_words() {
    // Nobody listens where a listener was.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let settings = Settings {
        url: "s3://bucket/prefix".to_owned(),
        endpoint: Some(endpoint),
        region: Some("us-east-1".to_owned()),
        access_key_id: Some("key".to_owned()),
        secret_access_key: Some("secret".to_owned()),
        allow_http: true,
    };
    let store = Store::open(&settings).unwrap();
    let error = store.put("a", Bytes::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "connection refused");
}
