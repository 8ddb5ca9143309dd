//! `mirrord session list --agents`: who has agents in a cluster, as far as this user may see.

use std::process::ExitCode;

use comfy_table::{Table, presets};
use mirrord_kube::{Cluster, crew};

use super::session::duration;
use crate::{
    args::{Overrides, SessionListArguments},
    printer,
    report::Report,
    settings,
};

pub(super) async fn list(arguments: &SessionListArguments) -> Result<ExitCode, Report> {
    let mut flags = Overrides::new();
    if let Some(namespace) = &arguments.namespace {
        flags.insert("MIRRORD_TARGET_NAMESPACE", namespace.clone());
    }
    let options = settings::load(arguments.config_file.as_deref(), flags)?.lowered.cluster;
    let cluster = Cluster::connect(&options).await?;
    let agents = crew::agents(&cluster, arguments.all_namespaces).await?;
    if agents.is_empty() {
        printer::talk("no agents");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["AGENT", "NAMESPACE", "TARGET", "OWNER", "VERSION", "STATE", "AGE"]);
    for agent in &agents {
        table.add_row([
            agent.job.clone(),
            agent.namespace.clone(),
            agent.target.clone().unwrap_or_else(|| "targetless".to_owned()),
            agent.owner.clone(),
            agent.version.clone(),
            if agent.has_ended { "ended" } else { "serves" }.to_owned(),
            duration(agent.age),
        ]);
    }
    printer::data(table);
    Ok(ExitCode::SUCCESS)
}
