//! Stories of two ends, and of peers that lie.

mod chance;
mod pair;

use std::time::Duration;

use bytes::Bytes;
use mirrord_protocol::trunk::{
    End, FIRST_WINDOW, Frame, LaneId, LaneReport, MAX_LANES, MAX_PIECE, Saying, StrandId, TRUNK_WINDOW,
};

use self::pair::{MS, Pair};
use super::{News, NoLane, Violation};

const NEAR: usize = 0;
const FAR: usize = 1;

fn data(lane: u32, offset: u64, n_bytes: usize) -> Frame {
    Frame::Data { lane: LaneId(lane), offset, bytes: Bytes::from(vec![0; n_bytes]) }
}

#[test]
fn a_lane_opens_with_its_first_bytes() {
    let mut pair = Pair::new(1);
    let lane = pair.open();
    pair.write(NEAR, lane, 5);
    pair.run();
    assert!(pair.ends[FAR].news.contains(&News::Opened(lane)));
    pair.read(FAR, lane, 100);
    assert_eq!(pair.ends[FAR].lanes[&lane].read, 5);
}

#[test]
fn a_lane_whose_ends_have_both_been_heard_is_gone_at_both_sides() {
    let mut pair = Pair::new(3);
    let lane = pair.open();
    pair.write(NEAR, lane, 5);
    pair.end(NEAR, lane, End::Finished);
    pair.run_and_read();
    assert_eq!((pair.ends[NEAR].trunk.n_lanes(), pair.ends[FAR].trunk.n_lanes()), (1, 1));
    pair.write(FAR, lane, 5000);
    pair.end(FAR, lane, End::Finished);
    pair.run_and_read();
    assert_eq!((pair.ends[NEAR].trunk.n_lanes(), pair.ends[FAR].trunk.n_lanes()), (0, 0));
    assert!(pair.ends[FAR].news.contains(&News::Gone(lane)));
}

#[test]
fn a_writer_waits_for_its_reader() {
    let mut pair = Pair::new(2);
    let lane = pair.open();
    let mut n_written = 0;
    for _ in 0..100 {
        n_written += pair.write(NEAR, lane, MAX_PIECE) as u64;
        pair.run();
    }
    assert_eq!(n_written, FIRST_WINDOW);
    pair.read(FAR, lane, usize::MAX);
    pair.run();
    assert!(pair.write(NEAR, lane, MAX_PIECE) > 0);
}

#[test]
fn small_things_go_before_bulk_where_there_is_one_strand() {
    let mut pair = Pair::new(1);
    let (control, bulk, other) = (pair.open(), pair.open(), pair.open());
    for _ in 0..4 {
        pair.write(NEAR, bulk, MAX_PIECE);
        pair.said(NEAR);
    }
    pair.write(NEAR, bulk, MAX_PIECE);
    pair.write(NEAR, other, 64);
    pair.write(NEAR, control, 64);
    let lanes: Vec<LaneId> = pair
        .said(NEAR)
        .into_iter()
        .filter_map(|(_, frame)| if let Frame::Data { lane, .. } = frame { Some(lane) } else { None })
        .collect();
    assert_eq!(lanes[..2], [control, other]);
}

#[test]
fn bulk_leaves_the_strand_of_small_things() {
    let mut pair = Pair::new(3);
    let (small, bulk) = (pair.open(), pair.open());
    pair.write(NEAR, bulk, MAX_PIECE);
    pair.said(NEAR);
    pair.write(NEAR, bulk, MAX_PIECE);
    pair.write(NEAR, small, 10);
    for (strand, frame) in pair.said(NEAR) {
        if let Frame::Data { lane, .. } = frame {
            assert_eq!(lane == small, strand == StrandId(0), "{lane} by {strand}");
        }
    }
}

#[test]
fn lanes_of_bulk_take_turns() {
    let mut pair = Pair::new(1);
    pair.open();
    let lanes = [pair.open(), pair.open(), pair.open()];
    let mut sent = Vec::new();
    for _ in 0..12 {
        for lane in lanes {
            pair.write(NEAR, lane, MAX_PIECE);
        }
        for (_, frame) in pair.said(NEAR) {
            if let Frame::Data { lane, .. } = frame {
                sent.push(lane);
            }
        }
    }
    let counts = lanes.map(|lane| sent.iter().filter(|it| **it == lane).count());
    assert!(counts.iter().all(|n| *n >= 3), "{counts:?}");
}

#[test]
fn what_was_under_way_on_a_cut_strand_goes_by_another() {
    let mut pair = Pair::new(2);
    let lane = pair.open();
    pair.write(NEAR, lane, 60_000);
    for strand in pair.strands() {
        pair.send(NEAR, strand);
    }
    pair.cut(StrandId(0), [0, 0], NEAR);
    pair.run_and_read();
    assert_eq!(pair.ends[FAR].lanes[&lane].read, 60_000);
    assert_eq!(pair.strands(), [StrandId(1)], "the far end has heard of the cut");
}

#[test]
fn a_trunk_without_strands_waits_and_is_back() {
    let mut pair = Pair::new(1);
    let lane = pair.open();
    pair.cut(StrandId(0), [0, 0], NEAR);
    assert!(!pair.arrive(FAR, StrandId(0)).unwrap());
    pair.write(NEAR, lane, 10);
    pair.pass(7000 * MS);
    assert!(pair.ends[NEAR].news.contains(&News::Away));
    pair.add_strand();
    pair.run_and_read();
    assert!(pair.ends[NEAR].news.contains(&News::Back(7000 * MS)));
    assert_eq!(pair.ends[FAR].lanes[&lane].read, 10);
}

#[test]
fn patience_ends() {
    let mut pair = Pair::new(1);
    pair.cut(StrandId(0), [0, 0], NEAR);
    pair.pass(29_000 * MS);
    assert!(!pair.ends[NEAR].news.contains(&News::Expired));
    pair.pass(2_000 * MS);
    assert!(pair.ends[NEAR].news.contains(&News::Expired));
    assert_eq!(pair.ends[NEAR].trunk.deadline(), None);
}

#[test]
fn a_strand_that_does_not_answer_is_cut() {
    let mut pair = Pair::new(2);
    pair.pass(5_000 * MS);
    assert!(pair.has_said(NEAR, &Saying::Ping(0)));
    // What was said has come to nothing, on both strands.
    pair.pass(10_000 * MS);
    assert!(pair.strands().is_empty());
    assert!(pair.ends[NEAR].news.contains(&News::Away));
}

#[test]
fn after_a_sleep_strands_must_prove_soon_that_they_live() {
    let mut pair = Pair::new(2);
    pair.ends[NEAR].trunk.doubt(pair.now);
    pair.run();
    pair.pass(2_000 * MS);
    assert_eq!(pair.strands().len(), 2, "both have answered");
    pair.ends[NEAR].trunk.doubt(pair.now);
    pair.pass(2_000 * MS);
    assert!(pair.ends[NEAR].news.contains(&News::Away));
}

#[test]
fn a_strand_that_answers_stays_for_ever() {
    let mut pair = Pair::new(2);
    for _ in 0..100 {
        pair.pass(2_500 * MS);
        pair.run();
    }
    assert_eq!(pair.strands().len(), 2);
}

#[test]
fn a_break_is_heard_after_what_was_said_before_it() {
    let mut pair = Pair::new(2);
    let lane = pair.open();
    pair.write(NEAR, lane, 1000);
    pair.run();
    pair.write(NEAR, lane, 1000);
    pair.end(NEAR, lane, End::Broken);
    pair.run_and_read();
    let reader = &pair.ends[FAR].lanes[&lane];
    assert_eq!((reader.read, reader.heard), (2000, Some(End::Broken)));
    assert_eq!(pair.write(FAR, lane, 10), 0);
    assert_eq!((pair.ends[NEAR].trunk.n_lanes(), pair.ends[FAR].trunk.n_lanes()), (0, 0));
}

#[test]
fn who_goes_leaves_what_has_arrived_and_no_lane_open() {
    let mut pair = Pair::new(2);
    let (whole, part) = (pair.open(), pair.open());
    for lane in [whole, part] {
        pair.write(NEAR, lane, 1000);
    }
    pair.end(NEAR, whole, End::Finished);
    pair.run();
    pair.ends[FAR].trunk.release();
    for lane in [whole, part] {
        pair.read(FAR, lane, usize::MAX);
    }
    let heard = [whole, part].map(|lane| pair.ends[FAR].lanes[&lane].heard);
    assert_eq!(heard, [Some(End::Finished), Some(End::Broken)]);
    assert_eq!(pair.ends[FAR].lanes[&part].read, 1000);
    assert_eq!((pair.ends[FAR].trunk.n_lanes(), pair.ends[FAR].trunk.charge()), (0, 0));
}

#[test]
fn a_trunk_has_so_many_lanes_and_none_when_it_ends() {
    let mut pair = Pair::new(1);
    for _ in 0..MAX_LANES {
        pair.open();
    }
    assert_eq!(pair.ends[NEAR].trunk.open(), Err(NoLane::TooMany));
    pair.ends[NEAR].trunk.begin_parting();
    assert_eq!(pair.ends[NEAR].trunk.open(), Err(NoLane::Ending));
}

#[test]
fn windows_grow_to_what_the_way_can_hold() {
    let mut pair = Pair::new(2);
    let lane = pair.open();
    let mut in_one_trip = 0;
    for _ in 0..6 {
        in_one_trip = 0;
        loop {
            let n_written = pair.write(NEAR, lane, MAX_PIECE) as u64;
            pair.run();
            in_one_trip += n_written;
            if n_written == 0 {
                break;
            }
        }
        pair.pass(MS);
        pair.read(FAR, lane, usize::MAX);
        pair.run();
    }
    assert!(in_one_trip > 8 * FIRST_WINDOW, "{in_one_trip}");
}

#[test]
fn sleeping_readers_take_no_more_than_the_trunk_has() {
    let mut pair = Pair::new(2);
    pair.open();
    let lanes: Vec<LaneId> = (0..300).map(|_| pair.open()).collect();
    for _ in 0..5 {
        for lane in &lanes {
            pair.write(NEAR, *lane, MAX_PIECE);
        }
        pair.run();
    }
    assert_eq!(pair.ends[FAR].trunk.charge(), TRUNK_WINDOW);
    // Others still get through.
    let late = pair.open();
    pair.write(NEAR, late, 10_000);
    pair.run_and_read();
    assert_eq!(pair.ends[FAR].lanes[&late].read, 10_000);
    // And so do the sleepers, when they have woken.
    pair.run_and_read();
    assert_eq!(pair.ends[FAR].trunk.charge(), 0);
    for lane in lanes {
        assert_eq!(pair.ends[FAR].lanes[&lane].read, pair.ends[NEAR].lanes[&lane].written);
    }
}

#[test]
fn who_exceeds_its_credit_is_told() {
    let mut pair = Pair::new(1);
    for offset in 0..FIRST_WINDOW / MAX_PIECE as u64 {
        pair.forge(FAR, data(1, offset * MAX_PIECE as u64, MAX_PIECE)).unwrap();
    }
    let violation = pair.forge(FAR, data(1, FIRST_WINDOW, 1)).unwrap_err();
    assert_eq!(violation, Violation::BeyondCredit(LaneId(1)));
    pair.ends[FAR].trunk.accuse(&violation);
    assert!(pair.has_said(FAR, &Saying::Violation("peer sent more on lane 1 than it was allowed".into())));
    assert_eq!(
        pair.forge(FAR, data(2, u64::MAX, 5)).unwrap_err(),
        Violation::BeyondCredit(LaneId(2)),
        "an offset that overflows"
    );
}

#[test]
fn who_lies_about_lanes_is_told() {
    let mut pair = Pair::new(1);
    let unknown = |lane| Violation::UnknownLane(LaneId(lane));
    assert_eq!(pair.forge(NEAR, data(5, 0, 1)), Err(unknown(5)), "only the near side opens lanes");
    assert_eq!(pair.forge(FAR, data(0, 0, 1)), Err(unknown(0)));
    assert_eq!(pair.forge(FAR, data(1 << 30, 0, 1)), Err(unknown(1 << 30)));
    let lane = pair.open();
    assert_eq!(
        pair.forge(NEAR, Frame::Say(Saying::Over(lane))),
        Err(Violation::EarlyOver(lane)),
        "it has not ended"
    );
}

#[test]
fn who_moves_an_end_is_told() {
    let mut pair = Pair::new(1);
    let end = |offset| Frame::End { lane: LaneId(1), offset, end: End::Finished };
    pair.forge(FAR, end(100)).unwrap();
    pair.forge(FAR, end(100)).unwrap();
    assert_eq!(pair.forge(FAR, end(101)), Err(Violation::BeyondEnd(LaneId(1))));
    assert_eq!(pair.forge(FAR, data(1, 100, 1)), Err(Violation::BeyondEnd(LaneId(1))));
    pair.forge(FAR, data(2, 0, 10)).unwrap();
    let early = Frame::End { lane: LaneId(2), offset: 9, end: End::Finished };
    assert_eq!(pair.forge(FAR, early), Err(Violation::BeyondEnd(LaneId(2))));
}

#[test]
fn who_reports_what_was_never_sent_is_told() {
    let mut pair = Pair::new(1);
    let lane = pair.open();
    pair.write(NEAR, lane, 100);
    pair.run();
    let report = |received, consumed, end| {
        Frame::Say(Saying::Report(vec![LaneReport { lane, received, consumed, limit: 1 << 40, end }]))
    };
    pair.forge(NEAR, report(100, 50, None)).unwrap();
    for lie in [report(101, 0, None), report(10, 11, None), report(100, 0, Some(End::Finished))] {
        assert_eq!(pair.forge(NEAR, lie), Err(Violation::FalseReport(lane)));
    }
}

#[test]
fn who_sends_crumbs_makes_us_hold_no_more_than_their_bytes() {
    let mut pair = Pair::new(1);
    let mut outcome = Ok(());
    for crumb in 0..100_000 {
        outcome = outcome.and_then(|()| pair.forge(FAR, data(1, crumb * 2 + 1, 1)));
    }
    assert_eq!(outcome, Err(Violation::Crumbs(LaneId(1))));
}

#[test]
fn a_round_trip_is_measured() {
    let mut pair = Pair::new(1);
    let number = pair.ends[NEAR].trunk.ask();
    pair.send(NEAR, StrandId(0));
    pair.pass(30 * MS);
    pair.run();
    assert!(pair.ends[NEAR].news.contains(&News::RoundTrip(number, Duration::from_millis(30))));
}
