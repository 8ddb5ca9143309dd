//! Mirroring: what the target hears is heard, and the target notices nothing.

use super::{namespace::*, *};

const HERE: &str = "incoming::tests::mirror::";

/// The target answers with what it has heard.
async fn echo(target: &TcpListener) -> Vec<u8> {
    let (mut served, _) = soon(target.accept()).await.unwrap();
    let mut heard = Vec::new();
    soon(served.read_to_end(&mut heard)).await.unwrap();
    let answer = heard.clone();
    tokio::spawn(async move { served.write_all(&answer).await });
    heard
}

#[test]
fn a_mirror_hears_what_the_target_hears_to_the_last_byte() {
    let name = format!("{HERE}a_mirror_hears_what_the_target_hears_to_the_last_byte");
    in_namespace(&name, || async {
        let mut agent = Agent::start();
        for (ip, length) in [("127.0.0.1", 8_000_000), ("::1", 8_000_000), ("127.0.0.1", 0)] {
            let (target, port) = listen(ip).await;
            agent.mirror(port).await;
            let question = noise(length);
            let address = SocketAddr::new(ip.parse().unwrap(), port.0);
            let mut client = connect(address).await;
            let peer = client.local_addr().unwrap();
            let sent = question.clone();
            let asking = tokio::spawn(async move {
                client.write_all(&sent).await.unwrap();
                client.shutdown().await.unwrap();
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).await.unwrap();
                answer
            });
            let (arrival, hearing) = agent.heard().await;
            assert_eq!((arrival.peer, arrival.local, arrival.port), (peer, address, port));
            let (heard, (copy, end)) = tokio::join!(echo(&target), hear(hearing));
            assert!(heard == question && copy == question, "{} of {length} bytes heard", copy.len());
            assert_eq!(end, Heard::Finished);
            assert!(soon(asking).await.unwrap() == question);
        }
    });
}

#[test]
fn a_mirror_is_told_of_a_reset() {
    let name = format!("{HERE}a_mirror_is_told_of_a_reset");
    in_namespace(&name, || async {
        let mut agent = Agent::start();
        let (target, port) = listen("127.0.0.1").await;
        agent.mirror(port).await;
        for resets in ["client", "target"] {
            let mut client = connect(([127, 0, 0, 1], port.0).into()).await;
            client.write_all(b"hello").await.unwrap();
            let (mut served, _) = soon(target.accept()).await.unwrap();
            soon(served.read_exact(&mut [0; 5])).await.unwrap();
            let (_, hearing) = agent.heard().await;
            let stream = if resets == "client" { &client } else { &served };
            stream.set_zero_linger().unwrap();
            drop(if resets == "client" { client } else { served });
            assert_eq!(hear(hearing).await, (b"hello".to_vec(), Heard::Broken(libc::ECONNRESET)), "{resets}");
        }
    });
}

#[test]
fn only_connections_that_begin_while_subscribed_are_heard() {
    let name = format!("{HERE}only_connections_that_begin_while_subscribed_are_heard");
    in_namespace(&name, || async {
        let mut agent = Agent::start();
        let (target, port) = listen("127.0.0.1").await;
        let address: SocketAddr = ([127, 0, 0, 1], port.0).into();
        let mut before = connect(address).await;
        let (_served, _) = soon(target.accept()).await.unwrap();
        agent.mirror(port).await;
        before.write_all(b"not heard").await.unwrap();
        let mut during = connect(address).await;
        during.write_all(b"heard").await.unwrap();
        let (arrival, mut hearing) = agent.heard().await;
        assert_eq!(arrival.peer, during.local_addr().unwrap());
        assert_eq!(soon(hearing.next()).await, Some(Heard::Bytes(Bytes::from_static(b"heard"))));
        agent.incoming.unsubscribe(BEN, port).await;
        let mut after = connect(address).await;
        after.write_all(b"not heard").await.unwrap();
        // What lived when the port was given up is heard on.
        during.shutdown().await.unwrap();
        assert_eq!(soon(hearing.next()).await, Some(Heard::Finished));
        assert!(agent.events.try_recv().is_err());
    });
}

#[test]
fn a_mirror_hears_what_is_stolen_and_what_is_passed_on_once() {
    let name = format!("{HERE}a_mirror_hears_what_is_stolen_and_what_is_passed_on_once");
    in_namespace(&name, || async {
        let neighbour = Neighbour::connect();
        let mut agent = Agent::start();
        let (target, port) = listen("0.0.0.0").await;
        agent.steal(port, true).await;
        agent.mirror(port).await;
        for returns in [false, true] {
            let loopback = ([127, 0, 0, 1], port.0).into();
            let cable =
                neighbour.as_ref().map(|_| SocketAddr::new(Neighbour::TARGET_V4.parse().unwrap(), port.0));
            for address in std::iter::once(loopback).chain(cable) {
                let asking = match &neighbour {
                    Some(neighbour) if Some(address) == cable => neighbour.ask(address, "question"),
                    _ => std::thread::spawn(move || ask(address, "question")),
                };
                let mut stolen = None;
                let mut heard = None;
                while stolen.is_none() || heard.is_none() {
                    let (client, arrival, socket) = agent.arrival().await;
                    assert_eq!(arrival.local, address);
                    match arrival.wish {
                        Wish::Steal => assert!(stolen.replace((arrival, socket)).is_none()),
                        Wish::Mirror => assert!(heard.replace((client, arrival)).is_none()),
                    }
                }
                let ((arrival, socket), (client, copy)) = (stolen.unwrap(), heard.unwrap());
                assert_eq!((client, copy.peer), (BEN, arrival.peer));
                if returns {
                    agent.incoming.return_arrival(ANN, arrival.id, socket).await;
                    say(soon(target.accept()).await.unwrap().0, "answer").await;
                } else {
                    say(stream(socket.unwrap()), "answer").await;
                }
                let Taken::Mirrored(hearing) = agent.incoming.take_arrival(BEN, copy.id).await.unwrap()
                else {
                    panic!("not mirrored")
                };
                assert_eq!(hear(hearing).await, (b"question".to_vec(), Heard::Finished), "{address}");
                assert_eq!(asking.join().unwrap(), "answer");
                assert!(agent.events.try_recv().is_err());
            }
        }
    });
}

fn ask(to: SocketAddr, words: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(to).unwrap();
    stream.write_all(words.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_mirror_that_does_not_read_delays_nobody_and_is_cut_off_with_a_word() {
    let name = format!("{HERE}a_mirror_that_does_not_read_delays_nobody_and_is_cut_off_with_a_word");
    in_namespace(&name, || async {
        let mut agent = Agent::start();
        let (target, port) = listen("127.0.0.1").await;
        agent.mirror(port).await;
        let mut client = connect(([127, 0, 0, 1], port.0).into()).await;
        let question = noise(40_000_000);
        let sent = question.clone();
        tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let _ = client.read_to_end(&mut Vec::new()).await;
        });
        let (_, hearing) = agent.heard().await;
        assert!(echo(&target).await == question);
        let Event::Log { line, .. } = soon(agent.events.recv()).await.unwrap() else { panic!("no word") };
        assert!(line.text.contains("was cut off"), "{}", line.text);
        let (copy, end) = hear(hearing).await;
        assert!(matches!(end, Heard::Broken(_)) && question.starts_with(&copy));
    });
}

#[test]
fn two_mirrors_hear_the_same() {
    let name = format!("{HERE}two_mirrors_hear_the_same");
    in_namespace(&name, || async {
        let mut agent = Agent::start();
        let (target, port) = listen("127.0.0.1").await;
        agent.mirror(port).await;
        agent.subscribe(ANN, port, Wish::Mirror, false).await.unwrap();
        let client = connect(([127, 0, 0, 1], port.0).into()).await;
        let asking = tokio::spawn(say(client, "question"));
        assert_eq!(echo(&target).await, b"question");
        let mut clients = Vec::new();
        for _ in 0..2 {
            let (client, arrival, _) = agent.arrival().await;
            let Taken::Mirrored(hearing) = agent.incoming.take_arrival(client, arrival.id).await.unwrap()
            else {
                panic!("not mirrored")
            };
            assert_eq!(hear(hearing).await, (b"question".to_vec(), Heard::Finished));
            clients.push(client);
        }
        clients.sort();
        assert_eq!(clients, [ANN, BEN]);
        asking.await.unwrap();
    });
}
