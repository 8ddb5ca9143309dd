//! Kubeconfigs as people have them, repaired.

use super::*;

/// A folder with a program `plug in` and one `plugin`, and a kubeconfig.
struct Ground {
    folder: tempfile::TempDir,
}

impl Ground {
    fn new(kubeconfig: &str) -> Self {
        let it = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(it.path("bin")).unwrap();
        for name in ["bin/plugin", "bin/plug in"] {
            fs::write(it.path(name), "").unwrap();
            fs::set_permissions(it.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(it.path("bin/no-program"), "").unwrap();
        fs::write(it.path("config"), kubeconfig).unwrap();
        it
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn fix(&self) -> Result<Fix, FixError> {
        fix_files(&[self.path("config")], self.path("bin").as_os_str())
    }

    /// The repaired text, with the folder called `HERE`.
    fn fixed(&self) -> String {
        self.fix().unwrap().text.replace(&self.folder.path().display().to_string(), "HERE")
    }
}

/// A kubeconfig with this written after `command:`.
fn with(command: &str) -> String {
    format!(
        "# mine\ncurrent-context:   here # the shop's\ncontexts:\n- context: {{cluster: c, user: ann}}\n  name: here\nusers:\n- name: bob\n  user: {{}}\n- name: ann\n  user:\n    exec: # fresh every hour\n      args: [\"-v\"]\n      command: {command}\n      env: null\n"
    )
}

#[test]
fn one_word_changes_and_all_else_stays() {
    let fix = |command: &str| Ground::new(&with(command)).fixed();
    assert_eq!(fix("plugin"), with("HERE/bin/plugin"));
    assert_eq!(fix("plugin   # installed by hand"), with("HERE/bin/plugin   # installed by hand"));
    assert_eq!(fix("'plugin'"), with("'HERE/bin/plugin'"));
    assert_eq!(fix("\"plugin\" # x"), with("\"HERE/bin/plugin\" # x"));
    assert_eq!(fix("plug in"), with("\"HERE/bin/plug in\""));
    assert_eq!(fix("bin/plugin"), with("HERE/bin/plugin"));
    assert_eq!(fix("/no/longer/plugin"), with("HERE/bin/plugin"));
}

#[test]
fn letters_of_several_bytes_before_the_word_do_not_matter() {
    let text = with("plugin").replace("# mine", "# für Änne ☸");
    assert_eq!(Ground::new(&text).fixed(), text.replace("command: plugin", "command: HERE/bin/plugin"));
}

#[test]
fn a_kubeconfig_of_json_is_repaired_too() {
    let text = r#"{"current-context":"here","contexts":[{"name":"here","context":{"user":"ann"}}],
        "users":[{"name":"ann","user":{"exec":{"command":"plugin","args":null}}}]}"#;
    assert_eq!(Ground::new(text).fixed(), text.replace("\"plugin\"", "\"HERE/bin/plugin\""));
}

#[test]
fn what_is_absolute_and_there_stays() {
    let ground = Ground::new("");
    let text = with(&ground.path("bin/plugin").display().to_string());
    fs::write(ground.path("config"), &text).unwrap();
    let fix = ground.fix().unwrap();
    assert_eq!((fix.new, fix.text, fix.user.as_str()), (None, text, "ann"));
}

#[test]
fn a_word_shared_with_others_is_left_alone() {
    let text = with("*tool").replace("# mine", "tool: &tool plugin");
    let error = Ground::new(&text).fix().unwrap_err();
    assert!(matches!(error, FixError::Entangled { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("bin/plugin"));
}

#[test]
fn what_cannot_be_repaired_says_why() {
    let why = |text: &str| Ground::new(text).fix().unwrap_err().to_string();
    let nothing = "the credentials of `ann` come from no program, so there is nothing to repair";
    assert_eq!(why(&with("")), nothing);
    assert_eq!(
        why(&with("no-program")),
        "`no-program`, which gives the credentials of `ann`, is not in `PATH`"
    );
    assert_eq!(why("users:\n"), "the kubeconfig has no current context that it describes");
    assert!(why("users: [").ends_with("cannot be read"));
    let none = fix_files(&[PathBuf::from("/none")], OsStr::new("")).unwrap_err();
    assert_eq!(none.to_string(), "there is no kubeconfig (`/none`)");
}

#[test]
fn of_several_files_the_one_with_the_user_is_repaired() {
    let ground = Ground::new(&with("plugin"));
    fs::write(ground.path("first"), "current-context: here\nusers: null\n").unwrap();
    let files = [ground.path("none"), ground.path("first"), ground.path("config")];
    let fix = fix_files(&files, ground.path("bin").as_os_str()).unwrap();
    assert_eq!(fix.path, ground.path("config"));
}

#[test]
fn a_file_is_written_whole_with_its_mode_and_through_its_link() {
    let ground = Ground::new("");
    fs::write(ground.path("real"), with("plugin")).unwrap();
    fs::set_permissions(ground.path("real"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(ground.path("config")).unwrap();
    std::os::unix::fs::symlink("real", ground.path("config")).unwrap();
    let fix = ground.fix().unwrap();
    fix.write().unwrap();
    assert!(fs::symlink_metadata(ground.path("config")).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(ground.path("real")).unwrap(), fix.text);
    assert_eq!(fs::metadata(ground.path("real")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(ground.fix().unwrap().new, None);
    assert_eq!(fs::read_dir(ground.folder.path()).unwrap().count(), 3);
}
