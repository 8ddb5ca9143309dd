//! The ready pods of a target, as they come and go.

use futures::Stream;
use mirrord_core::target::Target;

use crate::{Cluster, TargetPod};

/// The ready pods of `target`, whenever they are others than before.
pub fn pods(_cluster: &Cluster, _target: &Target) -> impl Stream<Item = Vec<TargetPod>> + Send + use<> {
    futures::stream::pending()
}
