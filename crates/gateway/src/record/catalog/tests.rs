use super::*;
use proptest::prelude::*;
use std::path::Component;
use std::time::SystemTime;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rushlight-catalog-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn name(channel: &str) -> StreamName {
    StreamName::parse("live", channel).unwrap()
}

fn id(number: u32) -> RecordingId {
    RecordingId::new(SystemTime::UNIX_EPOCH, number)
}

fn with_file(entry: &Entry, file: &str) {
    entry.description().files.push(api::RecordedFile {
        name: file.to_owned(),
        format: "mp4".to_owned(),
        bytes: 0,
        start_ms: 0,
        duration_ms: 0,
        started_at: None,
        finished: false,
    });
}

#[test]
fn what_was_saved_is_found_again_and_what_has_not_ended_is_told() {
    let folder = Folder::new("saved");
    let catalog = Catalog::new(folder.0.clone());
    for (number, state) in [(1, RecordingState::Complete), (2, RecordingState::Recording)] {
        let entry = catalog.add(id(number), &name("cam"), "1970-01-01T00:00:00Z".to_owned());
        with_file(&entry, "0001.mp4");
        entry.description().state = state;
        entry.save().unwrap();
    }
    // A crash came before its description was written.
    let bare = folder.0.join("live/cam").join(id(3).as_str());
    fs::create_dir_all(&bare).unwrap();
    fs::write(bare.join("0001.flv"), b"FLV").unwrap();
    fs::write(bare.join("0001.mp4.part"), b"").unwrap();
    let again = Catalog::new(folder.0.clone());
    let unfinished: Vec<_> = again.scan().iter().map(|entry| entry.id.clone()).collect();
    assert_eq!(again.get(&id(1)).unwrap().describe(), catalog.get(&id(1)).unwrap().describe());
    assert!(unfinished.len() == 2 && unfinished.contains(&id(2)) && unfinished.contains(&id(3)));
    let bare = again.get(&id(3)).unwrap().describe();
    assert_eq!((bare.stream.as_str(), bare.started_at.as_str()), ("live/cam", "1970-01-01T00:00:00Z"));
    assert_eq!(bare.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["0001.flv"]);
}

#[test]
fn lists_are_from_new_to_old_in_pages_and_by_stream() {
    let catalog = Catalog::new("unused".into());
    for number in 0..10 {
        let channel = if number % 2 == 0 { "even" } else { "odd" };
        catalog.add(id(number), &name(channel), String::new());
    }
    let ids = |found: &[Arc<Entry>]| found.iter().map(|entry| entry.id.clone()).collect::<Vec<_>>();
    let odd = |entry: &Entry| entry.name == name("odd");
    let (page, next) = catalog.list((Bound::Unbounded, Bound::Unbounded), 3, odd);
    assert_eq!((ids(&page), next), (vec![id(9), id(7), id(5)], Some(id(5))));
    let (page, next) = catalog.list((Bound::Included(id(1)), Bound::Excluded(id(5))), 3, odd);
    assert_eq!((ids(&page), next), (vec![id(3), id(1)], None));
    assert_eq!(catalog.list((Bound::Unbounded, Bound::Unbounded), 100, |_| true).0.len(), 10);
}

#[cfg(unix)]
#[test]
fn links_lead_nowhere() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new("links");
    let outside = Folder::new("outside");
    let secret = outside.0.join("0001.mp4");
    fs::write(&secret, b"secret").unwrap();
    let recording = folder.0.join("live/cam").join(id(1).as_str());
    fs::create_dir_all(&recording).unwrap();
    symlink(&secret, recording.join("0001.mp4")).unwrap();
    symlink(&outside.0, folder.0.join("live/linked")).unwrap();
    fs::create_dir_all(outside.0.join(id(2).as_str())).unwrap();
    let catalog = Catalog::new(folder.0.clone());
    catalog.scan();
    assert!(catalog.get(&id(2)).is_none(), "a folder behind a link is none of ours");
    let entry = catalog.get(&id(1)).unwrap();
    with_file(&entry, "0001.mp4");
    assert!(entry.open(&FileName::parse("0001.mp4").unwrap()).is_none());
    assert!(entry.open(&FileName::parse("0002.mp4").unwrap()).is_none());
    // What is deleted is the link, not what it leads to.
    catalog.delete(&entry).unwrap();
    assert!(secret.exists() && !recording.exists());
}

#[test]
fn a_description_says_what_its_folder_says() {
    let folder = Folder::new("forged");
    let path = folder.0.join("live/cam").join(id(1).as_str());
    fs::create_dir_all(&path).unwrap();
    let catalog = Catalog::new(folder.0.clone());
    let entry = catalog.add(id(1), &name("cam"), String::new());
    for file in ["../../../secret.mp4", "0001.mp4"] {
        with_file(&entry, file);
    }
    (entry.description().stream, entry.description().state) =
        ("live/other".to_owned(), RecordingState::Complete);
    entry.save().unwrap();
    let again = Catalog::new(folder.0.clone());
    again.scan();
    let found = again.get(&id(1)).unwrap();
    assert_eq!((found.name.as_str(), found.describe().stream.as_str()), ("live/cam", "live/cam"));
    assert_eq!(found.describe().files.len(), 1);
}

proptest! {
    #[test]
    fn no_name_of_a_stream_leads_out_of_the_folder(
        app in "[./a-z%~\\\\-]{0,8}|\\PC{0,8}",
        channel in "(\\.\\./|%2e|\\\\|/|[a-z.]){0,6}|\\PC{0,8}",
    ) {
        let root = Path::new("/srv/recordings");
        if let Ok(name) = StreamName::parse(&app, &channel) {
            let entry = Catalog::new(root.to_owned()).add(id(1), &name, String::new());
            let path = entry.file_path(&FileName::new(1, "mp4"));
            let below: Vec<_> = path.strip_prefix(root).unwrap().components().collect();
            prop_assert_eq!(below.len(), 4);
            prop_assert!(below.iter().all(|step| matches!(step, Component::Normal(_))), "{:?}", path);
        }
    }
}
