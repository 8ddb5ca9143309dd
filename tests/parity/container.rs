//! A real container as the target.
//!
//! Podman's storage and state lie in a folder of the story's own. Where the machine has cgroups of both kinds, which
//! crun refuses, podman runs in a mount namespace that does not show the newer kind.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mirrord_tests::{
    eventually::eventually,
    ground::skip,
    ports::free_port,
    programs::system,
    running::Running,
    session::{DataPath, Session},
    transcript::Transcript,
};
use nix::{sys::signal::Signal, unistd::geteuid};
use serde_json::json;
use tempfile::TempDir;

/// A container's only program: it serves, or asks who serves.
const PROGRAM: &str = r#"
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct sockaddr_in shop = {.sin_family = AF_INET, .sin_port = htons(80)};
    shop.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (argc > 1) {
        char words[64];
        if (connect(fd, (struct sockaddr *)&shop, sizeof shop)) return perror("connect"), 1;
        for (ssize_t n; (n = read(fd, words, sizeof words)) > 0;)
            if (write(1, words, n) != n) return 1;
        return 0;
    }
    if (bind(fd, (struct sockaddr *)&shop, sizeof shop) || listen(fd, 16)) return perror("serve"), 1;
    for (int caller; (caller = accept(fd, NULL, NULL)) >= 0; close(caller)) dprintf(caller, "the container itself\n");
    return 1;
}
"#;

/// The guest that answers in the container's place.
const SERVER: &str = r"
import socket, sys
server = socket.create_server(('', int(sys.argv[1])))
print('listening', flush=True)
while True:
    caller = server.accept()[0]
    caller.sendall(b'the guest\n')
    caller.close()
";

/// Where podman keeps what it makes, all within one folder.
const ENGINE: &str = r#"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "FOLDER/state"
"#;
const STORAGE: &str = r#"
[storage]
driver = "vfs"
graphroot = "FOLDER/graph"
runroot = "FOLDER/run"
"#;

/// The limits of this machine may be more than podman may set.
const RUN: [&str; 13] = [
    "run",
    "--detach",
    "--network=none",
    "--cgroups=disabled",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
    "--hostname=contained",
    "--env=STORY=contained",
    "--log-driver=k8s-file",
    "--name",
    NAME,
    NAME,
    "/app/main",
];

const NAME: &str = "mirrord-story";

/// A container, removed with this.
struct Container {
    folder: TempDir,
}

impl Container {
    /// An image from a folder, and a container of it; or why there is none.
    fn start() -> Result<Self, String> {
        let this = Self { folder: tempfile::Builder::new().prefix("podman-").tempdir().unwrap() };
        fs::create_dir_all(this.path("root/app")).unwrap();
        fs::write(this.path("main.c"), PROGRAM).unwrap();
        fs::write(this.path("root/app/greeting"), "from the container\n").unwrap();
        let folder = this.folder.path().display().to_string();
        fs::write(this.path("containers.conf"), ENGINE.replace("FOLDER", &folder)).unwrap();
        fs::write(this.path("storage.conf"), STORAGE.replace("FOLDER", &folder)).unwrap();
        let at = |path: &str| this.path(path).display().to_string();
        check(program("gcc")?.args(["-static", "-o", &at("root/app/main"), &at("main.c")]))?;
        check(program("tar")?.args(["-C", &at("root"), "-cf", &at("root.tar"), "."]))?;
        this.podman(&["import", "--quiet", &at("root.tar"), NAME])?;
        this.podman(&RUN)?;
        Ok(this)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Lets a program find this podman's containers.
    fn tell(&self, command: &mut Command) {
        command
            .env("CONTAINERS_CONF", self.path("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", self.path("storage.conf"));
    }

    fn podman(&self, arguments: &[&str]) -> Result<String, String> {
        const HIDE: &str = "umount /sys/fs/cgroup/unified && exec \"$@\"";
        let podman = program("podman")?.get_program().to_owned();
        let mut command = if geteuid().is_root() && Path::new("/sys/fs/cgroup/unified").exists() {
            let mut command = program("unshare")?;
            command.args(["--mount", "--propagation", "private", "sh", "-c", HIDE, "sh"]).arg(podman);
            command
        } else {
            Command::new(podman)
        };
        self.tell(&mut command);
        check(command.args(arguments))
    }

    /// Who answers a caller in the container.
    fn asked(&self) -> String {
        self.podman(&["exec", NAME, "/app/main", "ask"]).unwrap_or_else(|why| why)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.podman(&["rm", "--force", "--time", "0", NAME]);
        let _ = self.podman(&["rmi", "--force", NAME]);
    }
}

fn program(name: &str) -> Result<Command, String> {
    system(name).map(Command::new).ok_or_else(|| format!("there is no {name}"))
}

/// What it says; or its last word, if it fails.
fn check(command: &mut Command) -> Result<String, String> {
    let told = Transcript::of(command);
    if told.code == Some(0) {
        return Ok(told.stdout);
    }
    Err(told.stderr.lines().last().unwrap_or("it failed without a word").to_owned())
}

#[test]
fn a_podman_container_from_a_folder_is_a_target() {
    let container = match Container::start() {
        Ok(container) => container,
        Err(why) => return skip(&format!("podman does not run here: {why}")),
    };
    eventually("the container's own answer", Duration::from_secs(20), || {
        (container.asked() == "the container itself\n").then_some(())
    });
    for data_path in DataPath::ALL {
        reads(&container, data_path);
        steals(&container, data_path);
    }
}

/// The guest has the container's files, environment and host name.
fn reads(container: &Container, data_path: DataPath) {
    let session = Session::with(&format!("podman/{NAME}"), data_path, &json!({}));
    let mut guest = session.command(&system("bash").unwrap());
    container.tell(&mut guest);
    let told = Transcript::of(guest.args(["-c", "cat /app/greeting; echo $STORY; uname -n; ls /app"]));
    assert_eq!(
        told.stdout, "from the container\ncontained\ncontained\ngreeting\nmain\n",
        "{data_path:?}: {told:?}"
    );
}

/// Who calls the container from inside is answered by the guest, as long as it listens.
fn steals(container: &Container, data_path: DataPath) {
    let Some(python) = system("python3") else { return skip("no python3") };
    let port = free_port();
    let feature = json!({ "network": { "incoming": { "mode": "steal", "port_mapping": [[port, 80]] } } });
    let session = Session::with(&format!("podman/{NAME}"), data_path, &feature);
    let mut guest = session.command(&python);
    container.tell(&mut guest);
    let mut server = Running::start(guest.args(["-c", SERVER, &port.to_string()]));
    server.says("listening");
    eventually(&format!("a stolen connection ({data_path:?})"), Duration::from_secs(20), || {
        (container.asked() == "the guest\n").then_some(())
    });
    server.signal(Signal::SIGKILL);
    server.end();
    eventually("the container's own answer again", Duration::from_secs(10), || {
        (container.asked() == "the container itself\n").then_some(())
    });
}
