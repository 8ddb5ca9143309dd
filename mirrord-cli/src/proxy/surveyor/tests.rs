//! How often an agent is asked for the attributes of a folder's names.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use mirrord_protocol::{
    agent::{FromAgent, ToAgent},
    frame::{FrameReader, encode_frame},
    wire,
};

use super::*;
use crate::proxy::link::tests::linked;

/// Answers what is asked, and counts it. Names that begin with `x` are asked alone only; those with `n` are not there.
fn answer(mut lane: UnixStream, n_questions: &AtomicUsize) {
    let (mut reader, mut piece, mut is_greeted) = (FrameReader::default(), [0; 4096], false);
    let stat = |name: &[u8]| FileStat { inode: 3, size: name.len() as u64, ..FileStat::default() };
    while let Ok(n_read @ 1..) = lane.read(&mut piece) {
        reader.feed(&piece[..n_read]);
        while let Some(frame) = reader.next_frame().unwrap() {
            if !std::mem::replace(&mut is_greeted, true) {
                continue;
            }
            n_questions.fetch_add(1, Ordering::Relaxed);
            let ToAgent { id, call, .. } = wire::decode(&frame).unwrap();
            let answer = match call {
                AgentCall::Fs(FsCall::StatNames { names, .. }) => {
                    let is_told = |name: &&ByteBuf| !matches!(name.first(), Some(b'x' | b'n'));
                    let stats = names.iter().map(|name| Some(name).filter(is_told).map(|name| stat(name)));
                    Ok(FsAnswer::Stats(stats.collect()))
                }
                AgentCall::Fs(FsCall::Stat { path, .. }) => {
                    match path.as_bytes().strip_prefix(b"/many/").unwrap() {
                        [b'n', ..] => Err(Fault::os(libc::ENOENT)),
                        name => Ok(FsAnswer::Stat(stat(name))),
                    }
                }
                call => panic!("nobody asks for {call:?}"),
            };
            let outcome = answer.map(AgentAnswer::Fs);
            let frame = encode_frame(&FromAgent::Answer { id, outcome, descriptor: false }).unwrap();
            lane.write_all(&frame).unwrap();
        }
    }
}

#[tokio::test]
async fn a_listing_with_attributes_takes_few_questions_and_tells_what_each_name_has() {
    let (link, lane) = linked().await;
    let n_questions = Arc::new(AtomicUsize::new(0));
    let counted = n_questions.clone();
    thread::spawn(move || answer(lane, &counted));
    let surveyor = Surveyor::new(Agent::only(link), Numbers::default());
    let mut names: Vec<String> = (0..2_000).map(|n| format!("{n}")).collect();
    names.extend(["x-alone", "n-gone"].map(String::from));
    let entry = |name: &String| Entry { name: ByteBuf::from(name.as_str()), kind: 8, inode: 3 };
    surveyor.handle_listed(GuestPath::from("/many"), Arc::new(names.iter().map(entry).collect()));
    for name in &names {
        let path = GuestPath::from(format!("/many/{name}").as_str());
        match surveyor.ask(path, false).await {
            Ok(stat) => assert_eq!(stat.size, name.len() as u64, "{name}"),
            Err(fault) => assert_eq!((name.as_str(), fault.errno), ("n-gone", libc::ENOENT)),
        }
    }
    let n_questions = n_questions.load(Ordering::Relaxed);
    assert!(n_questions < 40, "{n_questions} questions");
}
