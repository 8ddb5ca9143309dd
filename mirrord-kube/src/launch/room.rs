//! Whether a node has room for one pod more.

use futures::try_join;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, api::ListParams};

use crate::client::Cluster;

/// How full `node` is, if it is, not counting pods with the label `ours`. Whoever may not ask is not told: the node
/// itself refuses what it has no room for.
pub(super) async fn is_full(cluster: &Cluster, node: &str, ours: &str) -> Option<String> {
    let nodes: Api<Node> = Api::all(cluster.client());
    let pods: Api<Pod> = Api::all(cluster.client());
    let not_ours = ours.replacen('=', "!=", 1);
    let params = ListParams::default()
        .fields(&format!("spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed"))
        .labels(&not_ours);
    let (node, pods) = try_join!(nodes.get(node), pods.list_metadata(&params)).ok()?;
    let allowed = node.status?.allocatable?.get("pods")?.0.parse::<usize>().ok()?;
    let n_pods = pods.items.len();
    (n_pods >= allowed).then(|| format!("it has {n_pods} pods, and may have {allowed}"))
}
