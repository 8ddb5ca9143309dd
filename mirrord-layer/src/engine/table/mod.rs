//! Every hooked symbol: its signature, its body, the rule that enables it; one row each.
//!
//! A row makes three things: the exported symbol, which displaces the C library's; `original::NAME()`, the displaced
//! function; and a line in `docs/hooks.md` (`cargo xtask hooks`). Variadic functions stand with the arguments that
//! they can have: on x86-64 and aarch64 Linux a caller passes those alike.

/// Makes the displaced functions of a family.
macro_rules! originals {
    ($(fn $name:ident($($type:ty),*) $(-> $ret:ty)?;)*) => {
        /// The displaced functions of this family.
        #[allow(dead_code, reason = "a row that another one serves never calls its own")]
        pub(crate) mod original {
            #[allow(unused_imports, reason = "each family names the C types that it needs")]
            use super::*;

            /// Where they are.
            #[allow(non_upper_case_globals, reason = "each is named as its function")]
            mod place {
                use $crate::engine::original::{Original, name};
                $(pub(super) static $name: Original = Original::new(name(concat!(stringify!($name), "\0")));)*
            }

            $(
                pub(crate) fn $name() -> unsafe extern "C-unwind" fn($($type),*) $(-> $ret)? {
                    // SAFETY: the symbol has this signature in every C library that we load beside.
                    unsafe { std::mem::transmute(place::$name.address()) }
                }
            )*

            /// Each with what displaces it.
            #[cfg(feature = "frida")]
            pub(crate) fn each(row: &mut dyn FnMut(&'static $crate::engine::original::Original, *mut libc::c_void)) {
                $({
                    let ours: unsafe extern "C-unwind" fn($($type),*) $(-> $ret)? = super::$name;
                    row(&place::$name, ours as *mut libc::c_void);
                })*
            }
        }
    };
}

/// Makes the rows of a family whose bodies call their originals themselves, outside of every catch.
macro_rules! rows {
    ($(
        $(#[$doc:meta])*
        fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? = $($body:ident)::+, $rule:literal;
    )*) => {
        originals! { $(fn $name($($type),*) $(-> $ret)?;)* }
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C-unwind" fn $name($($arg: $type),*) $(-> $ret)? {
                match $crate::process::get() {
                    // SAFETY: the arguments are the guest's, under the contract of the function that it calls.
                    Some(process) => unsafe { $crate::hooks::$($body)::+(process, $($arg),*) },
                    // SAFETY: as above.
                    None => unsafe { original::$name()($($arg),*) },
                }
            }
        )*
    };
}

/// Makes the rows of a family whose calls may wait. A thread may be cancelled where it waits (`pthreads(7)`), which
/// unwinds it by force, and no catch may stand in the way of that: so the original runs outside of ours. The body of
/// a row that begins with `before` says nothing if the call is to be left; that of an `around` row calls the original
/// itself.
macro_rules! waiting_rows {
    ($(
        $(#[$doc:meta])*
        $how:ident fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $ret:ty = $($body:ident)::+, $rule:literal;
    )*) => {
        originals! { $(fn $name($($type),*) -> $ret;)* }
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C-unwind" fn $name($($arg: $type),*) -> $ret {
                waiting_row!($how $name($($arg),*) $($body)::+)
            }
        )*
    };
}

/// What one row of [`waiting_rows`] does.
macro_rules! waiting_row {
    (before $name:ident($($arg:ident),*) $($body:ident)::+) => {{
        let taken = $crate::engine::taken(|process| {
            // SAFETY: the arguments are the guest's, under the contract of the function that it calls.
            unsafe { $crate::hooks::$($body)::+(process, $($arg),*) }
        });
        match taken {
            Some(answer) => answer,
            // SAFETY: as above.
            None => unsafe { original::$name()($($arg),*) },
        }
    }};
    (around $name:ident($($arg:ident),*) $($body:ident)::+) => {
        // SAFETY: the arguments are the guest's, under the contract of the function that it calls.
        unsafe { $crate::hooks::$($body)::+($($arg),*) }
    };
}

/// Makes the rows of functions that take any number of words behind the first. A body gets that, and two places: of the
/// words that came in registers, and of those on the stack. It stands for the function whole, by calling others that
/// are displaced.
macro_rules! listed_rows {
    ($(fn $name:ident(...) = $($body:ident)::+, $rule:literal;)*) => {$(
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        #[cfg(target_arch = "x86_64")]
        pub(crate) unsafe extern "C" fn $name() {
            std::arch::naked_asm!(
                "sub rsp, 56",
                "mov [rsp], rsi",
                "mov [rsp + 8], rdx",
                "mov [rsp + 16], rcx",
                "mov [rsp + 24], r8",
                "mov [rsp + 32], r9",
                "mov rsi, rsp",
                "lea rdx, [rsp + 64]",
                "call {body}",
                "add rsp, 56",
                "ret",
                body = sym $crate::hooks::$($body)::+,
            )
        }

        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        #[cfg(target_arch = "aarch64")]
        pub(crate) unsafe extern "C" fn $name() {
            std::arch::naked_asm!(
                "stp x29, x30, [sp, #-80]!",
                "mov x29, sp",
                "stp x1, x2, [sp, #16]",
                "stp x3, x4, [sp, #32]",
                "stp x5, x6, [sp, #48]",
                "str x7, [sp, #64]",
                "add x1, sp, #16",
                "add x2, sp, #80",
                "bl {body}",
                "ldp x29, x30, [sp], #80",
                "ret",
                body = sym $crate::hooks::$($body)::+,
            )
        }
    )*};
}

pub(crate) mod fs;
pub(crate) mod names;
pub(crate) mod net;
pub(crate) mod numbered;
pub(crate) mod process;
