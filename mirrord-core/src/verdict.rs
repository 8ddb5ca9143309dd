//! Leave, take or refuse: the answer to the only question the layer is asked.

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    /// Let it run here, untouched, as if the layer were absent.
    Leave(Reason),
    /// Do this work instead; the guest sees its result.
    Take(T),
    /// Do nothing; the guest sees this error.
    Refuse(Errno),
}

/// An error by its Linux number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// No such file or directory.
    pub const ENOENT: Self = Self(2);
    /// Permission denied.
    pub const EACCES: Self = Self(13);
    /// The file system cannot be written.
    pub const EROFS: Self = Self(30);
    /// The address is in use.
    pub const EADDRINUSE: Self = Self(98);
    /// The address family is not supported.
    pub const EAFNOSUPPORT: Self = Self(97);
}

/// Why a call is left alone: a trace explains itself by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The feature is off.
    Off,
    /// A pattern of the user's keeps it here.
    KeptByUser,
    /// A list of what every session keeps here has it.
    KeptByDefault,
    /// Its mode takes no writing there.
    WritesStayHere,
    /// Its mode takes only what a list names.
    NotListed,
    /// The address is a loopback one, and those stay here.
    Loopback,
    /// The session itself listens there.
    OurOwnPort,
    /// The port is not wanted.
    PortNotWanted,
    /// The kind of socket, file or address is not ours.
    NotOurs,
    /// There is no target.
    Targetless,
}
