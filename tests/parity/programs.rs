//! Real programs, with a stage of real servers in the pod: HTTP over TLS, a repository, a `PostgreSQL`.

use std::{
    fs,
    sync::{Mutex, OnceLock},
};

use mirrord_tests::{
    guest::{Guest, Tongue, guests, text_of},
    pod::Pod,
    programs::system,
    running::Running,
};
use serde_json::{Value, json};

use crate::compare_in;

/// The pod with the stage. It ends with this process, and its servers with it.
fn stage() -> &'static Pod {
    static STAGE: OnceLock<(Pod, Mutex<Running>)> = OnceLock::new();
    let (pod, _) = STAGE.get_or_init(|| {
        let pod = Pod::start().expect("the pretend pod starts");
        let mut command = pod.command(system("bash").expect("a stage needs bash"));
        command.args(["-c", &text_of("sh", "stage.sh"), "stage", &text_of("python", "stage.py")]);
        let mut servers = Running::start(&mut command);
        servers.says("ready");
        (pod, Mutex::new(servers))
    });
    pod
}

/// Everything goes there; `/data` whatever a file's name, and what guests are compiled into stays here.
fn everything() -> Value {
    json!({
        "fs": { "mode": "write", "read_write": ["^/data"], "local": [regular(&guests().display().to_string())] },
        "network": { "outgoing": { "unix_streams": ["^/run/"] } },
    })
}

/// A text as an expression that means it.
fn regular(text: &str) -> String {
    text.chars()
        .flat_map(|it| if it.is_alphanumeric() || it == '/' { vec![it] } else { vec!['\\', it] })
        .collect()
}

/// Stories of one stage change its files one by one.
fn play(tongue: Tongue, name: &'static str) {
    static ONE_BY_ONE: Mutex<()> = Mutex::new(());
    let guest = Guest { tongue, name };
    if let Some(why) =
        guest.missing().or_else(|| system("openssl").is_none().then(|| "no openssl".to_owned()))
    {
        return mirrord_tests::ground::skip(&why);
    }
    let _alone = ONE_BY_ONE.lock();
    let pod = stage();
    compare_in(pod, guest, &everything());
    let left: Vec<_> = fs::read_dir(pod.path("/data/out")).unwrap().map(|it| it.unwrap().path()).collect();
    for path in &left {
        let _ = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
    }
    assert!(left.is_empty(), "{guest:?} has left {left:?} there");
}

/// Names the tests of programs, each with its tongue and file.
macro_rules! programs {
    ($($test:ident: $tongue:ident $name:literal;)*) => {$(
        #[test]
        fn $test() {
            play(Tongue::$tongue, $name);
        }
    )*};
}

programs! {
    tar_packs_and_unpacks: Shell "tar";
    git_clones_and_pushes: Shell "git";
    wget_fetches: Shell "wget";
    psql_talks_to_postgres: Shell "psql";
    python_uses_its_library: Python "library";
    node_fetches_and_streams: Node "http";
    node_reads_files_without_rings: NodeRings "files";
    node_streams_without_rings: NodeRings "http";
    ruby_does_everything: Ruby "main";
    perl_does_everything: Perl "main";
    php_does_everything: Php "main";
    java_does_everything: Java "Main";
    tokio_does_everything: Rust "tokio";
    c_copies_sockets: C "dup";
    c_watches_before_it_connects: C "epoll";
    c_listens_and_forks: C "forked";
    c_inherits_sockets: C "inherited";
    c_peeks: C "peek";
    c_takes_what_rides_along: C "ancillary";
    c_is_interrupted: C "interrupted";
    c_has_ten_thousand_descriptors: C "descriptors";
}
