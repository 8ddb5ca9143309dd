//! A program that the layer cannot enter is handed over: `mirrord supervise` takes its place, becomes it, and has its
//! calls answered by a supervisor.
//!
//! Nothing here uses a heap: a child of `vfork(2)` runs in its parent's memory.

use std::ffi::{CStr, c_char};

use super::inspect::Obstacle;
use crate::{abi::environment::each, process::Process};

type List = *const *const c_char;

const N_WORDS: usize = 1024;

/// What is put before the program's own words, between which and them its file comes.
const BEFORE: [&CStr; 3] = [c"mirrord", c"supervise", c"--program"];
const BEHIND: &CStr = c"--";

/// The command line of the program that takes over, in the caller's own frame.
pub(super) struct Handed {
    words: [*const c_char; N_WORDS],
}

impl Handed {
    /// An empty frame.
    pub(super) const fn new() -> Self {
        Self { words: [std::ptr::null(); N_WORDS] }
    }

    /// The program to run instead, and its words; nothing if the guest's own is to be run.
    ///
    /// # Safety
    /// `file` is a string, and `arguments` a list of strings that ends with null.
    pub(super) unsafe fn fill(
        &mut self,
        process: &Process,
        obstacle: Option<Obstacle>,
        file: *const c_char,
        arguments: List,
    ) -> Option<(&'static CStr, List)> {
        let host = process.host.filter(|_| obstacle.is_some_and(Obstacle::can_be_supervised))?;
        let mut n_words = 0;
        let mut put = |word| {
            // Room is left for the null behind it.
            *self.words.get_mut(n_words).filter(|_| n_words + 1 < N_WORDS)? = word;
            n_words += 1;
            Some(())
        };
        BEFORE.iter().try_for_each(|word| put(word.as_ptr()))?;
        put(file)?;
        put(BEHIND.as_ptr())?;
        // SAFETY: the caller's duty.
        unsafe { each(arguments) }.try_for_each(put)?;
        self.words[n_words] = std::ptr::null();
        Some((host, self.words.as_ptr()))
    }
}
