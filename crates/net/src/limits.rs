//! Limits of the network edge.

/// Pending connections the kernel may hold per listener. A join storm arrives faster than one turn of the event
/// loop; the kernel caps the value at `net.core.somaxconn` (4096 on today's systems).
pub const LISTEN_BACKLOG: i32 = 4096;

/// Buffers passed to one vectored write. Linux takes 1,024 (`IOV_MAX`), but the array is cleared for every write, and 64
/// already hold a third of a second of audio and video.
pub const WRITE_BUFFERS_MAX: usize = 64;

/// How long sent data may stay unacknowledged, or a window closed, before the kernel gives the connection up
/// (TCP_USER_TIMEOUT, RFC 5482). A paused player closes its window, so the value is also how long a pause may last.
pub const UNACKNOWLEDGED_MS_MAX: u32 = 60_000;

/// What a TLS connection seals before it looks whether the socket takes it: four full records. A batch of a usual stream
/// is less and leaves in one system call; a player whose socket is full keeps at most this much that is its own.
pub const TLS_SEALED_BYTES_MAX: usize = 64 << 10;

/// File descriptors asked for at start; the hard limit of the process caps it.
pub const FILES_WANTED: u64 = 1 << 20;

/// Raises the soft limit on open files as far as the hard limit allows (at most [`FILES_WANTED`]) and returns it.
#[allow(unsafe_code)]
pub fn raise_file_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid, writable rlimit for both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 1024;
        }
        let wanted = libc::rlimit { rlim_cur: limit.rlim_max.min(FILES_WANTED), rlim_max: limit.rlim_max };
        if wanted.rlim_cur > limit.rlim_cur && libc::setrlimit(libc::RLIMIT_NOFILE, &wanted) == 0 {
            return wanted.rlim_cur;
        }
    }
    limit.rlim_cur
}
