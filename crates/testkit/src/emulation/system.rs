//! The few system calls that the standard library does not offer. All unsafe code of the crate is here.
#![expect(unsafe_code, reason = "TUN ioctl, ppoll and scheduling have no safe interface in std")]

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::ptr;
use std::time::Duration;

use super::Error;

/// The file that makes TUN devices.
pub(super) const TUN_PATH: &str = "/dev/net/tun";

/// Bits of `CapEff` in `/proc/self/status` (capability.h).
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;

/// Fails with [`Error::Unavailable`] where no emulation can work.
pub(super) fn check_available() -> Result<(), Error> {
    let unavailable = |reason: &str| Err(Error::Unavailable(reason.to_owned()));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    if capabilities & (1 << CAP_NET_ADMIN) == 0 || capabilities & (1 << CAP_SYS_ADMIN) == 0 {
        return unavailable("it needs CAP_NET_ADMIN and CAP_SYS_ADMIN (run it as root)");
    }
    if !Path::new(TUN_PATH).exists() {
        return unavailable("there is no /dev/net/tun");
    }
    for program in ["ip", "nsenter"] {
        let status = Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            return unavailable("it needs `ip` and `nsenter` (Debian packages iproute2 and util-linux)");
        }
    }
    Ok(())
}

/// Binds an open `/dev/net/tun` to a new device without packet headers. `%d` in `pattern` becomes a free number;
/// returns the whole name.
pub(super) fn attach_tun(file: &File, pattern: &str) -> io::Result<String> {
    // SAFETY: `ifreq` is plain data for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if pattern.len() >= request.ifr_name.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(pattern.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives through the call; the descriptor is open.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel leaves a name that ends in zero within the 16 bytes.
    let name = unsafe { CStr::from_ptr(request.ifr_name.as_ptr()) };
    Ok(name.to_string_lossy().into_owned())
}

/// Waits until a descriptor is readable or at its end, or `timeout` is over (`None`: for ever). Tells which are.
pub(super) fn wait_readable<const N: usize>(
    descriptors: [BorrowedFd<'_>; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polled = descriptors.map(|descriptor| libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the array and the timespec live through the call, the length is the array's, no signal mask is given.
    let result = unsafe { libc::ppoll(polled.as_mut_ptr(), N as libc::nfds_t, timeout, ptr::null()) };
    if result < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(polled.map(|polled| polled.revents != 0))
}

/// Makes the calling thread wake on time: real-time priority where allowed, and no timer slack anyway.
pub(super) fn prefer_precise_timing() {
    let parameter = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameter lives through the call; 0 names the calling thread. Refusal is harmless.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) };
    // SAFETY: PR_SET_TIMERSLACK takes one number of nanoseconds and touches no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
}
