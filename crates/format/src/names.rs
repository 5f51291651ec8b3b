//! Names: of hosts, of mailboxes, of things in programs.

use crate::verdict::{Parsed, refuse};

pub(crate) fn hostname(value: &str) -> Parsed {
    if value.is_empty() || value.len() > 253 {
        return refuse("the name is empty or too long");
    }
    let label = |part: &str| {
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        part.len() <= 63
            && edge(part.bytes().next())
            && edge(part.bytes().last())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !value.split('.').all(label) {
        return refuse("the name has characters or labels that host names do not have");
    }
    // What ends in a number is an address to somebody (WHATWG URL, "ends in a number").
    let last = value.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    if last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return refuse("the name is an address, or looks like one");
    }
    Ok(value.to_ascii_lowercase())
}

pub(crate) fn email(value: &str) -> Parsed {
    let Some((local, host)) = value.rsplit_once('@') else { return refuse("the address has no @") };
    let atom =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte));
    if local.len() > 64 || value.len() > 254 || !local.split('.').all(atom) {
        return refuse("the part before the @ is not a dot-atom of at most 64 characters");
    }
    // A mail program must not take it for an option.
    if local.starts_with('-') {
        return refuse("the address begins with a dash");
    }
    let host = hostname(host)?;
    if host.contains('.') { Ok(format!("{local}@{host}")) } else { refuse("the host has no domain") }
}

pub(crate) fn identifier(value: &str) -> Parsed {
    let first = value.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let all = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if first && all && value.len() <= 63 {
        Ok(value.to_owned())
    } else {
        refuse("the name is not a letter or _ and then letters, digits or _, at most 63")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts() {
        assert_eq!(hostname("API.Example.com").as_deref(), Ok("api.example.com"));
        assert_eq!(hostname("localhost").as_deref(), Ok("localhost"));
        for value in ["", "a..b", ".a", "a.", "-a.com", "a-.com", "a_b.com", "1.2.3.4", "a.0x7f", "münchen.de", "a b", "a/b", "[::1]"] {
            assert!(hostname(value).is_err(), "{value}");
        }
    }

    #[test]
    fn names_of_mailboxes() {
        assert_eq!(email("Ada.L+x@Example.ORG").as_deref(), Ok("Ada.L+x@example.org"));
        for value in
            ["", "a", "@b.c", "a@", "a@b", ".a@b.c", "a..b@c.d", "\"a b\"@c.d", "a@b@c.d\r\nBcc: x@y.z", "a@1.2.3.4", "a,b@c.d", "-x@c.d"]
        {
            assert!(email(value).is_err(), "{value}");
        }
    }

    #[test]
    fn names_in_programs() {
        assert!(identifier("_users2").is_ok());
        for value in ["", "2a", "a-b", "a.b", "a b", "a;b", "ä"] {
            assert!(identifier(value).is_err(), "{value}");
        }
    }
}
