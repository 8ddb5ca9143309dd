//! Stories of clients who want ports, told once by hand and many times at random.

use proptest::prelude::*;

use super::*;

const ANN: ClientId = ClientId(1);
const BEN: ClientId = ClientId(2);
const HTTP: Port = Port(80);

fn steal(port: Port) -> SubscribeCall {
    SubscribeCall { port, wish: Wish::Steal, pass: true }
}

fn mirror(port: Port) -> SubscribeCall {
    SubscribeCall { port, wish: Wish::Mirror, pass: false }
}

fn effects(story: impl FnOnce(&mut Subscriptions)) -> Vec<Effect> {
    let mut subscriptions = Subscriptions::default();
    story(&mut subscriptions);
    std::iter::from_fn(|| subscriptions.poll_effect()).collect()
}

fn redirect(owner: &str) -> Effect {
    Effect::Redirect { port: HTTP, owner: owner.to_owned() }
}

#[test]
fn the_thief_who_leaves_restores_the_port() {
    let effects = effects(|it| {
        it.handle_subscribe(ANN, "ann", steal(HTTP));
        it.handle_unsubscribe(ANN, HTTP);
        it.handle_unsubscribe(ANN, HTTP);
    });
    assert_eq!(effects, [redirect("ann"), Effect::Restore(HTTP)]);
}

#[test]
fn a_second_thief_is_told_who_was_first() {
    let effects = effects(|it| {
        it.handle_subscribe(ANN, "ann", steal(HTTP));
        it.handle_subscribe(BEN, "ben", steal(HTTP));
        it.handle_gone(BEN);
        assert_eq!(it.route(HTTP), Route::Deliver { client: ANN, pass: true });
    });
    let denial = Denial { port: HTTP, owner: "ann".to_owned() };
    assert_eq!(denial.to_string(), "port `80` of the target is already stolen by `ann`");
    assert_eq!(effects, [redirect("ann"), Effect::Deny(denial)]);
}

#[test]
fn the_last_mirror_to_leave_releases_the_port() {
    let effects = effects(|it| {
        it.handle_subscribe(ANN, "ann", mirror(HTTP));
        it.handle_subscribe(BEN, "ben", mirror(HTTP));
        it.handle_gone(ANN);
        assert_eq!(it.mirrors(HTTP).collect::<Vec<_>>(), [BEN]);
        it.handle_gone(BEN);
    });
    assert_eq!(effects, [Effect::Capture(HTTP), Effect::Release(HTTP)]);
}

#[test]
fn a_thief_and_mirrors_share_a_port() {
    let effects = effects(|it| {
        it.handle_subscribe(ANN, "ann", mirror(HTTP));
        it.handle_subscribe(BEN, "ben", steal(HTTP));
        assert_eq!(it.mirrors(HTTP).collect::<Vec<_>>(), [ANN]);
        assert_eq!(it.route(HTTP), Route::Deliver { client: BEN, pass: true });
        it.handle_gone(BEN);
        assert_eq!(it.route(HTTP), Route::Pass);
    });
    assert_eq!(effects, [Effect::Capture(HTTP), redirect("ben"), Effect::Restore(HTTP)]);
}

#[test]
fn a_changed_mind_replaces_the_wish() {
    let effects = effects(|it| {
        it.handle_subscribe(ANN, "ann", mirror(HTTP));
        it.handle_subscribe(ANN, "ann", steal(HTTP));
        it.handle_subscribe(ANN, "ann", SubscribeCall { pass: false, ..steal(HTTP) });
        assert_eq!(it.route(HTTP), Route::Deliver { client: ANN, pass: false });
        it.handle_subscribe(ANN, "ann", mirror(HTTP));
    });
    let expected = [
        Effect::Capture(HTTP),
        redirect("ann"),
        Effect::Release(HTTP),
        Effect::Capture(HTTP),
        Effect::Restore(HTTP),
    ];
    assert_eq!(effects, expected);
}

#[test]
fn a_denied_change_of_mind_keeps_the_earlier_wish() {
    effects(|it| {
        it.handle_subscribe(ANN, "ann", steal(HTTP));
        it.handle_subscribe(BEN, "ben", mirror(HTTP));
        it.handle_subscribe(BEN, "ben", steal(HTTP));
        assert_eq!(it.mirrors(HTTP).collect::<Vec<_>>(), [BEN]);
    });
}

#[test]
fn what_the_kernel_refuses_is_nobodys() {
    let effects = effects(|it| {
        it.handle_subscribe(ANN, "ann", steal(HTTP));
        let redirect = it.poll_effect().unwrap();
        it.handle_failed(&redirect);
        assert_eq!(it.route(HTTP), Route::Pass);
        it.handle_gone(ANN);
        it.handle_subscribe(BEN, "ben", steal(HTTP));
    });
    assert_eq!(effects, [redirect("ben")]);
}

#[test]
fn whoever_is_away_gives_the_port_back_and_has_it_again_when_back() {
    let effects = effects(|it| {
        it.handle_subscribe(ANN, "ann", steal(HTTP));
        it.handle_away(ANN);
        it.handle_away(ANN);
        assert_eq!(it.route(HTTP), Route::Pass);
        it.handle_back(ANN);
        it.handle_back(ANN);
        assert_eq!(it.route(HTTP), Route::Deliver { client: ANN, pass: true });
    });
    assert_eq!(effects, [redirect("ann"), Effect::Restore(HTTP), redirect("ann")]);
}

#[test]
fn a_port_that_was_taken_meanwhile_is_denied_to_whoever_comes_back() {
    let effects = effects(|it| {
        it.handle_subscribe(ANN, "ann", steal(HTTP));
        it.handle_away(ANN);
        it.handle_subscribe(BEN, "ben", steal(HTTP));
        it.handle_back(ANN);
        assert_eq!(it.route(HTTP), Route::Deliver { client: BEN, pass: true });
    });
    let denial = Denial { port: HTTP, owner: "ben".to_owned() };
    assert_eq!(effects, [redirect("ann"), Effect::Restore(HTTP), redirect("ben"), Effect::Deny(denial)]);
}

#[test]
fn what_is_asked_while_away_is_done_when_back() {
    let effects = effects(|it| {
        it.handle_subscribe(ANN, "ann", mirror(HTTP));
        it.handle_away(ANN);
        it.handle_unsubscribe(ANN, HTTP);
        it.handle_subscribe(ANN, "ann", steal(HTTP));
        it.handle_back(ANN);
    });
    assert_eq!(effects, [Effect::Capture(HTTP), Effect::Release(HTTP), redirect("ann")]);
}

#[test]
fn whoever_goes_while_away_does_not_come_back() {
    let effects = effects(|it| {
        it.handle_subscribe(ANN, "ann", steal(HTTP));
        it.handle_away(ANN);
        it.handle_gone(ANN);
        it.handle_back(ANN);
    });
    assert_eq!(effects, [redirect("ann"), Effect::Restore(HTTP)]);
}

#[derive(Clone, Debug)]
enum Step {
    Away(u64),
    Back(u64),
    Subscribe(u64, SubscribeCall),
    Unsubscribe(u64, Port),
    Gone(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let port = || (1u16..4).prop_map(Port);
    let call = (port(), any::<bool>(), any::<bool>()).prop_map(|(port, steals, pass)| SubscribeCall {
        port,
        wish: if steals { Wish::Steal } else { Wish::Mirror },
        pass,
    });
    prop_oneof![
        4 => (1u64..5, call).prop_map(|(client, call)| Step::Subscribe(client, call)),
        2 => (1u64..5, port()).prop_map(|(client, port)| Step::Unsubscribe(client, port)),
        1 => (1u64..5).prop_map(Step::Gone),
        1 => (1u64..5).prop_map(Step::Away),
        1 => (1u64..5).prop_map(Step::Back),
    ]
}

/// What the kernel would do, with a complaint for whatever is done twice or undone before it was done.
#[derive(Default)]
struct Kernel {
    redirected: BTreeSet<Port>,
    captured: BTreeSet<Port>,
}

impl Kernel {
    fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Redirect { port, .. } => assert!(self.redirected.insert(*port), "redirected twice"),
            Effect::Restore(port) => assert!(self.redirected.remove(port), "restored before redirected"),
            Effect::Capture(port) => assert!(self.captured.insert(*port), "captured twice"),
            Effect::Release(port) => assert!(self.captured.remove(port), "released before captured"),
            Effect::Deny(_) => {}
        }
    }
}

proptest! {
    #[test]
    fn in_every_story_the_kernel_does_what_somebody_wishes_and_nothing_else(
        story in prop::collection::vec(step(), 0..60),
        failures in prop::collection::vec(prop::bool::weighted(0.1), 60),
    ) {
        let mut it = Subscriptions::default();
        let mut kernel = Kernel::default();
        for (step, fails) in story.into_iter().zip(failures) {
            match step {
                Step::Subscribe(client, call) => {
                    it.handle_subscribe(ClientId(client), &format!("client {client}"), call);
                }
                Step::Unsubscribe(client, port) => it.handle_unsubscribe(ClientId(client), port),
                Step::Gone(client) => it.handle_gone(ClientId(client)),
                Step::Away(client) => it.handle_away(ClientId(client)),
                Step::Back(client) => it.handle_back(ClientId(client)),
            }
            while let Some(effect) = it.poll_effect() {
                match effect {
                    Effect::Redirect { .. } | Effect::Capture(_) if fails => it.handle_failed(&effect),
                    Effect::Deny(Denial { port, owner }) => {
                        let Route::Deliver { client, .. } = it.route(port) else { panic!("denied for nobody") };
                        prop_assert_eq!(owner, format!("client {}", client.0));
                    }
                    effect => kernel.apply(&effect),
                }
            }
            for port in (1..4).map(Port) {
                prop_assert_eq!(kernel.redirected.contains(&port), it.route(port) != Route::Pass);
                prop_assert_eq!(kernel.captured.contains(&port), it.mirrors(port).next().is_some());
            }
        }
        for client in 1..5 {
            it.handle_gone(ClientId(client));
        }
        while let Some(effect) = it.poll_effect() {
            kernel.apply(&effect);
        }
        prop_assert!(kernel.redirected.is_empty() && kernel.captured.is_empty() && it.ports.is_empty() && it.away.is_empty());
    }
}
