//! The state machines that route, under any order of events: what the kernel was asked to do is undone, once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use mirrord_core::{
    proxy::{
        crowd::{self, Crowd},
        lifetime::Lifetime,
        listeners::{self, Listener, Listeners},
        nodes::Nodes,
        records::Records,
        window::{AHEAD, Fetch, Piece, Read, Windows},
    },
    rules::incoming::Subscription,
    steal::{
        Clients, Due,
        route::{Arrivals, Route},
        subscriptions::{Effect, Subscriptions},
    },
};
use mirrord_protocol::{
    GuestPath,
    agent::incoming::{Port, SubscribeCall, Wish},
    id::{ClientId, SocketInode},
};

use super::taken::Taken;

/// The state machines that route.
pub fn routing(bytes: &[u8]) {
    let mut taken = Taken(bytes);
    match taken.below(7) {
        0 => subscriptions(taken),
        1 => arrivals(taken),
        2 => listeners(taken),
        3 => clients(taken),
        4 => crowd(taken),
        5 => files(taken),
        _ => lifetime(taken),
    }
}

fn client(taken: &mut Taken<'_>) -> ClientId {
    let mut client = ClientId::default();
    for _ in 0..=taken.below(4) {
        client = client.next();
    }
    client
}

fn port(taken: &mut Taken<'_>) -> Port {
    Port(80 + u16::try_from(taken.below(3)).unwrap_or(0))
}

/// What stands in the kernel.
#[derive(Default)]
struct Kernel {
    redirected: BTreeSet<Port>,
    captured: BTreeSet<Port>,
}

impl Kernel {
    /// Does what is wanted; some of it fails.
    fn apply(&mut self, subscriptions: &mut Subscriptions, taken: &mut Taken<'_>) {
        while let Some(effect) = subscriptions.poll_effect() {
            let fails = taken.below(8) == 7;
            match &effect {
                Effect::Redirect { .. } | Effect::Capture(_) if fails => subscriptions.handle_failed(&effect),
                Effect::Redirect { port, .. } => assert!(self.redirected.insert(*port), "redirected twice"),
                Effect::Restore(port) => {
                    assert!(self.redirected.remove(port), "restored what was not redirected");
                }
                Effect::Capture(port) => assert!(self.captured.insert(*port), "captured twice"),
                Effect::Release(port) => {
                    assert!(self.captured.remove(port), "released what was not captured");
                }
                Effect::Deny(_) => {}
            }
        }
    }

    fn check(&self, subscriptions: &Subscriptions) {
        for port in (80..83).map(Port) {
            let is_stolen = subscriptions.route(port) != Route::Pass;
            assert_eq!(self.redirected.contains(&port), is_stolen, "{port:?} stolen");
            let is_mirrored = subscriptions.mirrors(port).next().is_some();
            assert_eq!(self.captured.contains(&port), is_mirrored, "{port:?} mirrored");
        }
    }
}

fn subscriptions(mut taken: Taken<'_>) {
    let (mut kernel, mut subscriptions) = (Kernel::default(), Subscriptions::default());
    while let Some(what) = taken.byte() {
        let (client, port) = (client(&mut taken), port(&mut taken));
        match what % 8 {
            0..=2 => {
                let wish = if taken.below(3) == 0 { Wish::Mirror } else { Wish::Steal };
                let call = SubscribeCall { port, wish, pass: taken.below(2) == 0 };
                subscriptions.handle_subscribe(client, "somebody", call);
            }
            3 => subscriptions.handle_unsubscribe(client, port),
            4 => subscriptions.handle_away(client),
            5 => subscriptions.handle_back(client),
            6 => subscriptions.handle_gone(client),
            _ => {}
        }
        kernel.apply(&mut subscriptions, &mut taken);
        kernel.check(&subscriptions);
    }
    let mut client = ClientId::default();
    for _ in 0..4 {
        client = client.next();
        subscriptions.handle_gone(client);
    }
    kernel.apply(&mut subscriptions, &mut taken);
    assert!(
        kernel.redirected.is_empty() && kernel.captured.is_empty(),
        "nobody is there, and something stands"
    );
    assert!(subscriptions.clients().is_empty());
}

fn arrivals(mut taken: Taken<'_>) {
    let mut arrivals = Arrivals::new(Duration::from_millis(100));
    let (mut now, mut put_in, mut came_out) = (Duration::ZERO, 0_u64, BTreeSet::new());
    let mut ids = Vec::new();
    while let Some(what) = taken.byte() {
        let client = client(&mut taken);
        let out = match what % 5 {
            0 | 1 => {
                put_in += 1;
                ids.push(arrivals.begin(client, now, put_in));
                Vec::new()
            }
            2 if !ids.is_empty() => {
                let id = ids[taken.below(256) % ids.len()];
                arrivals.finish(client, id).into_iter().collect()
            }
            3 => arrivals.finish_all(client),
            _ => {
                now += Duration::from_millis(taken.number() % 60);
                let overdue = arrivals.finish_overdue(now);
                assert!(arrivals.next_deadline().is_none_or(|deadline| deadline > now));
                overdue
            }
        };
        for cargo in out {
            assert!(came_out.insert(cargo), "came out twice");
        }
    }
    came_out.extend(arrivals.finish_overdue(Duration::MAX));
    assert_eq!(came_out.len() as u64, put_in);
}

fn listeners(mut taken: Taken<'_>) {
    let (mut listeners, mut subscribed) = (Listeners::default(), BTreeMap::new());
    while let Some(what) = taken.byte() {
        let inode = SocketInode(taken.below(6) as u64);
        match what % 6 {
            0..=2 => {
                let port = port(&mut taken);
                let address = if taken.below(2) == 0 { "0.0.0.0:80" } else { "[::]:80" };
                let Ok(bound) = address.parse() else { continue };
                let wanted = (taken.below(4) > 0).then_some(Subscription { wish: Wish::Steal, port });
                listeners.handle_listen(Listener { inode, requested: bound, bound }, wanted);
            }
            3 => listeners.handle_gone(inode),
            _ => {
                let alive = taken.byte().unwrap_or(0);
                listeners.handle_alive(|inode| alive & (1 << (inode.0 % 8)) != 0);
            }
        }
        // The agent answers at once, or what happens meanwhile comes first.
        while let Some(effect) = listeners.poll_effect() {
            match effect {
                listeners::Effect::Subscribe(Subscription { port, wish }) => {
                    let agrees = taken.below(4) > 0;
                    if agrees {
                        assert!(subscribed.insert(port, wish).is_none(), "subscribed twice");
                    }
                    if taken.below(4) == 0 {
                        listeners.handle_gone(SocketInode(taken.below(6) as u64));
                    }
                    listeners.finish_subscribe(port, agrees);
                }
                listeners::Effect::Unsubscribe(port) => {
                    assert!(subscribed.remove(&port).is_some(), "gave back what it had not");
                }
            }
        }
        for port in (80..83).map(Port) {
            let Ok(local) = "10.0.0.1:80".parse() else { continue };
            assert_eq!(subscribed.contains_key(&port), listeners.route(port, local).is_some(), "{port:?}");
        }
    }
    for inode in 0..6 {
        listeners.handle_gone(SocketInode(inode));
    }
    while let Some(effect) = listeners.poll_effect() {
        if let listeners::Effect::Unsubscribe(port) = effect {
            subscribed.remove(&port);
        }
    }
    assert!(subscribed.is_empty() && listeners.is_empty());
}

fn clients(mut taken: Taken<'_>) {
    let patience = Duration::from_secs(30);
    let (mut clients, mut now) = (Clients::new(patience), Duration::ZERO);
    let mut living = BTreeSet::new();
    while let Some(what) = taken.byte() {
        let client = taken.below(4);
        match what % 5 {
            0 => {
                clients.handle_seen(client);
                living.insert(client);
            }
            1 => clients.handle_away(client, now),
            2 => drop(clients.handle_back(client)),
            3 => {
                clients.handle_ended(client, taken.below(2) == 0, now);
                living.remove(&client);
            }
            _ => now += Duration::from_millis(taken.number() % 40_000),
        }
        let deadline = clients.next_deadline();
        let mut n_due = 0;
        while let Some(due) = clients.poll_due(now) {
            n_due += 1;
            assert!(deadline.is_some_and(|deadline| deadline <= now), "due before its time");
            match due {
                Due::Suspend(client) => assert!(living.contains(&client)),
                Due::Leave => {
                    assert!(living.is_empty(), "leaves somebody");
                    break;
                }
            }
            assert!(n_due <= 4, "suspended twice");
        }
    }
}

fn crowd(mut taken: Taken<'_>) {
    let mut crowd = Crowd::new("pod-0".to_owned());
    let mut joined = BTreeSet::from(["pod-0".to_owned()]);
    let mut seeks = 0;
    while let Some(what) = taken.byte() {
        let key = format!("pod-{}", taken.below(4));
        match what % 4 {
            0 => crowd.handle_wanted(),
            1 => {
                let ready = taken.byte().unwrap_or(0);
                crowd.handle_ready(
                    (0..4).filter(|bit| ready & (1 << bit) != 0).map(|bit| format!("pod-{bit}")),
                );
            }
            2 => {
                joined.remove(&key);
                crowd.handle_gone(&key);
            }
            _ => {}
        }
        while let Some(effect) = crowd.poll_effect() {
            match effect {
                crowd::Effect::Join(key) => {
                    assert!(!joined.contains(&key), "joined twice");
                    let agrees = taken.below(4) > 0;
                    if agrees {
                        joined.insert(key.clone());
                    }
                    crowd.finish_join(&key, agrees);
                }
                crowd::Effect::Represent(key) => assert!(joined.contains(&key), "nobody stands there"),
                crowd::Effect::Seek => {
                    seeks += 1;
                    assert!(seeks < 100_000);
                    let key = format!("pod-{}", taken.below(4));
                    joined.insert(key.clone());
                    crowd.handle_found(key);
                }
            }
        }
        assert!(crowd.representative().is_none_or(|key| joined.contains(key)));
    }
}

fn files(mut taken: Taken<'_>) {
    let (mut nodes, mut records, mut windows) = (Nodes::default(), Records::new(3), Windows::default());
    let mut fetches: Vec<Fetch> = Vec::new();
    let (mut now, mut asked, mut told) = (Duration::ZERO, 0_u32, 0_usize);
    while let Some(what) = taken.byte() {
        let path = |taken: &mut Taken<'_>| {
            let names = ["/a", "/a/b", "/a/b/c", "/d", "/", "/ab"];
            GuestPath::from(names[taken.below(6)])
        };
        let number = taken.below(5) as u64 + 1;
        match what % 9 {
            0 => nodes.handle_lookup(number, path(&mut taken)),
            1 => nodes.handle_forget(number, taken.number()),
            2 => nodes.handle_removed(&path(&mut taken)),
            3 => nodes.handle_renamed(&path(&mut taken), &path(&mut taken)),
            4 => records.record(number, taken.number()),
            5 => {
                // Mostly near one another, as readers are.
                let offset = if taken.below(4) == 0 { taken.number() } else { taken.number() % (8 << 20) };
                let piece = Piece { offset, length: u32::from(taken.byte().unwrap_or(0)) << 10 };
                asked += 1;
                match windows.handle_read(piece, asked, now) {
                    Read::Known(bytes, _) => {
                        assert!(bytes.len() <= piece.length as usize);
                        told += 1;
                    }
                    Read::Waits => {}
                    Read::FetchAlone(..) => told += 1,
                }
                fetches.extend(std::iter::from_fn(|| windows.next_fetch(now)));
                assert!(
                    fetches.iter().all(|fetch| fetch.piece.length >= AHEAD),
                    "small fetches are for one alone"
                );
            }
            6 | 7 if !fetches.is_empty() => {
                let fetch = fetches.swap_remove(taken.below(fetches.len()));
                // All of it, less because the file ends, or nothing because it cannot be read.
                let length = fetch.piece.length as usize;
                told += match taken.below(3) {
                    0 => windows.finish(fetch, vec![1; length], now).len(),
                    1 => windows.finish(fetch, vec![1; taken.below(256).min(length)], now).len(),
                    _ => windows.fail(fetch).len(),
                };
            }
            6 | 7 => {}
            _ => {
                windows.handle_change();
                now += Duration::from_millis(taken.number() % 3000);
            }
        }
        for number in 1..6 {
            if let Some(path) = nodes.path(number) {
                assert!(nodes.child(number, b"x").is_some(), "{path:?}");
            }
        }
    }
    told += fetches.into_iter().map(|fetch| windows.fail(fetch).len()).sum::<usize>();
    assert_eq!(told, asked as usize, "somebody waits for ever");
}

fn lifetime(mut taken: Taken<'_>) {
    let is_watched = taken.below(2) == 0;
    let mut lifetime = Lifetime::new(Duration::from_secs(60), Duration::from_secs(5), is_watched);
    let (mut now, mut n_connections, mut is_gone) = (Duration::ZERO, 0_usize, !is_watched);
    let mut is_stopped = false;
    while let Some(what) = taken.byte() {
        match what % 5 {
            0 => {
                lifetime.handle_connected(i32::from(taken.byte().unwrap_or(0)));
                n_connections += 1;
            }
            1 if n_connections > 0 => {
                lifetime.handle_disconnected(now);
                n_connections -= 1;
            }
            2 => {
                lifetime.handle_guest_gone(now);
                is_gone = true;
            }
            3 if taken.below(8) == 0 => {
                lifetime.handle_stop(now, Duration::from_secs(5));
                is_stopped = true;
            }
            _ => now += Duration::from_millis(taken.number() % 10_000),
        }
        let is_needed = n_connections > 0 || !is_gone;
        if lifetime.decide_end(now).is_some() {
            assert!(!is_needed || is_stopped, "it ends under somebody");
        }
        if !is_needed {
            assert!(lifetime.deadline().is_some(), "it never ends");
        }
    }
}
