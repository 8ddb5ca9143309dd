//! A selector of labels as the API server reads it in a query.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The query of a selector; none for one that would select everything.
pub(crate) fn query(selector: &LabelSelector) -> Option<String> {
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let expressions = selector.match_expressions.iter().flatten().map(|it| {
        let values = it.values.clone().unwrap_or_default().join(",");
        match it.operator.as_str() {
            "In" => format!("{} in ({values})", it.key),
            "NotIn" => format!("{} notin ({values})", it.key),
            "DoesNotExist" => format!("!{}", it.key),
            _ => it.key.clone(),
        }
    });
    all(labels.chain(expressions))
}

/// The query of plain labels, as a Service has them.
pub(crate) fn of_labels(labels: &BTreeMap<String, String>) -> Option<String> {
    all(labels.iter().map(|(key, value)| format!("{key}={value}")))
}

fn all(terms: impl Iterator<Item = String>) -> Option<String> {
    let terms: Vec<String> = terms.collect();
    (!terms.is_empty()).then(|| terms.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_and_expressions_are_wanted_together() {
        let selector: LabelSelector = serde_json::from_value(json!({
            "matchLabels": { "app": "web", "tier": "front" },
            "matchExpressions": [
                { "key": "zone", "operator": "In", "values": ["a", "b"] },
                { "key": "stage", "operator": "NotIn", "values": ["old"] },
                { "key": "team", "operator": "Exists" },
                { "key": "canary", "operator": "DoesNotExist" },
            ],
        }))
        .unwrap();
        let all = "app=web,tier=front,zone in (a,b),stage notin (old),team,!canary";
        assert_eq!(query(&selector).as_deref(), Some(all));
    }

    #[test]
    fn an_empty_selector_selects_nothing_rather_than_everything() {
        assert_eq!(query(&LabelSelector::default()), None);
        assert_eq!(of_labels(&BTreeMap::new()), None);
    }
}
