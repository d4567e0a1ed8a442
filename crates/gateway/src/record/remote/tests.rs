use super::*;
use crate::Config;
use crate::record::read;
use std::path::Path;
use std::time::Duration;

/// A node with an object storage that is a folder.
struct Node {
    env: Arc<Env>,
    folder: PathBuf,
    _trigger: net::ShutdownTrigger,
}

impl Node {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("rushlight-remote-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("stored")).unwrap();
        let mut config = Config::default();
        config.record.folder = Some(folder.join("local"));
        config.record.store = Some(format!("file://{}", folder.join("stored").display()));
        let policy = config.access.to_policy(None, None);
        let (trigger, shutdown) = net::Shutdown::new();
        let env = Env::new(config, policy, 1, shutdown);
        start(&env).unwrap();
        Self { env, folder, _trigger: trigger }
    }

    /// A complete recording of one file.
    fn add(&self) -> Arc<Entry> {
        let name = StreamName::parse("live", "cam").unwrap();
        let id = RecordingId::new(SystemTime::UNIX_EPOCH, 1);
        let entry = self.env.recordings.catalog.add(id, &name, "1970-01-01T00:00:00Z".to_owned());
        {
            let mut description = entry.description();
            description.state = RecordingState::Complete;
            description.files.push(api::RecordedFile {
                name: FileName::new(1, "mp4").as_str().to_owned(),
                format: "mp4".to_owned(),
                bytes: 10,
                start_ms: 0,
                duration_ms: 0,
                started_at: None,
                finished: true,
            });
        }
        entry.save().unwrap();
        std::fs::write(entry.file_path(&FileName::new(1, "mp4")), b"0123456789").unwrap();
        entry
    }

    fn remote(&self) -> Arc<Remote> {
        self.env.recordings.catalog.remote().unwrap().clone()
    }

    fn stored(&self, entry: &Entry) -> PathBuf {
        self.folder.join("stored").join(folder(&entry.name, &entry.id))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

fn is_done(entry: &Entry) -> bool {
    entry.description().upload.as_ref().is_some_and(|upload| upload.state == UploadState::Done)
}

fn blocked(entry: &Entry) -> PathBuf {
    Path::new(entry.folder()).join("recording.json.part")
}

#[tokio::test]
async fn a_stored_copy_is_the_file_that_it_was_made_of() {
    let node = Node::new("same");
    let (entry, file) = (node.add(), FileName::new(1, "mp4"));
    let before = read::open(&entry, &file).await.unwrap();
    node.remote().enqueue(&entry);
    until("it is up", || is_done(&entry)).await;
    entry.remove_local().unwrap();
    let after = read::open(&entry, &file).await.unwrap();
    // So what was planned before plays on.
    assert!(after.version().continues(&before.version()));
    assert_eq!(after.read(2..5).await.unwrap(), "234");
    std::fs::write(node.stored(&entry).join("0001.mp4"), b"of another length").unwrap();
    let other = read::open(&entry, &file).await.unwrap();
    assert!(!other.version().continues(&before.version()));
}

#[tokio::test]
async fn an_upload_that_the_local_disk_stops_is_tried_again() {
    let node = Node::new("again");
    let entry = node.add();
    // Where the description is written, nothing can be.
    std::fs::create_dir(blocked(&entry)).unwrap();
    node.remote().enqueue(&entry);
    until("it says why", || entry.describe().upload.is_some_and(|upload| upload.problem.is_some())).await;
    assert!(!is_done(&entry));
    std::fs::remove_dir(blocked(&entry)).unwrap();
    until("it is up", || is_done(&entry)).await;
    assert!(node.stored(&entry).join(DESCRIPTION).exists());
}

#[tokio::test]
async fn a_deletion_goes_on_when_nobody_waits_for_it() {
    let node = Node::new("on");
    let entry = node.add();
    node.remote().enqueue(&entry);
    until("it is up", || is_done(&entry)).await;
    let moving = entry.moving().lock().await;
    let deletion = crate::record::delete(&node.env, &entry);
    assert!(tokio::time::timeout(Duration::ZERO, deletion).await.is_err());
    until("it has begun", || entry.is_deleted()).await;
    let again = crate::record::delete(&node.env, &entry).await;
    assert!(matches!(again, Err(crate::record::DeleteError::Going)));
    drop(moving);
    until("it is gone", || node.env.recordings.get(&entry.id).is_none()).await;
    assert!(!node.stored(&entry).join(DESCRIPTION).exists() && !entry.folder().exists());
}

#[tokio::test]
async fn a_deletion_that_fails_halfway_leaves_a_recording_that_goes_up_anew() {
    let node = Node::new("halfway");
    let (entry, file) = (node.add(), FileName::new(1, "mp4"));
    node.remote().enqueue(&entry);
    until("it is up", || is_done(&entry)).await;
    // The description cannot be deleted, and its files come first.
    let described = node.stored(&entry).join(DESCRIPTION);
    std::fs::remove_file(&described).unwrap();
    std::fs::create_dir_all(described.join("in-the-way")).unwrap();
    let deleted = crate::record::delete(&node.env, &entry).await;
    assert!(matches!(deleted, Err(crate::record::DeleteError::Storage(_))), "{deleted:?}");
    assert!(!entry.is_deleted() && !is_done(&entry));
    assert!(entry.folder().join(DESCRIPTION).exists() && entry.file_path(&file).exists());
    std::fs::remove_dir_all(&described).unwrap();
    until("it is up again", || is_done(&entry)).await;
    assert_eq!(std::fs::read(node.stored(&entry).join(file.as_str())).unwrap(), b"0123456789");
}

#[tokio::test]
async fn a_copy_that_was_deleted_in_part_counts_no_more_where_the_files_are_here() {
    let node = Node::new("part");
    let (entry, file) = (node.add(), FileName::new(1, "mp4"));
    node.remote().enqueue(&entry);
    until("it is up", || is_done(&entry)).await;
    assert!(entry.is_stored(&file));
    forget_copy(&entry);
    let upload = entry.describe().upload.unwrap();
    assert!(upload.state == UploadState::Waiting && upload.done_at.is_none() && !entry.is_stored(&file));
    std::fs::remove_file(node.stored(&entry).join("0001.mp4")).unwrap();
    node.remote().enqueue(&entry);
    until("it is up again", || is_done(&entry)).await;
    assert!(node.stored(&entry).join("0001.mp4").exists());
    entry.remove_local().unwrap();
    forget_copy(&entry);
    assert!(entry.is_stored(&file), "there is no other");
}
