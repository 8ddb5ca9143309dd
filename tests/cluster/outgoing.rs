//! Connections that begin in the pod.

use mirrord_tests::{cluster::Namespace, ground::skip, programs::system, transcript::Transcript};
use serde_json::json;

use crate::{DATABASE, SHOP, guest::python_with};

#[test]
fn the_guest_reaches_a_service_by_name_and_by_address_from_the_pod() {
    let Some(shop) = Namespace::with(SHOP) else { return };
    let pod = shop.ready("app=shop", 1).remove(0);
    // As seen from another pod, whose address the far side is to see.
    let session = shop.session("pod/client", &json!({}));
    let _client = shop.ready("app=client", 1);
    let address = shop.said(&["get", "service", "shop", "-o", "jsonpath={.spec.clusterIP}"]);
    let text = "
import socket, sys
for host in sys.argv[1:]:
    with socket.create_connection((host, 80), 10) as stream:
        stream.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
        answer = b''
        while piece := stream.recv(4096): answer += piece
        print(answer.splitlines()[-1].decode(), stream.getpeername()[0] if host[0].isdigit() else '')
try: socket.create_connection((sys.argv[2], 81), 2)
except OSError as error: print(type(error).__name__)
";
    let told = Transcript::of(python_with(&session, text).args(["shop", &address]));
    let expected = format!("the shop itself, {pod} \nthe shop itself, {pod} {address}\n");
    assert!(told.stdout.starts_with(&expected), "{told:?}");
    shop.assert_clean(&[&session]);
}

#[test]
fn the_guest_asks_a_database_that_only_the_pod_can_reach() {
    let Some(psql) = system("psql") else { return skip("no psql") };
    let Some(shop) = Namespace::with(&format!("{SHOP}---\n{DATABASE}")) else { return };
    let (_db, _shop) = (shop.ready("app=db", 1), shop.ready("app=shop", 1));
    let session = shop.session("deployment/shop", &json!({}));
    let words = "create table bread (n int, name text);
        insert into bread select n, repeat('x', 1000) || n from generate_series(1, 5000) n;
        select count(*), sum(n), sum(length(name)) from bread";
    let mut command = session.command(psql);
    command.args(["-h", "db", "-U", "story", "-d", "postgres", "-qAt", "-c", words]);
    let told = Transcript::of(&mut command);
    assert_eq!(told.stdout.trim(), "5000|12502500|5018893", "{told:?}");
    shop.assert_clean(&[&session]);
}
