//! Parses, runs, reports, exits.

mod proxy;

fn main() -> std::process::ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("intproxy") => proxy::run(),
        _ => std::process::ExitCode::FAILURE,
    }
}
