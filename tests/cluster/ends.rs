//! Whoever goes, goes without a trace; and what can go on, goes on.

use std::time::Duration;

use mirrord_tests::{
    cluster::{Cluster, ClusterSession, Namespace, Relay},
    eventually::eventually,
    running::Running,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::{
    ECHO, SHOP,
    guest::{Served, python_with},
};

#[test]
fn a_target_that_is_replaced_is_followed() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let pod = shop.ready("app=shop", 1).remove(0);
    let _client = shop.ready("app=client", 1);
    let served = Served::start(&shop, "deployment/shop", "steal");
    shop.answers("http://shop/", "the guest");
    shop.does(&["delete", "pod", &pod, "--grace-period=0", "--force"]);
    let _other = shop.ready("app=shop", 1);
    shop.answers("http://shop/", "the guest");
    served.end(&shop);
    shop.answers("http://shop/", "the shop itself");
}

#[test]
fn an_agent_that_is_killed_is_replaced() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let _ready = (shop.ready("app=shop", 1), shop.ready("app=client", 1));
    let served = Served::start(&shop, "deployment/shop", "steal");
    shop.answers("http://shop/", "the guest");
    let agents = shop.agents();
    for pid in &agents {
        kill(Pid::from_raw(*pid), Signal::SIGKILL).unwrap();
    }
    if agents.is_empty() {
        // It runs elsewhere; the cluster's own way is gentler.
        shop.does(&["delete", "pods", "-l", "app=mirrord"]);
    }
    shop.answers("http://shop/", "the guest");
    served.end(&shop);
    shop.answers("http://shop/", "the shop itself");
}

#[test]
fn an_agent_whose_pod_is_taken_away_leaves_no_other_one_alone() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let _ready = (shop.ready("app=shop", 1), shop.ready("app=client", 1));
    let served = Served::start(&shop, "deployment/shop", "steal");
    shop.answers("http://shop/", "the guest");
    shop.does(&["delete", "pods", "-l", "app=mirrord", "--grace-period=0", "--force"]);
    shop.answers("http://shop/", "the guest");
    served.end(&shop);
    shop.answers("http://shop/", "the shop itself");
}

/// Tells whose ledger it is that it holds open, and whose it opens.
const READER: &str = r"
import os, time
held = os.open('/scratch/ledger', os.O_RDONLY)
while True:
    try:
        with open('/scratch/ledger') as opened:
            name = opened.readline().strip()
        print('held', os.pread(held, 4096, 0).split()[0].decode(), 'opened', name, flush=True)
    except OSError as error: print(error, flush=True)
    time.sleep(0.1)
";

#[test]
fn after_a_target_is_replaced_its_files_are_the_new_ones() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let pod = shop.ready("app=shop", 1).remove(0);
    let session = shop.session("deployment/shop", &json!({ "feature": { "fs": "read" } }));
    let mut guest = Running::start(&mut python_with(&session, READER));
    guest.says(&format!("held {pod} opened {pod}\n"));
    shop.does(&["delete", "pod", &pod, "--grace-period=0", "--force"]);
    let other = shop.ready("app=shop", 1).remove(0);
    // Nothing but its bytes tells one ledger from the other: size and time are the same.
    guest.says(&format!("held {other} opened {other}\n"));
    guest.signal(Signal::SIGTERM);
    guest.end();
    shop.assert_clean(&[&session]);
}

#[test]
fn a_command_that_is_killed_leaves_nothing() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let _ready = (shop.ready("app=shop", 1), shop.ready("app=client", 1));
    let Served { session, guest } = Served::start(&shop, "deployment/shop", "steal");
    shop.answers("http://shop/", "the guest");
    guest.signal(Signal::SIGKILL);
    shop.answers("http://shop/", "the shop itself");
    shop.assert_clean(&[&session]);
}

#[test]
fn a_proxy_that_is_killed_leaves_nothing() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let _ready = (shop.ready("app=shop", 1), shop.ready("app=client", 1));
    // The agent waits this long for somebody to come back, and for the first to come, on a busy machine.
    let patience = json!({ "agent": { "communication_timeout": 12 } });
    let Served { session, mut guest } =
        Served::start_with(&shop, "deployment/shop", "steal", &patience, None);
    shop.answers("http://shop/", "the guest");
    for pid in session.processes("intproxy") {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    shop.answers("http://shop/", "the shop itself");
    guest.signal(Signal::SIGKILL);
    guest.end();
    // The Job has ended, and whether the cluster removes it is the cluster's affair: nobody else is left to do it.
    shop.does(&["wait", "--for=condition=complete", "job", "-l", "app=mirrord", "--timeout=30s"]);
    shop.does(&["delete", "job", "-l", "app=mirrord"]);
    shop.assert_clean(&[&session]);
}

#[test]
fn a_command_that_is_killed_while_it_starts_leaves_nothing() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let _ready = shop.ready("app=shop", 1);
    let session = shop.session("deployment/shop", &json!({}));
    let guest = Running::start(&mut python_with(&session, "import time; time.sleep(1000)"));
    eventually("the agent's Job", Duration::from_secs(20), || {
        let jobs = shop.said(&["get", "jobs", "-l", "app=mirrord", "-o", "name"]);
        (!jobs.is_empty()).then_some(())
    });
    guest.signal(Signal::SIGKILL);
    shop.assert_clean(&[&session]);
}

/// A stream that goes on for as long as it is asked, through the pod, and tells how it went.
pub(crate) const COUNTER: &str = r"
import socket, sys, time
stream = socket.create_connection(('counter', 9000), 60)
reader = stream.makefile('rb')
n = 0
while True:
    stream.sendall(b'%d\n' % n)
    assert int(reader.readline()) == n, n
    n += 1
    if n % 20 == 0: print('counted', n, flush=True)
    time.sleep(0.01)
";

#[test]
fn a_port_forward_that_is_cut_loses_no_stream() {
    let Some(shop) = Namespace::with(&format!("{SHOP}---\n{ECHO}")) else { return };
    let _ready = (shop.ready("app=shop", 1), shop.ready("app=counter", 1));
    let relay = Relay::start(&Cluster::find().unwrap().server(), Duration::ZERO);
    let session = shop.session_by("deployment/shop", &json!({}), Some(&relay.url()));
    let mut guest = Running::start(&mut python_with(&session, COUNTER));
    guest.says("counted 20\n");
    for n_counted in [200, 400] {
        relay.cut();
        guest.says(&format!("counted {n_counted}\n"));
    }
    // Not only cut, but away for a while.
    relay.close(true);
    relay.cut();
    eventually("three attempts to come back", Duration::from_secs(20), || {
        (relay.n_refused() >= 3).then_some(())
    });
    relay.close(false);
    guest.says("counted 600\n");
    guest.signal(Signal::SIGTERM);
    guest.end();
    shop.assert_clean(&[&session]);
}

/// Everything that runs here for a session, as a laptop's lid does to it.
fn signal_all(session: &ClusterSession, signal: Signal) {
    for pid in session.processes("") {
        kill(Pid::from_raw(pid), signal).unwrap();
    }
}

#[test]
fn a_laptop_that_sleeps_for_a_while_loses_no_stream() {
    let Some(shop) = Namespace::with(&format!("{SHOP}---\n{ECHO}")) else { return };
    let _ready = (shop.ready("app=shop", 1), shop.ready("app=counter", 1), shop.ready("app=client", 1));
    // Long enough for the slowest machine to wake up within it.
    let patience = json!({ "agent": { "communication_timeout": 90 } });
    let served = Served::start_with(&shop, "deployment/shop", "steal", &patience, None);
    let session = shop.session("deployment/shop", &patience);
    let mut guest = Running::start(&mut python_with(&session, COUNTER));
    guest.says("counted 20\n");
    shop.answers("http://shop/", "the guest");
    let both = [&served.session, &session];
    for session in both {
        signal_all(session, Signal::SIGSTOP);
    }
    eventually("an agent that hears nobody", Duration::from_secs(60), || {
        shop.asked("http://shop/").contains("the shop itself").then_some(())
    });
    for session in both {
        signal_all(session, Signal::SIGCONT);
    }
    shop.answers("http://shop/", "the guest");
    guest.says("counted 200\n");
    guest.signal(Signal::SIGTERM);
    guest.end();
    served.end(&shop);
    shop.assert_clean(&[&session]);
}
