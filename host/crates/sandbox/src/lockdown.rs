//! What a process gives up for good before it touches a stranger's bytes: files, the network, other processes, and more
//! than its share of the machine.
//!
//! It is the wall behind the sandbox: a guest or a file that broke the engine would stand in a process that can do nothing
//! but compute, read what it holds open and answer. All of it is best effort: an older kernel knows less, and `lock_down`
//! answers with what it could not have. Nothing here can be taken back, so only processes call it that were started for it,
//! and before they have a second thread.

use std::{collections::BTreeMap, path::PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, Signal};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// The newest Landlock whose rules are asked for. Kernels that have less of it enforce what they have.
const LANDLOCK: ABI = ABI::V6;

/// Calls of x32 processes, which a kernel may know beside those of the machine and which have the same effect.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// What a process keeps.
#[derive(Clone, Debug, Default)]
pub struct Lockdown {
    /// Files, and folders with all that is in them. No others can be opened.
    pub paths: Vec<(PathBuf, Access)>,
    /// Whether it may speak to anybody.
    pub network: Network,
}

/// What may be done with a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It may be read, and folders be listed. Nothing can be started from it.
    Read,
    /// It may be changed, too.
    ReadWrite,
}

/// Whether a process may speak to anybody but through what it has open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// No new connection.
    #[default]
    Denied,
    /// Connections of its own.
    Allowed,
}

/// What a process may use of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessLimits {
    /// Processor time, in seconds. One second later the process is killed.
    pub cpu_seconds: Option<u64>,
    /// Address space, in bytes, that which is only reserved included.
    pub address_space: Option<u64>,
    /// Private memory, in bytes.
    pub data: Option<u64>,
    /// Open files.
    pub files: Option<u64>,
    /// Size of any file that it writes.
    pub file_bytes: Option<u64>,
}

/// Bounds what this process may use, makes it end with its parent, and keeps it from leaving an image of its memory.
/// Answers with what the system refused.
#[must_use]
pub fn limit(limits: &ProcessLimits) -> Vec<String> {
    let mut refused = Vec::new();
    let mut set = |name: &str, resource, value: Option<u64>, slack: u64| {
        let Some(value) = value else { return };
        let hard = value.saturating_add(slack);
        let refusal = rustix::process::setrlimit(resource, Rlimit { current: Some(value), maximum: Some(hard) });
        refused.extend(refusal.err().map(|error| format!("{name}: {error}")));
    };
    // At the soft limit the kernel sends a signal that says what it was; the hard one kills what ignored it.
    set("processor time", Resource::Cpu, limits.cpu_seconds, 1);
    set("address space", Resource::As, limits.address_space, 0);
    set("data", Resource::Data, limits.data, 0);
    set("open files", Resource::Nofile, limits.files, 0);
    set("size of files", Resource::Fsize, limits.file_bytes, 0);
    set("core", Resource::Core, Some(0), 0);
    let orphan = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    refused.extend(orphan.err().map(|error| format!("end with the parent: {error}")));
    refused
}

/// Gives up everything that is not named. Answers with what this kernel could not take away.
#[must_use]
pub fn lock_down(keep: &Lockdown) -> Vec<String> {
    let files = close_files(keep).err();
    let calls = close_calls(keep.network).err();
    [files.map(|problem| format!("files: {problem}")), calls.map(|problem| format!("system calls: {problem}"))]
        .into_iter()
        .flatten()
        .collect()
}

/// Files, and where the kernel knows them the ports, abstract sockets and signals.
fn close_files(keep: &Lockdown) -> Result<(), String> {
    let told = |error: landlock::RulesetError| error.to_string();
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))
        .map_err(told)?
        .scope(Scope::from_all(LANDLOCK))
        .map_err(told)?;
    if keep.network == Network::Denied {
        rules = rules.handle_access(AccessNet::from_all(LANDLOCK)).map_err(told)?;
    }
    let mut created = rules.create().map_err(told)?;
    for (path, access) in &keep.paths {
        let read = AccessFs::from_read(LANDLOCK) & !AccessFs::Execute;
        let allowed = match access {
            Access::Read => read,
            Access::ReadWrite => read | AccessFs::from_write(LANDLOCK),
        };
        created = created.add_rules(path_beneath_rules([path], allowed)).map_err(told)?;
    }
    let status = created.restrict_self().map_err(told)?;
    match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err("this kernel has no Landlock, or it is switched off".to_owned()),
    }
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn close_calls(network: Network) -> Result<(), String> {
    let told = |error: seccompiler::Error| error.to_string();
    // A call whose flags no filter can see. "Not there" makes the C library take the one whose flags it can.
    let hidden = Rules::from([(libc::SYS_clone3, Vec::new())]);
    let hidden = program(hidden, libc::ENOSYS)?;
    let denied = program(denied(network).map_err(|error| error.to_string())?, libc::EPERM)?;
    seccompiler::apply_filter_all_threads(&hidden).map_err(told)?;
    seccompiler::apply_filter_all_threads(&denied).map_err(told)
}

fn program(rules: Rules, errno: i32) -> Result<BpfProgram, String> {
    let told = |error: BackendError| error.to_string();
    let errno = SeccompAction::Errno(errno.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into().map_err(told)?;
    let filter =
        SeccompFilter::new(with_other_numbers(rules), SeccompAction::Allow, errno, architecture).map_err(told)?;
    filter.try_into().map_err(told)
}

/// The same rules under the other numbers that the calls have.
#[cfg(target_arch = "x86_64")]
fn with_other_numbers(rules: Rules) -> Rules {
    rules.into_iter().flat_map(|(call, rules)| [(call, rules.clone()), (call | X32, rules)]).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn with_other_numbers(rules: Rules) -> Rules {
    rules
}

/// What nothing in a sandbox's process has to do with: starting programs, looking into others, changing the system.
const NEVER: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_personality,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_setrlimit,
];

/// What only this kind of machine has.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_kexec_file_load,
    libc::SYS_uselib,
];

#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[i64] = &[];

/// New connections. What is open already can be read and written.
const CONNECTING: &[i64] =
    &[libc::SYS_socket, libc::SYS_connect, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4];

fn denied(network: Network) -> Result<Rules, BackendError> {
    let bits = |flags: i32| u64::from(flags.unsigned_abs());
    let is = |argument, operator, value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
    let rule = |conditions: Vec<SeccompCondition>| SeccompRule::new(conditions);
    let mut rules: Rules = NEVER.iter().chain(NEVER_HERE).map(|call| (*call, Vec::new())).collect();
    // Threads are made, processes are not.
    let thread = bits(libc::CLONE_THREAD);
    rules.insert(libc::SYS_clone, vec![rule(vec![is(0, SeccompCmpOp::MaskedEq(thread), 0)?])?]);
    // Its own threads get signals, as an abort sends one; nobody else's do.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![rule(vec![is(0, SeccompCmpOp::Ne, own)?])?]);
    rules.insert(libc::SYS_tkill, Vec::new());
    // Limits may be asked for, and not be set.
    let no_new = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![rule(vec![no_new])?]);
    // A thread may choose its own processors, and nobody else's.
    rules.insert(libc::SYS_sched_setaffinity, vec![rule(vec![is(0, SeccompCmpOp::Ne, 0)?])?]);
    // A pair that streams reaches nobody else; one for datagrams, which is also what a raw one becomes, could be given an
    // address.
    let kind = || SeccompCmpOp::MaskedEq(0xf);
    let pair = |of: i32| rule(vec![is(1, kind(), bits(of))?]);
    rules.insert(libc::SYS_socketpair, vec![pair(libc::SOCK_DGRAM)?, pair(libc::SOCK_RAW)?]);
    match network {
        Network::Denied => rules.extend(CONNECTING.iter().map(|call| (*call, Vec::new()))),
        Network::Allowed => {
            // What a name lookup and a connection need; raw packets and the rarer families are the kernel's soft spots, and
            // behind local sockets are the services of the machine.
            let families = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
            let other: Result<Vec<_>, _> = families.iter().map(|f| is(0, SeccompCmpOp::Ne, bits(*f))).collect();
            let raw = is(1, SeccompCmpOp::MaskedEq(0xf), bits(libc::SOCK_RAW))?;
            let not_netlink = is(0, SeccompCmpOp::Ne, bits(libc::AF_NETLINK))?;
            rules.insert(libc::SYS_socket, vec![rule(other?)?, rule(vec![raw, not_netlink])?]);
        }
    }
    Ok(rules)
}
