//! `[secrets]`: where secrets are kept, and how the gateway shows there who it is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::file::Length;
use super::files;
use super::issuers::Network;
use super::problem::Problems;
use super::secret::{Reference, Template};

const CACHE: Duration = Duration::from_secs(60);
const MOST_CACHE: Duration = Duration::from_secs(3600);
const LONGEST_WARN: Duration = Duration::from_secs(3650 * 24 * 3600);
/// How large a file of certificates may be.
const MAX_CA: u64 = 1024 * 1024;

/// `[secrets]`, as it was written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    /// How old what a store said may be.
    cache: Option<Spanned<Length>>,
    /// From which age on `check` warns.
    warn_after: Option<Spanned<Length>>,
    vault: Option<Spanned<WrittenVault>>,
    aws: Option<Spanned<WrittenAws>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenVault {
    address: Option<Spanned<String>>,
    auth: Option<Spanned<String>>,
    token: Option<Spanned<String>>,
    role_id: Option<Spanned<String>>,
    secret_id: Option<Spanned<String>>,
    approle: Option<Spanned<String>>,
    namespace: Option<Spanned<String>>,
    mount: Option<Spanned<String>>,
    ca: Option<Spanned<PathBuf>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenAws {
    region: Option<Spanned<String>>,
    access_key_id: Option<Spanned<String>>,
    secret_access_key: Option<Spanned<String>>,
    session_token: Option<Spanned<String>>,
    endpoint: Option<Spanned<String>>,
}

/// Where secrets are kept.
#[derive(Debug, Clone)]
pub struct Stores {
    /// How old what a store said may be before it is asked again.
    pub cache: Duration,
    /// From which age on a secret should be replaced.
    pub warn_after: Option<Duration>,
    /// HashiCorp Vault or OpenBao.
    pub vault: Option<Vault>,
    /// AWS Secrets Manager.
    pub aws: Option<Aws>,
}

impl Default for Stores {
    fn default() -> Self {
        Self { cache: CACHE, warn_after: None, vault: None, aws: None }
    }
}

/// How to get to HashiCorp Vault or OpenBao.
#[derive(Debug, Clone)]
pub struct Vault {
    /// Its address, without `/v1`: https, or http on this machine.
    pub address: Url,
    /// How the gateway shows who it is.
    pub login: VaultLogin,
    /// The namespace, where there is one.
    pub namespace: Option<String>,
    /// A mount of more than one part; else the first part of a path is its mount.
    pub mount: Option<String>,
    /// Who may have signed its certificate, beside those whom the system trusts.
    pub ca: Vec<CertificateDer<'static>>,
}

/// How the gateway shows Vault who it is.
#[derive(Debug, Clone)]
pub enum VaultLogin {
    /// With a token.
    Token(Template),
    /// With a role (AppRole).
    AppRole {
        /// Where the method is mounted.
        mount: String,
        /// Which role.
        role_id: Template,
        /// Its secret.
        secret_id: Template,
    },
}

/// How to get to AWS Secrets Manager.
#[derive(Debug, Clone)]
pub struct Aws {
    /// The region, which is part of every signature.
    pub region: String,
    /// Its address: https, or http on this machine.
    pub endpoint: Url,
    /// Whose key it is.
    pub access_key_id: Template,
    /// The key.
    pub secret_access_key: Template,
    /// What belongs to keys that expire.
    pub session_token: Option<Template>,
}

/// Judges `[secrets]`. References in it are to places that need no store.
pub(super) fn stores(written: Written, base: &Path, problems: &mut Problems) -> Stores {
    let cache = within(written.cache, (Duration::from_millis(100), MOST_CACHE), problems).unwrap_or(CACHE);
    let warn_after = within(written.warn_after, (Duration::from_secs(1), LONGEST_WARN), problems);
    let vault = written.vault.and_then(|vault| self::vault(vault, base, problems));
    let aws = written.aws.and_then(|aws| self::aws(aws, base, problems));
    Stores { cache, warn_after, vault, aws }
}

fn within(written: Option<Spanned<Length>>, (least, most): (Duration, Duration), problems: &mut Problems) -> Option<Duration> {
    let written = written?;
    let length = written.get_ref().0;
    if !(least..=most).contains(&length) {
        problems.add(Some(written.span()), format!("{length:?} is not between {least:?} and {most:?}"), "");
    }
    Some(length)
}

fn vault(written: Spanned<WrittenVault>, base: &Path, problems: &mut Problems) -> Option<Vault> {
    let at = written.span();
    let written = written.into_inner();
    let auth = written.auth.as_ref().map_or("token", |auth| auth.get_ref());
    let strays: Vec<&Spanned<String>> = match auth {
        "token" => [&written.role_id, &written.secret_id, &written.approle].into_iter().flatten().collect(),
        "approle" => written.token.iter().collect(),
        _ => {
            let at = written.auth.as_ref().map_or(at, Spanned::span);
            problems.add(Some(at), format!("{auth:?} is not a way to log in"), "auth = \"token\", or auth = \"approle\"");
            return None;
        }
    };
    for stray in strays {
        problems.add(Some(stray.span()), format!("this does not belong to auth = {auth:?}"), "");
    }
    let mut need = |value: Option<Spanned<String>>, key: &str, help: &str| {
        if value.is_none() {
            problems.add(Some(at.clone()), format!("`{key}` is missing"), help);
        }
        value
    };
    let address = need(written.address, "address", "address = \"https://vault.example.com:8200\"");
    let (token, role_id, secret_id) = if auth == "token" {
        (need(written.token, "token", "token = \"${env:VAULT_TOKEN}\""), None, None)
    } else {
        let role_id = need(written.role_id, "role_id", "role_id = \"${env:VAULT_ROLE_ID}\"");
        (None, role_id, need(written.secret_id, "secret_id", "secret_id = \"${file:secret-id}\""))
    };
    let address = address.and_then(|address| url(&address, problems));
    let login = match (token, role_id, secret_id) {
        (Some(token), ..) => template(&token, base, problems).map(VaultLogin::Token),
        (None, Some(role_id), Some(secret_id)) => {
            let mount = written.approle.map_or_else(|| Some("approle".to_owned()), |mount| path(mount, problems));
            // A role's id is a name; written as it is it does no harm.
            let role_id =
                if role_id.get_ref().contains("${") { template(&role_id, base, problems) } else { plain(&role_id, base, problems) };
            let secret_id = template(&secret_id, base, problems);
            mount.zip(role_id).zip(secret_id).map(|((mount, role_id), secret_id)| VaultLogin::AppRole { mount, role_id, secret_id })
        }
        _ => None,
    };
    let namespace = written.namespace.and_then(|namespace| path(namespace, problems));
    let mount = written.mount.and_then(|mount| path(mount, problems));
    let ca = written.ca.and_then(|ca| certificates(&ca, base, problems)).unwrap_or_default();
    Some(Vault { address: address?, login: login?, namespace, mount, ca })
}

fn aws(written: Spanned<WrittenAws>, base: &Path, problems: &mut Problems) -> Option<Aws> {
    let at = written.span();
    let written = written.into_inner();
    let region = written.region.filter(|region| {
        let good = !region.get_ref().is_empty()
            && region.get_ref().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !good {
            problems.add(Some(region.span()), "this is not a region", "region = \"eu-central-1\"");
        }
        good
    });
    let Some(region) = region.map(Spanned::into_inner) else {
        problems.add(Some(at), "`region` is missing", "region = \"eu-central-1\"");
        return None;
    };
    let endpoint = match &written.endpoint {
        Some(endpoint) => url(endpoint, problems),
        None => Url::parse(&format!("https://secretsmanager.{region}.amazonaws.com/")).ok(),
    };
    let own = written.access_key_id.is_some();
    let mut key = |written: Option<Spanned<String>>, name: &str| match written {
        Some(written) => template(&written, base, problems),
        None => Some(Template::of(Reference::Env(name.to_owned()))),
    };
    let access_key_id = key(written.access_key_id, "AWS_ACCESS_KEY_ID");
    let secret_access_key = key(written.secret_access_key, "AWS_SECRET_ACCESS_KEY");
    let session_token = match written.session_token {
        Some(written) => Some(key(Some(written), "")?),
        // Keys from the environment may have one; it is sent when it is set.
        None if !own && super::variable("AWS_SESSION_TOKEN").is_some() => key(None, "AWS_SESSION_TOKEN"),
        None => None,
    };
    Some(Aws { region, endpoint: endpoint?, access_key_id: access_key_id?, secret_access_key: secret_access_key?, session_token })
}

/// A value that is a reference, to a place that needs no store: else a store would be needed to get at the store.
fn template(written: &Spanned<String>, base: &Path, problems: &mut Problems) -> Option<Template> {
    if !written.get_ref().contains("${") {
        problems.blank(written.span());
        let help = "write a reference, such as \"${env:VAR}\" or \"${file:PATH}\"; if this was a real credential, replace it";
        problems.add(Some(written.span()), "the configuration holds no secrets", help);
        return None;
    }
    plain(written, base, problems)
}

fn plain(written: &Spanned<String>, base: &Path, problems: &mut Problems) -> Option<Template> {
    let template = match Template::read(written.get_ref(), base) {
        Ok(template) => template,
        Err(what) => {
            problems.add(Some(written.span()), what, "");
            return None;
        }
    };
    if template.references().any(|reference| matches!(reference, Reference::Vault { .. } | Reference::Aws { .. })) {
        problems.add(Some(written.span()), "what opens a store cannot be in a store", "use ${env:VAR}, ${file:PATH} or ${keyring:NAME}");
        return None;
    }
    Some(template)
}

/// Names with slashes between them, as they stand in addresses.
fn path(written: Spanned<String>, problems: &mut Problems) -> Option<String> {
    let known = |symbol: char| symbol.is_ascii_alphanumeric() || matches!(symbol, '-' | '_' | '.');
    let good = written.get_ref().trim_matches('/').split('/').all(|part| !matches!(part, "" | "." | "..") && part.chars().all(known));
    if !good {
        problems.add(Some(written.span()), "this is not a path: names of letters, digits, `-`, `_` and `.`, with `/` between them", "");
        return None;
    }
    Some(written.get_ref().trim_matches('/').to_owned())
}

/// The address of a store or of a token endpoint. The operator named it, so it may be on a private address.
pub(super) fn url(written: &Spanned<String>, problems: &mut Problems) -> Option<Url> {
    let mut no = |what: &str, help: &str| {
        problems.add(Some(written.span()), what, help);
        None
    };
    let Ok(url) = Url::parse(written.get_ref()) else { return no("this is not an address", "") };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() || url.query().is_some() || url.host().is_none() {
        return no("the address has a host, and no user, query or fragment", "");
    }
    if !Network::Private.allows(&url) {
        return no("secrets would travel to this address in clear text", "use https; `http` is for addresses of this machine");
    }
    Some(url)
}

/// The certificates of a file that the operator named.
pub(super) fn certificates(written: &Spanned<PathBuf>, base: &Path, problems: &mut Problems) -> Option<Vec<CertificateDer<'static>>> {
    let path = base.join(written.get_ref());
    let mut no = |what: String| {
        problems.add(Some(written.span()), what, "name a file with certificates in PEM");
        None
    };
    let text = match files::read(&path, MAX_CA) {
        Ok(text) => text,
        Err(error) => return no(format!("{} cannot be read: {error}", path.display())),
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Some(found),
        Ok(_) => no(format!("{} holds no certificate", path.display())),
        Err(error) => no(format!("{} holds no certificate: {error}", path.display())),
    }
}

/// Which stores are configured, for whoever reads references to them.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(BTreeSet<&'static str>);

impl Known {
    /// The stores that were written down, whether or not what was written is good: one mistake is one problem.
    pub(super) fn of(written: &Written) -> Self {
        let vault = written.vault.is_some().then_some("secrets.vault");
        Self(vault.into_iter().chain(written.aws.is_some().then_some("secrets.aws")).collect())
    }

    /// Whether all stores are known that a value needs.
    pub(super) fn covers(&self, template: &Template) -> Result<(), String> {
        let needed = template.references().filter_map(|reference| match reference {
            Reference::Vault { .. } => Some("secrets.vault"),
            Reference::Aws { .. } => Some("secrets.aws"),
            Reference::Env(_) | Reference::File(_) | Reference::Keyring(_) => None,
        });
        match needed.into_iter().find(|store| !self.0.contains(store)) {
            Some(store) => Err(format!("the reference is to a store that is not configured: there is no `[{store}]`")),
            None => Ok(()),
        }
    }
}
