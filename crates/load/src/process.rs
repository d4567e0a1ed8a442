//! What a process costs, from the files of `/proc` (proc(5)).

use std::fs;
use std::io;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Ticks per second of the times in `/proc/PID/stat`: `USER_HZ`, which is 100 on every architecture that Linux runs
/// servers on.
const TICKS_PER_SECOND: u64 = 100;

/// Resources used by a process up to a moment. The difference of two is what a time span cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in its own code.
    pub user: Duration,
    /// CPU time in the kernel on its behalf. On loopback that includes the receiving side of each segment it sends.
    pub system: Duration,
    /// Memory that is resident, in bytes.
    pub rss: i64,
    /// The part of it that no other process shares, in bytes; 0 where the system does not tell.
    pub private: i64,
    /// `write` and `writev` calls. `send` and `sendmsg` are not counted by the kernel.
    pub writes: i64,
}

impl Usage {
    /// Reads the counters of a process.
    ///
    /// # Errors
    ///
    /// No such process.
    pub fn of(pid: u32) -> io::Result<Self> {
        Self::read(&format!("/proc/{pid}"))
    }

    /// Reads the counters of this process.
    pub fn of_self() -> io::Result<Self> {
        Self::read("/proc/self")
    }

    /// The sum over several processes, as of a server with workers.
    pub fn of_all(pids: &[u32]) -> io::Result<Self> {
        pids.iter().try_fold(Self::default(), |sum, pid| Ok(sum + Self::of(*pid)?))
    }

    fn read(folder: &str) -> io::Result<Self> {
        let (user, system) = parse_stat(&fs::read_to_string(format!("{folder}/stat"))?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unknown form of /proc/PID/stat"))?;
        let kilobytes = |file: &str, names: &[&str]| {
            // Reading them may be forbidden for processes of others.
            fs::read_to_string(format!("{folder}/{file}")).map_or(0, |text| sum_of(&text, names)) * 1024
        };
        Ok(Self {
            user,
            system,
            rss: kilobytes("status", &["VmRSS"]),
            private: kilobytes("smaps_rollup", &["Private_Clean", "Private_Dirty"]),
            writes: fs::read_to_string(format!("{folder}/io")).map_or(0, |text| sum_of(&text, &["syscw"])),
        })
    }

    /// User and system time together.
    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }
}

impl Add for Usage {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            user: self.user + other.user,
            system: self.system + other.system,
            rss: self.rss + other.rss,
            private: self.private + other.private,
            writes: self.writes + other.writes,
        }
    }
}

impl Sub for Usage {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            rss: self.rss - earlier.rss,
            private: self.private - earlier.private,
            writes: self.writes - earlier.writes,
        }
    }
}

/// Fields 14 and 15. The name of the program, in parentheses, may hold anything, so the fields are counted behind it.
fn parse_stat(text: &str) -> Option<(Duration, Duration)> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    };
    Some((ticks()?, ticks()?))
}

/// The sum of the numbers in the lines `name: number`.
fn sum_of(text: &str, names: &[&str]) -> i64 {
    let number_of = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let number = rest.split_ascii_whitespace().next()?;
        if names.contains(&name) { number.parse::<i64>().ok() } else { None }
    };
    text.lines().filter_map(number_of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_program_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 9 0 0 0 250 131 0 0 20 0 1 0 5 9 9";
        assert_eq!(parse_stat(stat), Some((Duration::from_millis(2500), Duration::from_millis(1310))));
        assert_eq!(parse_stat("7 (a) S 1"), None);
    }

    #[test]
    fn lines_are_summed_by_name() {
        let text = "Rss: 9 kB\nPrivate_Clean:       4 kB\nPrivate_Dirty:      38 kB\n";
        assert_eq!(sum_of(text, &["Private_Clean", "Private_Dirty"]), 42);
    }

    #[test]
    fn this_process_uses_memory() {
        let usage = Usage::of_self().unwrap();
        assert!(usage.rss > 0);
        assert_eq!(usage - usage, Usage::default());
    }
}
