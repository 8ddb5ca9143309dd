//! The committed schema is the one of the code; `MIRRORD_UPDATE_SCHEMA=1` writes it anew.

use std::{fs, path::Path};

#[test]
fn the_committed_schema_is_the_one_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mirrord-schema.json");
    let text = serde_json::to_string_pretty(&mirrord_config::schema()).unwrap() + "\n";
    if std::env::var_os("MIRRORD_UPDATE_SCHEMA").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "run this test with MIRRORD_UPDATE_SCHEMA=1, and commit `mirrord-schema.json`"
    );
}
