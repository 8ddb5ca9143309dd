//! What the command line means.

use clap::CommandFactory;

use super::{groups::DEFAULT_CONFIG_FILE, *};

fn exec(words: &[&str]) -> ExecArguments {
    let words = ["mirrord", "exec"].iter().chain(words);
    match Arguments::try_parse_from(words).unwrap().command {
        Command::Exec(arguments) => *arguments,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_line_holds_together() {
    Arguments::command().debug_assert();
}

#[test]
fn every_flag_is_short_for_a_variable() {
    let arguments = exec(&[
        "-t",
        "pid/1",
        "-n",
        "ns",
        "-a",
        "an",
        "-l",
        "debug",
        "-i",
        "img",
        "--agent-ttl",
        "3",
        "--agent-startup-timeout",
        "4",
        "-e",
        "-c",
        "--context",
        "ctx",
        "--fs-mode",
        "local-with-overrides",
        "-x",
        "A",
        "-s",
        "B",
        "--env-file",
        "x.env",
        "--no-remote-dns",
        "--steal",
        "--no-outgoing",
        "--skip-processes",
        "a;b",
        "--data-path",
        "proxied",
        "-k",
        "key",
        "--no-telemetry",
        "--disable-version-check",
        "--",
        "env",
    ]);
    let overrides = arguments.session.overrides();
    assert_eq!(overrides.len(), 22, "{overrides:?}");
    let value = |name: &str| overrides[name].as_str();
    assert_eq!(value("MIRRORD_FILE_MODE"), "localwithoverrides");
    assert_eq!(value("MIRRORD_ACCEPT_INVALID_CERTIFICATES"), "true");
    assert_eq!((value("MIRRORD_TCP_OUTGOING"), value("MIRRORD_UDP_OUTGOING")), ("false", "false"));
    assert!(exec(&["true"]).session.overrides().is_empty());
}

#[test]
fn what_follows_the_program_is_the_programs() {
    assert_eq!(exec(&["--steal", "ls", "-l", "--steal"]).command, ["ls", "-l", "--steal"]);
    assert_eq!(exec(&["--", "ls", "--", "-t"]).command, ["ls", "--", "-t"]);
    let bare = exec(&["-f", "--", "ls"]);
    assert_eq!(bare.session.reach.config.config_file.unwrap(), PathBuf::from(DEFAULT_CONFIG_FILE));
    assert_eq!(
        exec(&["-f", "x.toml", "ls"]).session.reach.config.config_file.unwrap(),
        PathBuf::from("x.toml")
    );
}
