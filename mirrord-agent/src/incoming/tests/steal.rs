//! Stealing: whose connection it becomes, and that the target gets back whatever is not taken.

use std::{
    net::Shutdown,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::{namespace::*, *};

const HERE: &str = "incoming::tests::steal::";

#[test]
fn a_connection_to_a_stolen_port_is_passed_with_its_real_addresses() {
    let name = format!("{HERE}a_connection_to_a_stolen_port_is_passed_with_its_real_addresses");
    in_namespace(&name, || async {
        let mut agent = Agent::start();
        for ip in ["127.0.0.1", "::1", "127.0.0.9"] {
            let (_target, port) = listen(ip).await;
            agent.steal(port, true).await;
            let address = SocketAddr::new(ip.parse().unwrap(), port.0);
            let mut client = connect(address).await;
            let (arrival, stolen) = agent.stolen().await;
            assert_eq!(arrival.peer, client.local_addr().unwrap());
            assert_eq!((arrival.local, arrival.port), (address, port));
            assert_eq!(stolen.peer_addr().unwrap(), arrival.peer);
            let answer = tokio::spawn(say(stolen, "guest"));
            assert_eq!(read_all(&mut client).await, "guest");
            drop(client);
            answer.await.unwrap();
        }
    });
}

#[test]
fn a_connection_that_waits_for_its_lane_is_not_read_before() {
    let name = format!("{HERE}a_connection_that_waits_for_its_lane_is_not_read_before");
    in_namespace(&name, || async {
        let mut agent = Agent::start();
        let (_target, port) = listen("127.0.0.1").await;
        agent.steal(port, false).await;
        let mut client = connect(([127, 0, 0, 1], port.0).into()).await;
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let (_, arrival, socket) = agent.arrival().await;
        assert!(socket.is_none() && !arrival.descriptor);
        assert!(agent.incoming.take_arrival(BEN, arrival.id).await.is_err());
        let Taken::Stolen(mut taken) = agent.incoming.take_arrival(ANN, arrival.id).await.unwrap() else {
            panic!("not stolen")
        };
        assert_eq!(read_all(&mut taken).await, "question");
        say(taken, "answer").await;
        assert_eq!(read_all(&mut client).await, "answer");
        let again = agent.incoming.take_arrival(ANN, arrival.id).await.unwrap_err();
        assert_eq!(again.errno, libc::ENOENT);
    });
}

#[test]
fn a_second_thief_is_refused_with_the_owners_name_by_this_agent_and_by_another() {
    let name = format!("{HERE}a_second_thief_is_refused_with_the_owners_name_by_this_agent_and_by_another");
    in_namespace(&name, || async {
        let (agent, other) = (Agent::start(), Agent::start());
        let (_target, port) = listen("127.0.0.1").await;
        agent.steal(port, true).await;
        for outcome in [
            agent.subscribe(BEN, port, Wish::Steal, true).await,
            other.subscribe(BEN, port, Wish::Steal, true).await,
        ] {
            let fault = outcome.unwrap_err();
            assert_eq!(fault.errno, libc::EADDRINUSE);
            assert!(fault.words.contains("`client 1`"), "{}", fault.words);
        }
        agent.incoming.unsubscribe(ANN, port).await;
        other.subscribe(BEN, port, Wish::Steal, true).await.unwrap();
    });
}

#[test]
fn connections_of_the_target_that_lived_before_and_after_are_untouched() {
    let name = format!("{HERE}connections_of_the_target_that_lived_before_and_after_are_untouched");
    in_namespace(&name, || async {
        let mut agent = Agent::start();
        let (target, port) = listen("127.0.0.1").await;
        let address = ([127, 0, 0, 1], port.0).into();
        let mut client = connect(address).await;
        let (mut served, _) = target.accept().await.unwrap();
        agent.steal(port, true).await;
        client.write_all(b"ping").await.unwrap();
        let mut buffer = [0; 4];
        soon(served.read_exact(&mut buffer)).await.unwrap();
        served.write_all(b"pong").await.unwrap();
        soon(client.read_exact(&mut buffer)).await.unwrap();
        assert_eq!(&buffer, b"pong");
        // A stolen one, too, lives on after the port is given back.
        let mut stolen_client = connect(address).await;
        let (_, stolen) = agent.stolen().await;
        agent.incoming.client_gone(ANN).await;
        let answer = tokio::spawn(say(stolen, "still here"));
        assert_eq!(read_all(&mut stolen_client).await, "still here");
        drop(stolen_client);
        answer.await.unwrap();
    });
}

#[test]
fn what_is_returned_or_left_behind_reaches_the_target_byte_by_byte() {
    let name = format!("{HERE}what_is_returned_or_left_behind_reaches_the_target_byte_by_byte");
    in_namespace(&name, || async {
        let mut agent = Agent::start();
        let (target, port) = listen("127.0.0.1").await;
        let question = Arc::new(noise(20_000_000));
        for how in
            ["a passed one", "a passed one that got lost", "one that waits", "one of a client that is gone"]
        {
            agent.steal(port, how.starts_with("a passed one")).await;
            let client = connect(([127, 0, 0, 1], port.0).into()).await;
            let (mut from_target, mut to_target) = client.into_split();
            let sent = Arc::clone(&question);
            let sending = tokio::spawn(async move {
                to_target.write_all(&sent).await.unwrap();
                to_target.shutdown().await.unwrap();
                to_target
            });
            let (_, arrival, socket) = agent.arrival().await;
            let socket = socket.filter(|_| how != "a passed one that got lost");
            if how == "one of a client that is gone" {
                agent.incoming.client_gone(ANN).await;
            } else {
                agent.incoming.return_arrival(ANN, arrival.id, socket).await;
            }
            let (mut served, _) = soon(target.accept()).await.unwrap();
            let mut heard = Vec::new();
            soon(served.read_to_end(&mut heard)).await.unwrap();
            assert!(heard == *question, "{how}: the target heard something else");
            let answering = tokio::spawn(async move { served.write_all(&heard).await.unwrap() });
            let mut answer = Vec::new();
            soon(from_target.read_to_end(&mut answer)).await.unwrap();
            answering.await.unwrap();
            assert!(answer == *question, "{how}: the client heard something else");
            sending.await.unwrap();
        }
    });
}

#[test]
fn resets_and_refusals_are_passed_on_as_what_they_are() {
    let name = format!("{HERE}resets_and_refusals_are_passed_on_as_what_they_are");
    in_namespace(&name, || async {
        let mut agent = Agent::start();
        let (target, port) = listen("127.0.0.1").await;
        agent.steal(port, true).await;
        let address = ([127, 0, 0, 1], port.0).into();
        // The target answers and resets.
        let mut client = connect(address).await;
        let (_, arrival, socket) = agent.arrival().await;
        agent.incoming.return_arrival(ANN, arrival.id, socket).await;
        let (mut served, _) = soon(target.accept()).await.unwrap();
        served.write_all(b"bye").await.unwrap();
        let mut buffer = [0; 3];
        soon(client.read_exact(&mut buffer)).await.unwrap();
        served.set_zero_linger().unwrap();
        drop(served);
        let error = soon(client.read(&mut buffer)).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
        // The client closes its side, and resets later.
        let client = connect(address).await;
        let (_, arrival, socket) = agent.arrival().await;
        agent.incoming.return_arrival(ANN, arrival.id, socket).await;
        let (mut served, _) = soon(target.accept()).await.unwrap();
        let client = client.into_std().unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(soon(served.read(&mut buffer)).await.unwrap(), 0);
        let client = TcpStream::from_std(client).unwrap();
        client.set_zero_linger().unwrap();
        drop(client);
        soon(served.ready(tokio::io::Interest::ERROR)).await.unwrap();
        drop(served);
        // Nobody listens there any more.
        drop(target);
        let mut client = connect(address).await;
        let (_, arrival, socket) = agent.arrival().await;
        agent.incoming.return_arrival(ANN, arrival.id, socket).await;
        let error = soon(client.read(&mut buffer)).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
    });
}

#[test]
fn no_connection_is_lost_while_a_port_changes_hands() {
    let name = format!("{HERE}no_connection_is_lost_while_a_port_changes_hands");
    in_namespace(&name, || async {
        let mut agent = Agent::start();
        let (target, port) = listen("127.0.0.1").await;
        tokio::spawn(async move {
            while let Ok((stream, _)) = target.accept().await {
                tokio::spawn(say(stream, "target"));
            }
        });
        let over = Arc::new(AtomicBool::new(false));
        let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let clients: Vec<_> =
            (0..8).map(|_| tokio::spawn(ask_until(Arc::clone(&over), Arc::clone(&counts), port))).collect();
        for round in 0..60 {
            agent.steal(port, round % 3 != 2).await;
            // Some are answered, some given back, and some left for the one who leaves.
            for index in 0..5 {
                let (_, arrival, socket) = agent.arrival().await;
                match socket {
                    Some(socket) if index % 2 == 0 => {
                        agent.incoming.forget_arrival(ANN, arrival.id).await;
                        drop(tokio::spawn(say(stream(socket), "guest")));
                    }
                    socket if index % 2 == 1 => agent.incoming.return_arrival(ANN, arrival.id, socket).await,
                    _ => {}
                }
            }
            agent.incoming.client_gone(ANN).await;
            // They were passed on with it: what comes back too late is not passed on twice.
            while let Ok(Event::Arrival { arrival, socket: Some(socket), .. }) = agent.events.try_recv() {
                agent.incoming.return_arrival(ANN, arrival.id, Some(socket)).await;
            }
        }
        over.store(true, Ordering::Relaxed);
        for client in clients {
            soon(client).await.unwrap();
        }
        let [by_target, by_guest] = [0, 1].map(|index: usize| counts[index].load(Ordering::Relaxed));
        assert!(by_target > 100 && by_guest > 100, "{by_target} by the target, {by_guest} by the guest");
        soon(agent.incoming.shutdown()).await;
    });
}

async fn ask_until(over: Arc<AtomicBool>, counts: Arc<[AtomicUsize; 2]>, port: Port) {
    while !over.load(Ordering::Relaxed) {
        let mut client = connect(([127, 0, 0, 1], port.0).into()).await;
        client.write_all(b"?").await.unwrap();
        client.shutdown().await.unwrap();
        match read_all(&mut client).await.as_str() {
            "target" => counts[0].fetch_add(1, Ordering::Relaxed),
            "guest" => counts[1].fetch_add(1, Ordering::Relaxed),
            other => panic!("a connection was answered with `{other}`"),
        };
    }
}

#[test]
fn a_connection_from_another_machine_is_stolen_and_passed_on() {
    let name = format!("{HERE}a_connection_from_another_machine_is_stolen_and_passed_on");
    in_namespace(&name, || async {
        let Some(neighbour) = Neighbour::connect() else { return };
        let mut agent = Agent::start();
        for ip in [Neighbour::TARGET_V4, Neighbour::TARGET_V6] {
            let (target, port) = listen(ip).await;
            agent.steal(port, true).await;
            let address = SocketAddr::new(ip.parse().unwrap(), port.0);
            let answer = neighbour.ask(address, "?");
            let (arrival, stolen) = agent.stolen().await;
            assert_eq!(arrival.local, address);
            assert!(Neighbour::is(arrival.peer.ip()), "{}", arrival.peer);
            say(stolen, "guest").await;
            assert_eq!(answer.join().unwrap(), "guest");
            let answer = neighbour.ask(address, "?");
            let (_, arrival, socket) = agent.arrival().await;
            agent.incoming.return_arrival(ANN, arrival.id, socket).await;
            say(soon(target.accept()).await.unwrap().0, "target").await;
            assert_eq!(answer.join().unwrap(), "target");
        }
    });
}

#[test]
fn a_connection_to_the_agents_own_port_is_closed() {
    let name = format!("{HERE}a_connection_to_the_agents_own_port_is_closed");
    in_namespace(&name, || async {
        let mut agent = Agent::start();
        let (_target, port) = listen("127.0.0.1").await;
        agent.steal(port, true).await;
        let _client = connect(([127, 0, 0, 1], port.0).into()).await;
        let (_, stolen) = agent.stolen().await;
        let own = stolen.local_addr().unwrap();
        assert_ne!(own.port(), port.0);
        if let Ok(mut intruder) = soon(TcpStream::connect(own)).await {
            assert!(soon(intruder.read(&mut [0])).await.is_err());
        }
        assert!(agent.events.try_recv().is_err());
    });
}
