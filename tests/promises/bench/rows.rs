//! What is measured, and what is wanted of it.

/// What a number is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aim {
    /// It is told, and nothing is promised.
    Told,
    /// At most so many times what a direct run takes.
    Times(f64),
    /// At least this share of what a direct run has.
    Share(f64),
    /// At most so much more than a direct run, in the unit of its row.
    Plus(f64),
    /// At most so much.
    Most(f64),
    /// At least this share of what the other engine has.
    OfLayer(f64),
}

/// Who runs a row, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The whole command, from its start to its end.
    Start,
    /// A guest that needs nothing of the target.
    Call,
    /// A guest that connects to a server in the pod.
    Outgoing,
    /// A client in the pod, whose server is the guest.
    Stolen,
    /// A guest that reads the pod's files.
    File,
    /// A guest that asks for names.
    Name,
    /// A guest in Go, which the layer cannot enter.
    Go,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// By which it is asked for.
    pub(crate) key: &'static str,
    /// What people read.
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) kind: Kind,
    pub(crate) passed: Aim,
    pub(crate) proxied: Aim,
    /// Where the supervisor has an aim of its own, for both data paths.
    pub(crate) supervisor: Option<Aim>,
}

use Aim::{Most, OfLayer, Plus, Share, Times, Told};
use Kind::{Call, File, Go, Name, Outgoing, Start, Stolen};

const fn row(
    key: &'static str,
    what: &'static str,
    unit: &'static str,
    kind: Kind,
    passed: Aim,
    proxied: Aim,
) -> Row {
    Row { key, what, unit, kind, passed, proxied, supervisor: None }
}

const fn caught(row: Row, aim: Aim) -> Row {
    Row { supervisor: Some(aim), ..row }
}

/// All rows, in the order in which they are told.
pub(crate) const ROWS: &[Row] = &[
    row("exec-true", "`mirrord exec true`, agent included", "ms", Start, Plus(40.0), Plus(40.0)),
    row("child", "`true` as a child of the guest", "ms", Call, Plus(1.0), Plus(1.0)),
    caught(row("getpid", "left call: `getpid`", "ns", Call, Plus(50.0), Plus(50.0)), Plus(40.0)),
    caught(row("read", "left call: `read` of a file here", "ns", Call, Plus(50.0), Plus(50.0)), Plus(40.0)),
    caught(row("write", "left call: `write`", "ns", Call, Plus(50.0), Plus(50.0)), Plus(40.0)),
    caught(
        row("open-here", "caught, left: `openat` and `close` of a file here", "us", Call, Told, Told),
        Plus(8.0),
    ),
    caught(
        row("connect-here", "caught, left: `connect` of a datagram socket", "us", Call, Told, Told),
        Plus(8.0),
    ),
    row("connect", "connect and close", "us", Outgoing, Plus(60.0), Plus(120.0)),
    row("call", "connect, round trip and close", "us", Outgoing, Told, Told),
    row("round-trip", "round trip of 64 bytes", "us", Outgoing, Times(1.05), Times(3.5)),
    row("up", "bulk up", "MB/s", Outgoing, Share(0.95), Share(0.35)),
    row("down", "bulk down", "MB/s", Outgoing, Share(0.95), Share(0.35)),
    row("up-16", "bulk up, 16 streams", "MB/s", Outgoing, Share(0.95), Share(0.35)),
    row("down-16", "bulk down, 16 streams", "MB/s", Outgoing, Share(0.95), Share(0.35)),
    row("beside", "64 bytes beside bulk", "us", Outgoing, Times(1.2), Most(200.0)),
    row("stolen-connect", "stolen: connect and close", "us", Stolen, Plus(60.0), Plus(120.0)),
    row("stolen-call", "stolen: connect, round trip and close", "us", Stolen, Told, Told),
    row("stolen-round-trip", "stolen: round trip of 64 bytes", "us", Stolen, Times(1.05), Times(3.5)),
    row("stolen-up", "stolen: bulk up", "MB/s", Stolen, Share(0.95), Share(0.35)),
    row("stolen-down", "stolen: bulk down", "MB/s", Stolen, Share(0.95), Share(0.35)),
    row("stolen-up-16", "stolen: bulk up, 16 streams", "MB/s", Stolen, Share(0.95), Share(0.35)),
    row("stolen-down-16", "stolen: bulk down, 16 streams", "MB/s", Stolen, Share(0.95), Share(0.35)),
    row("stolen-beside", "stolen: 64 bytes beside bulk", "us", Stolen, Times(1.2), Most(200.0)),
    row("open", "open, read and close 7 KB", "us", File, Most(60.0), Most(80.0)),
    row("stat", "`stat`", "us", File, Most(40.0), Most(50.0)),
    row("bytes", "read of one byte after open", "ns", File, Times(1.05), Times(1.05)),
    row("16m-first", "16 MiB: 64 KiB reads, the first time", "MB/s", File, Share(0.95), Told),
    row("16m-again", "16 MiB: 64 KiB reads, again", "MB/s", File, Share(0.95), Share(0.95)),
    row("16m-random", "16 MiB: random 4 KiB reads, again", "us", File, Times(1.05), Times(1.05)),
    row("read-4k", "64 MiB: 4 KiB reads in order", "MB/s", File, Share(0.5), Share(0.25)),
    row("read-64k", "64 MiB: 64 KiB reads in order", "MB/s", File, Share(0.5), Share(0.25)),
    row("read-1m", "64 MiB: 1 MiB reads in order", "MB/s", File, Share(0.5), Share(0.25)),
    row("random", "64 MiB: random 4 KiB reads, the first time", "us", File, Told, Told),
    row("list", "listing of 10,000 entries", "ms", File, Told, Told),
    row("list-stat", "the same with `stat` of each, by its folder", "ms", File, Times(3.0), Times(5.0)),
    row("list-path", "the same with `stat` of each, by path", "ms", File, Times(3.0), Times(5.0)),
    row("name", "a name's addresses", "us", Name, Told, Told),
    caught(row("http", "HTTP requests", "1/s", Outgoing, Told, Told), OfLayer(0.9)),
    caught(
        row("http-fresh", "HTTP requests, a connection for each", "1/s", Outgoing, Told, Told),
        OfLayer(0.9),
    ),
    row("go-http", "the same from Go: HTTP requests", "1/s", Go, Told, Told),
    row("go-http-fresh", "the same from Go: a connection for each", "1/s", Go, Told, Told),
];

impl Row {
    /// Whether it reads the pod's files.
    pub(crate) fn is_file(&self) -> bool {
        self.kind == Kind::File
    }
}
