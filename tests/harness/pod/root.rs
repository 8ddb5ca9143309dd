//! The pod's files: the programs of this machine, read-only, and beside them what only the pod has.

use std::{
    ffi::{CString, OsStr},
    fs::{self, File, FileTimes, Permissions},
    io::{self, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::Path,
    time::{Duration, SystemTime},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::pivot_root,
};

/// Where the new root grows; only this pod sees the mount.
const ROOT: &str = "/tmp";
/// What a big file holds at an offset, so that every byte can be checked.
pub const BIG_SIZE: usize = 40 << 20;
/// The time of last modification of the pod's files.
const CHANGED: Duration = Duration::from_nanos(1_600_000_000_123_456_789);

/// Makes the new root, and makes it the root.
pub fn build() -> io::Result<()> {
    let program = fs::read("/proc/self/exe")?;
    mount::<str, _, str, str>(None, "/", None, MsFlags::MS_REC | MsFlags::MS_SLAVE, None)?;
    mount(Some("shop"), ROOT, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755"))?;
    std::env::set_current_dir(ROOT)?;
    for folder in ["proc", "sys", "dev", "etc", "tmp", "run", "root", "var/log", "var/tmp", "home/shop"] {
        fs::create_dir_all(folder)?;
    }
    for folder in ["tmp", "var/tmp"] {
        fs::set_permissions(folder, Permissions::from_mode(0o1777))?;
    }
    borrow_programs()?;
    build_devices()?;
    mount(Some("proc"), "proc", Some("proc"), MsFlags::empty(), None::<&str>)?;
    // Not every kernel lets a user namespace have it, and nothing of ours needs it.
    let _ = mount(Some("sys"), "sys", Some("sysfs"), MsFlags::MS_RDONLY, None::<&str>);
    fill_etc()?;
    fill_app(&program)?;
    fs::write("var/log/shop.log", "")?;
    fill_data()?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    std::env::set_current_dir("/")
}

fn borrow_programs() -> io::Result<()> {
    for name in ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let there = Path::new("/").join(name);
        let Ok(kind) = there.symlink_metadata() else { continue };
        if kind.is_symlink() {
            symlink(fs::read_link(&there)?, name)?;
        } else {
            fs::create_dir(name)?;
            bind(&there, name)?;
            make_read_only(name)?;
        }
    }
    for name in ["etc/alternatives", "etc/ssl", "etc/java-17-openjdk"] {
        let there = Path::new("/").join(name);
        if there.is_dir() {
            fs::create_dir_all(name)?;
            bind(&there, name)?;
            make_read_only(name)?;
        }
    }
    for name in ["etc/ld.so.cache", "etc/services", "etc/protocols"] {
        if let Ok(bytes) = fs::read(Path::new("/").join(name)) {
            fs::write(name, bytes)?;
        }
    }
    Ok(())
}

fn bind(from: &Path, to: &str) -> io::Result<()> {
    Ok(mount::<_, str, str, str>(Some(from), to, None, MsFlags::MS_BIND | MsFlags::MS_REC, None)?)
}

/// `mount_setattr(2)`, which reaches the mounts below, too.
fn make_read_only(path: &str) -> io::Result<()> {
    const MOUNT_ATTR_RDONLY: u64 = 1;
    let attributes: [u64; 4] = [MOUNT_ATTR_RDONLY, 0, 0, 0];
    let path = CString::new(path)?;
    // SAFETY: the path ends with a nought, and the structure is as long as is said.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn build_devices() -> io::Result<()> {
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let to = format!("dev/{name}");
        File::create(&to)?;
        bind(&Path::new("/dev").join(name), &to)?;
    }
    fs::create_dir("dev/shm")?;
    fs::set_permissions("dev/shm", Permissions::from_mode(0o1777))?;
    symlink("/proc/self/fd", "dev/fd")?;
    for (number, name) in ["stdin", "stdout", "stderr"].iter().enumerate() {
        symlink(format!("/proc/self/fd/{number}"), format!("dev/{name}"))?;
    }
    Ok(())
}

fn fill_etc() -> io::Result<()> {
    let passwd = "root:x:0:0:root:/root:/bin/bash\nshop:x:1000:1000:Corner Shop:/home/shop:/bin/sh\n";
    fs::write("etc/passwd", passwd)?;
    fs::write("etc/group", "root:x:0:\nshop:x:1000:\n")?;
    fs::write("etc/hostname", format!("{}\n", super::NAME))?;
    fs::write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n")?;
    let hosts = format!(
        "127.0.0.1 localhost\n::1 localhost\n{} {}\n10.77.0.4 only-in-hosts.pod alias.pod\n",
        super::ADDRESS,
        super::NAME
    );
    fs::write("etc/hosts", hosts)?;
    fs::write(
        "etc/resolv.conf",
        "nameserver 10.77.0.53\nsearch shop\noptions ndots:2 timeout:2 attempts:2\n",
    )?;
    fs::create_dir("etc/shop")?;
    fs::write("etc/shop/shop.conf", "name = Corner Shop\nopen = true\n")
}

fn fill_app(program: &[u8]) -> io::Result<()> {
    fs::create_dir_all("app/templates")?;
    fs::write("app/shop", program)?;
    fs::set_permissions("app/shop", Permissions::from_mode(0o755))?;
    write_file("app/config.toml", b"[shop]\nname = \"Corner Shop\"\nredis = \"redis.shop:6379\"\n", 0o644)?;
    write_file("app/secret.key", b"only the pod has this\n", 0o600)?;
    write_file("app/greet", b"#!/bin/sh\necho \"a script of the pod: $1\"\n", 0o755)?;
    write_file("app/templates/index.html", b"<h1>Corner Shop</h1>\n", 0o644)?;
    write_file("app/templates/7k.html", &pattern(7 * 1024), 0o644)
}

fn fill_data() -> io::Result<()> {
    fs::create_dir_all("data/deep/er/still/yet")?;
    fs::create_dir_all("data/many")?;
    fs::create_dir_all("data/empty-dir")?;
    fs::create_dir_all("data/out")?;
    fs::set_permissions("data/out", Permissions::from_mode(0o777))?;
    write_file("data/orders.txt", orders().as_bytes(), 0o644)?;
    write_file("data/empty", b"", 0o644)?;
    write_file("data/read-only", b"nobody writes here\n", 0o444)?;
    write_file("data/deep/er/still/yet/leaf", b"a leaf\n", 0o640)?;
    for (index, name) in
        ["with space", "new\nline", "-dash", "\u{fc}ml\u{e4}ut", "st*r", "quote'\"", ".hidden"]
            .iter()
            .enumerate()
    {
        write_file(&format!("data/odd/{name}"), format!("odd {index}\n").as_bytes(), 0o644)?;
    }
    let no_text = Path::new("data/odd").join(OsStr::from_bytes(b"not-\xff-text"));
    fs::write(&no_text, "odd bytes\n")?;
    set_time(&no_text)?;
    for index in 0..300 {
        write_file(&format!("data/many/file-{index:03}"), format!("{index}\n").as_bytes(), 0o644)?;
    }
    symlink("orders.txt", "data/link")?;
    symlink("/app/config.toml", "data/absolute-link")?;
    symlink("no-such-file", "data/dangling")?;
    symlink("loop-b", "data/loop-a")?;
    symlink("loop-a", "data/loop-b")?;
    symlink("deep/er", "data/link-to-dir")?;
    symlink("../../../../../../etc/shop/shop.conf", "data/deep/out-of-root")?;
    fs::hard_link("data/orders.txt", "data/hard-link")?;
    write_file("data/one-mebibyte", &pattern(1 << 20), 0o644)?;
    write_file("data/big", &pattern(BIG_SIZE), 0o644)?;
    let sparse = File::create("data/sparse")?;
    sparse.set_len(1 << 30)?;
    (&sparse).write_all(b"a head, and then nothing\n")?;
    Ok(())
}

fn orders() -> String {
    (1..=500).fold(String::new(), |text, n| text + &format!("order {n}: {} apples\n", n * 7 % 31))
}

/// Bytes that differ wherever one looks.
#[must_use]
pub fn pattern(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn write_file(path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    if let Some(folder) = Path::new(path).parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    set_time(Path::new(path))
}

fn set_time(path: &Path) -> io::Result<()> {
    let time = SystemTime::UNIX_EPOCH + CHANGED;
    let file = File::options().read(true).open(path)?;
    file.set_times(FileTimes::new().set_modified(time).set_accessed(time))
}
