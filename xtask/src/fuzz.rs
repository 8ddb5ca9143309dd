//! Whatever peers and files may say, tried for longer than the tests have time for.

use crate::ground::{cargo, run};

/// How long each target is tried.
const SECONDS: &str = "60";

/// Tries every target.
pub(crate) fn fuzz(arguments: &[String]) -> Result<(), String> {
    let mut command = cargo();
    command.args(["test", "-p", "mirrord-tests", "--test", "fuzz"]);
    command.env("MIRRORD_TEST_FUZZ_SECONDS", SECONDS);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let variable = match word.as_str() {
            "--seconds" => "MIRRORD_TEST_FUZZ_SECONDS",
            "--seed" => "MIRRORD_TEST_SEED",
            _ => return Err(format!("`fuzz` does not know `{word}`: it takes --seconds and --seed")),
        };
        let number: Option<u64> = words.next().and_then(|number| number.parse().ok());
        command.env(variable, number.ok_or_else(|| format!("`{word}` takes a number"))?.to_string());
    }
    run(&mut command)
}
