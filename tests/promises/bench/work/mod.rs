//! What is measured, by whoever runs it: a bare program or a guest.

mod calls;
mod files;
pub(crate) mod net;

pub(crate) use calls::PORT_HERE;
pub(crate) use files::{LARGE, MIDDLE, N_ENTRIES, SMALL};
use std::time::{Duration, Instant};

/// One number: the median of many, in the unit of its row. `at` is the server's address, or where the files are.
pub(crate) fn measure(row: &str, at: &str) -> f64 {
    let net = row.strip_prefix("stolen-").unwrap_or(row);
    net::measure(net, at)
        .or_else(|| files::measure(row, at))
        .or_else(|| calls::measure(row))
        .unwrap_or(f64::NAN)
}

/// The median of the times of many deeds, in parts of a second.
fn median(n_times: usize, parts: f64, mut deed: impl FnMut()) -> f64 {
    let mut times: Vec<Duration> = Vec::with_capacity(n_times);
    for _ in 0..n_times / 10 {
        deed();
    }
    for _ in 0..n_times {
        let start = Instant::now();
        deed();
        times.push(start.elapsed());
    }
    times.sort();
    times[times.len() / 2].as_secs_f64() * parts
}

/// Nanoseconds for one of many deeds that are too short to be timed alone: the median of a few dozens.
fn nanoseconds(n_deeds: u32, mut deed: impl FnMut()) -> f64 {
    median(31, 1e9, || (0..n_deeds).for_each(|_| deed())) / f64::from(n_deeds)
}

/// Megabytes in a second.
fn rate(n_bytes: usize, start: Instant) -> f64 {
    f64::from(u32::try_from(n_bytes).unwrap()) / start.elapsed().as_secs_f64() / 1e6
}
