//! Small documents from elsewhere, such as an issuer's keys: bounded in size and time, no redirects, and
//! never from an address that the gateway's own network has for itself.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use rustls::pki_types::CertificateDer;
use url::Url;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::dial::{self, Client};
use super::http::chain;
use crate::config::{Network, Secret};

/// How large a document may be.
const MAX_BYTES: usize = 256 * 1024;
/// How long fetching one may take in all.
const LONGEST: Duration = Duration::from_secs(5);

/// Fetches documents. Keeps connections.
#[derive(Debug)]
pub struct Fetcher {
    public: Client,
    private: Client,
    any: Client,
}

/// A form to be posted, by somebody who has a secret (RFC 6749, section 2.3.1).
#[derive(Debug)]
pub struct Form<'a> {
    /// Names and values.
    pub fields: &'a [(&'a str, &'a str)],
    /// Who posts it.
    pub client_id: &'a str,
    /// Its secret.
    pub client_secret: &'a Secret,
}

/// A request by somebody who has to see the status of the answer.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The method.
    pub method: Method,
    /// Headers, with values that may be secrets.
    pub headers: &'a [(&'static str, &'a str)],
    /// What is sent; zeroed when it was sent.
    pub body: Zeroizing<Vec<u8>>,
}

impl Default for Fetcher {
    fn default() -> Self {
        Self { public: dial::client(Network::Public), private: dial::client(Network::Private), any: dial::client(Network::Any) }
    }
}

impl Fetcher {
    /// One that also trusts who these sign, for private addresses. The error is for the operator.
    pub fn trusting(ca: &[CertificateDer<'static>]) -> Result<Self, String> {
        let private = dial::trusting(Network::Private, ca).map_err(|error| error.to_string())?;
        Ok(Self { private, ..Self::default() })
    }

    /// Asks, and returns the answer whatever its status is; a redirect is an answer like any other. The error is
    /// for the operator, and quotes nothing of what was sent.
    pub async fn ask(&self, url: &Url, network: Network, ask: Ask<'_>) -> Result<(StatusCode, Bytes), String> {
        let named = |what: String| format!("{url}: {what}");
        if !network.allows(url) {
            return Err(named("only https may be asked".to_owned()));
        }
        let mut builder = request(url, ask.method);
        for (name, value) in ask.headers {
            let mut value = HeaderValue::try_from(*value).map_err(|_| named(format!("the value of {name} cannot be sent")))?;
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
        let request = builder.body(Full::new(Bytes::from_owner(ask.body))).map_err(|error| named(error.to_string()))?;
        let asked = tokio::time::timeout(LONGEST, answer(self.client(network), request)).await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {LONGEST:?}"))).map_err(named)
    }

    /// Fetches a document. The error is for the operator.
    pub async fn get(&self, url: &Url, network: Network) -> Result<Bytes, String> {
        self.fetch(request(url, Method::GET).body(Full::default()), url, network).await
    }

    /// Posts a form and returns the answer. The error is for the operator, and quotes nothing of the form.
    pub async fn post(&self, url: &Url, network: Network, form: Form<'_>) -> Result<Bytes, String> {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = Zeroizing::new(format!("{}:{}", encoded(form.client_id), encoded(form.client_secret.expose())));
        let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        let mut basic = HeaderValue::try_from(basic.as_str()).map_err(|_| "the credential cannot be sent".to_owned())?;
        basic.set_sensitive(true);
        let fields: Vec<String> = form.fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let builder = request(url, Method::POST)
            .header(AUTHORIZATION, basic)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        self.fetch(builder.body(Full::new(Bytes::from(fields.join("&")))), url, network).await
    }

    /// Posts a document with these headers; whatever the answer says beside its status is not read. The
    /// error is for the operator.
    pub async fn deliver(&self, url: &Url, network: Network, headers: &[(&'static str, String)], body: Bytes) -> Result<(), String> {
        let mut builder = request(url, Method::POST).header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let mut value = HeaderValue::try_from(value).map_err(|_| format!("{url}: `{name}` cannot be sent"))?;
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
        let request = builder.body(Full::new(body)).map_err(|error| format!("{url}: {error}"))?;
        let answered = tokio::time::timeout(LONGEST, self.client(network).request(request)).await;
        match answered {
            Err(_) => Err(format!("{url}: no answer within {LONGEST:?}")),
            Ok(Err(error)) => Err(format!("{url}: {}", chain(&error))),
            Ok(Ok(response)) if response.status().is_success() => Ok(()),
            Ok(Ok(response)) => Err(format!("{url}: HTTP {}", response.status().as_u16())),
        }
    }

    /// Posts a document to somebody who has to answer 200 with another. How long that may take is for the caller to say. The
    /// error is for the operator, and quotes nothing of either.
    pub async fn consult(&self, url: &Url, network: Network, bearer: Option<&str>, body: Bytes) -> Result<Bytes, String> {
        let named = |what: String| format!("{url}: {what}");
        let mut builder = request(url, Method::POST).header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(bearer) = bearer {
            let mut value = HeaderValue::try_from(bearer).map_err(|_| named("the token cannot be sent".to_owned()))?;
            value.set_sensitive(true);
            builder = builder.header(AUTHORIZATION, value);
        }
        let request = builder.body(Full::new(body)).map_err(|error| named(error.to_string()))?;
        whole(self.client(network), request).await.map_err(named)
    }

    const fn client(&self, network: Network) -> &Client {
        match network {
            Network::Any => &self.any,
            Network::Private => &self.private,
            Network::Public => &self.public,
        }
    }

    async fn fetch(&self, request: http::Result<Request<Full<Bytes>>>, url: &Url, network: Network) -> Result<Bytes, String> {
        let named = |what: String| format!("{url}: {what}");
        if !network.allows(url) {
            return Err(named("only https may be fetched".to_owned()));
        }
        let client = self.client(network);
        let request = request.map_err(|error| named(error.to_string()))?;
        let fetched = tokio::time::timeout(LONGEST, whole(client, request)).await;
        fetched.unwrap_or_else(|_| Err(format!("no answer within {LONGEST:?}"))).map_err(named)
    }
}

fn request(url: &Url, method: Method) -> http::request::Builder {
    Request::builder().method(method).uri(url.as_str()).header(ACCEPT, HeaderValue::from_static("application/json"))
}

async fn whole(client: &Client, request: Request<Full<Bytes>>) -> Result<Bytes, String> {
    let response = client.request(request).await.map_err(|error| chain(&error))?;
    if response.status() != StatusCode::OK {
        // A redirect, too: where it leads to is not what the operator configured.
        return Err(format!("HTTP {}", response.status().as_u16()));
    }
    read(response.into_body()).await
}

async fn answer(client: &Client, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
    let response = client.request(request).await.map_err(|error| chain(&error))?;
    Ok((response.status(), read(response.into_body()).await?))
}

/// The document, which may be a secret: zeroed when nobody needs it any more.
async fn read(mut body: Incoming) -> Result<Bytes, String> {
    let mut document = Zeroizing::new(Vec::with_capacity(16 * 1024));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| chain(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        if document.len().saturating_add(data.len()) > MAX_BYTES {
            return Err(format!("more than {MAX_BYTES} bytes"));
        }
        document.extend_from_slice(data);
    }
    Ok(Bytes::from_owner(document))
}
