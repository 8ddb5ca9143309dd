//! Which HTTP or SOCKS proxy of the developer's network stands before an address.

use std::net::IpAddr;

/// How environment variables are looked up.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The address of the proxy that the environment wants for `host`, as Go's programs read it, so that `kubectl` and we
/// go the same way.
pub(crate) fn from_environment(is_tls: bool, host: &str, port: u16, look_up: Lookup) -> Option<String> {
    let names: &[&str] = if is_tls {
        &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    } else {
        &["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
    };
    let proxy = first(names, look_up)?;
    let exceptions = first(&["NO_PROXY", "no_proxy"], look_up).unwrap_or_default();
    if is_loopback(host) || is_excepted(host, port, &exceptions) {
        return None;
    }
    Some(if proxy.contains("://") { proxy } else { format!("http://{proxy}") })
}

fn first(names: &[&str], look_up: Lookup) -> Option<String> {
    names.iter().filter_map(|name| look_up(name)).find(|value| !value.trim().is_empty())
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || address(host).is_some_and(|address| address.is_loopback())
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether a list of names, `.suffixes`, addresses and ranges, each perhaps with a port, has the host in it.
fn is_excepted(host: &str, port: u16, exceptions: &str) -> bool {
    let host = host.to_lowercase();
    exceptions.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Some(address), Some((net, bits))) = (address(&host), entry.split_once('/')) {
            return is_in_range(address, net, bits);
        }
        let (name, wanted) = match entry.rsplit_once(':') {
            Some((name, wanted)) if !name.contains(':') || name.ends_with(']') => {
                (name, wanted.parse::<u16>().ok())
            }
            _ => (entry, None),
        };
        wanted.is_none_or(|wanted| wanted == port) && is_name(&host, &name.to_lowercase())
    })
}

/// `a.b` is itself and all beneath it; `.a.b` and `*.a.b` are only what is beneath.
fn is_name(host: &str, entry: &str) -> bool {
    if let (Some(host), Some(entry)) = (address(host), address(entry)) {
        return host == entry;
    }
    let entry = entry.strip_prefix('*').unwrap_or(entry);
    match entry.strip_prefix('.') {
        Some(_) => host.ends_with(entry),
        None => host == entry || host.strip_suffix(entry).is_some_and(|rest| rest.ends_with('.')),
    }
}

fn is_in_range(address: IpAddr, net: &str, bits: &str) -> bool {
    let (Ok(net), Ok(bits)) = (net.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    match (address, net) {
        (IpAddr::V4(address), IpAddr::V4(net)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            address.to_bits() & mask == net.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(net)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            address.to_bits() & mask == net.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(host: &str, variables: &[(&str, &str)]) -> Option<String> {
        from_environment(true, host, 6443, &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_variable_of_the_scheme_is_followed() {
        assert_eq!(via("api.shop", &[("HTTPS_PROXY", "http://p:3128")]).as_deref(), Some("http://p:3128"));
        assert_eq!(via("api.shop", &[("https_proxy", "p:3128")]).as_deref(), Some("http://p:3128"));
        assert_eq!(via("api.shop", &[("ALL_PROXY", "socks5://p")]).as_deref(), Some("socks5://p"));
        assert_eq!(via("api.shop", &[("HTTP_PROXY", "http://p")]), None);
        assert_eq!(via("api.shop", &[("HTTPS_PROXY", " ")]), None);
    }

    #[test]
    fn what_is_excepted_is_reached_without_a_proxy() {
        let is_direct =
            |host: &str, list: &str| via(host, &[("HTTPS_PROXY", "http://p"), ("NO_PROXY", list)]).is_none();
        assert!(is_direct("127.0.0.1", "") && is_direct("localhost", "") && is_direct("[::1]", ""));
        assert!(is_direct("api.shop", "*") && is_direct("api.shop", "x, shop,") && is_direct("shop", "shop"));
        assert!(
            is_direct("api.shop", ".shop") && !is_direct("shop", ".shop") && !is_direct("workshop", "shop")
        );
        assert!(is_direct("10.1.2.3", "10.0.0.0/8") && !is_direct("11.1.2.3", "10.0.0.0/8"));
        assert!(is_direct("10.1.2.3", "0.0.0.0/0") && is_direct("[fd00::1]", "fd00::/8"));
        assert!(is_direct("api.shop", "shop:6443") && !is_direct("api.shop", "shop:443"));
    }
}
