//! The gateway's own TLS: 1.2 and 1.3 by rustls, with keys from files that are taken anew when they change.
//!
//! A certificate and its key are two files, and nobody replaces both at once. What is read is therefore used only when it
//! fits together; until then, and for ever if it never does, what was read before stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, SHA256};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;
use x509_cert::der::Decode as _;
use zeroize::Zeroizing;

use crate::config::files::{self, Mark};
use crate::config::{self, ClientAuthority, Wanted};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(400);
/// How large one of them may be.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {what}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// What the files hold does not fit together.
    #[error("{} and {}: {what}", certificate.display(), key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// What connections are accepted with at one moment.
#[derive(Debug)]
struct Keys {
    config: Arc<ServerConfig>,
    /// Judges clients; none when they are not asked for certificates.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    digest: [u8; 32],
    /// Until when the gateway's own certificate is good, in milliseconds since the Unix epoch.
    until_ms: u64,
}

/// TLS as it is now.
#[derive(Debug)]
pub struct Tls {
    settings: config::Tls,
    current: ArcSwap<Keys>,
    /// The files as they were when they were read: taken before, so that no change in between is missed.
    first: Vec<Mark>,
    changed: watch::Sender<()>,
}

impl Tls {
    /// Reads the files for the first time; nothing starts with some that cannot be used.
    pub fn open(settings: &config::Tls) -> Result<Arc<Self>, TlsError> {
        let first = marks(settings);
        let current = ArcSwap::from_pointee(read(settings)?);
        Ok(Arc::new(Self { settings: settings.clone(), current, first, changed: watch::Sender::new(()) }))
    }

    /// What a new connection is accepted with.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.load().config.clone()
    }

    /// Until when the gateway's own certificate is good, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn until_ms(&self) -> u64 {
        self.current.load().until_ms
    }

    /// Whether a client's certificates are still good at this time: not over, not taken back, of an authority that is
    /// still trusted.
    pub fn stands(&self, chain: &[CertificateDer<'_>], now_ms: u64) -> Result<(), String> {
        let keys = self.current.load();
        let verifier = keys.verifier.as_ref().ok_or("clients are not asked for certificates any more")?;
        let (own, between) = chain.split_first().ok_or("there is no certificate")?;
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now_ms));
        verifier.verify_client_cert(own, between, now).map(drop).map_err(|error| error.to_string())
    }

    /// Tells of every change of what is trusted.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Looks at the files from time to time, and tells `changed` after taking them anew. What does not fit together
    /// changes nothing, and is tried again when the files change again; what cannot be read is tried again at every look.
    pub async fn watch(&self, changed: impl Fn()) {
        let (mut seen, mut before) = (self.first.clone(), self.first.clone());
        let mut told = String::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = marks(&self.settings);
            // Who replaces several files is given the time to finish.
            let settled = now == before;
            before = now;
            if !settled || before == seen {
                continue;
            }
            let read = read(&self.settings);
            // What could not be read (too many files are open) may be readable at the next look, and looks the same then.
            if !matches!(read, Err(TlsError::Read { .. })) {
                seen.clone_from(&before);
            }
            let failed = read.as_ref().err().map(ToString::to_string).unwrap_or_default();
            let is_new = std::mem::replace(&mut told, failed) != told;
            match read {
                Ok(keys) if keys.digest == self.current.load().digest => {}
                Ok(keys) => {
                    self.current.store(Arc::new(keys));
                    self.changed.send_replace(());
                    tracing::info!("the certificates were read again");
                    changed();
                }
                Err(error) if is_new => tracing::error!(%error, "the changed certificates cannot be used: those from before stay"),
                Err(_) => {}
            }
        }
    }
}

/// All files, in the order of reading.
fn paths(settings: &config::Tls) -> impl Iterator<Item = &Path> {
    let clients = settings.clients.iter().flat_map(|clients| [Some(&clients.ca), clients.crl.as_ref()]).flatten();
    [&settings.certificate, &settings.key].into_iter().chain(clients).map(PathBuf::as_path)
}

fn marks(settings: &config::Tls) -> Vec<Mark> {
    paths(settings).map(Mark::of).collect()
}

fn read(settings: &config::Tls) -> Result<Keys, TlsError> {
    let mut digest = Context::new(&SHA256);
    let mut text = |path: &Path| {
        let read = files::read(path, MAX_FILE).map(Zeroizing::new);
        let text = read.map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
        digest.update(&text.len().to_be_bytes());
        digest.update(text.as_bytes());
        Ok::<_, TlsError>(text)
    };
    let chain = certificates(&settings.certificate, &text(&settings.certificate)?)?;
    let until_ms = until(&settings.certificate, &chain)?;
    let key = text(&settings.key)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| format(&settings.key, error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = match &settings.clients {
        None => None,
        Some(clients) => {
            let roots = certificates(&clients.ca, &text(&clients.ca)?)?;
            let lists = clients.crl.as_ref().map(|path| lists(path, &text(path)?)).transpose()?;
            Some(verifier(clients, roots, lists, &provider)?)
        }
    };
    let misfit = |error: rustls::Error| TlsError::Pair {
        certificate: settings.certificate.clone(),
        key: settings.key.clone(),
        what: error.to_string(),
    };
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(misfit)?;
    let builder = match &verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(misfit)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if verifier.is_some() {
        // Who resumes shows no certificate again, and the one from before may be over by then.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    let mut found = [0; 32];
    found.copy_from_slice(digest.finish().as_ref());
    Ok(Keys { config: Arc::new(config), verifier, digest: found, until_ms })
}

/// Who judges clients. A list of what was taken back must be one for every authority on the way, and must not be over:
/// what is not known to be good is not.
fn verifier(
    clients: &ClientAuthority,
    roots: Vec<CertificateDer<'static>>,
    lists: Option<Vec<CertificateRevocationListDer<'static>>>,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root).map_err(|error| format(&clients.ca, error))?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider.clone());
    if let Some(lists) = lists {
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    let builder = match clients.wanted {
        Wanted::Required => builder,
        Wanted::Offered => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| format(clients.crl.as_ref().unwrap_or(&clients.ca), error))
}

fn format(path: &Path, what: impl std::fmt::Display) -> TlsError {
    TlsError::Format { path: path.to_owned(), what: what.to_string() }
}

fn certificates(path: &Path, text: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let found = found.map_err(|error| format(path, error))?;
    if found.is_empty() { Err(format(path, "there is no certificate in it")) } else { Ok(found) }
}

fn lists(path: &Path, text: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(text.as_bytes()).collect();
    let found = found.map_err(|error| format(path, error))?;
    if found.is_empty() { Err(format(path, "there is no list of revoked certificates in it")) } else { Ok(found) }
}

fn until(path: &Path, chain: &[CertificateDer<'_>]) -> Result<u64, TlsError> {
    let own = chain.first().map(AsRef::as_ref).unwrap_or_default();
    let read = x509_cert::Certificate::from_der(own).map_err(|error| format(path, error))?;
    let until = read.tbs_certificate.validity.not_after.to_unix_duration();
    Ok(u64::try_from(until.as_millis()).unwrap_or(u64::MAX))
}
