//! `mirrord ls`: the targets of a cluster, as editors read them.

use std::{env, process::ExitCode};

use mirrord_core::target::Kind;
use mirrord_kube::{
    Cluster,
    list::{self, KINDS},
};
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    args::{ListArguments, Overrides},
    printer,
    report::{Explain, Report},
    settings,
};

/// By which an editor asks for some kinds only: a JSON list.
const TYPES: &str = "MIRRORD_LS_TARGET_TYPES";

/// By which an editor asks for more than the paths.
const RICH: &str = "MIRRORD_LS_RICH_OUTPUT";

/// Why nothing can be listed: the user's fault.
#[derive(Debug, Error)]
enum ListError {
    #[error("`{0}` is not a kind of target that a cluster lists")]
    UnknownKind(String),
    #[error("`MIRRORD_LS_TARGET_TYPES` is not a JSON list of kinds")]
    NotAList(#[source] serde_json::Error),
    #[error("cannot ask the cluster")]
    CannotAsk(#[source] std::io::Error),
}

impl Explain for ListError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKind(_) => {
                let kinds: Vec<String> = KINDS.iter().map(|kind| format!("`{}`", kind.name())).collect();
                Some(format!("the kinds are {}", kinds.join(", ")))
            }
            Self::NotAList(_) => Some(r#"write it like `["deployment","pod"]`"#.to_owned()),
            Self::CannotAsk(_) => None,
        }
    }
}

pub(crate) fn run(arguments: &ListArguments) -> Result<ExitCode, Report> {
    let kinds = kinds(arguments)?;
    let mut flags: Overrides = arguments.cluster.overrides();
    if let Some(namespace) = &arguments.namespace {
        flags.insert("MIRRORD_TARGET_NAMESPACE", namespace.clone());
    }
    let options = settings::load(arguments.config.config_file.as_deref(), flags)?.lowered.cluster;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let told = runtime.map_err(ListError::CannotAsk)?.block_on(async {
        let cluster = Cluster::connect(&options).await?;
        let listed = match kinds {
            // Somebody who asks for nothing gets it.
            Some(kinds) if kinds.is_empty() => list::Listed::default(),
            kinds => list::targets(&cluster, &kinds.unwrap_or_default()).await?,
        };
        if printer::is_watched() {
            listed.notes.iter().for_each(|note| printer::talk(format_args!("warning: {note}")));
        }
        if env::var(RICH).is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
            Ok::<_, Report>(rich(&cluster, &listed).await)
        } else {
            let running = listed.choices.iter().filter(|choice| choice.is_available);
            Ok(running.map(|choice| choice.target.to_string()).collect())
        }
    })?;
    printer::data(told);
    Ok(ExitCode::SUCCESS)
}

/// Targets, those without a running pod too, and the namespaces that one could go to.
async fn rich(cluster: &Cluster, listed: &list::Listed) -> Value {
    let targets = listed
        .choices
        .iter()
        .map(|choice| json!({ "path": choice.target.to_string(), "available": choice.is_available }));
    // Whoever may not list them still has his own.
    let namespaces = list::namespaces(cluster).await.unwrap_or_else(|_| vec![cluster.namespace().to_owned()]);
    json!({
        "targets": targets.collect::<Vec<_>>(),
        "current_namespace": cluster.namespace(),
        "namespaces": namespaces,
    })
}

/// The kinds that are asked for; none if nobody says, which is all.
fn kinds(arguments: &ListArguments) -> Result<Option<Vec<Kind>>, ListError> {
    let words = if arguments.kinds.is_empty() {
        match env::var(TYPES) {
            Ok(list) if !list.is_empty() => serde_json::from_str(&list).map_err(ListError::NotAList)?,
            _ => return Ok(None),
        }
    } else {
        arguments.kinds.clone()
    };
    let words = words.iter().filter(|word| *word != "targetless");
    words.map(|word| kind(word)).collect::<Result<_, _>>().map(Some)
}

fn kind(word: &str) -> Result<Kind, ListError> {
    let word = if word == "deploy" { "deployment" } else { word };
    let found = KINDS.iter().find(|kind| kind.name() == word.to_lowercase());
    found.copied().ok_or_else(|| ListError::UnknownKind(word.to_owned()))
}
