//! Which names are asked there.

use serde::{Deserialize, Serialize};

use super::address::{AddressFilter, Side};
use crate::verdict::{Reason, Verdict};

/// What `feature.network.dns` says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DnsRules {
    /// Whether any name is asked there.
    pub enabled: bool,
    /// Which ones, if not all.
    pub filter: Option<AddressFilter>,
}

impl DnsRules {
    /// Where a name is asked; `port` is 0 where it is not known.
    #[must_use]
    pub fn decide(&self, name: &str, port: u16) -> Verdict<()> {
        if !self.enabled {
            return Verdict::Leave(Reason::Off);
        }
        match self.filter.as_ref().map(|filter| filter.decide_name(name, port)) {
            None | Some(Side::There) => Verdict::Take(()),
            Some(Side::Here) => Verdict::Leave(Reason::KeptByUser),
        }
    }
}
