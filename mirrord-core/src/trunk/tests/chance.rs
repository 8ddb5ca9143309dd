//! Whatever happens in whatever order, every byte arrives once and in order, and nothing is left.

use mirrord_protocol::trunk::{End, LaneId, StrandId, TRUNK_WINDOW};
use proptest::{prelude::*, sample::Index};

use super::pair::{MS, Pair};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happening {
    Open,
    Write(usize, Index, usize),
    Read(usize, Index, usize),
    End(usize, Index, End),
    Send(usize, Index),
    Arrive(usize, Index, usize),
    Cut(Index, [usize; 2], usize),
    Add,
    Pass(u32),
}

fn happening() -> impl Strategy<Value = Happening> {
    let who = 0..2_usize;
    prop_oneof![
        1 => Just(Happening::Open),
        6 => (who.clone(), any::<Index>(), 1..100_000_usize).prop_map(|(w, i, n)| Happening::Write(w, i, n)),
        2 => (who.clone(), any::<Index>(), 1..40_usize).prop_map(|(w, i, n)| Happening::Write(w, i, n)),
        4 => (who.clone(), any::<Index>(), 1..200_000_usize).prop_map(|(w, i, n)| Happening::Read(w, i, n)),
        1 => (who.clone(), any::<Index>(), prop_oneof![4 => Just(End::Finished), 1 => Just(End::Broken)])
            .prop_map(|(w, i, end)| Happening::End(w, i, end)),
        8 => (who.clone(), any::<Index>()).prop_map(|(w, i)| Happening::Send(w, i)),
        8 => (who.clone(), any::<Index>(), 1..6_usize).prop_map(|(w, i, n)| Happening::Arrive(w, i, n)),
        1 => (any::<Index>(), [0..5_usize, 0..5_usize], who).prop_map(|(i, n, w)| Happening::Cut(i, n, w)),
        1 => Just(Happening::Add),
        1 => (1..40_u32).prop_map(Happening::Pass),
    ]
}

fn lane(pair: &Pair, who: usize, index: Index) -> Option<LaneId> {
    let mut lanes: Vec<LaneId> = pair.ends[who].lanes.keys().copied().collect();
    lanes.sort();
    (!lanes.is_empty()).then(|| *index.get(&lanes))
}

fn strand(pair: &Pair, index: Index) -> Option<StrandId> {
    let strands = pair.strands();
    (!strands.is_empty()).then(|| *index.get(&strands))
}

fn happen(pair: &mut Pair, happening: &Happening) {
    match *happening {
        Happening::Open => drop(pair.open()),
        Happening::Write(who, index, most) => {
            if let Some(lane) = lane(pair, who, index) {
                pair.write(who, lane, most);
            }
        }
        Happening::Read(who, index, most) => {
            if let Some(lane) = lane(pair, who, index) {
                pair.read(who, lane, most);
            }
        }
        Happening::End(who, index, end) => {
            if let Some(lane) = lane(pair, who, index) {
                pair.end(who, lane, end);
            }
        }
        Happening::Send(who, index) => {
            if let Some(strand) = strand(pair, index) {
                pair.send(who, strand);
            }
        }
        Happening::Arrive(who, index, n_frames) => {
            for _ in 0..n_frames {
                if let Some(strand) = strand(pair, index) {
                    pair.arrive(who, strand).unwrap();
                }
            }
        }
        Happening::Cut(index, arriving, who) => {
            if let Some(strand) = strand(pair, index) {
                pair.cut(strand, arriving, who);
            }
        }
        Happening::Add => {
            if pair.strands().len() < 4 {
                pair.add_strand();
            }
        }
        Happening::Pass(ms) => pair.pass(ms * MS),
    }
}

/// Everything that was written has been read, unless somebody broke the lane; then a part of it has.
fn check_arrived(pair: &Pair) -> Result<(), TestCaseError> {
    for who in 0..2 {
        for (id, writer) in &pair.ends[who].lanes {
            let Some(reader) = pair.ends[1 - who].lanes.get(id) else {
                prop_assert_eq!(writer.written, 0);
                continue;
            };
            prop_assert!(reader.read <= writer.written);
            let is_broken = [writer.ended, reader.ended].contains(&Some(End::Broken));
            if !is_broken {
                prop_assert_eq!(reader.read, writer.written, "lane {}", id);
                prop_assert_eq!(reader.heard, writer.ended, "lane {}", id);
            } else if writer.ended == Some(End::Broken) && reader.ended != Some(End::Broken) {
                // Who had finished before may have been heard out before it broke.
                prop_assert_eq!(reader.read, writer.written, "lane {}", id);
                prop_assert!(reader.heard.is_some(), "lane {}", id);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn each_byte_arrives_once_and_in_order(happenings in prop::collection::vec(happening(), 1..400)) {
        let mut pair = Pair::new(2);
        pair.open();
        for happening in happenings {
            happen(&mut pair, &happening);
            for end in &pair.ends {
                prop_assert!(end.trunk.charge() <= TRUNK_WINDOW);
            }
        }
        // In the end there is a strand, and everybody reads.
        pair.add_strand();
        pair.run_and_read();
        check_arrived(&pair)?;
        // The far end hears of some lanes only by their ends.
        for who in [0, 1, 1] {
            let lanes: Vec<LaneId> = pair.ends[who].lanes.keys().copied().collect();
            for lane in lanes {
                pair.end(who, lane, End::Finished);
            }
            pair.run_and_read();
        }
        check_arrived(&pair)?;
        for end in &pair.ends {
            prop_assert_eq!((end.trunk.n_lanes(), end.trunk.charge()), (0, 0));
            prop_assert!(end.trunk.is_delivered());
        }
    }
}
