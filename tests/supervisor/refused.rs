//! Machines that forbid something: said at once, or done another way.

use mirrord_tests::{
    ground::skip,
    guest::{Guest, Tongue},
    programs::{command, system},
    session::{DataPath, Engine},
    transcript::Transcript,
};

use crate::{STORIES, behind, heard, pod, session};

/// What forbids.
const FORBID: Guest = Guest { tongue: Tongue::C, name: "forbid" };

/// A call that fails, and how.
fn failing(call: i64, errno: i32) -> String {
    format!("{call}={errno}")
}

fn missing() -> Option<String> {
    STORIES.missing().or_else(|| FORBID.missing())
}

/// `mirrord exec` with a static program, where something is forbidden; with all its words.
fn told_where(prefix: &[&str], engine: &str) -> Transcript {
    let mut command = command();
    command.args(["exec", "--target", &pod().target(), "--engine", engine, "--"]);
    command.arg(STORIES.program()).arg("storm").env("MIRRORD_PROGRESS_MODE", "std");
    Transcript::of(&mut behind(prefix, &command))
}

/// Orders are refused by name; by itself, the layer is taken, and said.
fn expect_refusal(prefix: &[&str], named: &[&str]) {
    let ordered = told_where(prefix, "supervisor");
    assert!(ordered.code.is_some_and(|code| code != 0) && ordered.stdout.is_empty(), "{ordered:?}");
    let chosen = told_where(prefix, "auto");
    assert!(chosen.stderr.contains("engine: layer"), "{chosen:?}");
    assert!(chosen.stderr.contains("is statically linked; mirrord cannot see"), "{chosen:?}");
    for words in named {
        assert!(ordered.stderr.contains(words) && chosen.stderr.contains(words), "{ordered:?} {chosen:?}");
    }
    assert_eq!(chosen.stdout, "8000 of 8000 failed\n", "it runs, and was told of");
}

#[test]
fn a_kernel_without_the_filter_is_named() {
    if let Some(why) = missing() {
        return skip(&why);
    }
    let forbid = FORBID.program().display().to_string();
    for (errno, name) in
        [(libc::ENOSYS, "Function not implemented"), (libc::EPERM, "Operation not permitted")]
    {
        let wish = failing(libc::SYS_seccomp, errno);
        expect_refusal(&[&forbid, &wish, "--"], &["`seccomp` is refused", name]);
    }
}

#[test]
fn a_kernel_that_is_too_old_is_named() {
    if let Some(why) = missing() {
        return skip(&why);
    }
    let Some(setarch) = system("setarch") else { return skip("there is no setarch") };
    expect_refusal(&[setarch.to_str().unwrap(), "--uname-2.6"], &["it is Linux 2.6", "5.9 is needed"]);
}

#[test]
fn whoever_may_not_look_into_memory_is_told_so() {
    if let Some(why) = missing() {
        return skip(&why);
    }
    let forbid = FORBID.program().display().to_string();
    let [read, write] =
        [libc::SYS_process_vm_readv, libc::SYS_process_vm_writev].map(|it| failing(it, libc::EPERM));
    // The same memory is a file, too.
    let told = told_where(&[&forbid, &read, &write, "--"], "supervisor");
    assert_eq!(told.stdout, "0 of 8000 failed\n", "{told:?}");
}

#[test]
fn sockets_are_reached_where_they_may_not_be_taken_from_the_guest() {
    if let Some(why) = missing() {
        return skip(&why);
    }
    let forbid = FORBID.program().display().to_string();
    let wish = failing(libc::SYS_pidfd_getfd, libc::EPERM);
    for name in ["sockets", "datagrams"] {
        let guest = Guest { tongue: Tongue::Static, name };
        let bare = Transcript::of(&mut guest.inside(pod()));
        for data_path in DataPath::ALL {
            let session = session(data_path, Engine::Supervisor);
            let outside = Transcript::of(&mut behind(&[&forbid, &wish, "--"], &guest.outside(&session)));
            assert_eq!(bare.difference(&outside), None, "{name}, {data_path:?}");
        }
    }
}

#[test]
fn a_folder_there_is_watched_where_descriptors_may_not_be_taken_from_the_guest() {
    if let Some(why) = missing() {
        return skip(&why);
    }
    let guest = Guest { tongue: Tongue::Static, name: "supervised" };
    let forbid = FORBID.program().display().to_string();
    let wish = failing(libc::SYS_pidfd_getfd, libc::EPERM);
    let bare = Transcript::of(guest.inside(pod()).arg("watching"));
    for data_path in DataPath::ALL {
        let session = session(data_path, Engine::Supervisor);
        let mut command = guest.outside(&session);
        let outside = Transcript::of(&mut behind(&[&forbid, &wish, "--"], command.arg("watching")));
        assert_eq!(bare.difference(&outside), None, "{data_path:?}");
        assert_eq!(bare.difference(&Transcript::of(&mut command)), None, "{data_path:?}");
    }
}

#[test]
fn a_folder_there_that_cannot_be_stood_in_is_told_of() {
    if let Some(why) = missing() {
        return skip(&why);
    }
    let forbid = FORBID.program().display().to_string();
    let wish = failing(libc::SYS_ptrace, libc::EPERM);
    let mut command = command();
    command.args(["exec", "--target", &pod().target(), "--engine", "supervisor", "--", "sh", "-c"]);
    command.arg("cd /data || cat /data/deep/er/still/yet/leaf");
    let (told, code) = heard(&mut behind(&[&forbid, &wish, "--"], &command));
    assert!(told.contains("a leaf\n") && code == 0, "{told}");
    assert!(told.contains("`ptrace` is forbidden"), "{told}");
}
