//! What was created is deleted when the deed that wanted it fails or is given up.

use tokio::task::JoinHandle;

use crate::{client::Cluster, remove};

/// A Job that is ours until it is kept.
pub(super) struct Guard {
    cluster: Cluster,
    namespace: String,
    job: String,
    creation: Option<JoinHandle<bool>>,
    is_armed: bool,
}

impl Guard {
    /// Guards `job`, which `creation` is about to create: a deletion must not overtake it.
    pub(super) fn new(cluster: &Cluster, namespace: &str, job: &str) -> Self {
        Self {
            cluster: cluster.clone(),
            namespace: namespace.to_owned(),
            job: job.to_owned(),
            creation: None,
            is_armed: true,
        }
    }

    /// What creates it, which goes on when whoever wanted it is dropped; it tells whether the Job is ours.
    pub(super) fn created_by(&mut self, creation: JoinHandle<bool>) {
        self.creation = Some(creation);
    }

    /// It is wanted: it stays.
    pub(super) fn keep(mut self) {
        self.is_armed = false;
    }

    /// Deletes it now, if it is ours.
    pub(super) async fn delete(mut self) {
        self.is_armed = false;
        if let Some(creation) = self.creation.take() {
            let is_ours = creation.await.unwrap_or(true);
            if !is_ours {
                return;
            }
        }
        remove::delete_job(&self.cluster, &self.namespace, &self.job, None).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.is_armed {
            let rest = Self {
                cluster: self.cluster.clone(),
                namespace: std::mem::take(&mut self.namespace),
                job: std::mem::take(&mut self.job),
                creation: self.creation.take(),
                is_armed: false,
            };
            self.cluster.run_errand(rest.delete());
        }
    }
}
