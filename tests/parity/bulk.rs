//! A gigabyte each way, and every byte looked at.

use mirrord_tests::{
    ground::skip,
    guest::{Guest, Tongue},
    session::Session,
    transcript::Transcript,
};
use serde_json::json;

use crate::{pod, wanted_paths};

const BULK: Guest = Guest { tongue: Tongue::Python, name: "bulk" };

fn transfer(size: &str, manner: &str) {
    if let Some(why) = BULK.missing() {
        return skip(&why);
    }
    let mut inside = BULK.inside(pod());
    let bare = Transcript::of(inside.args([size, manner]));
    assert!(bare.stdout.ends_with(&format!(" down {size}\n")), "{bare:?}");
    for data_path in wanted_paths() {
        let session = Session::new(pod(), data_path, &json!({}));
        let mut outside = BULK.outside(&session);
        let told = Transcript::of(outside.args([size, manner]));
        assert_eq!(bare.difference(&told), None, "{data_path:?}");
    }
}

#[test]
fn a_gigabyte_goes_each_way_whole() {
    transfer("1073741824", "fast");
}

#[test]
fn partial_writes_and_a_slow_reader_lose_nothing() {
    transfer("20000000", "slow");
}
