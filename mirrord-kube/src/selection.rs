//! Which pods a target selects, as the target itself says.

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
        batch::v1::Job,
        core::v1::{Pod, Service},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
    core::GroupVersionKind,
};
use mirrord_core::target::{Kind, Target};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    absent,
    client::Cluster,
    problem::{Ask, ClusterError},
    selector,
};

/// Pods of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// One pod by its name.
    pub pod: Option<String>,
    /// Those with these labels, as a query.
    pub labels: Option<String>,
    /// Of these, those that the object with this uid controls.
    pub owner: Option<String>,
    /// Why there may be none, and what can be done.
    pub(crate) emptiness: Option<(String, String)>,
}

impl Selection {
    /// The same as a query for the API server.
    #[must_use]
    pub fn params(&self) -> ListParams {
        let params = ListParams::default();
        match (&self.pod, &self.labels) {
            (Some(pod), _) => params.fields(&format!("metadata.name={pod}")),
            (None, Some(labels)) => params.labels(labels),
            (None, None) => params,
        }
    }

    /// Whether a pod that the query gave is one of them.
    #[must_use]
    pub fn admits(&self, pod: &Pod) -> bool {
        self.owner.as_ref().is_none_or(|uid| pod.owner_references().iter().any(|owner| owner.uid == *uid))
    }
}

/// What a target selects at this moment.
///
/// # Errors
///
/// Why there is no such target, or it selects nothing.
pub async fn select(
    cluster: &Cluster,
    target: &Target,
    kind: Kind,
    name: &str,
) -> Result<Selection, ClusterError> {
    let selecting = Selecting { cluster, target, name };
    match kind {
        Kind::Pod => Ok(Selection { pod: Some(name.to_owned()), ..Selection::default() }),
        Kind::Label => Ok(Selection { labels: Some(name.to_owned()), ..Selection::default() }),
        Kind::Deployment => selecting.deployment().await,
        Kind::Rollout => selecting.rollout().await,
        Kind::StatefulSet => selecting.stateful_set().await,
        Kind::DaemonSet => selecting.daemon_set().await,
        Kind::ReplicaSet => selecting.replica_set().await,
        Kind::Job => selecting.job().await,
        Kind::CronJob => selecting.cron_job().await,
        Kind::Service => selecting.service().await,
        Kind::Pid | Kind::Netns | Kind::Docker | Kind::Podman | Kind::Compose => {
            Err(ClusterError::NotInACluster(target.to_string()))
        }
    }
}

struct Selecting<'a> {
    cluster: &'a Cluster,
    target: &'a Target,
    name: &'a str,
}

impl Selecting<'_> {
    /// The object itself, or what it was probably meant to be.
    async fn get<K>(&self, group: &'static str, resource: &'static str) -> Result<K, ClusterError>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let namespace = self.cluster.namespace();
        let api: Api<K> = Api::namespaced(self.cluster.client(), namespace);
        let ask = Ask::new("get", group, resource).within(namespace).of(self.name);
        self.or_absent(self.cluster.ask(ask, api.get(self.name)).await).await
    }

    async fn or_absent<T>(&self, answer: Result<T, ClusterError>) -> Result<T, ClusterError> {
        match answer {
            Err(ClusterError::NotFound { .. }) => Err(absent::explain(self.cluster, self.target).await),
            answer => answer,
        }
    }

    fn of(&self, selector: Option<&LabelSelector>) -> Result<Selection, ClusterError> {
        let labels = selector.and_then(selector::query).ok_or_else(|| self.no_selector())?;
        Ok(Selection { labels: Some(labels), ..Selection::default() })
    }

    /// Where the object controls its pods itself, labels that others share do not matter.
    fn owned(
        &self,
        selector: Option<&LabelSelector>,
        uid: Option<String>,
    ) -> Result<Selection, ClusterError> {
        Ok(Selection { owner: uid, ..self.of(selector)? })
    }

    fn no_selector(&self) -> ClusterError {
        ClusterError::NoSelector {
            target: self.target.to_string(),
            namespace: self.cluster.namespace().to_owned(),
        }
    }

    /// What is to be said if it has no pods because it wants none.
    fn scaled(&self, replicas: Option<i32>, kind: &str) -> Option<(String, String)> {
        let namespace = self.cluster.namespace();
        (replicas == Some(0)).then(|| {
            let hint =
                format!("`kubectl scale {kind}/{} --replicas=1 -n {namespace}` gives it one", self.name);
            ("it is scaled to 0".to_owned(), hint)
        })
    }

    async fn deployment(&self) -> Result<Selection, ClusterError> {
        let it: Deployment = self.get("apps", "deployments").await?;
        let spec = it.spec.unwrap_or_default();
        let failure = it.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let failure = failure.into_iter().find(|it| it.type_ == "ReplicaFailure" && it.status == "True");
        let failure = failure.and_then(|it| it.message.clone()).map(|words| {
            let hint = format!(
                "`kubectl describe deployment {} -n {}` tells more",
                self.name,
                self.cluster.namespace()
            );
            (words, hint)
        });
        let emptiness = self.scaled(spec.replicas, "deployment").or(failure);
        Ok(Selection { emptiness, ..self.of(Some(&spec.selector))? })
    }

    async fn stateful_set(&self) -> Result<Selection, ClusterError> {
        let it: StatefulSet = self.get("apps", "statefulsets").await?;
        let spec = it.spec.unwrap_or_default();
        let emptiness = self.scaled(spec.replicas, "statefulset");
        Ok(Selection { emptiness, ..self.owned(Some(&spec.selector), it.metadata.uid)? })
    }

    async fn daemon_set(&self) -> Result<Selection, ClusterError> {
        let it: DaemonSet = self.get("apps", "daemonsets").await?;
        let wants_none = it.status.as_ref().is_some_and(|status| status.desired_number_scheduled == 0);
        let emptiness = wants_none.then(|| {
            (
                "no node fits it".to_owned(),
                "compare its `nodeSelector` and tolerations with the nodes".to_owned(),
            )
        });
        let selection = self.owned(it.spec.as_ref().map(|spec| &spec.selector), it.metadata.uid)?;
        Ok(Selection { emptiness, ..selection })
    }

    async fn replica_set(&self) -> Result<Selection, ClusterError> {
        let it: ReplicaSet = self.get("apps", "replicasets").await?;
        let spec = it.spec.unwrap_or_default();
        let emptiness = self.scaled(spec.replicas, "replicaset");
        Ok(Selection { emptiness, ..self.owned(Some(&spec.selector), it.metadata.uid)? })
    }

    async fn job(&self) -> Result<Selection, ClusterError> {
        let it: Job = self.get("batch", "jobs").await?;
        self.pods_of(&it)
    }

    fn pods_of(&self, job: &Job) -> Result<Selection, ClusterError> {
        let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let selection = self.owned(selector, job.metadata.uid.clone())?;
        let status = job.status.as_ref();
        let is_over = status.is_some_and(|status| status.completion_time.is_some());
        let emptiness = is_over.then(|| ("it is complete".to_owned(), "start it anew".to_owned()));
        Ok(Selection { emptiness, ..selection })
    }

    /// The newest of its jobs that still runs.
    async fn cron_job(&self) -> Result<Selection, ClusterError> {
        let namespace = self.cluster.namespace();
        let api: Api<Job> = Api::namespaced(self.cluster.client(), namespace);
        let ask = Ask::new("list", "batch", "jobs").within(namespace);
        let jobs = self.cluster.ask(ask, api.list(&ListParams::default())).await?;
        let is_ours = |job: &Job| {
            job.owner_references().iter().any(|owner| owner.kind == "CronJob" && owner.name == self.name)
        };
        let ours = jobs.items.into_iter().filter(is_ours);
        let newest = ours.max_by_key(|job| {
            let is_active = job.status.as_ref().and_then(|status| status.active).unwrap_or(0) > 0;
            (is_active, job.metadata.creation_timestamp.clone())
        });
        match newest {
            Some(job) => self.pods_of(&job),
            None => self.no_job_yet().await,
        }
    }

    async fn no_job_yet(&self) -> Result<Selection, ClusterError> {
        let namespace = self.cluster.namespace();
        // Until Kubernetes 1.21 there was only `v1beta1`.
        for version in ["v1", "v1beta1"] {
            let kind = GroupVersionKind::gvk("batch", version, "CronJob");
            let kind = ApiResource::from_gvk_with_plural(&kind, "cronjobs");
            let api: Api<DynamicObject> = Api::namespaced_with(self.cluster.client(), namespace, &kind);
            let ask = Ask::new("get", "batch", "cronjobs").within(namespace).of(self.name);
            match self.cluster.ask(ask, api.get(self.name)).await {
                Ok(_) => {
                    return Err(ClusterError::NoReadyPod {
                        target: self.target.to_string(),
                        namespace: namespace.to_owned(),
                        why: "none of its jobs is there".to_owned(),
                        hint: format!(
                            "`kubectl create job {0}-now --from=cronjob/{0} -n {namespace}` starts one",
                            self.name
                        ),
                    });
                }
                Err(ClusterError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(absent::explain(self.cluster, self.target).await)
    }

    async fn service(&self) -> Result<Selection, ClusterError> {
        let it: Service = self.get("", "services").await?;
        let labels = it.spec.and_then(|spec| spec.selector).unwrap_or_default();
        let labels = selector::of_labels(&labels).ok_or_else(|| self.no_selector())?;
        Ok(Selection { labels: Some(labels), ..Selection::default() })
    }

    /// A Rollout has a selector of its own, or that of the workload that it refers to.
    async fn rollout(&self) -> Result<Selection, ClusterError> {
        let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Rollout");
        let kind = ApiResource::from_gvk_with_plural(&kind, "rollouts");
        let namespace = self.cluster.namespace();
        let api: Api<DynamicObject> = Api::namespaced_with(self.cluster.client(), namespace, &kind);
        let ask = Ask::new("get", "argoproj.io", "rollouts").within(namespace).of(self.name);
        let it = self.or_absent(self.cluster.ask(ask, api.get(self.name)).await).await?;
        let spec = &it.data["spec"];
        let replicas = spec["replicas"].as_i64().and_then(|number| i32::try_from(number).ok());
        let emptiness = self.scaled(replicas, "rollout");
        if let Some(selector) = label_selector(&spec["selector"]) {
            return Ok(Selection { emptiness, ..self.of(Some(&selector))? });
        }
        let refers_to = |key: &str| spec["workloadRef"][key].as_str();
        let (Some(version), Some(kind), Some(name)) =
            (refers_to("apiVersion"), refers_to("kind"), refers_to("name"))
        else {
            return Err(self.no_selector());
        };
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::namespaced_with(self.cluster.client(), namespace, &resource);
        let (group, plural) = known(kind);
        let ask = Ask::new("get", group, plural).within(namespace).of(name);
        let workload = self.cluster.ask(ask, api.get(name)).await?;
        let selector = label_selector(&workload.data["spec"]["selector"]).or_else(|| {
            // A PodTemplate has no selector: its labels are all there is.
            let labels = &workload.data["template"]["metadata"]["labels"];
            label_selector(&serde_json::json!({ "matchLabels": labels }))
        });
        Ok(Selection { emptiness, ..self.of(selector.as_ref())? })
    }
}

fn label_selector(value: &Value) -> Option<LabelSelector> {
    if value.is_null() { None } else { serde_json::from_value(value.clone()).ok() }
}

/// What access rules call a kind that a Rollout may refer to.
fn known(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "ReplicaSet" => ("apps", "replicasets"),
        "StatefulSet" => ("apps", "statefulsets"),
        "PodTemplate" => ("", "podtemplates"),
        _ => ("apps", "deployments"),
    }
}
