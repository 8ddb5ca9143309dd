//! Bytes of lanes arrive whole, whatever happens to strands and neighbours.

use std::{future::Future, io, pin::Pin, time::Duration};

use mirrord_trunk::{
    Dial, Far, FarEvent, FarOptions, Near, Strand,
    pinned::{self, Identity, PublicKey},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::stage::{Stage, bytes, drink, in_time, options, pour};

const MB: u64 = 1 << 20;

#[tokio::test]
async fn a_lane_opens_with_its_first_bytes_and_answers() {
    let mut stage = Stage::new(options()).await;
    let (mut near, mut far) = stage.lane().await;
    near.write_all(b"ping").await.unwrap();
    let mut heard = [0; 4];
    in_time(far.read_exact(&mut heard)).await.unwrap();
    far.write_all(b"pong").await.unwrap();
    in_time(near.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"pong");
    assert!(in_time(stage.near.round_trip()).await.unwrap() < Duration::from_secs(5));
}

/// Pours both ways through several lanes at once.
async fn pour_through(stage: &mut Stage, n_lanes: u64, n_bytes: u64) {
    let mut tasks = Vec::new();
    for lane in 0..n_lanes {
        let (near, far) = stage.lane().await;
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        tasks.push(tokio::spawn(async move {
            let ((), (), up, down) = tokio::join!(
                pour(near_write, lane, n_bytes),
                pour(far_write, lane + 100, n_bytes),
                drink(far_read, lane),
                drink(near_read, lane + 100),
            );
            assert_eq!((up, down), (n_bytes, n_bytes));
        }));
    }
    for task in tasks {
        in_time(task).await.unwrap();
    }
}

#[tokio::test]
async fn bulk_arrives_whole_both_ways() {
    let mut stage = Stage::new(options()).await;
    pour_through(&mut stage, 3, 24 * MB).await;
}

#[tokio::test]
async fn strands_that_are_cut_anywhere_lose_nothing_and_double_nothing() {
    let mut stage = Stage::new(options()).await;
    let cuts = (0..40_usize).map(|n| 10_000 + (n * 7_654_321) % 3_000_000).collect();
    stage.way.cut_strands_after(cuts);
    stage.way.cut();
    pour_through(&mut stage, 4, 16 * MB).await;
}

#[tokio::test]
async fn one_strand_is_enough() {
    let mut stage = Stage::new(mirrord_trunk::NearOptions { n_strands: 1, ..options() }).await;
    stage.way.cut_strands_after(vec![999_999, 3_000_000, 1, 65_536, 123_456]);
    stage.way.cut();
    pour_through(&mut stage, 2, 8 * MB).await;
}

#[tokio::test]
async fn a_reader_who_sleeps_does_not_block_others() {
    let mut stage = Stage::new(options()).await;
    let (sleeper, mut writer) = stage.lane().await;
    let flood = tokio::spawn(async move {
        let piece = vec![0; 1 << 20];
        for _ in 0..64 {
            writer.write_all(&piece).await?;
        }
        std::io::Result::Ok(writer)
    });
    pour_through(&mut stage, 2, 8 * MB).await;
    assert!(!flood.is_finished(), "somebody holds 64 MB that nobody reads");
    drop(sleeper);
    assert!(in_time(flood).await.unwrap().is_err(), "a lane that is gone cannot be written to");
}

#[tokio::test]
async fn a_side_that_has_said_all_still_listens() {
    let mut stage = Stage::new(options()).await;
    let (mut near, mut far) = stage.lane().await;
    near.write_all(b"question").await.unwrap();
    near.shutdown().await.unwrap();
    let mut heard = Vec::new();
    in_time(far.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard, b"question");
    let ((), n_bytes) = tokio::join!(pour(far, 1, 3_000_000), drink(near, 1));
    assert_eq!(n_bytes, 3_000_000);
}

#[tokio::test]
async fn a_lane_that_is_let_go_breaks_at_the_other_end() {
    let mut stage = Stage::new(options()).await;
    let (near, mut far) = stage.lane().await;
    drop(near);
    assert_eq!(in_time(far.read(&mut [0; 9])).await.unwrap(), 0);
    let piece = vec![0; 1 << 16];
    let outcome = in_time(async {
        loop {
            if let Err(error) = far.write_all(&piece).await {
                return error;
            }
        }
    });
    assert_eq!(outcome.await.kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn what_was_said_before_a_break_is_heard() {
    let mut stage = Stage::new(options()).await;
    let (mut near, mut far) = stage.lane().await;
    // Unread bytes make a break of the close.
    far.write_all(b"unread").await.unwrap();
    in_time(near.readable()).await.unwrap();
    in_time(near.write_all(&bytes(5, 0, 200_000))).await.unwrap();
    drop(near);
    assert_eq!(drink(far, 5).await, 200_000);
}

#[tokio::test]
async fn strands_may_be_pinned() {
    let (near_key, far_key) = (Identity::new().unwrap(), Identity::new().unwrap());
    let (far, mut far_events) = Far::new(FarOptions::default());
    let pinned = Pinned { near_pin: far_key.public(), near_key, far_key, far };
    let (near, _near_events) = Near::connect(pinned, options()).await.unwrap();
    let mut lane = UnixStream::from_std(near.open().unwrap()).unwrap();
    in_time(lane.write_all(b"!")).await.unwrap();
    let Some(FarEvent::Lane(_, mut far_lane)) = in_time(far_events.recv()).await else {
        panic!("a lane has come")
    };
    assert_eq!(in_time(far_lane.read_u8()).await.unwrap(), b'!');
    let ((), n_bytes) = tokio::join!(pour(far_lane, 8, 6 * MB), drink(&mut lane, 8));
    assert_eq!(n_bytes, 6 * MB);
}

/// Strands of TLS within this process.
struct Pinned {
    near_key: Identity,
    near_pin: PublicKey,
    far_key: Identity,
    far: Far,
}

impl Dial for Pinned {
    fn dial(&self) -> Pin<Box<dyn Future<Output = io::Result<Strand>> + Send + '_>> {
        Box::pin(async {
            let (ours, theirs) = tokio::io::duplex(100_000);
            let far_pin = self.near_key.public();
            let (near, far) = tokio::join!(
                pinned::connect(Box::new(ours), &self.near_key, &self.near_pin),
                pinned::accept(Box::new(theirs), &self.far_key, &far_pin),
            );
            self.far.take_in(far?);
            near
        })
    }
}
