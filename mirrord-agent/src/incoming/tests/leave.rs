//! Leaving: whatever ends the agent, nothing of it stays in the target's firewall.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream as StdStream,
    time::Instant,
};

use super::{
    super::{guard, nftables::Nftables, redirect::Redirection, ruleset},
    namespace::*,
    *,
};

const HERE: &str = "incoming::tests::leave::";

fn n_tables() -> usize {
    Nftables::open().unwrap().tables().unwrap().len()
}

/// Waits until no rule of ours is left.
fn eventually_no_table() {
    let deadline = Instant::now() + DEADLINE;
    while n_tables() > 0 {
        assert!(Instant::now() < deadline, "a table was left");
        std::thread::yield_now();
    }
}

/// Plays an agent that steals a port of its own choice and says which, and lives until it is killed.
fn play_agent(guarded: bool) {
    run(async {
        let (target, port) = listen("127.0.0.1").await;
        let agent = Agent::start();
        let mut guarded = guarded.then(|| Redirection::begin_guarded().unwrap());
        match &mut guarded {
            Some((redirection, _)) => redirection.redirect(port, "a guarded agent").unwrap(),
            None => agent.steal(port, true).await,
        }
        // Only the redirection answers there now.
        drop(target);
        std::fs::write("/dev/stdout", format!("stealing {}\n", port.0)).unwrap();
        std::future::pending::<()>().await;
    });
}

/// An agent in a process of its own, and the port that it steals.
fn living_agent(test: &str, role: &str) -> (std::process::Child, u16) {
    let mut agent = another(test, role);
    let lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    let port = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("stealing ").map(|(_, port)| port.parse().unwrap()));
    (agent, port.expect("an agent that steals"))
}

#[test]
fn a_killed_agent_leaves_no_rule() {
    let name = format!("{HERE}a_killed_agent_leaves_no_rule");
    if plays("agent") {
        return play_agent(false);
    }
    in_namespace(&name, || async {
        let (mut agent, port) = living_agent(&format!("{HERE}a_killed_agent_leaves_no_rule"), "agent");
        assert!(n_tables() > 0);
        StdStream::connect(("127.0.0.1", port)).expect("a stolen port answers");
        agent.kill().unwrap();
        agent.wait().unwrap();
        eventually_no_table();
        assert!(StdStream::connect(("127.0.0.1", port)).is_err());
    });
}

#[test]
fn a_killed_agent_whose_table_cannot_be_owned_leaves_no_rule() {
    let name = format!("{HERE}a_killed_agent_whose_table_cannot_be_owned_leaves_no_rule");
    if plays("agent") {
        return play_agent(true);
    }
    in_namespace(&name, || async {
        let name = format!("{HERE}a_killed_agent_whose_table_cannot_be_owned_leaves_no_rule");
        let (mut agent, port) = living_agent(&name, "agent");
        let tables = Nftables::open().unwrap().tables().unwrap();
        assert!(tables.len() == 1 && !tables[0].owned, "{tables:?}");
        StdStream::connect(("127.0.0.1", port)).expect("a stolen port answers");
        agent.kill().unwrap();
        agent.wait().unwrap();
        eventually_no_table();
    });
}

#[test]
fn what_a_dead_agent_left_is_removed_by_the_next_and_what_lives_is_not() {
    let name = format!("{HERE}what_a_dead_agent_left_is_removed_by_the_next_and_what_lives_is_not");
    in_namespace(&name, || async {
        let mut nftables = Nftables::open().unwrap();
        for table in ["mirrord_dead", "mirrord_alive"] {
            let ruleset = ruleset::Ruleset { table: table.to_owned(), port_v4: 9, port_v6: None };
            nftables.apply(&ruleset.install(false)).unwrap();
        }
        let _alive = guard::claim("mirrord_alive").unwrap();
        sweep().unwrap();
        let left = nftables.tables().unwrap();
        assert!(left.len() == 1 && left[0].name == "mirrord_alive", "{left:?}");
        let _redirection = Redirection::begin().unwrap();
        let names: Vec<_> = nftables.tables().unwrap().into_iter().map(|table| table.name).collect();
        assert!(names.len() == 2 && names.contains(&"mirrord_alive".to_owned()), "{names:?}");
    });
}

#[test]
fn an_agent_that_is_told_to_shut_down_leaves_nothing_and_loses_nobody() {
    let name = format!("{HERE}an_agent_that_is_told_to_shut_down_leaves_nothing_and_loses_nobody");
    in_namespace(&name, || async {
        let mut agent = Agent::start();
        let (target, port) = listen("127.0.0.1").await;
        agent.steal(port, false).await;
        agent.mirror(port).await;
        let mut client = connect(([127, 0, 0, 1], port.0).into()).await;
        client.write_all(b"question").await.unwrap();
        agent.arrival().await;
        let incoming = agent.incoming.clone();
        let leaving = tokio::spawn(async move { incoming.shutdown().await });
        let (mut served, _) = soon(target.accept()).await.unwrap();
        soon(served.read_exact(&mut [0; 8])).await.unwrap();
        served.write_all(b"answer").await.unwrap();
        served.shutdown().await.unwrap();
        assert_eq!(read_all(&mut client).await, "answer");
        drop(client);
        soon(leaving).await.unwrap();
        assert_eq!(n_tables(), 0);
        let fault = agent.subscribe(ANN, port, Wish::Steal, true).await.unwrap_err();
        assert_eq!(fault.errno, libc::ESHUTDOWN);
    });
}

#[test]
fn an_agent_that_nobody_holds_any_more_shuts_down_by_itself() {
    let name = format!("{HERE}an_agent_that_nobody_holds_any_more_shuts_down_by_itself");
    in_namespace(&name, || async {
        let agent = Agent::start();
        let (_target, port) = listen("127.0.0.1").await;
        agent.steal(port, true).await;
        drop(agent.incoming);
        soon(tokio::task::spawn_blocking(eventually_no_table)).await.unwrap();
    });
}
