//! `resolver(3)`: whole messages, asked where the target asks.

use std::ffi::{c_char, c_int, c_uchar, c_void};

use mirrord_core::verdict::Verdict;
use mirrord_protocol::agent::dns::{DnsAnswer, DnsCall, NoAnswer};

use super::{ask, name_there, set_h_errno};
use crate::{
    abi::{is_plausible, text},
    engine::{self, table::names as table},
    process::Process,
};

/// The shortest DNS message: its head (RFC 1035, 4.1.1).
const HEAD: usize = 12;

pub(crate) unsafe fn res_query(
    process: &Process,
    name: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    room: c_int,
) -> Option<c_int> {
    // SAFETY: the guest's own arguments.
    unsafe { query(process, name, (class, kind), answer, room, false) }
}

pub(crate) unsafe fn res_search(
    process: &Process,
    name: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    room: c_int,
) -> Option<c_int> {
    // SAFETY: the guest's own arguments.
    unsafe { query(process, name, (class, kind), answer, room, true) }
}

pub(crate) unsafe fn res_nquery(
    process: &Process,
    _state: *mut c_void,
    name: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    room: c_int,
) -> Option<c_int> {
    // SAFETY: the guest's own arguments.
    unsafe { query(process, name, (class, kind), answer, room, false) }
}

pub(crate) unsafe fn res_nsearch(
    process: &Process,
    _state: *mut c_void,
    name: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    room: c_int,
) -> Option<c_int> {
    // SAFETY: the guest's own arguments.
    unsafe { query(process, name, (class, kind), answer, room, true) }
}

pub(crate) unsafe fn res_querydomain(
    process: &Process,
    name: *const c_char,
    domain: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    room: c_int,
) -> Option<c_int> {
    // SAFETY: the guest's own arguments.
    let name = unsafe { name_there(process, name, 0) }?;
    // SAFETY: as above.
    let domain = unsafe { text::bytes(domain) }.and_then(|domain| std::str::from_utf8(domain).ok());
    engine::work(|| {
        let whole = domain.map_or_else(|| name.to_owned(), |domain| [name, domain].join("."));
        // SAFETY: the guest's place for the answer.
        Some(unsafe { tell_query(&whole, (class, kind), answer, room, false) })
    })
}

unsafe fn query(
    process: &Process,
    name: *const c_char,
    class_and_kind: (c_int, c_int),
    answer: *mut c_uchar,
    room: c_int,
    search: bool,
) -> Option<c_int> {
    // SAFETY: the guest's name, under the contract of `res_query(3)`.
    let name = unsafe { name_there(process, name, 0) }?;
    // SAFETY: the guest's place for the answer.
    Some(engine::work(|| unsafe { tell_query(name, class_and_kind, answer, room, search) }))
}

unsafe fn tell_query(
    name: &str,
    (class, kind): (c_int, c_int),
    answer: *mut c_uchar,
    room: c_int,
    search: bool,
) -> c_int {
    let (Ok(class), Ok(kind)) = (u16::try_from(class), u16::try_from(kind)) else {
        set_h_errno(NoAnswer::Failed);
        return -1;
    };
    let message = ask_message(DnsCall::Query { name: name.to_owned(), kind, class, search });
    // SAFETY: the caller gives the guest's place for the answer.
    match message.and_then(|message| judge(&message).map(|()| unsafe { copy(&message, answer, room) })) {
        Ok(length) => length,
        Err(why) => {
            set_h_errno(why);
            -1
        }
    }
}

pub(crate) unsafe fn res_send(
    process: &Process,
    message: *const c_uchar,
    length: c_int,
    answer: *mut c_uchar,
    room: c_int,
) -> Option<c_int> {
    let length = usize::try_from(length).ok().filter(|length| *length >= HEAD)?;
    let is_there = process.facts.has_target && matches!(process.rules.dns.decide("", 0), Verdict::Take(()));
    if !is_there || !is_plausible(message) {
        return None;
    }
    // SAFETY: the guest's message, under the contract of `res_send(3)`.
    let message = unsafe { std::slice::from_raw_parts(message, length) };
    Some(engine::work(|| match ask_message(DnsCall::Message(message.to_vec().into())) {
        // SAFETY: the guest's place for the answer.
        Ok(message) => unsafe { copy(&message, answer, room) },
        Err(why) => {
            set_h_errno(why);
            -1
        }
    }))
}

pub(crate) unsafe fn res_nsend(
    process: &Process,
    _state: *mut c_void,
    message: *const c_uchar,
    length: c_int,
    answer: *mut c_uchar,
    room: c_int,
) -> Option<c_int> {
    // SAFETY: the guest's own arguments.
    unsafe { res_send(process, message, length, answer, room) }
}

fn ask_message(call: DnsCall) -> Result<Vec<u8>, NoAnswer> {
    match ask(call)? {
        DnsAnswer::Message(message) => Ok(message.into_vec()),
        _ => Err(NoAnswer::Failed),
    }
}

/// Whether a message answers: `res_query(3)` fails for one that only says why not.
fn judge(message: &[u8]) -> Result<(), NoAnswer> {
    let Some(&[_, _, _, flags, _, _, high, low, ..]) = message.first_chunk::<HEAD>() else {
        return Err(NoAnswer::Failed);
    };
    match (flags & 0x0f, u16::from_be_bytes([high, low])) {
        (0, 0) => Err(NoAnswer::NoData),
        (0, _) => Ok(()),
        (2, _) => Err(NoAnswer::TryAgain),
        (3, _) => Err(NoAnswer::NotFound),
        _ => Err(NoAnswer::Failed),
    }
}

/// Gives a message to the guest, cut to its room, and tells its full length.
unsafe fn copy(message: &[u8], answer: *mut c_uchar, room: c_int) -> c_int {
    let n_bytes = message.len().min(usize::try_from(room).unwrap_or(0));
    // SAFETY: the caller gives the guest's place, which has that much room.
    unsafe { answer.copy_from_nonoverlapping(message.as_ptr(), n_bytes) };
    c_int::try_from(message.len()).unwrap_or(c_int::MAX)
}

/// The spellings of programs that were linked with an older C library. It has only the newer ones to give us back.
macro_rules! old {
    ($($old:ident = $new:ident($($arg:ident: $type:ty),*);)*) => {
        $(
            pub(crate) unsafe fn $old($($arg: $type),*) -> c_int {
                // SAFETY: the guest's own arguments; both spellings have one meaning.
                unsafe { table::$new($($arg),*) }
            }
        )*
    };
}

old! {
    old_res_query = res_query(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int);
    old_res_search = res_search(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int);
    old_res_send = res_send(message: *const c_uchar, length: c_int, answer: *mut c_uchar, room: c_int);
    old_res_nquery = res_nquery(
        state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int
    );
    old_res_nsearch = res_nsearch(
        state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int
    );
    old_res_nsend = res_nsend(
        state: *mut c_void, message: *const c_uchar, length: c_int, answer: *mut c_uchar, room: c_int
    );
}
