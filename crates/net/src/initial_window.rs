//! A larger initial congestion window for the connections of our ports.
//!
//! A new TCP connection may send ten segments (RFC 6928), about 14 KB, before the first acknowledgement. A keyframe is
//! larger, so its tail waits one more round trip: 50 ms on a link of 50 ms. Linux has no socket option for the window,
//! but a BPF program of type `sock_ops` may set it (`TCP_BPF_IW`) when a connection is established. The program is six
//! lines; it compares the local port and does nothing else.
//!
//! The program hangs on the control group of this process and leaves with it. It needs CAP_BPF and CAP_NET_ADMIN; without
//! them everything works as before, one round trip slower for keyframes over 14 KB.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_long, c_void};
use std::fs::{File, read_to_string};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

/// A larger window for some ports, as long as this lives.
#[derive(Debug)]
pub struct InitialWindow {
    _link: OwnedFd,
}

/// Largest window, in segments. Content networks use 25 to 46 and up to 100; beyond that a burst only fills queues.
pub const SEGMENTS_MAX: u32 = 100;
/// Most ports. The program compares them one after the other.
pub const PORTS_MAX: usize = 16;

// Numbers of <linux/bpf.h>; they are part of the kernel's interface and never change.
const BPF_PROG_LOAD: c_long = 5;
const BPF_LINK_CREATE: c_long = 28;
const BPF_PROG_TYPE_SOCK_OPS: u32 = 13;
const BPF_CGROUP_SOCK_OPS: u32 = 3;
const BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB: i32 = 5;
const BPF_FUNC_SETSOCKOPT: i32 = 49;
const SOL_TCP: i32 = 6;
const TCP_BPF_IW: i32 = 1001;
/// Offsets in `struct bpf_sock_ops`.
const OP: i16 = 0;
const LOCAL_PORT: i16 = 68;

/// One instruction of the BPF machine: `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    /// Destination in the low, source in the high four bits.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: from << 4 | to, offset, immediate }
}

const LOAD_WORD: u8 = 0x61;
const STORE_WORD: u8 = 0x62;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const ADD: u8 = 0x07;
const JUMP: u8 = 0x05;
const JUMP_EQUAL: u8 = 0x15;
const JUMP_NOT_EQUAL: u8 = 0x55;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

fn program(ports: &[u16], segments: u32) -> Vec<Instruction> {
    let set = [
        instruction(STORE_WORD, 10, 0, -4, segments as i32),
        instruction(MOVE_REGISTER, 1, 6, 0, 0),
        instruction(MOVE, 2, 0, 0, SOL_TCP),
        instruction(MOVE, 3, 0, 0, TCP_BPF_IW),
        instruction(MOVE_REGISTER, 4, 10, 0, 0),
        instruction(ADD, 4, 0, 0, -4),
        instruction(MOVE, 5, 0, 0, 4),
        instruction(CALL, 0, 0, 0, BPF_FUNC_SETSOCKOPT),
    ];
    let count = ports.len() as i16;
    let mut code = vec![
        instruction(MOVE_REGISTER, 6, 1, 0, 0),
        instruction(LOAD_WORD, 2, 6, OP, 0),
        // Past the load of the port, the comparisons, the jump and `set`, to the end.
        instruction(JUMP_NOT_EQUAL, 2, 0, 2 + count + set.len() as i16, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB),
        instruction(LOAD_WORD, 2, 6, LOCAL_PORT, 0),
    ];
    for (index, port) in ports.iter().enumerate() {
        // Past the other comparisons and the jump, to `set`.
        code.push(instruction(JUMP_EQUAL, 2, 0, count - index as i16, i32::from(*port)));
    }
    code.push(instruction(JUMP, 0, 0, set.len() as i16, 0));
    code.extend(set);
    code.push(instruction(MOVE, 0, 0, 0, 1));
    code.push(instruction(EXIT, 0, 0, 0, 0));
    code
}

/// The part of `union bpf_attr` that BPF_PROG_LOAD reads.
#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
}

/// The part of `union bpf_attr` that BPF_LINK_CREATE reads.
#[repr(C)]
struct LinkAttributes {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

/// Gives connections accepted on `ports` an initial window of `segments` (at most [`SEGMENTS_MAX`]) until the returned
/// value is dropped. Errors: `PermissionDenied` without the privileges, others where the kernel lacks the feature.
pub fn raise(ports: &[u16], segments: u32) -> io::Result<InitialWindow> {
    let ports = &ports[..ports.len().min(PORTS_MAX)];
    let group = File::open(control_group()?)?;
    let code = program(ports, segments.min(SEGMENTS_MAX));
    let load = LoadAttributes {
        program_type: BPF_PROG_TYPE_SOCK_OPS,
        instruction_count: code.len() as u32,
        instructions: code.as_ptr() as u64,
        license: c"MIT".as_ptr() as u64,
    };
    let program = call(BPF_PROG_LOAD, &load)?;
    let link = LinkAttributes {
        program: program.as_raw_fd() as u32,
        target: group.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_SOCK_OPS,
        flags: 0,
    };
    Ok(InitialWindow { _link: call(BPF_LINK_CREATE, &link)? })
}

fn call<T>(command: c_long, attributes: &T) -> io::Result<OwnedFd> {
    let size = size_of::<T>() as c_long;
    // SAFETY: `attributes` lives for the call, is `size` bytes long without padding, and the pointers in it point to data
    // that lives as long (the instructions and the licence text are borrowed by the caller).
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes).cast::<c_void>(), size)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a successful call of these two commands returns a descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

/// The folder of this process in the unified control group hierarchy.
fn control_group() -> io::Result<PathBuf> {
    let group = read_to_string("/proc/self/cgroup")?;
    let path = group.lines().find_map(|line| line.strip_prefix("0::")).ok_or(io::ErrorKind::NotFound)?;
    let mounts = read_to_string("/proc/self/mounts")?;
    let mount = mounts
        .lines()
        .find_map(|line| {
            let mut fields = line.split(' ');
            let (_, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
            (kind == "cgroup2").then_some(place)
        })
        .ok_or(io::ErrorKind::NotFound)?;
    Ok(PathBuf::from(format!("{mount}{path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_jump_lands_inside_the_program() {
        for count in 0..=PORTS_MAX {
            let ports: Vec<u16> = (0..count as u16).collect();
            let code = program(&ports, 32);
            for (index, instruction) in code.iter().enumerate() {
                if matches!(instruction.code, JUMP | JUMP_EQUAL | JUMP_NOT_EQUAL) {
                    let target = index as i64 + 1 + i64::from(instruction.offset);
                    let expected = if instruction.code == JUMP_EQUAL { STORE_WORD } else { MOVE };
                    assert_eq!(code[target as usize].code, expected, "{count} ports, jump at {index}");
                }
            }
        }
    }

    #[test]
    fn kernel_accepts_the_program_where_it_may_be_loaded() {
        match raise(&[1935, 8080], 32) {
            Ok(window) => drop(window),
            Err(error) => eprintln!("SKIPPED: the initial window cannot be set here: {error}"),
        }
    }
}
