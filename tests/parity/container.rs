//! A real container as the target.

use std::{fs, path::Path, process::Command};

use mirrord_tests::{
    ground::skip,
    programs::system,
    session::{DataPath, Session},
    transcript::Transcript,
};
use serde_json::json;

/// A container's only program: it says that it runs, and waits.
const PROGRAM: &str = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n";

/// A container that is removed with this.
struct Container {
    name: String,
}

impl Container {
    /// An image from a folder, and a container of it; or why there is none.
    fn start(folder: &Path) -> Result<Self, String> {
        let name = format!("mirrord-story-{}", std::process::id());
        fs::create_dir_all(folder.join("root/app")).unwrap();
        fs::write(folder.join("main.c"), PROGRAM).unwrap();
        fs::write(folder.join("root/app/greeting"), "from the container\n").unwrap();
        let at = |path: &str| folder.join(path).display().to_string();
        run("gcc", &["-static", "-o", &at("root/app/main"), &at("main.c")])?;
        run("tar", &["-C", &at("root"), "-cf", &at("root.tar"), "."])?;
        run("podman", &["import", "--quiet", &at("root.tar"), &name])?;
        let this = Self { name };
        let options = [
            "run",
            "--detach",
            "--network",
            "none",
            "--cgroups",
            "disabled",
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1024:1024",
            "--env",
            "STORY=contained",
        ];
        run("podman", &[&options[..], &["--name", &this.name, &this.name, "/app/main"]].concat())?;
        Ok(this)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = run("podman", &["rm", "--force", "--time", "0", &self.name]);
        let _ = run("podman", &["rmi", "--force", &self.name]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let program = system(program).ok_or_else(|| format!("there is no {program}"))?;
    let told = Transcript::of(Command::new(program).args(arguments));
    if told.code == Some(0) { Ok(()) } else { Err(told.stderr.lines().last().unwrap_or_default().to_owned()) }
}

#[test]
fn a_podman_container_from_a_folder_is_a_target() {
    let folder = tempfile::tempdir().unwrap();
    let container = match Container::start(folder.path()) {
        Ok(container) => container,
        Err(why) => return skip(&format!("podman does not run here: {why}")),
    };
    for data_path in DataPath::ALL {
        let session = Session::with(&format!("podman/{}", container.name), data_path, &json!({}));
        let mut guest = session.command(&system("bash").unwrap());
        let told = Transcript::of(guest.args(["-c", "cat /app/greeting; echo $STORY; ls /app"]));
        assert_eq!(told.stdout, "from the container\ncontained\ngreeting\nmain\n", "{data_path:?}: {told:?}");
    }
}
