//! Containers by the words of their engines: what is there, what is not, what is near.

use insta::assert_snapshot;

use crate::screen::Desk;

/// An engine that knows `web` (stopped) and `database`, whose process is on another machine.
const ENGINE: &str = r#"
case "$*" in
"container inspect"*" web") printf 'false\t0\texited\n' ;;
"container inspect"*" database") printf 'true\t4194305\trunning\n' ;;
"container inspect"*) echo "Error: No such container" >&2; exit 1 ;;
"ps --format {{.Names}} --filter=pod=shop") printf 'shop-app\nshop-side\nf00-infra\n' ;;
"ps --format {{.Names}} --filter=pod="*) ;;
"pod ps"*) printf 'shop\n' ;;
"ps --format {{.Names}}") printf 'database\nweb\n' ;;
"ps"*"service=front") printf 'a-front-1\ta\t1\t/none/a\nb-front-1\tb\t1\t/none/b\n' ;;
"ps"*"service=web") printf 'shop-web-1\tshop\t1\t/none/shop\nshop-web-2\tshop\t2\t/none/shop\n' ;;
"ps"*"service="*) ;;
"ps"*) printf 'web\nfront\n' ;;
*) exit 9 ;;
esac"#;

fn run(desk: &Desk, target: &str) -> String {
    desk.run(&["exec", "-t", target, "true"])
}

#[test]
fn a_container_that_is_not_there_is_told_with_those_that_are_near() {
    let desk = Desk::new();
    desk.program("docker", ENGINE);
    desk.program("podman", ENGINE);
    assert_snapshot!("no_container", run(&desk, "docker/wbe"));
    assert_snapshot!("like_a_flag", run(&desk, "docker/--help"));
    assert_snapshot!("stopped_container", run(&desk, "docker/web"));
    assert_snapshot!("on_another_machine", run(&desk, "docker/database"));
    assert_snapshot!("no_container_in_it", run(&desk, "docker/web/container/x"));
}

#[test]
fn a_pod_of_podman_has_containers_to_choose_from() {
    let desk = Desk::new();
    desk.program("podman", ENGINE);
    assert_snapshot!("pod_of_several", run(&desk, "podman/shop"));
    assert_snapshot!("not_in_the_pod", run(&desk, "podman/shop/container/ap"));
    assert_snapshot!("no_pod", run(&desk, "podman/shopp/container/app"));
}

#[test]
fn a_service_has_replicas_and_projects() {
    let desk = Desk::new();
    desk.program("docker", ENGINE);
    desk.program("podman", "exit 1");
    assert_snapshot!("no_service", run(&desk, "compose/fornt"));
    assert_snapshot!("two_projects", run(&desk, "compose/front"));
    assert_snapshot!("no_replica", run(&desk, "compose/web/container/7"));
}

#[test]
fn an_engine_that_is_missing_or_does_not_answer_is_told() {
    let desk = Desk::new();
    let broken = "echo 'Cannot connect to the Docker daemon.' >&2; exit 1";
    desk.program("docker", broken);
    assert_snapshot!("silent_engine", run(&desk, "docker/web"));
    let only = format!("{}", desk.path("bin").display());
    std::fs::remove_file(desk.path("bin/docker")).unwrap();
    let output = desk.mirrord(&["exec", "-t", "docker/web", "/bin/true"]).env("PATH", only).output().unwrap();
    assert_snapshot!("no_engine", desk.seen(&output));
}
