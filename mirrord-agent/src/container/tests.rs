//! Containers as the runtimes write them.

use super::*;

const ID: &str = "8d3f0c1b5a7e49d2b6c4f1e0a9d8c7b6a5f4e3d2c1b0a99887766554433221ff";
const OTHER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn line(path: &str) -> String {
    format!("12:memory:/somewhere\n0::{}\n", path.replace("<id>", ID))
}

#[test]
fn the_paths_of_every_runtime_name_their_container() {
    for path in [
        "/kubepods/burstable/pod0b1c/<id>",
        "/docker/<id>",
        "/kubepods.slice/kubepods-pod0b1c.slice/cri-containerd-<id>.scope",
        "/kubepods.slice/kubepods-pod0b1c.slice:cri-containerd:<id>",
        "/system.slice/containerd.service/kubepods-besteffort-pod0b1c.slice:cri-containerd:<id>",
        "/kubepods.slice/kubepods-pod0b1c.slice/docker-<id>.scope",
        "/kubepods.slice/kubepods-pod0b1c.slice/crio-<id>.scope",
        "/kubepods.slice/kubepods-pod0b1c.slice/crio-<id>.scope/container",
        "/machine.slice/libpod-<id>.scope",
        "/../cri-containerd-<id>.scope",
        "/../../pod0b1c/<id>/init.scope",
    ] {
        assert!(names_container(&line(path), ID), "{path}");
        assert!(!names_container(&line(path), OTHER), "{path}");
    }
}

#[test]
fn what_is_beside_a_container_is_not_it() {
    for path in [
        "/",
        "",
        "/kubepods/burstable/pod0b1c",
        "/kubepods.slice/kubepods-pod0b1c.slice/crio-conmon-<id>.scope",
        "/machine.slice/libpod-conmon-<id>.scope",
        "/kubepods/pod0b1c/x<id>",
        "/kubepods/pod0b1c/<id>0",
        "/kubepods/pod0b1c/<id>.slice",
    ] {
        assert!(!names_container(&line(path), ID), "{path}");
    }
    assert!(!names_container("nonsense\n\u{0}::\n1:2\n", ID));
}

#[test]
fn mounts_speak_for_control_groups_that_say_nothing() {
    assert!(is_silent("4:cpu:/\n0::/\n") && !is_silent("4:cpu:/\n0::/x\n"));
    let within =
        format!("9 1 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/sda rw\n");
    let node = format!("9 1 0:9 / /run/containerd/{ID}/rootfs rw - overlay overlay rw\n");
    assert!(mounts_name(&within, ID) && !mounts_name(&within, OTHER));
    assert!(!mounts_name(&node, ID));
}

#[test]
fn the_beginning_of_a_process_is_read_behind_whatever_its_name_holds() {
    let fields: Vec<String> = (4..30).map(|field| field.to_string()).collect();
    assert_eq!(began(&format!("7 (a) b) S {}", fields.join(" "))), Some(22));
    assert_eq!(began("7 (a) S 1"), None);
}

fn candidate(pid: i32, parent: i32, numbers: &[i32], began: u64) -> Candidate {
    Candidate { pid, parent, numbers: numbers.to_vec(), began }
}

#[test]
fn the_first_process_of_the_containers_namespace_is_the_main_one() {
    let main = candidate(900, 800, &[900, 1], 50);
    let worker = candidate(901, 900, &[901, 2], 51);
    let executed = candidate(70, 800, &[70, 30], 99);
    let inner = candidate(60, 901, &[60, 31, 1], 40);
    assert_eq!(main_of(&[executed, inner, worker, main]), Some(900));
}

#[test]
fn in_a_shared_namespace_it_is_whoever_was_first_started_from_outside() {
    let main = candidate(900, 800, &[900, 7], 50);
    let worker = candidate(20, 900, &[20, 8], 51);
    let executed = candidate(70, 800, &[70, 30], 99);
    assert_eq!(main_of(&[executed.clone(), worker.clone(), main]), Some(900));
    let of_the_node = candidate(1, 0, &[1], 0);
    assert_eq!(main_of(&[of_the_node, worker, executed]), Some(1));
    assert_eq!(main_of(&[]), None);
}

fn process(proc: &Path, pid: i32, cgroup: &str, status: &str) {
    let folder = proc.join(pid.to_string());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("cgroup"), cgroup).unwrap();
    fs::write(folder.join("status"), status).unwrap();
}

#[test]
fn a_container_is_found_among_all_processes() {
    let proc = tempfile::tempdir().unwrap();
    fs::create_dir(proc.path().join("sys")).unwrap();
    process(proc.path(), 1, "0::/init.scope\n", "PPid:\t0\nNSpid:\t1\n");
    process(proc.path(), 50, &line("/x/<id>"), "PPid:\t49\nNSpid:\t50\t1\n");
    process(proc.path(), 51, &line("/x/<id>"), "PPid:\t50\nNSpid:\t51\t2\n");
    // One that has just ended has no status any more.
    process(proc.path(), 52, &line("/x/<id>"), "");
    assert_eq!(find(proc.path(), Some(ID), false).unwrap(), 50);
    assert_eq!(find(proc.path(), None, true).unwrap(), 1);
}

#[test]
fn beside_the_target_its_first_process_needs_no_name() {
    let proc = tempfile::tempdir().unwrap();
    process(proc.path(), 1, "0::/\n", "PPid:\t0\n");
    for (name, is_target) in [("web\n", true), ("pause\n", false)] {
        fs::write(proc.path().join("1/comm"), name).unwrap();
        assert_eq!(find(proc.path(), Some(ID), true).is_ok(), is_target, "{name}");
        assert!(find(proc.path(), Some(ID), false).is_err());
    }
}

#[test]
fn a_container_that_is_nowhere_is_told_with_what_it_takes_to_see_it() {
    let proc = tempfile::tempdir().unwrap();
    process(proc.path(), 1, "0::/\n", "PPid:\t0\n");
    let words = |ephemeral| find(proc.path(), Some("abc"), ephemeral).unwrap_err().to_string();
    assert!(words(false).starts_with("none of the 1 processes that the agent sees is of container `abc`"));
    assert!(words(false).contains("`hostPID`"), "{}", words(false));
    assert!(words(true).contains("shares its process namespace"), "{}", words(true));
}
