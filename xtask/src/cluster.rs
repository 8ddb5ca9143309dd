//! A cluster of one node on this machine: started, given images, and removed without a trace.

use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    ground::{run, workspace},
    image, names, needs, say, show,
};

/// Everything that a running cluster has, but its parts.
const RUN: &str = "/run/mirrord-cluster";

/// The parts of Kubernetes that are built, once per machine.
const PARTS: [&str; 5] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"];

/// What would be needed to start it, by name.
const CAPABILITIES: [(&str, u32); 2] = [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)];

/// Brings a cluster up, takes it down, or says where it is.
pub(crate) fn cluster(arguments: &[String]) -> Result<(), String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["up"] => {
            if let Some(why) = why_not() {
                return Err(format!("no cluster can be brought up here: {why}"));
            }
            let (kubeconfig, _) = up()?;
            load(&image::agent(env!("CARGO_PKG_VERSION"), true)?)?;
            load_workloads()?;
            show(&format!("{}\n", kubeconfig.display()));
            Ok(())
        }
        ["down"] => down(),
        ["build"] => build(),
        ["names", run] => names::tell(Path::new(run)),
        _ => Err("`cluster` knows `up`, `down`, and `build` (of Kubernetes, once per machine)".to_owned()),
    }
}

/// Why there can be no cluster on this machine, if there cannot.
pub(crate) fn why_not() -> Option<String> {
    if !needs::is_root() {
        return Some("it takes root".to_owned());
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|it| u64::from_str_radix(it.trim(), 16).ok()).unwrap_or(0);
    for (name, bit) in CAPABILITIES {
        if effective & (1 << bit) == 0 {
            return Some(format!("it takes {name}"));
        }
    }
    if is_built() {
        return None;
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let says = |words: &str| release.lines().any(|line| line == words);
    if !(says("ID=debian") && says("VERSION_ID=\"12\"")) {
        return Some(
            "Kubernetes is built from the source package of Debian 12, and this is another".to_owned(),
        );
    }
    (env::consts::ARCH != "x86_64")
        .then(|| format!("its Kubernetes was never tried on {}", env::consts::ARCH))
}

/// Starts the cluster, or finds that it runs; tells its kubeconfig, and whether it is new.
pub(crate) fn up() -> Result<(PathBuf, bool), String> {
    build()?;
    needs::gather_for_cluster()?;
    let _held = hold("up")?;
    let kubeconfig = Path::new(RUN).join("admin.kubeconfig");
    let is_new = !is_up(&kubeconfig);
    if is_new {
        down_held()?;
        say("starting a cluster");
        let this = env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        run(script("up").arg(parts()).arg(RUN).arg(this).arg(image::pause()?)).inspect_err(|_| {
            say(&format!("what its parts said is in {RUN}/log; `cargo xtask cluster down` removes it"));
        })?;
    }
    Ok((kubeconfig, is_new))
}

/// Gives the cluster an image.
pub(crate) fn load(archive: &Path) -> Result<(), String> {
    let socket = Path::new(RUN).join("containerd.sock");
    if !socket.exists() {
        return Err("there is no cluster: `cargo xtask cluster up` starts one".to_owned());
    }
    let mut command = Command::new("ctr");
    command.arg("--address").arg(socket).args(["--namespace", "k8s.io", "images", "import"]).arg(archive);
    run(command.stdout(std::process::Stdio::null()))
}

/// Gives the cluster what the stories' pods run, where it has not got it.
pub(crate) fn load_workloads() -> Result<(), String> {
    let mark = Path::new(RUN).join("has-workloads");
    if !mark.exists() {
        load(&image::tiny()?)?;
        load(&image::workload()?)?;
        fs::write(&mark, "").map_err(|error| format!("cannot write {}: {error}", mark.display()))?;
    }
    Ok(())
}

/// Builds the parts of Kubernetes, where they are not.
pub(crate) fn build() -> Result<(), String> {
    if is_built() {
        return Ok(());
    }
    needs::gather_to_build_kubernetes()?;
    let _held = hold("build")?;
    // Somebody else may just have done it.
    if is_built() {
        return Ok(());
    }
    let log = parts().with_extension("log");
    say(&format!("building Kubernetes, once on this machine: about 12 minutes ({})", log.display()));
    let cannot = |error: std::io::Error| format!("cannot write {}: {error}", log.display());
    let out = File::create(&log).map_err(cannot)?;
    run(script("kubernetes").arg(parts()).stdout(out.try_clone().map_err(cannot)?).stderr(out))
}

/// Removes it, with everything that it has made.
pub(crate) fn down() -> Result<(), String> {
    let _held = hold("up")?;
    down_held()
}

fn down_held() -> Result<(), String> {
    if Path::new(RUN).exists() { run(script("down").arg(parts()).arg(RUN)) } else { Ok(()) }
}

/// Every part still runs, and the API server is content.
fn is_up(kubeconfig: &Path) -> bool {
    let Ok(pids) = fs::read_dir(Path::new(RUN).join("pid")) else { return false };
    let mark = format!("MIRRORD_CLUSTER={RUN}");
    let is_running = |pid: &str| {
        let environment = fs::read(format!("/proc/{}/environ", pid.trim())).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|it| it == mark.as_bytes())
    };
    let mut pids = pids.flatten().map(|entry| fs::read_to_string(entry.path()).unwrap_or_default());
    let mut asked = Command::new("kubectl");
    asked.arg("--kubeconfig").arg(kubeconfig).args(["get", "--raw", "/readyz"]);
    pids.all(|pid| is_running(&pid)) && asked.output().is_ok_and(|it| it.status.success())
}

fn is_built() -> bool {
    PARTS.iter().all(|part| parts().join(part).is_file())
}

/// Where the parts of Kubernetes are kept between runs.
fn parts() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    cache.unwrap_or_else(|| "/var/cache".into()).join("one-node-cluster/bin")
}

fn script(name: &str) -> Command {
    Command::new(workspace().join("xtask/cluster").join(name))
}

/// One at a time on this machine.
fn hold(what: &str) -> Result<File, String> {
    let folder = parts();
    let folder = folder.parent().unwrap_or(&folder);
    let path = folder.join(format!("{what}.lock"));
    let cannot = |error: std::io::Error| format!("cannot hold {}: {error}", path.display());
    fs::create_dir_all(folder).map_err(cannot)?;
    let file = File::create(&path).map_err(cannot)?;
    file.lock().map_err(cannot)?;
    Ok(file)
}
