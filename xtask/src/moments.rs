//! Bad moments: guest, command, proxy, agent and supervisor killed at twenty random moments each.

use crate::{
    build,
    ground::{cargo, run},
    needs, say,
};

/// How many moments of each.
const N_TIMES: &str = "20";

/// Builds, and kills.
pub(crate) fn moments(arguments: &[String]) -> Result<(), String> {
    let mut command = cargo();
    command.args(["test", "-p", "mirrord-tests", "--test", "leftovers", "--", "moments", "--nocapture"]);
    command.env("MIRRORD_TEST_MOMENTS", N_TIMES);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let variable = match word.as_str() {
            "--seed" => "MIRRORD_TEST_SEED",
            "--times" => "MIRRORD_TEST_MOMENTS",
            _ => return Err(format!("`moments` does not know `{word}`: it takes --seed and --times")),
        };
        let number: u64 = words
            .next()
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| format!("`{word}` takes a number"))?;
        command.env(variable, number.to_string());
    }
    needs::gather();
    build::run(&[])?;
    say("bad moments, of everybody");
    run(&mut command)
}
