//! How clients come in: the listener, its TLS, and the credentials that open it.

use bartizan_gateway::clock;
use bartizan_gateway::config::{Entry, Listen, Loaded, OpenTo, Tls as Files, Wanted, files};
use bartizan_gateway::identity::{Standing as TokenStanding, Tokens};
use bartizan_gateway::tls::Tls;

use super::{GATEWAY, Item, Standing, list};

/// How soon the end of a certificate is worth a word.
const SOON_MS: u64 = 14 * 24 * 3600 * 1000;

/// What concerns the ways in.
pub(super) fn items(loaded: &Loaded) -> Vec<Item> {
    let settings = &loaded.settings;
    let mut items = vec![listener(&settings.listen)];
    match &settings.listen.tls {
        None => items.push(plain(&settings.listen)),
        Some(files) => items.extend(tls(files)),
    }
    if !settings.listen.proxies.is_empty() {
        let named: Vec<String> = settings.listen.proxies.iter().map(ToString::to_string).collect();
        items.push(Item::new(GATEWAY, "proxies", Standing::Note, format!("believed about where requests come from: {}", named.join(", "))));
    }
    if let Some(entry) = &settings.clients.anonymous {
        let evidence = format!("every program of this machine comes in without a credential: {}", reach(entry));
        items.push(Item::new(GATEWAY, "anonymous", Standing::Note, evidence));
    }
    let clients = &settings.clients.certificates;
    if !clients.is_empty() {
        let each: Vec<String> = clients.iter().map(|(name, entry)| format!("{} ({name}): {}", entry.label, reach(entry))).collect();
        items.push(Item::new(GATEWAY, "clients", Standing::Good, each.join("; ")));
    }
    items.push(tokens(loaded));
    items
}

fn reach(entry: &Entry) -> String {
    let servers = entry.reach.servers.as_ref().map(|servers| servers.iter().cloned().collect::<Vec<_>>());
    let servers = servers.map_or_else(|| "all servers".to_owned(), |servers| list(&servers, "no server"));
    format!("{servers}, up to {}", entry.reach.most)
}

fn listener(listen: &Listen) -> Item {
    let standing = if listen.address.ip().is_loopback() { Standing::Good } else { Standing::Note };
    let evidence = format!("{}, hosts: {}", listen.address, list(&listen.allowed_hosts, "this machine's own"));
    Item::new(GATEWAY, "listen", standing, evidence)
}

fn plain(listen: &Listen) -> Item {
    let (standing, evidence) = match listen.open_to {
        OpenTo::Proxies => (Standing::Note, "none: the way from the proxies is in clear text, and only they get a connection"),
        OpenTo::Everybody if listen.address.ip().is_loopback() => (Standing::Good, "none: only programs of this machine get a connection"),
        OpenTo::Everybody => (Standing::Note, "none: tokens and calls are in clear text"),
    };
    Item::new(GATEWAY, "tls", standing, evidence)
}

fn tls(settings: &Files) -> Vec<Item> {
    let opened = match Tls::open(settings) {
        Ok(opened) => opened,
        Err(error) => {
            let item = Item::new(GATEWAY, "tls", Standing::Open, error.to_string());
            return vec![item.remedy("the gateway does not start until this is mended")];
        }
    };
    let clients = match settings.clients.as_ref().map(|clients| (clients.wanted, &clients.crl)) {
        None => "clients are not asked for certificates",
        Some((Wanted::Required, None)) => "clients must have a certificate",
        Some((Wanted::Required, Some(_))) => "clients must have a certificate that was not revoked",
        Some((Wanted::Offered, None)) => "clients may have a certificate",
        Some((Wanted::Offered, Some(_))) => "clients may have a certificate that was not revoked",
    };
    let (until, now) = (opened.until_ms(), clock::now_ms());
    let evidence = format!("1.2 and 1.3, {} good until {}; {clients}", settings.certificate.display(), clock::utc(until));
    let (standing, remedy) = match until.checked_sub(now) {
        None => (Standing::Open, "the certificate is over: replace the files, the running gateway takes them"),
        Some(left) if left < SOON_MS => (Standing::Note, "replace the files soon, the running gateway takes them"),
        Some(_) => (Standing::Good, ""),
    };
    let mut items = vec![Item::new(GATEWAY, "tls", standing, evidence).remedy(remedy)];
    if files::others_may_read(&settings.key).unwrap_or(true) {
        let evidence = format!("every user of this machine may read {}", settings.key.display());
        items.push(Item::new(GATEWAY, "tls key", Standing::Open, evidence).remedy(format!("chmod o= {}", settings.key.display())));
    }
    items
}

fn no_token(loaded: &Loaded) -> Item {
    let settings = &loaded.settings;
    let others = settings.oauth.is_some() || settings.clients.anonymous.is_some() || !settings.clients.certificates.is_empty();
    if others {
        return Item::new(GATEWAY, "tokens", Standing::Good, "none; clients come in otherwise");
    }
    Item::new(GATEWAY, "tokens", Standing::Open, "no good token: nobody can use the HTTP endpoint")
        .remedy("bartizan token issue --label NAME")
}

fn tokens(loaded: &Loaded) -> Item {
    let state = &loaded.settings.places.state;
    // Looked at without making anything: a state directory that is not there has no tokens.
    let rows = if state.exists() { Tokens::open(state).and_then(|tokens| tokens.list()) } else { Ok(Vec::new()) };
    let now_ms = clock::now_ms();
    match rows {
        Err(error) => Item::new(GATEWAY, "tokens", Standing::Open, error.to_string()),
        Ok(rows) => {
            let good: Vec<_> = rows.iter().filter(|row| row.standing(now_ms) == TokenStanding::Good).collect();
            let Some(next) = good.iter().map(|row| row.expires_ms).min() else {
                return no_token(loaded);
            };
            Item::new(GATEWAY, "tokens", Standing::Good, format!("{} good, the next expires {}", good.len(), clock::utc(next)))
        }
    }
}
