//! The target's `hosts(5)`.

use std::net::IpAddr;

/// The canonical name and the addresses of a name, of those that fit.
pub(super) fn find(text: &str, name: &str, fits: impl Fn(&IpAddr) -> bool) -> Option<(String, Vec<IpAddr>)> {
    let mut canonical = None;
    let mut addresses = Vec::new();
    for (ip, names) in lines(text) {
        if fits(&ip) && names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            canonical.get_or_insert_with(|| names[0].to_owned());
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
    }
    canonical.map(|canonical| (canonical, addresses))
}

/// The names of an address.
pub(super) fn names(text: &str, ip: IpAddr) -> Option<Vec<String>> {
    let (_, names) = lines(text).find(|(known, _)| *known == ip)?;
    Some(names.into_iter().map(str::to_owned).collect())
}

/// Addresses, each with at least one name.
fn lines(text: &str) -> impl Iterator<Item = (IpAddr, Vec<&str>)> {
    text.lines().filter_map(|line| {
        let said = line.split_once('#').map_or(line, |(said, _)| said);
        let mut words = said.split_whitespace();
        let ip = words.next()?.parse().ok()?;
        let names: Vec<&str> = words.collect();
        (!names.is_empty()).then_some((ip, names))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n10.0.0.5\tweb.pod web # web2\n\
                         nonsense x\n10.0.0.6\n10.0.0.7 Web\n";

    #[test]
    fn a_name_is_found_on_every_line_whatever_its_case() {
        let (canonical, addresses) = find(HOSTS, "WEB", |_| true).unwrap();
        assert_eq!(canonical, "web.pod");
        assert_eq!(addresses, ["10.0.0.5".parse::<IpAddr>().unwrap(), "10.0.0.7".parse().unwrap()]);
        assert_eq!(find(HOSTS, "localhost", IpAddr::is_ipv6).unwrap().1, ["::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(find(HOSTS, "web2", |_| true), None);
        assert_eq!(find(HOSTS, "x", |_| true), None);
    }

    #[test]
    fn an_address_has_the_names_of_its_first_line() {
        assert_eq!(names(HOSTS, "10.0.0.5".parse().unwrap()).unwrap(), ["web.pod", "web"]);
        assert_eq!(names(HOSTS, "10.0.0.6".parse().unwrap()), None);
    }
}
