//! The names of Services: watches them, and writes what the cluster's resolver reads.

use std::{
    collections::BTreeMap,
    fs,
    io::BufReader,
    net::IpAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Sender},
    thread,
    time::Duration,
};

use serde_json::{Deserializer, Value};

use crate::ground;

/// What has a name: its kind, its namespace, its name.
type Key = (String, String, String);

/// Where a change has arrived: what it is about, and the addresses it has from now on, each with its name.
type Change = (Key, Vec<(String, IpAddr)>);

/// Tells the names as long as the cluster runs.
pub(crate) fn tell(run: &Path) -> Result<(), String> {
    let (changes_tx, changes_rx) = mpsc::channel();
    for kind in ["services", "endpoints"] {
        let (changes_tx, kubeconfig) = (changes_tx.clone(), run.join("admin.kubeconfig"));
        thread::spawn(move || {
            loop {
                // A watch ends when the API server thinks so, and begins with everything.
                watch(kind, &kubeconfig, &changes_tx);
                thread::sleep(Duration::from_millis(300));
            }
        });
    }
    let mut known = BTreeMap::new();
    while let Ok(change) = changes_rx.recv() {
        known.insert(change.0, change.1);
        while let Ok((key, addresses)) = changes_rx.recv_timeout(Duration::from_millis(5)) {
            known.insert(key, addresses);
        }
        known.retain(|_, addresses| !addresses.is_empty());
        write(run, &known).map_err(|error| format!("cannot tell the names: {error}"))?;
    }
    Ok(())
}

fn watch(kind: &str, kubeconfig: &Path, changes_tx: &Sender<Change>) {
    let mut command = Command::new("kubectl");
    command.arg("--kubeconfig").arg(kubeconfig);
    command.args(["get", kind, "-A", "-w", "--output-watch-events", "-o", "json"]);
    let Ok(mut child) = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() else { return };
    if let Some(events) = child.stdout.take() {
        for event in Deserializer::from_reader(BufReader::new(events)).into_iter::<Value>() {
            let Ok(event) = event else { break };
            if changes_tx.send(change_of(kind, &event)).is_err() {
                break;
            }
        }
    }
    end(child);
}

fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn change_of(kind: &str, event: &Value) -> Change {
    let object = &event["object"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
    let domain = format!("{name}.{namespace}.svc.cluster.local");
    let mut addresses = Vec::new();
    if event["type"] != "DELETED" && kind == "services" {
        let found = object["spec"]["clusterIP"].as_str().and_then(|it| it.parse().ok());
        addresses.extend(found.map(|address| (domain, address)));
    } else if event["type"] != "DELETED" {
        let is_headless = object["metadata"]["labels"].get("service.kubernetes.io/headless").is_some();
        let all = object["subsets"].as_array().into_iter().flatten();
        let all = all.flat_map(|subset| subset["addresses"].as_array().into_iter().flatten());
        for place in all {
            let Some(address) = place["ip"].as_str().and_then(|it| it.parse().ok()) else { continue };
            if let Some(host) = place["hostname"].as_str() {
                addresses.push((format!("{host}.{domain}"), address));
            }
            if is_headless {
                addresses.push((domain.clone(), address));
            }
        }
    }
    ((kind.to_owned(), namespace, name), addresses)
}

/// Writes them all at once, and lets the resolver read them again.
fn write(run: &Path, known: &BTreeMap<Key, Vec<(String, IpAddr)>>) -> std::io::Result<()> {
    let lines: Vec<String> =
        known.values().flatten().map(|(name, address)| format!("{address} {name}\n")).collect();
    let fresh = run.join("hosts.fresh");
    fs::write(&fresh, lines.concat())?;
    fs::rename(fresh, run.join("hosts"))?;
    // A resolver that has not begun yet reads them when it does.
    let Ok(pid) = fs::read_to_string(run.join("pid/dnsmasq")) else { return Ok(()) };
    ground::signal("HUP", pid.trim())
}
