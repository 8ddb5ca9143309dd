//! Files behind a mount that a user without privileges made.

use std::{
    fs,
    process::{Command, Stdio},
};

use mirrord_tests::{
    ground::skip,
    pod::Pod,
    programs::{forget_surroundings, mirrord},
};

/// A pod and a guest, both in a user namespace: there, a mount can only be made in one more below it.
const STORY: &str = r#""$0" run | {
    read -r ready pid
    exec "$1" exec --target "pid/$pid" --data-path proxied --fs-mode write -- sh -c "$2" < /dev/null
}"#;

/// What needs the mount: a file that is written, a folder that is listed and stood in.
const GUEST: &str =
    "cd /data && ls | wc -l && echo written > out/new && mv out/new out/old && cat out/old && ls out";

#[test]
fn files_are_written_and_folders_listed_without_privileges() {
    if let Err(error) = fs::File::options().read(true).write(true).open("/dev/fuse") {
        return skip(&format!("/dev/fuse cannot be opened: {error}"));
    }
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "sh", "-c", STORY])
        .arg(Pod::program())
        .arg(mirrord())
        .arg(GUEST);
    command
        .current_dir("/tmp")
        .env("MIRRORD_PROGRESS_MODE", "off")
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    forget_surroundings(&mut command);
    // The pod lives as long as its standard input is open.
    let mut story = command.stdin(Stdio::piped()).spawn().unwrap();
    let held = story.stdin.take();
    let mut said = String::new();
    let mut output = std::io::BufReader::new(story.stdout.take().unwrap());
    while !said.ends_with("old\n") && std::io::BufRead::read_line(&mut output, &mut said).unwrap() > 0 {}
    drop(held);
    let end = story.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&end.stderr).into_owned();
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["18", "written", "old"], "{words}");
}
