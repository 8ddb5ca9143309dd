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
    /// Whether names are told apart.
    #[must_use]
    pub fn has_filter(&self) -> bool {
        self.enabled && self.filter.is_some()
    }

    /// Whether a program that resolves names by itself reads there how: its resolver's servers, and names that need none.
    /// Nothing for other files.
    #[must_use]
    pub fn reads_there(&self, path: &[u8]) -> Option<bool> {
        matches!(path, b"/etc/resolv.conf" | b"/etc/hosts").then_some(self.enabled)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(side: Option<Side>, entries: &[&str]) -> DnsRules {
        let entries = entries.iter().map(|text| text.parse().unwrap()).collect();
        DnsRules { enabled: true, filter: side.map(|side| AddressFilter { side, entries }) }
    }

    #[test]
    fn every_name_is_asked_there_unless_something_keeps_it() {
        assert_eq!(rules(None, &[]).decide("db.shop", 0), Verdict::Take(()));
        assert_eq!(DnsRules::default().decide("db.shop", 0), Verdict::Leave(Reason::Off));
    }

    #[test]
    fn how_names_are_resolved_is_read_where_they_are_asked() {
        assert_eq!(rules(None, &[]).reads_there(b"/etc/resolv.conf"), Some(true));
        assert_eq!(DnsRules::default().reads_there(b"/etc/hosts"), Some(false));
        assert_eq!(rules(None, &[]).reads_there(b"/etc/passwd"), None);
    }

    #[test]
    fn a_list_of_there_takes_only_what_it_names() {
        let rules = rules(Some(Side::There), &["db.shop"]);
        assert_eq!(rules.decide("DB.shop.", 5432), Verdict::Take(()));
        assert_eq!(rules.decide("api.shop", 0), Verdict::Leave(Reason::KeptByUser));
    }

    #[test]
    fn a_list_of_here_takes_all_but_what_it_names() {
        let rules = rules(Some(Side::Here), &["db.here", "api.here:443"]);
        assert_eq!(rules.decide("db.here", 0), Verdict::Leave(Reason::KeptByUser));
        assert_eq!(rules.decide("api.here", 443), Verdict::Leave(Reason::KeptByUser));
        assert_eq!(rules.decide("api.here", 80), Verdict::Take(()));
        assert_eq!(rules.decide("db.shop", 0), Verdict::Take(()));
    }
}
