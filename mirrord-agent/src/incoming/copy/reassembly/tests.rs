//! Streams cut, reordered, repeated and overlapped, by hand and at random.

use proptest::prelude::*;

use super::*;

fn segment(sequence: u32, payload: &[u8]) -> Segment<'_> {
    Segment { sequence, payload, fin: false }
}

fn feed(assembler: &mut Assembler, segment: Segment<'_>) -> (Vec<u8>, bool) {
    let progress = assembler.handle_segment(segment, Duration::ZERO).unwrap();
    assert!(progress.pieces.iter().all(|piece| !piece.is_empty()));
    (progress.pieces.concat(), progress.finished)
}

fn heard(assembler: &mut Assembler, segments: &[Segment<'_>]) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut finished = false;
    for segment in segments {
        assert!(!finished, "something followed the end");
        let (more, end) = feed(assembler, *segment);
        bytes.extend(more);
        finished = end;
    }
    (bytes, finished)
}

#[test]
fn segments_in_order_are_heard_at_once() {
    let mut it = Assembler::new(99);
    assert_eq!(feed(&mut it, segment(100, b"hello ")), (b"hello ".to_vec(), false));
    assert_eq!(feed(&mut it, segment(106, b"world")), (b"world".to_vec(), false));
}

#[test]
fn a_segment_before_its_time_waits_for_the_gap_to_close() {
    let mut it = Assembler::new(99);
    assert_eq!(feed(&mut it, segment(103, b"lo")), (vec![], false));
    assert_eq!(it.n_pending(), 2);
    assert_eq!(feed(&mut it, segment(100, b"hel")), (b"hello".to_vec(), false));
    assert_eq!(it.n_pending(), 0);
}

#[test]
fn a_retransmission_is_heard_once() {
    let mut it = Assembler::new(99);
    let segments = [segment(100, b"abc"), segment(100, b"abc"), segment(101, b"bcd"), segment(100, b"ab")];
    assert_eq!(heard(&mut it, &segments), (b"abcd".to_vec(), false));
}

#[test]
fn a_retransmission_that_spans_what_waits_fills_only_the_holes() {
    let mut it = Assembler::new(99);
    let segments = [segment(102, b"CC"), segment(106, b"GG"), segment(100, b"aabbccddeeff")];
    assert_eq!(heard(&mut it, &segments), (b"aaCCccGGeeff".to_vec(), false));
}

#[test]
fn sequence_numbers_may_wrap() {
    let mut it = Assembler::new(u32::MAX - 2);
    let segments = [segment(1, b"def"), segment(u32::MAX - 1, b"abc")];
    assert_eq!(heard(&mut it, &segments), (b"abcdef".to_vec(), false));
}

#[test]
fn a_fin_counts_when_everything_before_it_has_come() {
    let mut it = Assembler::new(99);
    assert_eq!(feed(&mut it, Segment { sequence: 103, payload: b"de", fin: true }), (vec![], false));
    assert_eq!(feed(&mut it, segment(100, b"abc")), (b"abcde".to_vec(), true));
}

#[test]
fn an_empty_fin_ends_an_empty_stream() {
    let mut it = Assembler::new(7);
    assert_eq!(feed(&mut it, Segment { sequence: 8, payload: b"", fin: true }), (vec![], true));
}

#[test]
fn bytes_after_the_fin_are_not_believed() {
    let mut it = Assembler::new(99);
    let segments = [Segment { sequence: 102, payload: b"", fin: true }, segment(100, b"abcdef")];
    assert_eq!(heard(&mut it, &segments), (b"ab".to_vec(), true));
}

#[test]
fn a_keep_alive_probe_adds_nothing() {
    let mut it = Assembler::new(99);
    let segments = [segment(100, b"abc"), segment(102, b"x"), segment(102, b"")];
    assert_eq!(heard(&mut it, &segments), (b"abc".to_vec(), false));
}

#[test]
fn a_number_out_of_any_window_is_ignored() {
    let mut it = Assembler::new(99);
    assert_eq!(feed(&mut it, segment(100 + (1 << 30) + 1, b"evil")), (vec![], false));
    assert_eq!(it.n_pending(), 0);
    assert!(it.is_in_window(100) && it.is_in_window(5000) && !it.is_in_window(99));
}

#[test]
fn a_gap_that_stays_open_is_overdue_and_one_that_moves_is_not() {
    let mut it = Assembler::new(99);
    let later = GAP_PATIENCE / 2;
    it.handle_segment(segment(110, b"x"), Duration::ZERO).unwrap();
    it.handle_segment(segment(112, b"x"), later).unwrap();
    assert!(!it.is_overdue(later));
    assert!(it.is_overdue(GAP_PATIENCE));
    it.handle_segment(segment(100, b"y"), GAP_PATIENCE).unwrap();
    assert!(!it.is_overdue(GAP_PATIENCE));
    it.handle_segment(segment(101, b"123456789*"), GAP_PATIENCE).unwrap();
    it.handle_segment(segment(111, b"*"), GAP_PATIENCE).unwrap();
    assert!(!it.is_overdue(GAP_PATIENCE * 9));
}

#[test]
fn what_waits_behind_a_gap_is_bounded() {
    let mut it = Assembler::new(0);
    let payload = vec![0; 1 << 20];
    let outcome =
        (0..).map(|index: u32| it.handle_segment(segment(2 + (index << 20), &payload), Duration::ZERO));
    assert_eq!(outcome.take(9).find(Result::is_err), Some(Err(Gap)));
}

proptest! {
    #[test]
    fn whatever_the_network_does_to_a_stream_it_is_heard_as_it_was_sent(
        syn in prop_oneof![any::<u32>(), (u32::MAX - 300)..=u32::MAX],
        stream in prop::collection::vec(any::<u8>(), 0..400),
        cuts in prop::collection::vec((0usize..400, 0usize..80), 0..80),
        order in any::<u64>(),
    ) {
        // Random pieces, most of them overlapping, and then pieces that cover all: shuffled together.
        let mut pieces: Vec<(usize, usize)> =
            cuts.iter().map(|(start, length)| (*start, start + length)).collect();
        pieces.extend((0..=stream.len()).step_by(37).map(|start| (start, start + 37)));
        let mut state = order | 1;
        for index in (1..pieces.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            pieces.swap(index, usize::try_from(state >> 33).unwrap() % (index + 1));
        }
        let mut it = Assembler::new(syn);
        let mut bytes = Vec::new();
        let mut finished = false;
        for (start, end) in pieces {
            let payload = &stream[start.min(stream.len())..end.min(stream.len())];
            let start = start.min(stream.len());
            let sequence = syn.wrapping_add(1).wrapping_add(u32::try_from(start).unwrap());
            let fin = end >= stream.len();
            let progress = it.handle_segment(Segment { sequence, payload, fin }, Duration::ZERO).unwrap();
            bytes.extend(progress.pieces.concat());
            prop_assert!(stream.starts_with(&bytes));
            prop_assert_eq!(progress.finished, bytes.len() == stream.len() && (finished || progress.finished));
            finished |= progress.finished;
        }
        prop_assert!(finished);
        prop_assert_eq!(bytes, stream);
        prop_assert_eq!(it.n_pending(), 0);
        prop_assert!(!it.is_overdue(GAP_PATIENCE * 9));
    }
}
