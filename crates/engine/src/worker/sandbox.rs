//! Giving up rights.
//!
//! A decoder reads bytes of strangers with code that is written in C and assembler. Should one of them take over the
//! process, it finds no files, no network and no programs to start: what is left is to compute, and to talk to a server
//! that does not believe it.

use super::Failed;
use crate::limits::ADDRESS_SPACE_BYTES_MAX;
use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

/// Closes files of whoever started the server, which it did not mean to pass on. To be called before anything is opened.
#[allow(unsafe_code, reason = "no safe crate closes what it does not own")]
pub(super) fn close_inherited() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: nothing of this process is open yet but the three standard files.
    unsafe { libc::close_range(FIRST, libc::c_uint::MAX, 0) };
}

/// Gives up what media work does not need. A worker that drives a device keeps files and the calls of its driver.
pub(super) fn enter(drives_device: bool) -> Result<(), Failed> {
    // It ends with the server, also while it computes.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| failed("its end", error))?;
    let limit = |resource, value| {
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
            .map_err(|error| failed("limits", error))
    };
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    if drives_device {
        return Ok(());
    }
    limit(Resource::As, ADDRESS_SPACE_BYTES_MAX)?;
    limit(Resource::Nofile, 16)?;
    // A kernel without Landlock leaves it to the filter of calls below.
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.restrict_self())
        .map_err(|error| failed("files", error))?;
    for filter in [calls()?, clone3()?] {
        seccompiler::apply_filter_all_threads(&filter).map_err(|error| failed("calls", error))?;
    }
    Ok(())
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
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_getparam,
        libc::SYS_sched_getscheduler,
        libc::SYS_sched_setscheduler,
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
        libc::SYS_sigaltstack,
        libc::SYS_tgkill,
        libc::SYS_prctl,
        libc::SYS_seccomp,
        libc::SYS_restart_syscall,
        libc::SYS_membarrier,
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        free.into_iter().map(|call| (call, Vec::new())).collect();
    // Threads, and no processes.
    let thread = u64::from(libc::CLONE_THREAD as u32);
    let is_thread = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), thread)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|error| failed("calls", error))?;
    rules.insert(libc::SYS_clone, vec![is_thread]);
    compile(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)
}

/// `clone3` takes its flags where no filter can see them. A kernel that does not know it is what the C library can do with.
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
