//! What a client's certificate says of who it is.
//!
//! Whether it is good (who issued it, from when to when, not taken back) was decided by TLS before; here its names are
//! read. A certificate with a SPIFFE ID is that workload and nothing else (X.509-SVID, section 2): a second URI in it, or
//! an ID that is not one, and it is nobody.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use bartizan_monitor::case::{Caller, Means, Strength};
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::reason::gateway::{IDENTITY_BINDING, IDENTITY_CERTIFICATE};
use rustls::pki_types::CertificateDer;
use subtle::ConstantTimeEq as _;
use x509_cert::Certificate as X509;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::config::{Clients, Entry, certificate_name};

/// How many names a certificate may have that are looked at.
const MAX_NAMES: usize = 64;

/// SHA-256 of a certificate, as RFC 8705 binds tokens to it.
pub(super) type Thumbprint = [u8; 32];

/// A client certificate that TLS found to be good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    print: Thumbprint,
    /// The names that it is known by, or why there are none.
    names: Result<BTreeSet<Arc<str>>, String>,
    /// It, and those between it and an authority.
    chain: Vec<CertificateDer<'static>>,
}

impl Certificate {
    /// Reads a certificate that was verified.
    #[must_use]
    pub fn read(der: &[u8]) -> Self {
        let mut print = [0; 32];
        print.copy_from_slice(digest(&SHA256, der).as_ref());
        Self { print, names: names(der), chain: Vec::new() }
    }

    /// Reads the first of the certificates that a client showed, and keeps all: whether they are good is asked again.
    #[must_use]
    pub fn of(chain: Vec<CertificateDer<'static>>) -> Option<Self> {
        let own = chain.first()?;
        Some(Self { chain: chain.clone(), ..Self::read(own) })
    }

    /// Its SHA-256.
    #[must_use]
    pub const fn print(&self) -> &[u8; 32] {
        &self.print
    }

    /// All that the client showed.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Its names, for the log.
    #[must_use]
    pub fn shown(&self) -> String {
        match &self.names {
            Ok(names) => names.iter().map(|name| &**name).collect::<Vec<_>>().join(", "),
            Err(what) => what.clone(),
        }
    }

    /// The configured client that it names: one, or none. Refuses one that is none of here.
    fn entry<'c>(&self, clients: &'c Clients) -> Result<Option<(&Arc<str>, &'c Entry)>, Refusal> {
        let no = |what: String| Refusal::new(IDENTITY_CERTIFICATE, what);
        let mut found = self.names.iter().flatten().filter_map(|name| Some((name, clients.certificates.get(&**name)?)));
        let Some(first) = found.next() else { return Ok(None) };
        // Which of the two it is would depend on an order that nobody sees.
        if found.next().is_some() {
            return Err(no(format!("several of [[clients]] are named by one certificate: {}", self.shown())));
        }
        match &first.1.elsewhere {
            Some(environment) => Err(no(format!("{} is a client of {environment}, and this is another environment", first.0))),
            None => Ok(Some(first)),
        }
    }

    /// Who comes with this certificate and nothing else.
    pub(super) fn caller(&self, clients: &Clients) -> Result<Caller, Refusal> {
        let unknown = || match &self.names {
            Ok(_) => format!("none of [[clients]] is called {}", self.shown()),
            Err(what) => what.clone(),
        };
        let (name, entry) = self.entry(clients)?.ok_or_else(|| Refusal::new(IDENTITY_CERTIFICATE, unknown()))?;
        let principal = format!("certificate:{}#{name}", entry.label);
        let strength = Strength { certificate: Some(name.clone()), ..Strength::default() };
        Ok(Caller::assertion(&principal, Means::Certificate, entry.reach.clone()).with_strength(strength))
    }

    /// What it adds to a caller that another credential names: that the connection is that of the client that it names.
    /// One of a client that the operator does not know adds nothing.
    pub(super) fn strengthen(&self, caller: Caller, clients: &Clients) -> Result<Caller, Refusal> {
        let Some((name, _)) = self.entry(clients)? else { return Ok(caller) };
        let strength = Strength { certificate: Some(name.clone()), ..caller.strength().clone() };
        Ok(caller.with_strength(strength))
    }
}

/// Refuses a token that is bound to another certificate than the connection's (RFC 8705, section 3), or to none of them.
pub(super) fn fits(bound: Option<&Thumbprint>, shown: Option<&Certificate>) -> Result<(), Refusal> {
    let Some(bound) = bound else { return Ok(()) };
    let no = |what: &str| Refusal::new(IDENTITY_BINDING, what);
    let shown = shown.ok_or_else(|| no("`cnf` names a certificate, and the connection has none"))?;
    if bool::from(bound.ct_eq(&shown.print)) { Ok(()) } else { Err(no("`cnf` names another certificate than the connection's")) }
}

fn names(der: &[u8]) -> Result<BTreeSet<Arc<str>>, String> {
    let certificate = X509::from_der(der).map_err(|error| format!("the certificate cannot be read: {error}"))?;
    let said: Option<(bool, SubjectAltName)> =
        certificate.tbs_certificate.get().map_err(|error| format!("its names cannot be read: {error}"))?;
    let said = said.map(|(_, names)| names.0).unwrap_or_default();
    if said.len() > MAX_NAMES {
        return Err(format!("it has more than {MAX_NAMES} names"));
    }
    let uris: Vec<&str> = said.iter().filter_map(uri).collect();
    if uris.iter().any(|uri| is_spiffe_scheme(uri)) {
        let [id] = uris.as_slice() else { return Err("a SPIFFE ID, and another URI beside it".to_owned()) };
        let id = certificate_name(id).ok_or_else(|| "a SPIFFE ID that is none of a workload".to_owned())?;
        return Ok([id.as_str().into()].into());
    }
    let names: BTreeSet<Arc<str>> = said.iter().filter_map(spelled).map(|name| name.as_str().into()).collect();
    // The subject's common name is not asked: it is free text.
    if names.is_empty() { Err("no URI, DNS name or e-mail address in it names a client".to_owned()) } else { Ok(names) }
}

fn is_spiffe_scheme(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("spiffe"))
}

fn uri(name: &GeneralName) -> Option<&str> {
    match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
        _ => None,
    }
}

/// A name as the configuration spells it; no name of a kind that nobody can configure, such as an address.
fn spelled(name: &GeneralName) -> Option<String> {
    match name {
        // One that looks like a name of another kind is none: it has no authority.
        GeneralName::UniformResourceIdentifier(uri) => certificate_name(uri.as_str()).filter(|name| name.contains("://")),
        GeneralName::DnsName(dns) => certificate_name(&format!("dns:{}", dns.as_str())),
        GeneralName::Rfc822Name(address) => certificate_name(&format!("email:{}", address.as_str())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bartizan_monitor::case::Reach;

    use super::*;

    fn clients() -> Clients {
        let entry = |elsewhere: Option<&str>| Entry { label: "x".to_owned(), reach: Reach::all(), elsewhere: elsewhere.map(str::to_owned) };
        let certificates = [("dns:own", None), ("dns:twin", None), ("dns:dev", Some("dev"))];
        let certificates = certificates.map(|(name, elsewhere)| (name.to_owned(), entry(elsewhere)));
        Clients { certificates: BTreeMap::from(certificates), anonymous: None }
    }

    #[test]
    fn beside_a_token_only_a_client_of_here_adds_strength() {
        type Row = (Result<&'static [&'static str], &'static str>, Result<Option<&'static str>, &'static str>);
        let rows: &[Row] = &[
            (Ok(&["dns:own", "dns:unlisted"]), Ok(Some("dns:own"))),
            (Ok(&["dns:unlisted"]), Ok(None)),
            (Err("none"), Ok(None)),
            (Ok(&["dns:own", "dns:twin"]), Err("identity.certificate")),
            (Ok(&["dns:dev"]), Err("identity.certificate")),
        ];
        for (names, expected) in rows {
            let names = names.map(|names| names.iter().map(|name| Arc::from(*name)).collect()).map_err(str::to_owned);
            let certificate = Certificate { names, ..Certificate::read(b"") };
            let found = certificate.strengthen(Caller::assertion("token:x", Means::Token, Reach::all()), &clients());
            let found = found.as_ref().map(|caller| caller.strength().certificate.as_deref()).map_err(|refusal| refusal.reason.code());
            assert_eq!(found, *expected, "{certificate:?}");
        }
    }
}
