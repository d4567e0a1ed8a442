use super::*;
use crate::Config;
use crate::config::RecordRule;
use crate::record::id::RecordingId;
use crate::testing::Node;
use media::StreamName;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A node with recordings of a hundred bytes.
struct Rig {
    node: Node,
    now: SystemTime,
}

impl Rig {
    fn new(name: &str, change: impl FnOnce(&mut Config)) -> Self {
        Self { node: Node::new(&format!("retain-{name}"), change), now: SystemTime::now() }
    }

    /// One of so many days ago.
    fn add(&self, channel: &str, days: u32, state: RecordingState) -> Arc<Entry> {
        let begun = self.now - days * DAY;
        let name = StreamName::parse("live", channel).unwrap();
        let entry =
            self.node.env.recordings.catalog.add(RecordingId::new(begun, days), &name, rfc3339(begun));
        {
            let mut description = entry.description();
            (description.state, description.bytes) = (state, 100);
            description.ended_at = Some(rfc3339(begun + Duration::from_secs(60)));
        }
        entry.save().unwrap();
        entry
    }

    async fn left(&self) -> Vec<String> {
        sweep(&self.node.env, self.now, &mut Failed::default()).await;
        let left = self.node.env.recordings.catalog.oldest_first();
        let days = |entry: &Arc<Entry>| {
            entry.id.as_str().rsplit('-').next().unwrap().trim_start_matches('0').to_owned()
        };
        let on_disk = left.iter().filter(|entry| entry.folder().join("recording.json").exists()).count();
        assert_eq!(on_disk, left.len());
        left.iter().map(days).collect()
    }
}

#[tokio::test]
async fn what_is_too_old_goes_unless_it_is_kept_or_not_complete() {
    let rig = Rig::new("old", |config| {
        config.record.keep_days = 5;
        config.record.rule = vec![RecordRule {
            stream: "live/archive".to_owned(),
            keep_days: Some(0),
            ..RecordRule::default()
        }];
    });
    rig.add("cam", 9, RecordingState::Complete).description().keep = true;
    rig.add("cam", 8, RecordingState::Complete);
    rig.add("cam", 7, RecordingState::Recording);
    rig.add("archive", 6, RecordingState::Complete);
    rig.add("cam", 4, RecordingState::Complete);
    assert_eq!(rig.left().await, ["9", "7", "6", "4"]);
    assert_eq!(rig.node.env.metrics.record().retired.get(), 1);
    assert!(rig.node.env.recordings.catalog.oldest_first()[0].describe().keep);
}

#[tokio::test]
async fn of_too_many_the_oldest_complete_ones_go() {
    let rig = Rig::new("many", |config| config.record.keep_bytes_max = 250);
    rig.add("cam", 9, RecordingState::Complete).description().keep = true;
    rig.add("cam", 8, RecordingState::Finishing);
    for days in [7, 6, 5] {
        rig.add("cam", days, RecordingState::Complete);
    }
    assert_eq!(rig.left().await, ["9", "8"], "those that stay fill it already");

    let rig = Rig::new("few", |config| config.record.keep_bytes_max = 300);
    for days in [7, 6, 5, 4] {
        rig.add("cam", days, RecordingState::Complete);
    }
    assert_eq!(rig.left().await, ["6", "5", "4"]);
}

#[tokio::test]
async fn nothing_goes_unasked() {
    let rig = Rig::new("unasked", |_| {});
    rig.add("cam", 3000, RecordingState::Complete);
    assert_eq!(rig.left().await.len(), 1);
}

#[tokio::test]
async fn one_that_cannot_be_deleted_holds_up_no_other_and_is_left_alone_for_a_while() {
    let rig = Rig::new("stuck", |config| config.record.keep_days = 1);
    let stuck = rig.add("cam", 9, RecordingState::Complete);
    rig.add("cam", 8, RecordingState::Complete);
    // No folder can be removed where there is a file.
    std::fs::remove_dir_all(stuck.folder()).unwrap();
    std::fs::write(stuck.folder(), b"").unwrap();
    let mut failed = Failed::default();
    sweep(&rig.node.env, rig.now, &mut failed).await;
    assert_eq!(rig.node.env.metrics.record().retired.get(), 1);
    assert!(failed.includes(&stuck) && failed.recordings.len() == 1);
    assert!(!stuck.is_deleted(), "it can be kept, and deleted later");
    std::fs::remove_file(stuck.folder()).unwrap();
    sweep(&rig.node.env, rig.now, &mut failed).await;
    assert_eq!(rig.node.env.metrics.record().retired.get(), 1);
    sweep(&rig.node.env, rig.now, &mut Failed::default()).await;
    assert_eq!(rig.node.env.metrics.record().retired.get(), 2);
}

#[tokio::test]
async fn one_that_somebody_keeps_at_the_last_moment_stays() {
    let rig = Rig::new("kept", |config| config.record.keep_days = 1);
    let entry = rig.add("cam", 9, RecordingState::Complete);
    let entries = rig.node.env.recordings.catalog.oldest_first();
    assert_eq!(to_delete(&rig.node.env, &entries, rig.now).len(), 1);
    rig.node.env.recordings.change(&entry, Some(true), None).unwrap();
    let deleted = delete_if(&rig.node.env, &entry, |description| may_go(description, false)).await;
    assert!(matches!(deleted, Err(DeleteError::Kept)));
    assert!(entry.folder().join("recording.json").exists());
    // And who comes too late is told so.
    entry.set_deleted(true);
    assert_eq!(
        rig.node.env.recordings.change(&entry, Some(false), None).unwrap_err().kind(),
        std::io::ErrorKind::NotFound
    );
    assert!(entry.describe().keep);
}
