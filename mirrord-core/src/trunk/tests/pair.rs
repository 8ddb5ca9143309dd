//! Two ends and the strands between them, without sockets or clocks.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use mirrord_protocol::trunk::{End, Frame, LaneId, Saying, StrandId};

use crate::trunk::{News, Side, Terms, Trunk, Violation};

pub(super) const MS: Duration = Duration::from_millis(1);

/// Terms that are easy to count with.
pub(super) const TERMS: Terms =
    Terms { keep_alive: Duration::from_secs(5), patience: Duration::from_secs(30) };

/// What one end has written and read of a lane.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) written: u64,
    pub(super) ended: Option<End>,
    pub(super) read: u64,
    pub(super) heard: Option<End>,
    /// Pulled, and not consumed yet.
    held: usize,
}

/// One end, with what it was told.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) trunk: Trunk,
    pub(super) news: Vec<News>,
    pub(super) lanes: HashMap<LaneId, Record>,
}

/// Frames under way on a strand, by direction: from the near end, and to it.
#[derive(Debug, Default)]
struct Line {
    ways: [VecDeque<Frame>; 2],
    /// Whether each end still has it.
    held: [bool; 2],
    is_cut: bool,
}

#[derive(Debug)]
pub(super) struct Pair {
    /// The near end and the far one.
    pub(super) ends: [Party; 2],
    lines: BTreeMap<StrandId, Line>,
    next: StrandId,
    pub(super) now: Duration,
}

/// The byte at this place of a lane's direction.
#[expect(clippy::cast_possible_truncation, reason = "any byte will do")]
fn byte(lane: LaneId, from: usize, place: u64) -> u8 {
    (place ^ (place >> 8) ^ (place >> 16)).wrapping_mul(31 + from as u64).wrapping_add(lane.0.into()) as u8
}

impl Pair {
    /// Two ends with so many strands between them.
    pub(super) fn new(n_strands: usize) -> Self {
        let party =
            |side| Party { trunk: Trunk::new(side, TERMS, MS), news: Vec::new(), lanes: HashMap::new() };
        let ends = [party(Side::Near), party(Side::Far)];
        let mut pair = Self { ends, lines: BTreeMap::new(), next: StrandId(0), now: MS };
        for _ in 0..n_strands {
            pair.add_strand();
        }
        pair.run();
        pair
    }

    pub(super) fn add_strand(&mut self) -> StrandId {
        let strand = self.next;
        self.next.0 += 1;
        self.lines.insert(strand, Line { held: [true, true], ..Line::default() });
        for end in &mut self.ends {
            end.trunk.add_strand(strand, self.now);
        }
        strand
    }

    pub(super) fn strands(&self) -> Vec<StrandId> {
        self.lines.keys().copied().collect()
    }

    /// Cuts a strand: of what is under way, so many frames of each direction still arrive. `who` notices at once.
    pub(super) fn cut(&mut self, strand: StrandId, arriving: [usize; 2], who: usize) {
        let Some(line) = self.lines.get_mut(&strand) else { return };
        line.is_cut = true;
        line.ways[0].truncate(arriving[0]);
        line.ways[1].truncate(arriving[1]);
        self.leave(strand, who);
    }

    fn leave(&mut self, strand: StrandId, who: usize) {
        let Some(line) = self.lines.get_mut(&strand) else { return };
        line.held[who] = false;
        line.ways[1 - who].clear();
        self.ends[who].trunk.cut_strand(strand, self.now);
        if line.held == [false, false] {
            self.lines.remove(&strand);
        }
    }

    pub(super) fn open(&mut self) -> LaneId {
        let lane = self.ends[0].trunk.open().unwrap();
        self.ends[0].lanes.insert(lane, Record::default());
        lane
    }

    /// Writes as many bytes as there is room for, `most` at most, and says how many.
    pub(super) fn write(&mut self, who: usize, lane: LaneId, most: usize) -> usize {
        let party = &mut self.ends[who];
        let Some(record) = party.lanes.get_mut(&lane) else { return 0 };
        let n_bytes = if record.ended.is_some() { 0 } else { party.trunk.room(lane).min(most) };
        let places = record.written..record.written + n_bytes as u64;
        let bytes: Bytes = places.map(|place| byte(lane, who, place)).collect();
        record.written += n_bytes as u64;
        party.trunk.write(lane, bytes);
        n_bytes
    }

    pub(super) fn end(&mut self, who: usize, lane: LaneId, end: End) {
        let party = &mut self.ends[who];
        if let Some(record) = party.lanes.get_mut(&lane)
            && record.ended < Some(end)
        {
            record.ended = Some(end);
            party.trunk.end(lane, end);
        }
    }

    /// Reads about so many bytes, and holds each against what it should be.
    pub(super) fn read(&mut self, who: usize, lane: LaneId, most: usize) {
        let now = self.now;
        let party = &mut self.ends[who];
        let Some(record) = party.lanes.get_mut(&lane) else { return };
        if record.ended == Some(End::Broken) {
            return;
        }
        let mut pulled = VecDeque::new();
        let end = party.trunk.pull(lane, &mut pulled, most);
        for place in pulled.iter().flat_map(|bytes| bytes.iter()) {
            assert_eq!(*place, byte(lane, 1 - who, record.read), "lane {lane}, byte {}", record.read);
            record.read += 1;
            record.held += 1;
        }
        record.heard = end.or(record.heard);
        party.trunk.consume(lane, std::mem::take(&mut record.held), now);
    }

    /// What this end writes to a strand now is under way from then on.
    pub(super) fn send(&mut self, who: usize, strand: StrandId) -> bool {
        let Some(line) = self.lines.get_mut(&strand).filter(|line| line.held[who]) else { return false };
        let mut frames = Vec::new();
        self.ends[who].trunk.next_frames(strand, self.now, &mut frames);
        let has_sent = !frames.is_empty();
        if !line.is_cut {
            line.ways[who].extend(frames);
        }
        has_sent
    }

    /// The next frame of a strand arrives at this end.
    pub(super) fn arrive(&mut self, who: usize, strand: StrandId) -> Result<bool, Violation> {
        let Some(line) = self.lines.get_mut(&strand).filter(|line| line.held[who]) else { return Ok(false) };
        let Some(frame) = line.ways[1 - who].pop_front() else {
            if line.is_cut {
                self.leave(strand, who);
            }
            return Ok(false);
        };
        self.ends[who].trunk.receive(strand, frame, self.now)?;
        self.settle(who);
        Ok(true)
    }

    /// Does what an end wants done.
    fn settle(&mut self, who: usize) {
        loop {
            let mut news = Vec::new();
            self.ends[who].trunk.take_news(&mut news);
            if news.is_empty() {
                return;
            }
            for item in &news {
                match item {
                    News::Opened(lane) => drop(self.ends[who].lanes.insert(*lane, Record::default())),
                    News::Cut(strand, _) => self.leave(*strand, who),
                    _ => {}
                }
            }
            self.ends[who].news.extend(news);
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        for who in 0..2 {
            self.ends[who].trunk.tick(self.now);
            self.settle(who);
        }
    }

    /// Carries everything that can be carried, without anybody reading.
    pub(super) fn run(&mut self) {
        loop {
            let mut has_moved = false;
            for strand in self.strands() {
                for who in 0..2 {
                    has_moved |= self.send(who, strand);
                    while self.arrive(1 - who, strand).unwrap() {
                        has_moved = true;
                    }
                }
            }
            if !has_moved {
                return;
            }
        }
    }

    /// Carries and reads until nothing moves, acknowledgements included.
    pub(super) fn run_and_read(&mut self) {
        for _ in 0..3 {
            loop {
                self.run();
                let before = self.n_read();
                for who in 0..2 {
                    let lanes: Vec<LaneId> = self.ends[who].lanes.keys().copied().collect();
                    for lane in lanes {
                        self.read(who, lane, usize::MAX);
                    }
                }
                if self.n_read() == before {
                    break;
                }
            }
            self.pass(25 * MS);
        }
        self.run();
    }

    fn n_read(&self) -> u64 {
        let records = self.ends.iter().flat_map(|end| end.lanes.values());
        records.map(|record| record.read + u64::from(record.heard.is_some())).sum()
    }

    /// A frame that nobody has written.
    pub(super) fn forge(&mut self, who: usize, frame: Frame) -> Result<(), Violation> {
        let strand = self.strands()[0];
        self.ends[who].trunk.receive(strand, frame, self.now)
    }

    /// What this end says next, strand by strand.
    pub(super) fn said(&mut self, who: usize) -> Vec<(StrandId, Frame)> {
        let mut said = Vec::new();
        for strand in self.strands() {
            let mut frames = Vec::new();
            self.ends[who].trunk.next_frames(strand, self.now, &mut frames);
            said.extend(frames.into_iter().map(|frame| (strand, frame)));
        }
        said
    }

    pub(super) fn has_said(&mut self, who: usize, saying: &Saying) -> bool {
        self.said(who).iter().any(|(_, frame)| *frame == Frame::Say(saying.clone()))
    }
}
