//! Inline hooks by frida-gum, for guests that find the C library's functions past our symbols.
//!
//! The same rows, displaced a second time: the machine code of each function jumps to ours, and what it displaced is
//! the original from then on. This file is type-checked only. It was never linked, because its development kit is
//! downloaded by nobody here, and so it never ran: who turns it on puts the kit into `FRIDA_GUM_DIR`, and tests it.

use std::ptr::null_mut;

use frida_gum::{Gum, NativePointer, interceptor::Interceptor};
use libc::c_void;

use super::{
    original::Original,
    table::{fs, names, net, numbered, process},
};

/// Displaces every function of the table. One that cannot be displaced keeps its symbol, which displaces it anyway.
pub(crate) fn displace() {
    let gum = Gum::obtain();
    let mut interceptor = Interceptor::obtain(&gum);
    let mut done: Vec<(*mut c_void, *mut c_void)> = Vec::new();
    interceptor.begin_transaction();
    let mut row = |original: &'static Original, ours: *mut c_void| {
        let place = original.address();
        if place.is_null() {
            return;
        }
        // Several names, one function: it is displaced once.
        if let Some((_, copy)) = done.iter().find(|(other, _)| *other == place) {
            original.move_to(*copy);
            return;
        }
        let (function, replacement) = (NativePointer(place), NativePointer(ours));
        if let Ok(copy) = interceptor.replace(function, replacement, NativePointer(null_mut())) {
            original.move_to(copy.0);
            done.push((place, copy.0));
        }
    };
    fs::original::each(&mut row);
    names::original::each(&mut row);
    net::original::each(&mut row);
    numbered::original::each(&mut row);
    process::original::each(&mut row);
    interceptor.end_transaction();
    // The hooks stay as long as the process: so must what made them.
    std::mem::forget((interceptor, gum));
}
