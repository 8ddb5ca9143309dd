//! Long life: an hour's worth of calls, by both data paths and both engines.

use crate::{
    build,
    ground::{cargo, run},
    needs,
};

/// So many times the calls that the tests have time for: 2,000,000 opens, 100,000 connections, 10,000 children.
const SCALE: u64 = 1250;

/// Builds, and lets guests go on.
pub(crate) fn soak(arguments: &[String]) -> Result<(), String> {
    let scale = match arguments {
        [] => SCALE,
        [flag, number] if flag == "--scale" => number
            .parse()
            .map_err(|_| format!("`{number}` is not a number: it is how many times the calls of a test"))?,
        _ => return Err("`soak` takes --scale and a number, or nothing".to_owned()),
    };
    needs::gather();
    build::run(&[])?;
    let mut command = cargo();
    command.args(["test", "-p", "mirrord-tests", "--test", "leftovers", "--", "soak", "--nocapture"]);
    run(command.env("MIRRORD_TEST_SOAK", scale.to_string()))
}
