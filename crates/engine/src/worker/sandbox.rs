//! Giving up rights.
//!
//! A decoder reads bytes of strangers with code that is written in C and assembler. Should one of them take over the
//! process, it finds no files, no network and no programs to start: what is left is to compute, and to talk to a server
//! that does not believe it.

use super::Failed;
use crate::decode;
use crate::encode::Backend;
use crate::limits::{
    DECODER_ADDRESS_SPACE_BYTES_MAX, DEVICE_FILE_BYTES_MAX, ENCODER_ADDRESS_SPACE_BYTES_MAX,
};
use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
    path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Reads streams of strangers.
    Decoder,
    /// Encodes on the processor.
    Encoder,
    /// Drives a device: it keeps the files of the system and of its driver, and most calls. It has no network and starts no programs.
    Device,
}

impl Role {
    /// That of an encoder or its test.
    pub(super) fn of(backend: Backend) -> Self {
        if backend.is_hardware() { Self::Device } else { Self::Encoder }
    }

    /// That of a decoder.
    pub(super) fn of_decoder(by: decode::Backend) -> Self {
        if by.is_hardware() { Self::Device } else { Self::Decoder }
    }

    /// That of the test of a decoder, which encodes first what it decodes.
    pub(super) fn of_measured_decoder(by: decode::Backend) -> Self {
        if by.is_hardware() { Self::Device } else { Self::Encoder }
    }
}

/// Closes files of whoever started the server, which it did not mean to pass on. To be called before anything is opened.
#[allow(unsafe_code, reason = "no safe crate closes what it does not own")]
pub(super) fn close_inherited() -> Result<(), Failed> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: nothing of this process is open yet but the three standard files.
    if unsafe { libc::close_range(FIRST, libc::c_uint::MAX, 0) } == 0 {
        Ok(())
    } else {
        Err(failed("files of others", std::io::Error::last_os_error()))
    }
}

/// Gives up what media work does not need.
pub(super) fn enter(role: Role) -> Result<(), Failed> {
    // It ends with the server, also while it computes.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| failed("its end", error))?;
    // Where memory is short it goes first; a system without this file has its own order.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let limit = |resource, value| {
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
            .map_err(|error| failed("limits", error))
    };
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, if role == Role::Device { DEVICE_FILE_BYTES_MAX } else { 0 })?;
    let address_space = match role {
        Role::Decoder => DECODER_ADDRESS_SPACE_BYTES_MAX,
        Role::Encoder => ENCODER_ADDRESS_SPACE_BYTES_MAX,
        Role::Device => {
            restrict_files(of_driver())?;
            return apply(&[of_device()?]);
        }
    };
    limit(Resource::As, address_space)?;
    limit(Resource::Nofile, 16)?;
    // A kernel without Landlock leaves it to the filter of calls below.
    restrict_files(Files::default())?;
    // The first is needed to install the second, which takes the call away with which it is done.
    apply(&[clone3()?, calls()?])
}

/// Files that a worker keeps; those that are not there do no harm.
#[derive(Debug, Default)]
struct Files {
    list: Vec<PathBuf>,
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

fn restrict_files(files: Files) -> Result<(), Failed> {
    let list = path_beneath_rules(files.list, AccessFs::ReadDir);
    let read = path_beneath_rules(files.read, AccessFs::from_read(ABI::V6));
    let write = path_beneath_rules(files.write, AccessFs::from_all(ABI::V6));
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V6))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.add_rules(list))
        .and_then(|rules| rules.add_rules(read))
        .and_then(|rules| rules.add_rules(write))
        .and_then(|rules| rules.restrict_self())
        .map(|_| ())
        .map_err(|error| failed("files", error))
}

/// What drivers read, and the files of devices. The configuration of the server, what it keeps, and everybody's home are not among them.
fn of_driver() -> Files {
    const READ: [&str; 15] = [
        "/usr",
        "/lib",
        "/lib32",
        "/lib64",
        "/opt",
        "/nix/store",
        "/gnu/store",
        "/run/opengl-driver",
        "/sys",
        "/proc",
        "/etc/ld.so.cache",
        "/etc/drirc",
        "/etc/libva.conf",
        "/etc/nvidia",
        "/etc/OpenCL",
    ];
    // NVIDIA's, that of Linux inside Windows, AMD's, those of graphics and of systems on a chip, and what everybody has.
    const DEVICES: [&str; 13] = [
        "nvidia", "dxg", "kfd", "dri", "video", "media", "dma_heap", "mali", "shm", "null", "zero", "random",
        "urandom",
    ];
    let (list, read) = (vec![PathBuf::from("/dev")], READ.map(PathBuf::from).into());
    let mut files = Files { list, read, write: Vec::new() };
    for name in super::LIBRARY_PATHS {
        let folders = std::env::var_os(name).unwrap_or_default();
        files.read.extend(std::env::split_paths(&folders).filter(|folder| folder.is_absolute()));
    }
    for entry in std::fs::read_dir("/dev").into_iter().flatten().flatten() {
        let name = entry.file_name();
        if DEVICES.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            files.write.push(entry.path());
        }
    }
    files
}

fn apply(filters: &[BpfProgram]) -> Result<(), Failed> {
    filters.iter().try_for_each(|filter| {
        seccompiler::apply_filter_all_threads(filter).map_err(|error| failed("calls", error))
    })
}

fn failed(what: &str, why: impl std::fmt::Display) -> Failed {
    Failed(format!("cannot give up {what}: {why}"))
}

/// What may be called: memory, threads, time, and what is open already. All else is refused with `EPERM`.
fn calls() -> Result<BpfProgram, Failed> {
    let free = [
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_lseek,
        libc::SYS_mmap,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_set_robust_list,
        libc::SYS_get_robust_list,
        libc::SYS_rseq,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_sched_getparam,
        libc::SYS_sched_getscheduler,
        libc::SYS_sched_get_priority_max,
        libc::SYS_sched_get_priority_min,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_getrusage,
        libc::SYS_getcpu,
        libc::SYS_getrandom,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_sysinfo,
        libc::SYS_uname,
        libc::SYS_clock_gettime,
        libc::SYS_clock_getres,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_gettimeofday,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_clone3,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_membarrier,
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        free.into_iter().map(|call| (call, Vec::new())).collect();
    // Threads, and no processes; signals to itself; names of threads.
    let thread = u64::from(libc::CLONE_THREAD as u32);
    rules.insert(libc::SYS_clone, when(SeccompCmpOp::MaskedEq(thread), thread)?);
    rules.insert(libc::SYS_tgkill, when(SeccompCmpOp::Eq, u64::from(std::process::id()))?);
    rules.insert(libc::SYS_prctl, when(SeccompCmpOp::Eq, u64::from(libc::PR_SET_NAME.cast_unsigned()))?);
    compile(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)
}

/// A rule about the first argument.
fn when(how: SeccompCmpOp, value: u64) -> Result<Vec<SeccompRule>, Failed> {
    SeccompCondition::new(0, SeccompCmpArgLen::Qword, how, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map(|rule| vec![rule])
        .map_err(|error| failed("calls", error))
}

/// What the driver of a device does not need either.
fn of_device() -> Result<BpfProgram, Failed> {
    let denied = [
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_bpf,
        libc::SYS_mount,
        libc::SYS_umount2,
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        denied.into_iter().map(|call| (call, Vec::new())).collect();
    // Sockets to services of this machine and to its kernel, of which drivers ask what devices there are. The kernel looks at no more than
    // 32 bits of the family, so the filter does the same.
    let near = [libc::AF_UNIX, libc::AF_NETLINK].map(|family| {
        let family = u64::from(family.cast_unsigned());
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family)
    });
    let far = near.into_iter().collect::<Result<Vec<_>, _>>().and_then(SeccompRule::new);
    rules.insert(libc::SYS_socket, vec![far.map_err(|error| failed("calls", error))?]);
    // A way around that filter.
    rules.insert(libc::SYS_io_uring_setup, Vec::new());
    compile(rules, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32))
}

/// `clone3` takes its flags where no filter can see them. A kernel that does not know it is what the C library can do with. [`calls`] lets it
/// pass, since of two filters the stricter one counts.
fn clone3() -> Result<BpfProgram, Failed> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    compile(rules, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, Failed> {
    let architecture = std::env::consts::ARCH.try_into().map_err(|error| failed("calls", error))?;
    SeccompFilter::new(rules, otherwise, matched, architecture)
        .and_then(TryInto::try_into)
        .map_err(|error| failed("calls", error))
}
