//! Guests that read, write, resolve and connect.

use mirrord_tests::guest::{Guest, Tongue};
use serde_json::{Value, json};

use crate::{compare, compare_writer};

/// Everything from there, files to be read; `/etc/shop` and sockets in `/run`, too, although those stay here by default.
fn reading() -> Value {
    json!({
        "fs": { "mode": "read", "read_only": ["^/etc/shop"] },
        "network": { "outgoing": { "unix_streams": ["^/run/"] } },
    })
}

fn writing() -> Value {
    json!({ "fs": { "mode": "write" } })
}

/// Names the tests of guests, each with its tongue, file and settings.
macro_rules! guests {
    ($($test:ident: $compare:ident $tongue:ident $name:literal, $feature:ident;)*) => {$(
        #[test]
        fn $test() {
            $compare(Guest { tongue: Tongue::$tongue, name: $name }, &$feature());
        }
    )*};
}

guests! {
    coreutils_read_files: compare Shell "read", reading;
    coreutils_change_files: compare_writer Shell "write", writing;
    getent_and_dig_resolve: compare Shell "names", reading;
    curl_fetches: compare Shell "curl", reading;
    redis_cli_talks_to_redis: compare Shell "redis", reading;
    children_of_the_shell_are_guests: compare Shell "children", reading;
    python_reads_files: compare Python "files", reading;
    python_changes_files: compare_writer Python "write", writing;
    python_sees_attributes_change: compare_writer Python "attributes", writing;
    python_replaces_files: compare_writer Python "replaced", writing;
    python_connects: compare Python "tcp", reading;
    python_sends_datagrams: compare Python "udp", reading;
    python_resolves: compare Python "names", reading;
    children_of_python_are_guests: compare Python "children", reading;
    node_reads_files: compare Node "files", reading;
    node_changes_files: compare_writer Node "write", writing;
    node_connects_and_resolves: compare Node "net", reading;
    c_walks_trees: compare C "trees", reading;
    c_reads_files: compare C "files", reading;
    c_changes_files: compare_writer C "write", writing;
    c_says_wild_addresses: compare C "wild", writing;
    c_marks_what_it_only_reads: compare_writer C "marks", writing;
    c_connects: compare C "sockets", reading;
    c_sends_datagrams: compare C "datagrams", reading;
    c_asks_from_where_it_sends: compare C "sources", reading;
    c_resolves: compare C "names", reading;
    children_of_c_are_guests: compare C "processes", reading;
}
