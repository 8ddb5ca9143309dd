//! The editor schema, generated and committed.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::file::File;

/// The schema of a configuration file (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> Value {
    SCHEMA.clone()
}

/// It is the same for ever.
pub(crate) static SCHEMA: LazyLock<Value> = LazyLock::new(generate);

fn generate() -> Value {
    let mut schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>().to_value();
    drop_empty_defaults(&mut schema);
    schema
}

/// A default that is nothing, or a whole section, tells a reader less than the defaults within it.
fn drop_empty_defaults(schema: &mut Value) {
    match schema {
        Value::Object(words) => {
            words.retain(|word, value| word != "default" || !(value.is_null() || value.is_object()));
            words.values_mut().for_each(drop_empty_defaults);
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(drop_empty_defaults),
        _ => {}
    }
}
