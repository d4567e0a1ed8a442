use super::disk::{Disk, clear};
use super::*;
use crate::hls::Line;
use media::Time;
use std::path::Path;
use std::time::SystemTime;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("rushlight-timeshift-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }

    /// The files in it, by name.
    fn files(&self) -> Vec<String> {
        let found = std::fs::read_dir(&self.0).into_iter().flatten();
        let mut names: Vec<_> = found.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn timeshift(folder: &Path, change: impl FnOnce(&mut crate::config::TimeshiftConfig)) -> Arc<Timeshift> {
    let mut config = Config::default();
    config.timeshift.minutes = 1;
    config.timeshift.folder = Some(folder.to_owned());
    config.timeshift.free_bytes_min = 0;
    change(&mut config.timeshift);
    Arc::new(Timeshift::new(&config, Metrics::new()))
}

/// A segment of two seconds.
fn line(number: u64) -> Line {
    let duration = Duration::from_secs(2);
    Line {
        number,
        start: Time::ZERO + duration * number as u32,
        date: SystemTime::UNIX_EPOCH + duration * number as u32,
        duration,
        discontinuities: 0,
        init: 0,
        closed: true,
        lost: false,
        bytes: 100,
    }
}

fn put(shelf: &mut Shelf, number: u64) {
    shelf.put(line(number), vec![vec![number as u8; 40].into(), vec![0; 60].into()]);
}

fn lost(shelf: &Shelf) -> Vec<u64> {
    shelf.lines(0, None).filter(|line| line.lost).map(|line| line.number).collect()
}

fn listed(shelf: &Shelf, before: Option<u64>) -> Vec<u64> {
    let listed: Vec<Line> = shelf.lines(0, before).collect();
    assert!(listed.first().is_none_or(|first| !first.lost));
    let duration: Duration = listed.iter().map(|line| line.duration).sum();
    assert_eq!(shelf.duration(before), duration);
    for from in [0, 3, 185, u64::MAX] {
        let later = listed.iter().filter(|line| line.number >= from).skip_while(|line| line.lost);
        assert!(shelf.lines(from, before).eq(later.copied()), "{from}");
    }
    listed.into_iter().map(|line| line.number).collect()
}

/// Does all that there is to do.
fn settle(disk: &mut Disk, timeshift: &Timeshift) {
    loop {
        let queue = timeshift.queue();
        if queue.waiting.is_empty() && queue.released.is_empty() {
            return;
        }
        drop(queue);
        disk.turn();
    }
}

#[test]
fn the_window_is_listed_and_what_left_it_stays_for_a_moment() {
    let folder = Folder::new("window");
    let timeshift = timeshift(&folder.0, |_| {});
    let (mut shelf, mut disk) = (Shelf::new(timeshift.clone()), Disk::new(timeshift.clone()));
    for number in 100..200 {
        put(&mut shelf, number);
        settle(&mut disk, &timeshift);
    }
    assert_eq!(listed(&shelf, None), (170..200).collect::<Vec<_>>(), "a minute");
    assert_eq!(listed(&shelf, Some(190)), (170..190).collect::<Vec<_>>());
    assert!(listed(&shelf, Some(205)).is_empty(), "these do not lead up to it");
    assert!(shelf.entry(140).is_some() && shelf.entry(139).is_none() && shelf.entry(200).is_none());
    assert_eq!(folder.files().len(), 60);
    assert_eq!(std::fs::read(folder.0.join("50.m4s")).unwrap()[..41], [&[150; 40][..], &[0]].concat());
    drop(shelf);
    settle(&mut disk, &timeshift);
    assert!(folder.files().is_empty());
}

#[test]
fn the_oldest_of_all_streams_make_room_for_new_ones() {
    let folder = Folder::new("room");
    let timeshift = timeshift(&folder.0, |config| config.bytes_max = 1_000);
    let [mut one, mut other] = [(); 2].map(|()| Shelf::new(timeshift.clone()));
    let mut disk = Disk::new(timeshift.clone());
    for number in 0..4 {
        put(&mut one, number);
    }
    for number in 0..8 {
        put(&mut other, number);
    }
    settle(&mut disk, &timeshift);
    assert_eq!((listed(&one, None), listed(&other, None)), (vec![2, 3], (0..8).collect()));
    assert_eq!(folder.files().len(), 10);
    assert!(timeshift.problem().is_none());
}

#[test]
fn a_disk_that_is_behind_costs_what_it_has_no_time_for() {
    let folder = Folder::new("behind");
    let timeshift = timeshift(&folder.0, |config| config.queue_bytes_max = 250);
    let (mut shelf, mut disk) = (Shelf::new(timeshift.clone()), Disk::new(timeshift.clone()));
    (0..2).for_each(|number| put(&mut shelf, number));
    assert_eq!(listed(&shelf, None), [0, 1], "what waits is there");
    (2..4).for_each(|number| put(&mut shelf, number));
    assert_eq!((listed(&shelf, None), lost(&shelf)), (vec![0, 1, 2, 3], vec![2, 3]));
    assert!(shelf.entry(1).is_some() && shelf.entry(2).is_none());
    assert!(shelf.lost(1).is_none() && shelf.lost(2).is_some() && shelf.lost(4).is_none());
    settle(&mut disk, &timeshift);
    (4..6).for_each(|number| put(&mut shelf, number));
    assert_eq!((listed(&shelf, None), lost(&shelf)), ((0..6).collect(), vec![2, 3]));
    assert!(timeshift.problem().unwrap().starts_with("disk too slow: rewinding is shortened since "));
    settle(&mut disk, &timeshift);
    assert_eq!(folder.files(), ["0.m4s", "1.m4s", "4.m4s", "5.m4s"]);
    // What was lost leaves with what is before it.
    for number in 6..33 {
        put(&mut shelf, number);
        settle(&mut disk, &timeshift);
        let first = match number {
            ..30 => 0,
            30 => 1,
            _ => 4,
        };
        assert_eq!(listed(&shelf, None), (first..=number).collect::<Vec<_>>());
    }
    assert!(lost(&shelf).is_empty());
}

#[tokio::test]
async fn a_file_that_somebody_removed_is_lost_when_it_is_missed() {
    let folder = Folder::new("removed");
    let timeshift = timeshift(&folder.0, |_| {});
    let (mut shelf, mut disk) = (Shelf::new(timeshift.clone()), Disk::new(timeshift.clone()));
    (0..4).for_each(|number| put(&mut shelf, number));
    settle(&mut disk, &timeshift);
    std::fs::remove_file(folder.0.join("2.m4s")).unwrap();
    assert!(whole(&timeshift, &shelf.entry(2).unwrap()).await.is_err());
    assert!(whole(&timeshift, &shelf.entry(3).unwrap()).await.is_ok());
    assert_eq!((listed(&shelf, None), lost(&shelf)), (vec![0, 1, 2, 3], vec![2]));
    assert!(shelf.entry(2).is_none());
    assert!(timeshift.problem().unwrap().contains("a segment is missing in its folder"));
    // One that leaves while somebody asks for it is no loss.
    let entry = shelf.entry(3).unwrap();
    drop(shelf);
    settle(&mut disk, &timeshift);
    assert!(open(&timeshift, &entry).await.is_err());
    let metrics = timeshift.metrics.render(0, 0);
    assert!(metrics.contains("rushlight_timeshift_lost_segments_total 1\n"));
    assert!(metrics.contains("rushlight_timeshift_segments 0\n"), "also the one that was missed has left");
}

#[tokio::test]
async fn a_file_that_is_cut_off_or_cannot_be_opened_is_a_loss_too() {
    let folder = Folder::new("damaged");
    let timeshift = timeshift(&folder.0, |_| {});
    let (mut shelf, mut disk) = (Shelf::new(timeshift.clone()), Disk::new(timeshift.clone()));
    (0..4).for_each(|number| put(&mut shelf, number));
    settle(&mut disk, &timeshift);
    let file = |number: u64| folder.0.join(format!("{number}.m4s"));
    std::fs::write(file(1), [0; 10]).unwrap();
    std::fs::remove_file(file(2)).unwrap();
    std::fs::create_dir(file(2)).unwrap();
    for number in [1, 2] {
        assert!(whole(&timeshift, &shelf.entry(number).unwrap()).await.is_err());
    }
    assert_eq!((listed(&shelf, None), lost(&shelf)), (vec![0, 1, 2, 3], vec![1, 2]));
}

#[test]
fn a_disk_without_room_keeps_nothing_and_says_so() {
    let folder = Folder::new("full");
    let timeshift = timeshift(&folder.0, |config| config.free_bytes_min = u64::MAX);
    let (mut shelf, mut disk) = (Shelf::new(timeshift.clone()), Disk::new(timeshift.clone()));
    put(&mut shelf, 0);
    settle(&mut disk, &timeshift);
    assert!(listed(&shelf, None).is_empty() && folder.files().is_empty());
    assert!(timeshift.problem().unwrap().starts_with("disk nearly full ("));
    assert!(timeshift.metrics.render(0, 0).contains("rushlight_timeshift_lost_segments_total 1\n"));
}

#[test]
fn a_folder_that_cannot_be_written_keeps_nothing_and_says_so() {
    let folder = Folder::new("failed");
    std::fs::write(&folder.0, b"a file").unwrap();
    let timeshift = timeshift(&folder.0.join("in-a-file"), |_| {});
    let (mut shelf, mut disk) = (Shelf::new(timeshift.clone()), Disk::new(timeshift.clone()));
    put(&mut shelf, 0);
    settle(&mut disk, &timeshift);
    assert!(listed(&shelf, None).is_empty());
    assert!(timeshift.problem().unwrap().starts_with("disk failed ("));
    std::fs::remove_file(&folder.0).unwrap();
}

#[test]
fn what_a_run_has_left_is_removed_and_nothing_else() {
    let folder = Folder::new("left");
    std::fs::create_dir_all(&folder.0).unwrap();
    for name in ["0.m4s", "123.m4s", "a.m4s", ".m4s", "1.mp4", "film.mp4"] {
        std::fs::write(folder.0.join(name), b"").unwrap();
    }
    clear(&folder.0);
    assert_eq!(folder.files(), [".m4s", "1.mp4", "a.m4s", "film.mp4"]);
}

#[tokio::test]
async fn a_segment_is_read_back_as_it_was_also_when_it_leaves_meanwhile() {
    let folder = Folder::new("read");
    let timeshift = timeshift(&folder.0, |_| {});
    let (mut shelf, mut disk) = (Shelf::new(timeshift.clone()), Disk::new(timeshift.clone()));
    put(&mut shelf, 7);
    let entry = shelf.entry(7).unwrap();
    assert!(matches!(entry.place(), Place::Queue(pieces) if pieces.concat().len() == 100));
    settle(&mut disk, &timeshift);
    assert!(matches!(entry.place(), Place::File));
    let file = open(&timeshift, &entry).await.unwrap();
    drop(shelf);
    settle(&mut disk, &timeshift);
    let mut pieces = body(file, 30..50, Duration::from_secs(5), net::Shutdown::new().1);
    assert_eq!(pieces.recv().await.unwrap().unwrap(), [[7; 10], [0; 10]].concat());
    assert_eq!((pieces.recv().await, pieces.recv().await), (Some(None), None));
    assert!(open(&timeshift, &entry).await.is_err());
}

#[test]
fn a_segment_that_is_larger_than_all_may_be_costs_no_other_one() {
    let folder = Folder::new("large");
    let timeshift = timeshift(&folder.0, |config| config.bytes_max = 1_000);
    let [mut one, mut other] = [(); 2].map(|()| Shelf::new(timeshift.clone()));
    let mut disk = Disk::new(timeshift.clone());
    (0..4).for_each(|number| put(&mut one, number));
    settle(&mut disk, &timeshift);
    other.put(line(0), vec![vec![0; 1_001].into()]);
    settle(&mut disk, &timeshift);
    assert_eq!((listed(&one, None), listed(&other, None)), (vec![0, 1, 2, 3], vec![]));
    assert!(timeshift.problem().unwrap().contains("one segment is longer than timeshift.bytes_max"));
}

#[test]
fn a_track_whose_numbers_begin_anew_after_a_loss_is_listed() {
    let folder = Folder::new("anew");
    let timeshift = timeshift(&folder.0, |config| config.queue_bytes_max = 250);
    let (mut shelf, mut disk) = (Shelf::new(timeshift.clone()), Disk::new(timeshift.clone()));
    (10..14).for_each(|number| put(&mut shelf, number));
    assert_eq!(lost(&shelf), [12, 13], "the disk is behind");
    settle(&mut disk, &timeshift);
    put(&mut shelf, 20);
    assert_eq!(listed(&shelf, None), [20]);
}
