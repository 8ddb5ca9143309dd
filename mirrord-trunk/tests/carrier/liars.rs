//! Peers that speak other versions, nonsense, or lies: nothing of theirs is believed, and nobody else is hurt.

use std::{future::Future, io, pin::Pin, time::Duration};

use mirrord_protocol::{
    trunk::{Frame, Join, Joined, LaneId, MAX_PIECE, Preamble, Saying, StrandId, TrunkId, VERSION},
    version::Version,
    wire,
};
use mirrord_trunk::{Dial, FarEvent, FarOptions, Near, Parting, Strand, TrunkError};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    net::UnixStream,
};

use crate::stage::{Stage, bytes, far, in_time, options};

/// A far end, and a wire to it whose near end is ours to lie on.
async fn caller(greeting: &[u8]) -> (DuplexStream, tokio::sync::mpsc::UnboundedReceiver<FarEvent>) {
    let (_, far, events) = far(FarOptions::default()).await;
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    far.take_in(Box::new(theirs));
    ours.write_all(greeting).await.unwrap();
    (ours, events)
}

fn greeting(version: Version, trunk: u8, is_new: bool) -> Vec<u8> {
    let join = Join {
        trunk: TrunkId([trunk; 16]),
        strand: StrandId(0),
        is_new,
        keep_alive: 0,
        living: vec![StrandId(u32::MAX)],
    };
    let body = wire::encode(&join).unwrap();
    [&Preamble { version, length: body.len() }.encode()[..], &body].concat()
}

async fn answer(wire: &mut (impl tokio::io::AsyncRead + Unpin)) -> Joined {
    let mut preamble = [0; Preamble::LENGTH];
    in_time(wire.read_exact(&mut preamble)).await.unwrap();
    let preamble = Preamble::parse(preamble).unwrap();
    let mut body = vec![0; preamble.length];
    in_time(wire.read_exact(&mut body)).await.unwrap();
    wire::decode(&body).unwrap()
}

fn spelled(frame: Frame) -> Vec<u8> {
    let (header, body) = frame.encode();
    [&header[..], &body].concat()
}

#[tokio::test]
async fn another_version_is_refused_in_words_that_name_both() {
    let (mut wire, _events) = caller(&greeting(Version { major: 7, minor: 1 }, 4, true)).await;
    let Joined::Refused(words) = answer(&mut wire).await else { panic!("it is refused") };
    assert!(words.contains("7.1") && words.contains(&VERSION.to_string()), "{words}");
}

#[tokio::test]
async fn a_trunk_that_nobody_knows_is_not_begun_by_joining_it() {
    let (mut wire, _events) = caller(&greeting(VERSION, 4, false)).await;
    assert_eq!(answer(&mut wire).await, Joined::Unknown);
}

#[tokio::test]
async fn who_does_not_greet_is_left() {
    let (mut wire, _events) = caller(b"GET / HTTP/1.1\r\nHost: agent\r\n\r\n").await;
    let mut heard = Vec::new();
    in_time(wire.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard, b"");
}

#[tokio::test]
async fn who_breaks_the_rules_is_told_which_one_and_its_trunk_ends() {
    let too_far = Frame::Data { lane: LaneId(1), offset: 1 << 40, bytes: "x".into() };
    let unknown = Frame::Data { lane: LaneId(1 << 30), offset: 0, bytes: "x".into() };
    let boast = [&[255, 255, 255, 0][..], &[0; 12]].concat();
    for (lie, rule) in [
        (spelled(too_far), "more on lane 1 than it was allowed"),
        (spelled(unknown), "never opened"),
        (boast, "more than the 65536 allowed"),
    ] {
        let (mut wire, mut events) = caller(&greeting(VERSION, 4, true)).await;
        assert_eq!(answer(&mut wire).await, Joined::Welcome);
        wire.write_all(&lie).await.unwrap();
        let mut heard = Vec::new();
        in_time(wire.read_to_end(&mut heard)).await.unwrap();
        assert!(String::from_utf8_lossy(&heard).contains(rule), "{rule}");
        loop {
            match in_time(events.recv()).await.unwrap() {
                FarEvent::Ended(_, how) => break assert_eq!(how, Parting::Suddenly),
                FarEvent::Lane(..) | FarEvent::Away(_) | FarEvent::Back(_) => {}
            }
        }
    }
}

#[tokio::test]
async fn noise_ends_its_own_trunk_and_no_other() {
    let mut stage = Stage::new(options()).await;
    let (mut near, mut lane) = stage.lane().await;
    for seed in 0..40_u8 {
        let (mut ours, theirs) = tokio::io::duplex(1 << 20);
        stage.far.take_in(Box::new(theirs));
        ours.write_all(&greeting(VERSION, seed, true)).await.unwrap();
        assert_eq!(answer(&mut ours).await, Joined::Welcome);
        // Headers that are right but for one thing, and then anything.
        let honest = spelled(Frame::Data { lane: LaneId(1), offset: 0, bytes: vec![1; 100].into() });
        ours.write_all(&honest).await.unwrap();
        let _ = ours.write_all(&bytes(seed.into(), 0, 3000)).await;
        drop(ours);
    }
    near.write_all(b"still here").await.unwrap();
    let mut heard = [0; 10];
    in_time(lane.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"still here");
}

/// Whoever dials reaches something that says this.
struct Says(Vec<u8>);

impl Dial for Says {
    fn dial(&self) -> Pin<Box<dyn Future<Output = io::Result<Strand>> + Send + '_>> {
        Box::pin(async {
            let (ours, mut theirs) = UnixStream::pair()?;
            theirs.write_all(&self.0).await?;
            tokio::spawn(async move { tokio::io::copy(&mut theirs, &mut tokio::io::sink()).await });
            Ok(Box::new(ours) as Strand)
        })
    }
}

#[tokio::test]
async fn a_far_end_of_another_version_is_told_from_one_that_is_none() {
    let stranger = Preamble { version: Version { major: 2, minor: 0 }, length: 9 }.encode().to_vec();
    let Err(TrunkError::Refused(words)) = Near::connect(Says(stranger), options()).await else {
        panic!("it is refused")
    };
    assert!(words.contains("2.0") && words.contains(&VERSION.to_string()), "{words}");
    let other = Says(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    assert!(matches!(Near::connect(other, options()).await, Err(TrunkError::Nonsense(_))));
}

#[tokio::test]
async fn a_far_end_that_lies_loses_the_trunk_with_words() {
    let welcome = wire::encode(&Joined::Welcome).unwrap();
    let preamble = Preamble { version: VERSION, length: welcome.len() }.encode();
    let lie = spelled(Frame::Data { lane: LaneId(9), offset: 0, bytes: vec![0; MAX_PIECE].into() });
    let told = spelled(Frame::Say(Saying::Told));
    let says = Says([&preamble[..], &welcome, &told, &lie].concat());
    let (near, mut events) = Near::connect(says, options()).await.unwrap();
    let Some(mirrord_trunk::NearEvent::Lost(why)) = in_time(events.recv()).await else {
        panic!("it is lost")
    };
    assert!(why.contains("lane 9, which was never opened"), "{why}");
    assert!(near.open().is_err());
}

#[test]
fn lanes_may_be_opened_from_any_thread() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut stage = runtime.block_on(Stage::new(options()));
    let lane = stage.near.open().unwrap();
    lane.set_nonblocking(false).unwrap();
    io::Write::write_all(&mut &lane, b"from outside").unwrap();
    let heard = runtime.block_on(async {
        let mut lane = stage.next_lane().await;
        let mut heard = [0; 12];
        in_time(lane.read_exact(&mut heard)).await.unwrap();
        heard
    });
    assert_eq!(&heard, b"from outside");
    runtime.shutdown_timeout(Duration::from_secs(1));
}
