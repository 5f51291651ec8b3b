//! What is looked at before a request of a browser is read, and what every answer tells the browser.
//!
//! Threat: pages of others in the same browser. They make it ask (forms, images, frames), by our name (rebinding) or by
//! theirs; they put our page into theirs (clickjacking). None of them may see, press or log in anything.

use http::header::{self, COOKIE, HOST, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};

use super::html::Html;
use crate::config::{Approvals, Limits};

/// How long a form may be.
const MAX_FORM: usize = 64 * 1024;
/// The name of the cookie.
pub(super) const NAME: &str = "bartizan_approver";
/// No script, no picture, no frame, no address that is not ours.
const CONTENT: &str = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// An answer, before it is dressed.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) more: Vec<(HeaderName, String)>,
}

impl Page {
    pub(super) fn html(status: StatusCode, html: Html) -> Self {
        Self { status, kind: "text/html; charset=utf-8", body: html.into_bytes(), more: Vec::new() }
    }

    pub(super) fn with(mut self, name: HeaderName, value: String) -> Self {
        self.more.push((name, value));
        self
    }

    /// Sends the browser elsewhere, here.
    pub(super) fn to(path: String) -> Self {
        Self::html(StatusCode::SEE_OTHER, Html::default()).with(header::LOCATION, path)
    }
}

/// Why a request is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is for another name, or from a page that is not ours.
    Foreign,
    /// Not a form.
    Kind,
    /// Too long, or too slow.
    Size,
}

/// By which names the page is called.
#[derive(Debug)]
pub(super) struct Door {
    hosts: Vec<String>,
    secure: bool,
}

impl Door {
    /// The names of a page that listens at this port: those of this machine where it is for this machine alone, and the
    /// configured one.
    pub(super) fn new(settings: &Approvals, port: u16) -> Self {
        let local = ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("{name}:{port}"));
        let mut hosts: Vec<String> = if settings.address.ip().is_loopback() { local.into() } else { Vec::new() };
        hosts.extend(settings.url.as_ref().map(|url| url.authority().to_owned()));
        Self { hosts, secure: settings.is_secure() }
    }

    /// Looks at where a request comes from; returns the name by which the page was called.
    pub(super) fn look(&self, parts: &Parts) -> Result<String, Refused> {
        let one = |name: HeaderName| {
            let mut values = parts.headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some(value), None) => value.to_str().map(|value| Some(value.to_ascii_lowercase())).map_err(|_| Refused::Foreign),
                (Some(_), Some(_)) => Err(Refused::Foreign),
            }
        };
        let host = one(HOST)?.filter(|host| self.hosts.contains(host)).ok_or(Refused::Foreign)?;
        if parts.uri.authority().is_some() {
            return Err(Refused::Foreign);
        }
        let site = one(HeaderName::from_static("sec-fetch-site"))?;
        let wanted_as = one(HeaderName::from_static("sec-fetch-dest"))?;
        // Nobody looks at it in a frame, a picture or a worker.
        if wanted_as.as_deref().is_some_and(|wanted| !matches!(wanted, "document" | "style" | "empty")) {
            return Err(Refused::Foreign);
        }
        let scheme = if self.secure { "https" } else { "http" };
        let origin = one(ORIGIN)?;
        let is_own = origin.as_deref() == Some(&*format!("{scheme}://{host}"));
        let is_safe = matches!(parts.method, Method::GET | Method::HEAD);
        let ours = match (origin.as_deref(), site.as_deref()) {
            // Without a referrer browsers say `null` of our own pages as well; then they also say which site it is.
            (None | Some("null"), Some("same-origin")) => true,
            (None, Some("none")) => is_safe,
            // A link on somebody's page leads here: it shows, and cookies stay at home.
            (None, Some("same-site" | "cross-site")) => is_safe && wanted_as.as_deref() == Some("document"),
            // What sends neither is no browser of these years; what changes something has to be one, or to say so.
            (None, None) => is_safe,
            (Some(_), Some("same-origin") | None) => is_own,
            (Some(_) | None, Some(_)) => false,
        };
        if ours { Ok(host) } else { Err(Refused::Foreign) }
    }

    /// The cookie of a login, for one path.
    pub(super) fn cookie(&self, value: &str, path: &str, seconds: u64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{NAME}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
    }

    /// Gives an answer the headers that all of them have.
    pub(super) fn dress(&self, page: Page) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(page.body)));
        *response.status_mut() = page.status;
        let headers = response.headers_mut();
        let usual = [
            (header::CONTENT_TYPE, page.kind),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, CONTENT),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ];
        for (name, value) in usual {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.secure {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
        }
        for (name, value) in page.more {
            // What is not a header's value is left out, and what depends on it does not happen.
            headers.extend(HeaderValue::from_str(&value).ok().map(|value| (name, value)));
        }
        response
    }
}

/// The values of our cookie.
pub(super) fn cookies(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('=')).collect()
}

/// A form that was sent.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads one, as far as it may be long and as long as it may take.
    pub(super) async fn read(parts: &Parts, body: Incoming, limits: &Limits) -> Result<Self, Refused> {
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") || parts.headers.contains_key(header::CONTENT_ENCODING) {
            return Err(Refused::Kind);
        }
        let most = MAX_FORM.min(limits.message_bytes);
        let read = tokio::time::timeout(limits.body_timeout, Limited::new(body, most).collect()).await;
        let body = read.map_err(|_| Refused::Size)?.map_err(|_| Refused::Size)?.to_bytes();
        Ok(Self(url::form_urlencoded::parse(&body).into_owned().collect()))
    }

    /// A field that is there once, or nothing.
    pub(super) fn get(&self, name: &str) -> &str {
        let mut values = self.all(name);
        values.next().filter(|_| values.next().is_none()).unwrap_or_default()
    }

    /// All fields of a name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
