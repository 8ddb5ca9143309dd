//! `mirrord verify-config`: what a configuration file means, or what is wrong with it, as JSON.

use std::{collections::BTreeMap, process::ExitCode};

use mirrord_config::{FileSource, Problem, verify};
use serde_json::{Value, json};

use crate::{args::VerifyArguments, printer, settings};

pub(crate) fn run(arguments: &VerifyArguments) -> ExitCode {
    let told = match FileSource::read(&arguments.path) {
        Ok(file) => settings::with_input(Some(file), BTreeMap::new(), |input| {
            verify(input, arguments.ide, arguments.resolved)
        }),
        Err(problems) => {
            let errors: Vec<String> = problems.0.iter().map(Problem::to_string).collect();
            json!({ "type": "Fail", "errors": errors })
        }
    };
    printer::data(pretty(&told));
    ExitCode::SUCCESS
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
