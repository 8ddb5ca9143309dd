//! How trunks go away, come back, and end.

use std::time::Duration;

use mirrord_trunk::{FarEvent, FarOptions, Near, NearEvent, NearOptions, Parting};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::stage::{Dialer, Stage, bytes, drink, far, in_time, options};

const EPIPE: i32 = 32;

#[tokio::test]
async fn both_ends_are_told_of_a_cut_and_of_the_return() {
    let mut stage = Stage::new(options()).await;
    let (mut near, mut far) = stage.lane().await;
    stage.way.close(true);
    assert!(matches!(stage.next_near().await, NearEvent::Away(_)));
    assert!(matches!(stage.next_far().await, FarEvent::Away(_)));
    near.write_all(b"said while away").await.unwrap();
    stage.way.close(false);
    assert!(matches!(stage.next_near().await, NearEvent::Back(_)));
    assert!(matches!(stage.next_far().await, FarEvent::Back(_)));
    let mut heard = [0; 15];
    in_time(far.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"said while away");
}

#[tokio::test]
async fn a_near_end_that_cannot_come_back_is_lost_at_both_ends() {
    let patience = Duration::from_millis(300);
    let mut stage = Stage::new(NearOptions { patience, ..options() }).await;
    let (mut near, mut far) = stage.lane().await;
    stage.way.close(true);
    assert!(matches!(stage.next_near().await, NearEvent::Away(_)));
    let NearEvent::Lost(why) = stage.next_near().await else { panic!("it is lost") };
    assert!(why.contains("in time"), "{why}");
    assert_eq!(in_time(stage.near_events.recv()).await, None);
    assert!(matches!(stage.next_far().await, FarEvent::Away(_)));
    assert!(matches!(stage.next_far().await, FarEvent::Ended(_, Parting::Suddenly)));
    assert_eq!(in_time(near.read(&mut [0; 1])).await.unwrap(), 0);
    assert_eq!(in_time(far.read(&mut [0; 1])).await.unwrap(), 0);
    assert_eq!(stage.near.open().unwrap_err().raw_os_error(), Some(EPIPE));
    assert!(stage.near.round_trip().await.is_err());
}

#[tokio::test]
async fn a_far_end_that_was_started_anew_says_so_at_once() {
    let (way, first, _events) = far(FarOptions::default()).await;
    let (near, mut events) = Near::connect(Dialer(way.clone()), options()).await.unwrap();
    let mut lane = tokio::net::UnixStream::from_std(near.open().unwrap()).unwrap();
    lane.write_all(b"hello").await.unwrap();
    // What knew the trunk has forgotten it.
    way.close(true);
    assert!(matches!(in_time(events.recv()).await, Some(NearEvent::Away(_))));
    first.shutdown().await;
    way.close(false);
    let Some(NearEvent::Lost(why)) = in_time(events.recv()).await else { panic!("it is lost") };
    assert!(why.contains("does not know this session"), "{why}");
    assert_eq!(in_time(lane.read(&mut [0; 1])).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn parting_in_order_delivers_everything_first() {
    let mut stage = Stage::new(options()).await;
    let (mut near, far) = stage.lane().await;
    let reader = tokio::spawn(drink(far, 3));
    in_time(near.write_all(&bytes(3, 0, 2_000_000))).await.unwrap();
    drop(near);
    let mut last = stage.open();
    last.write_all(b"last words").await.unwrap();
    stage.near.part();
    assert_eq!(in_time(stage.near_events.recv()).await, None);
    let mut heard = Vec::new();
    let mut lane = stage.next_lane().await;
    in_time(lane.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard, b"last words");
    assert!(matches!(stage.next_far().await, FarEvent::Ended(_, Parting::InOrder)));
    assert_eq!(in_time(reader).await.unwrap(), 2_000_000);
    assert!(stage.near.open().is_err());
}

#[tokio::test]
async fn a_far_end_that_goes_delivers_its_last_words() {
    let mut stage = Stage::new(options()).await;
    let (mut near, mut far) = stage.lane().await;
    far.write_all(b"the target is gone").await.unwrap();
    in_time(stage.far.shutdown()).await;
    let mut heard = Vec::new();
    in_time(near.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard, b"the target is gone");
    assert!(matches!(stage.next_near().await, NearEvent::Lost(_)));
}

#[tokio::test]
async fn a_way_that_swallows_everything_is_noticed_and_left() {
    let keep_alive = Duration::from_millis(100);
    let mut stage = Stage::new(NearOptions { keep_alive, ..options() }).await;
    let (mut near, mut far) = stage.lane().await;
    stage.way.blacken(true);
    near.write_all(b"lost and sent again").await.unwrap();
    let NearEvent::Away(why) = stage.next_near().await else { panic!("it is away") };
    assert!(why.contains("nothing is heard"), "{why}");
    stage.way.blacken(false);
    let mut heard = [0; 19];
    in_time(far.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"lost and sent again");
}

#[tokio::test]
async fn an_idle_trunk_stays() {
    let keep_alive = Duration::from_millis(50);
    let mut stage = Stage::new(NearOptions { keep_alive, ..options() }).await;
    let (mut near, mut far) = stage.lane().await;
    tokio::time::timeout(Duration::from_millis(600), stage.near_events.recv()).await.unwrap_err();
    near.write_all(b"x").await.unwrap();
    assert_eq!(in_time(far.read_u8()).await.unwrap(), b'x');
}
