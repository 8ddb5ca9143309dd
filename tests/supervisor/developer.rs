//! As a developer starts programs: through the tools of a language, as another user, in the newest version.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use mirrord_tests::{
    eventually::eventually,
    ground::{is_root, skip},
    guest::{Guest, Tongue},
    pod::Pod,
    programs::{built, command, forget_surroundings, mirrord, system},
    session::DataPath,
    transcript::Transcript,
};

use tempfile::NamedTempFile;

use crate::{STORIES, pod};

const READS: &str = r#"package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func leaf() string {
	text, err := os.ReadFile("/data/deep/er/still/yet/leaf")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func main() {
	fmt.Print(leaf())
	connection, err := net.Dial("tcp", "web.shop:7001")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := io.ReadAll(connection)
	fmt.Print(string(text), err, "\n")
}
"#;

const TESTS: &str = r#"package main

import "testing"

func TestLeaf(t *testing.T) {
	if leaf() != "a leaf\n" {
		t.Fatal(leaf())
	}
}
"#;

#[test]
fn go_run_and_go_test_need_no_flags() {
    if let Some(why) = (Guest { tongue: Tongue::Go, name: "client" }).missing() {
        return skip(&why);
    }
    // A developer's own folder stays here, with all that is built in it.
    let folder = built().join("guests/go-shop");
    fs::create_dir_all(&folder).unwrap();
    let module = "module shop\n\ngo 1.19\n";
    for (name, text) in [("server.go", READS), ("server_test.go", TESTS), ("go.mod", module)] {
        fs::write(folder.join(name), text).unwrap();
    }
    let go = |words: &[&str]| {
        let mut command = command();
        command.args(["exec", "--target", &pod().target(), "--", "go"]).args(words).current_dir(&folder);
        command.env("MIRRORD_PROGRESS_MODE", "off").env("GOCACHE", folder.join("cache"));
        Transcript::of(&mut command)
    };
    let told = go(&["run", "server.go"]);
    assert_eq!(told.stdout, "a leaf\nyou are 10.77.0.2, I am 10.77.0.2:7001\n<nil>\n", "{told:?}");
    let told = go(&["test", "./..."]);
    assert!(told.code == Some(0) && told.stdout.starts_with("ok  \tshop\t"), "{told:?}");
}

/// A pod and a guest of a user who is not root.
const STORY: &str = r#""$0" run | {
    read -r ready pid
    "$1" exec --target "pid/$pid" --data-path "$2" --engine supervisor -- sh -c "$3" sh "$4" < /dev/null
    echo the end
}"#;

/// It is confined, reads and connects, and what it starts gains nothing.
const CONFINED: &str = r#"grep NoNewPrivs /proc/self/status; id -u
"$1" storm
cat /data/deep/er/still/yet/leaf
"$1" closed
"$1" locked
su --version > /dev/null && echo ran"#;

/// Whether another user can read what is built here.
fn others_can_read(path: &Path) -> bool {
    path.ancestors().all(|it| fs::metadata(it).is_ok_and(|it| it.permissions().mode() & 0o005 == 0o005))
}

/// What a story says whose pod lives as long as its standard input is open.
fn told_while_it_stands(command: &mut Command) -> String {
    let words = NamedTempFile::new().unwrap();
    // What the other user's processes have to say they say by opening it.
    fs::set_permissions(words.path(), fs::Permissions::from_mode(0o666)).unwrap();
    let out = fs::File::options().append(true).open(words.path()).unwrap();
    command.env("MIRRORD_PROGRESS_MODE", "std").stdout(out.try_clone().unwrap()).stderr(out);
    let mut story = command.stdin(Stdio::piped()).spawn().unwrap();
    let told = eventually("the end of the story", Duration::from_secs(60), || {
        let told = fs::read_to_string(words.path()).unwrap();
        (told.ends_with("the end\n") || story.try_wait().unwrap().is_some()).then_some(told)
    });
    drop(story.stdin.take());
    story.wait().unwrap();
    told
}

#[test]
fn another_user_needs_no_privileges_and_is_told_what_it_does_not_gain() {
    if let Some(why) = STORIES.missing() {
        return skip(&why);
    }
    if !is_root() || system("setpriv").is_none() || !others_can_read(&mirrord()) {
        return skip("another user is found by root, with setpriv, where that user can read what is built");
    }
    for data_path in DataPath::ALL {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", STORY]);
        forget_surroundings(&mut command);
        command.arg(Pod::program()).arg(mirrord()).args([data_path.name(), CONFINED]).arg(STORIES.program());
        let told = told_while_it_stands(command.current_dir("/tmp").env("HOME", "/tmp"));
        let said = [
            "NoNewPrivs:\t1\n65534\n",
            "0 of 8000 failed\n",
            "a leaf\n",
            "number 3, 7 bytes\n",
            "locked 0\n",
        ];
        for said in said.iter().chain(&["ran\n"]) {
            assert!(told.contains(said), "{data_path:?}: {told}");
        }
        assert!(told.contains("lets nobody look into its memory"), "{told}");
        assert!(told.contains("su` runs as you and not as its owner"), "{told}");
    }
}
