//! The machine's taste: format and clippy, with warnings as errors.

use crate::ground::{cargo, run};

/// Fails where the code is not formatted, or clippy has anything to say.
pub(crate) fn lint(_: &[String]) -> Result<(), String> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]))
}
