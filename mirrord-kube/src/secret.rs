//! The name and password that stand in a proxy's address.

use hyper::{Uri, header::HeaderValue};
use k8s_openapi::ByteString;

/// The user and password before the `@`, as they were before somebody wrote them into an address.
pub(crate) fn of(url: &Uri) -> Option<(String, String)> {
    let (secret, _) = url.authority()?.as_str().rsplit_once('@')?;
    let (user, password) = secret.split_once(':').unwrap_or((secret, ""));
    Some((plain(user), plain(password)))
}

/// The same as a header.
pub(crate) fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let base64 = serde_json::to_value(ByteString(format!("{user}:{password}").into_bytes())).ok()?;
    let mut header = HeaderValue::from_str(&format!("Basic {}", base64.as_str()?)).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// `%40` is `@`.
fn plain(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = rest.get(1..3).filter(|digits| byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        if let Some(code) = code {
            bytes.push(code);
            rest = &rest[3..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_was_before_it_stood_in_an_address() {
        let secret = of(&"http://ann:p%40ss%3A@p:3128".parse().unwrap()).unwrap();
        assert_eq!(secret, ("ann".to_owned(), "p@ss:".to_owned()));
        assert_eq!(basic("ann", "p").unwrap().to_str().unwrap(), "Basic YW5uOnA=");
        assert_eq!(of(&"http://p:3128".parse().unwrap()), None);
        assert_eq!(plain("100%"), "100%");
    }
}
