//! Help, and what a developer reads who asks for what cannot be.

use std::{fs, os::unix::fs::PermissionsExt};

use insta::assert_snapshot;

use crate::screen::Desk;

#[test]
fn help_is_data_and_tells_every_command() {
    assert_snapshot!(Desk::new().run(&["--help"]));
}

#[test]
fn help_of_exec_tells_every_flag() {
    assert_snapshot!(Desk::new().run(&["exec", "--help"]));
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let desk = Desk::new();
    assert_snapshot!("no_command", desk.run(&["exec"]));
    assert_snapshot!("misspelled_flag", desk.run(&["exec", "--stael", "true"]));
    assert_snapshot!("misspelled_subcommand", desk.run(&["exce", "true"]));
    assert_snapshot!("wrong_value", desk.run(&["exec", "--fs-mode", "rw", "true"]));
}

#[test]
fn a_command_that_does_not_exist_ends_with_127() {
    let desk = Desk::new();
    assert_snapshot!("not_on_the_path", desk.run(&["exec", "no-such-command"]));
    assert_snapshot!("not_there", desk.run(&["exec", "./no/such/command"]));
}

#[test]
fn a_command_that_cannot_be_run_ends_with_126() {
    let desk = Desk::new();
    desk.write("plain", "text");
    assert_snapshot!("not_executable", desk.run(&["exec", "./plain"]));
    assert_snapshot!("a_folder", desk.run(&["exec", "./bin"]));
}

#[test]
fn a_session_within_a_session_is_refused() {
    let desk = Desk::new();
    let output = desk.mirrord(&["exec", "true"]).env("MIRRORD_LAYER_INTPROXY_ADDR", "@x").output().unwrap();
    assert_snapshot!(desk.seen(&output));
}

#[test]
fn a_target_that_is_none_says_why() {
    let desk = Desk::new();
    assert_snapshot!("unknown_kind", desk.run(&["exec", "-t", "dockr/web", "true"]));
    assert_snapshot!("no_pid", desk.run(&["exec", "-t", "pid/web", "true"]));
    // The kernel gives no number above 2^22.
    assert_snapshot!("gone_pid", desk.run(&["exec", "-t", "pid/4194305", "true"]));
    if fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd") {
        assert_snapshot!("kernel_thread", desk.run(&["exec", "-t", "pid/2", "true"]));
    }
    let no_netns = desk.run(&["exec", "-t", "netns/no-such-network-at-all", "true"]);
    // What networks this machine has is in the hint: without any, it says how to make one.
    if fs::read_dir("/run/netns").map_or(0, Iterator::count) == 0 {
        assert_snapshot!("no_netns", no_netns);
    } else {
        assert!(
            no_netns.contains("cannot find the network namespace `no-such-network-at-all`"),
            "{no_netns}"
        );
    }
    assert_snapshot!("no_kubeconfig", desk.run(&["exec", "-t", "deploy/api", "true"]));
    let passed = desk.run(&["exec", "-t", "deploy/api", "--data-path", "passed", "true"]);
    assert_snapshot!("passed_from_a_cluster", passed);
    assert_snapshot!("no_container_in_a_pid", desk.run(&["exec", "-t", "pid/1/container/x", "true"]));
}

#[test]
fn a_target_that_is_not_ours_is_told_with_what_opens_it() {
    use std::os::unix::process::CommandExt;
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let desk = Desk::new();
    for folder in ["", "bin"] {
        fs::set_permissions(desk.path(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let copy = desk.path("mirrord");
    mirrord_tests::programs::copy(&mirrord_tests::programs::mirrord(), &copy);
    let mut command = std::process::Command::new(copy);
    command.args(["exec", "-t", "pid/1", "true"]).env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
    command.env("HOME", desk.path("home")).uid(65534).gid(65534);
    assert_snapshot!(desk.seen(&command.output().unwrap()));
}

#[test]
fn a_wrong_configuration_is_told_with_line_and_key() {
    let desk = Desk::new();
    desk.write("x.json", "{\n  \"feature\": {\n    \"evn\": true\n  }\n}\n");
    assert_snapshot!("unknown_key", desk.run(&["exec", "-f", "x.json", "true"]));
    assert_snapshot!("no_file", desk.run(&["exec", "-f", "none.json", "true"]));
    assert_snapshot!("no_default_file", desk.run(&["exec", "-f", "--", "true"]));
    desk.write("env.json", r#"{"feature": {"env": {"env_file": "none.env"}}}"#);
    assert_snapshot!("no_env_file", desk.run(&["exec", "-f", "env.json", "true"]));
    assert_snapshot!("include_and_exclude", desk.run(&["exec", "-s", "A", "-x", "B", "true"]));
}

#[test]
fn what_only_a_cluster_needs_is_said_to_have_no_effect_here() {
    assert_snapshot!(Desk::new().run(&["exec", "--agent-image", "x", "-t", "pid/999999999", "true"]));
}

#[test]
fn verify_config_answers_in_json_and_succeeds() {
    let desk = Desk::new();
    desk.write("good.json", r#"{"target": "docker/web"}"#);
    desk.write("bad.json", r#"{"target": 3}"#);
    assert_snapshot!("verified", desk.run(&["verify-config", "good.json"]));
    assert_snapshot!("refused", desk.run(&["verify-config", "bad.json"]));
    assert_snapshot!("unread", desk.run(&["verify-config", "none.json"]));
}

#[test]
fn extract_writes_the_layer_and_says_where() {
    let desk = Desk::new();
    assert_snapshot!("extracted", desk.run(&["extract", "."]));
    let layer = fs::read(desk.path("libmirrord_layer.so")).unwrap();
    assert!(layer.starts_with(b"\x7fELF"));
    assert_snapshot!("not_extracted", desk.run(&["extract", "no/such/folder"]));
}

#[test]
fn completions_know_what_is_not_hidden() {
    let desk = Desk::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = desk.run(&["completions", shell]);
        assert!(script.contains("exec") && script.ends_with("exit code 0"), "{shell}");
        assert!(!script.contains("intproxy") && !script.contains("verify-config"), "{shell}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_does_not_hide_why() {
    let desk = Desk::new();
    let output =
        desk.mirrord(&["exec", "true"]).env("MIRRORD_LAYER_FILE", "/no/such/layer.so").output().unwrap();
    assert_snapshot!("no_such_layer", desk.seen(&output));
    let unreadable = desk.write("agent", "");
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o755)).unwrap();
    let output = desk.mirrord(&["exec", "true"]).env("MIRRORD_AGENT_FILE", &unreadable).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
}
