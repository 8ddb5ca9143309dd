//! What this process knows: rules and facts. The one static, set once at boot.

use std::{
    ffi::{CStr, CString},
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

use mirrord_config::handoff::{DataPath, Facts, Handoff};
use mirrord_core::rules::{Rules, fs::Here};
use mirrord_protocol::proxy::{names, sockets::PORT_PAGE};

use crate::abi::environment::Needs;

/// A guest's process.
pub(crate) struct Process {
    /// What the session may do.
    pub(crate) rules: Rules,
    /// What it has found.
    pub(crate) facts: Facts,
    /// The page of ports on which the session listens here; none if the proxy was gone at boot.
    pub(crate) ports: Option<&'static [u8; PORT_PAGE]>,
    /// The count of the session's changes of files, where they are proxied.
    pub(crate) changes: Option<&'static AtomicU64>,
    /// The cookie of this process's network namespace at boot.
    pub(crate) netns_cookie: u64,
    /// What a child needs to be a guest.
    pub(crate) needs: Option<Needs>,
    /// The program `mirrord`, to which a program that cannot be entered is handed over.
    pub(crate) host: Option<&'static CStr>,
    home: Option<Vec<u8>>,
    temp_dir: Option<Vec<u8>>,
    executable: Option<Vec<u8>>,
}

/// Memory that the proxy writes, and every guest reads.
#[derive(Clone, Copy)]
pub(crate) struct Shared {
    /// The page of ports.
    pub(crate) ports: &'static [u8; PORT_PAGE],
    /// The count of changes behind it, if there is one.
    pub(crate) changes: Option<&'static AtomicU64>,
}

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(null_mut());

/// This process, if it is a guest that has booted.
pub(crate) fn get() -> Option<&'static Process> {
    // SAFETY: the pointer is null or what `publish` has leaked.
    unsafe { PROCESS.load(Ordering::Acquire).as_ref() }
}

/// Makes this process a guest: from now on its calls are judged.
pub(crate) fn publish(process: Process) {
    PROCESS.store(Box::leak(Box::new(process)), Ordering::Release);
}

impl Process {
    /// A process with these settings.
    pub(crate) fn new(handoff: Handoff, shared: Option<Shared>) -> Self {
        let variable = |name| {
            let value = std::env::var_os(name)?;
            let bytes = std::os::unix::ffi::OsStringExt::into_vec(value);
            let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
            (end > 0).then(|| bytes[..end].to_vec())
        };
        let is_proxied = handoff.facts.data_path == DataPath::Proxied;
        let host = CString::new(handoff.facts.host.clone()).ok().filter(|host| !host.is_empty());
        Self {
            host: host.map(|host| &*Box::leak(host.into_boxed_c_str())),
            rules: handoff.rules,
            facts: handoff.facts,
            ports: shared.map(|shared| shared.ports),
            changes: shared.and_then(|shared| shared.changes).filter(|_| is_proxied),
            netns_cookie: own_netns_cookie(),
            needs: needs(),
            home: variable("HOME"),
            temp_dir: variable("TMPDIR"),
            executable: executable(),
        }
    }

    /// Whether descriptors are made there and passed.
    pub(crate) fn is_passed(&self) -> bool {
        self.facts.data_path == DataPath::Passed
    }

    /// Whether sockets that live there are told from ours by their network namespace, and made there.
    pub(crate) fn passes_sockets(&self) -> bool {
        let there = self.facts.netns_cookie;
        self.is_passed() && self.facts.has_target && there != 0 && there != self.netns_cookie
    }

    /// Whether streams and datagrams are relayed by the proxy.
    pub(crate) fn relays_sockets(&self) -> bool {
        !self.is_passed() && self.facts.has_target
    }

    /// Whether a port is a debugger's, on this machine's loopback.
    pub(crate) fn is_debugger_port(&self, port: u16) -> bool {
        self.facts.debugger_ports.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }

    /// Whether the session listens on a TCP port here.
    pub(crate) fn is_our_port(&self, port: u16) -> bool {
        let Some(page) = self.ports else { return false };
        let byte: *const u8 = &raw const page[usize::from(port / 8)];
        // SAFETY: the byte lies on a page that stays mapped; the proxy writes it, so it is read afresh.
        let byte = unsafe { byte.read_volatile() };
        byte & (1 << (port % 8)) != 0
    }

    /// What the default lists of files need to know.
    pub(crate) fn here(&self) -> Here<'_> {
        let start = self.facts.start_dir.as_slice();
        Here {
            home: self.home.as_deref(),
            temp_dir: self.temp_dir.as_deref(),
            start_dir: (start.len() > 1).then_some(start),
            executable: self.executable.as_deref(),
        }
    }
}

/// The variables that have made this process a guest. They live as long as it does.
fn needs() -> Option<Needs> {
    let keep = |name: &str, value: &[u8]| -> Option<&'static CStr> {
        let text = CString::new([name.as_bytes(), b"=", value].concat()).ok()?;
        Some(Box::leak(text.into_boxed_c_str()))
    };
    let variable = |name: &str| keep(name, std::env::var_os(name)?.as_encoded_bytes());
    let file = own_file()?;
    Some(Needs {
        address: variable(names::PROXY_ADDRESS)?,
        session: variable(names::SESSION_ID),
        preload: keep("LD_PRELOAD", file.to_bytes())?,
    })
}

/// The file of this library, as the loader was told to find it.
fn own_file() -> Option<&'static CStr> {
    let mut found = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let within: *const AtomicPtr<Process> = &raw const PROCESS;
    // SAFETY: the place is ours, and the address within this library.
    if unsafe { libc::dladdr(within.cast(), found.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: all zeroes are a valid structure, and so is what the loader has written.
    let name = unsafe { found.assume_init() }.dli_fname;
    // SAFETY: the loader keeps the name as long as the library is loaded, which is never unloaded.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })
}

/// The program's name, without its folder.
pub(crate) fn program_name() -> String {
    let path = executable().unwrap_or_default();
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// The name by which the program was called, without its folder.
pub(crate) fn called_name() -> String {
    let line = command_line();
    let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = first.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// The first page of the program's arguments, a zero byte behind each.
pub(crate) fn command_line() -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let read = rustix::fs::open("/proc/self/cmdline", rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())
        .and_then(|file| rustix::io::read(file, &mut bytes[..]));
    bytes.truncate(read.unwrap_or(0));
    bytes
}

fn executable() -> Option<Vec<u8>> {
    rustix::fs::readlink("/proc/self/exe", Vec::new()).ok().map(std::ffi::CString::into_bytes)
}

fn own_netns_cookie() -> u64 {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .ok()
        .and_then(|socket| crate::abi::socket::netns_cookie(&socket))
        .unwrap_or(0)
}
