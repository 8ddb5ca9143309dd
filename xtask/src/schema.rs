//! The editors' schema of the configuration, written again.

use crate::ground::{cargo, run};

/// Writes `mirrord-config/schema.json`; a test of that crate holds the file and the code together.
pub(crate) fn schema(_: &[String]) -> Result<(), String> {
    run(cargo().args(["test", "--quiet", "-p", "mirrord-config"]).env("MIRRORD_WRITE_SCHEMA", "1"))
}
