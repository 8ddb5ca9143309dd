//! An agent that has stopped, or whose file system hangs: whoever asked is told.

use std::io::{Read, Write};

use mirrord_protocol::{
    GuestPath,
    agent::fs::{FileStat, FsCall},
    id::{RemoteFd, RequestId},
};

use super::*;

/// A link, and the agent's end of its control lane. The clock stands still but for whoever waits.
pub(crate) async fn linked() -> (Link, StdStream) {
    let (lanes, far_end) = Lanes::pair().unwrap();
    let (events, _) = mpsc::unbounded_channel();
    let greeting = tokio::spawn(Link::greet(lanes, Duration::ZERO, "a test".to_owned(), events));
    let mut descriptors = VecDeque::new();
    while descriptors.is_empty() {
        tokio::task::yield_now().await;
        let _ = rights::receive(&far_end, &mut [0], &mut descriptors);
    }
    let mut lane = StdStream::from(descriptors.pop_front().unwrap());
    lane.write_all(&encode_frame(&Welcome::Settled(Version::OURS, LaneKey([0; 16]))).unwrap()).unwrap();
    (greeting.await.unwrap().unwrap(), lane)
}

fn stat() -> AgentCall {
    AgentCall::Fs(FsCall::StatFile(RemoteFd(1)))
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_answered_fails_like_a_disk() {
    let (link, _lane) = linked().await;
    let since = Instant::now();
    let (first, second) = tokio::join!(link.call(stat(), None), link.call(stat(), None));
    assert_eq!([first.unwrap_err().errno, second.unwrap_err().errno], [libc::EIO; 2]);
    assert!((60..=65).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    assert!(!link.is_gone());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_is_nobodys_and_what_it_opened_is_closed() {
    let (link, mut lane) = linked().await;
    assert_eq!(link.call(stat(), None).await.unwrap_err().errno, libc::EIO);
    let path = GuestPath::from("/x");
    let file = Some(RemoteFd(7));
    let opened = FsAnswer::Opened { file, path, stat: FileStat::default(), contents: None };
    let answer =
        FromAgent::Answer { id: RequestId(1), outcome: Ok(AgentAnswer::Fs(opened)), descriptor: false };
    lane.write_all(&encode_frame(&answer).unwrap()).unwrap();
    let mut reader = FrameReader::default();
    lane.set_nonblocking(true).unwrap();
    let closed = loop {
        let mut piece = [0; 4096];
        if let Ok(n_read) = lane.read(&mut piece) {
            reader.feed(&piece[..n_read]);
        }
        let frame = reader.next_frame().unwrap();
        match frame.map(|frame| wire::decode::<ToAgent>(&frame)) {
            Some(Ok(ToAgent { call: AgentCall::Close(file), .. })) => break file,
            Some(_) => {}
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!(closed, RemoteFd(7));
}
