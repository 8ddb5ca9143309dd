//! The places where an agent may stand: without root, as another user, in a bare network namespace.

use std::{
    fs::File,
    io::Read,
    os::unix::{fs::MetadataExt, process::CommandExt},
    process::{Child, Command},
};

use mirrord_protocol::agent::{
    AgentAnswer, AgentCall,
    dns::{DnsAnswer, DnsCall, Family},
    fs::{FsAnswer, FsCall, Want},
};
use nix::unistd::geteuid;

use crate::envoy::{Agent, Session, path, program};

/// A number that no user of a machine has.
const SOMEBODY: u32 = 54_321;

#[test]
fn everything_here_holds_without_root() {
    if !geteuid().is_root() {
        return;
    }
    let this = std::env::current_exe().unwrap();
    let mut again = Command::new(this);
    again.uid(SOMEBODY).gid(SOMEBODY).current_dir("/");
    match again.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            let failures: Vec<&str> = said.lines().skip_while(|line| *line != "failures:").collect();
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}\n{words}", failures.join("\n"));
        }
        // The repository lies where only root may look.
        Err(error) => eprintln!("skipped: the tests cannot be run as another user: {error}"),
    }
}

/// A process that waits until its story is over.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn open(session: &mut Session, name: &str, flags: i32) -> Result<File, i32> {
    let call = FsCall::Open { path: path(name), flags, mode: 0o666, want: Want::Descriptor };
    match session.call(AgentCall::Fs(call)) {
        Ok((AgentAnswer::Fs(FsAnswer::Descriptor), Some(descriptor))) => Ok(File::from(descriptor)),
        Ok(other) => panic!("that opens nothing: {other:?}"),
        Err(fault) => Err(fault.errno),
    }
}

#[test]
fn files_are_touched_as_the_targets_user() {
    if !geteuid().is_root() {
        return;
    }
    let mut sleeper = Command::new("sleep");
    let sleeper = Waiting(sleeper.arg("infinity").uid(SOMEBODY).gid(SOMEBODY).spawn().unwrap());
    let agent = Agent::start(Command::new(program()).args(["--target-pid", &sleeper.0.id().to_string()]));
    let mut session = agent.session();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("secret"), "only for root").unwrap();
    for (name, mode) in [("secret", 0o600), ("", 0o777)] {
        std::fs::set_permissions(at(name), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    assert_eq!(open(&mut session, &at("secret"), libc::O_RDONLY).unwrap_err(), libc::EACCES);
    let mut access =
        |mode: i32| session.done(FsCall::Access { path: path(&at("secret")), mode, follow: true });
    assert_eq!((access(libc::F_OK), access(libc::R_OK)), (Ok(()), Err(libc::EACCES)));
    let made = open(&mut session, &at("made"), libc::O_WRONLY | libc::O_CREAT).unwrap().metadata().unwrap();
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (SOMEBODY, SOMEBODY, 0o666));
    let give = FsCall::ChangeOwner { path: path(&at("made")), uid: 0, gid: 0, follow: true };
    assert_eq!(session.done(give), Err(libc::EPERM));
    session.done(FsCall::MakeDir { path: path(&at("folder")), mode: 0o777 }).unwrap();
    assert_eq!(std::fs::metadata(at("folder")).unwrap().uid(), SOMEBODY);
}

#[test]
fn a_bare_network_namespace_has_its_own_files_in_etc() {
    // `/etc/netns` of this machine is left alone: the story has an `/etc` of its own.
    let script = "set -e
        mount -t tmpfs story /mnt
        mkdir -p /mnt/netns/shop
        touch /mnt/hosts /mnt/resolv.conf
        echo '10.9.8.7 only.there' > /mnt/netns/shop/hosts
        echo 'absent' > /mnt/netns/shop/not-in-etc
        mount --bind /mnt /etc
        exec \"$0\" --log-level off --netns /proc/self/ns/net --netns-name shop";
    let agent = Agent::start(Command::new("unshare").args(["-rmn", "sh", "-c", script]).arg(program()));
    let mut session = agent.session();
    let mut text = String::new();
    open(&mut session, "/etc/hosts", libc::O_RDONLY).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "10.9.8.7 only.there\n");
    assert_eq!(open(&mut session, "/etc/not-in-etc", libc::O_RDONLY).unwrap_err(), libc::ENOENT);
    let call = DnsCall::Resolve { name: "only.there".to_owned(), family: Family::Any };
    match session.call(AgentCall::Dns(call)).unwrap().0 {
        AgentAnswer::Dns(DnsAnswer::Addresses { addresses, .. }) => {
            assert_eq!(addresses, ["10.9.8.7".parse::<std::net::IpAddr>().unwrap()]);
        }
        other => panic!("those are no addresses: {other:?}"),
    }
}
