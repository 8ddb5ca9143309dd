//! One end of a trunk, whose peer says anything: it is refused, or holds no more than it was allowed to.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use mirrord_core::trunk::{News, Side, Terms, Trunk};
use mirrord_protocol::trunk::{
    End, FREE, Frame, LaneId, LaneReport, MAX_LANES, Saying, StrandId, TRUNK_WINDOW,
};

use super::taken::Taken;

const TERMS: Terms = Terms { keep_alive: Duration::from_secs(5), patience: Duration::from_secs(30) };

/// The most steps that are tried: what comes later could have come earlier.
const MOST_STEPS: usize = 4000;

/// One end of a trunk.
pub fn trunk(bytes: &[u8]) {
    let mut taken = Taken(bytes);
    let side = if taken.below(2) == 0 { Side::Near } else { Side::Far };
    let mut now = Duration::from_millis(1);
    let mut end = Trunk::new(side, TERMS, now);
    let (mut n_strands, mut ended) = (0, BTreeSet::new());
    for _ in 0..MOST_STEPS {
        if taken.is_empty() {
            break;
        }
        match taken.below(10) {
            0 if n_strands < 8 => {
                end.add_strand(StrandId(n_strands), now);
                n_strands += 1;
            }
            0 | 1 => end.cut_strand(strand(&mut taken), now),
            2 if side == Side::Near => drop(end.open()),
            2 => {}
            3 => {
                let lane = lane(&mut taken);
                let n_bytes = end.room(lane).min(taken.below(256) * 300);
                if !ended.contains(&lane) {
                    end.write(lane, Bytes::from(vec![7; n_bytes]));
                }
            }
            4 => {
                let lane = lane(&mut taken);
                let mut pulled = VecDeque::new();
                end.pull(lane, &mut pulled, taken.below(256) * 300);
                end.consume(lane, pulled.iter().map(Bytes::len).sum(), now);
            }
            5 => {
                let lane = lane(&mut taken);
                ended.insert(lane);
                end.end(lane, which_end(&mut taken));
            }
            6 => {
                let mut frames = Vec::new();
                end.next_frames(strand(&mut taken), now, &mut frames);
            }
            7 => {
                now += Duration::from_millis(taken.number() % 20_000);
                end.tick(now);
            }
            _ => {
                let (strand, frame) = (strand(&mut taken), frame(&mut taken));
                if end.receive(strand, frame, now).is_err() {
                    // The trunk is over: nothing more is asked of it.
                    return;
                }
            }
        }
        check(&mut end);
    }
}

fn check(end: &mut Trunk) {
    assert!(end.charge() <= TRUNK_WINDOW, "a peer has made us hold {} bytes", end.charge());
    assert!(end.n_lanes() <= MAX_LANES);
    let _ = end.deadline();
    let mut news = Vec::new();
    end.take_news(&mut news);
    assert!(news.iter().filter(|it| matches!(it, News::Opened(_))).count() <= MAX_LANES);
}

fn strand(taken: &mut Taken<'_>) -> StrandId {
    StrandId(u32::try_from(taken.below(9)).unwrap_or(0))
}

fn lane(taken: &mut Taken<'_>) -> LaneId {
    match taken.below(8) {
        7 => LaneId(u32::try_from(taken.number() & 0xffff_ffff).unwrap_or(0)),
        few => LaneId(u32::try_from(few).unwrap_or(0)),
    }
}

fn which_end(taken: &mut Taken<'_>) -> End {
    if taken.below(2) == 0 { End::Finished } else { End::Broken }
}

fn frame(taken: &mut Taken<'_>) -> Frame {
    match taken.below(12) {
        0..=4 => {
            let (lane, offset) = (lane(taken), taken.number());
            Frame::Data { lane, offset, bytes: Bytes::from(vec![7; taken.below(256) * 256]) }
        }
        5 => Frame::End { lane: lane(taken), offset: taken.number(), end: which_end(taken) },
        6 | 7 => {
            let mut reports = Vec::new();
            for _ in 0..=taken.below(3) {
                let (lane, received, consumed, limit) =
                    (lane(taken), taken.number(), taken.number(), taken.number().saturating_add(FREE));
                let end = (taken.below(3) == 0).then(|| which_end(taken));
                reports.push(LaneReport { lane, received, consumed, limit, end });
            }
            Frame::Say(Saying::Report(reports))
        }
        8 => Frame::Say(Saying::Over(lane(taken))),
        9 => Frame::Say(Saying::Cut(strand(taken))),
        10 => Frame::Say(Saying::Pong(taken.number())),
        _ => Frame::Say(match taken.below(6) {
            0 => Saying::Told,
            1 => Saying::Ping(taken.number()),
            2 => Saying::Part,
            3 => Saying::Parted,
            4 => Saying::Violation("so".to_owned()),
            _ => Saying::Report(Vec::new()),
        }),
    }
}
