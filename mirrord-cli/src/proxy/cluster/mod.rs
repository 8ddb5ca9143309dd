//! The far side in a cluster: pods found, agents made beside them, reached, followed and removed.
//!
//! [`Reach`] knows how ([`dial`] makes the strands of a trunk); [`begin`] does it the first time, while the command waits;
//! the [`keeper`] does it again whenever a pod or an agent goes.

mod begin;
mod dial;
mod keeper;
mod reach;
mod trouble;

pub(crate) use begin::begin;
pub(crate) use keeper::{Keeper, KeeperEar};
pub(crate) use reach::{Reach, Standing};
pub(crate) use trouble::said;
