//! AWS Secrets Manager: `GetSecretValue`, signed by hand (Signature Version 4) over the gateway's own dialer. An SDK
//! would bring a second HTTP client, with roads of its own out of the gateway.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use bartizan_monitor::reason::Refusal;
use bartizan_monitor::wire::json::{Json, View};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, StatusCode};
use url::{Position, Url};
use zeroize::Zeroizing;

use super::{Found, Holdings, answer, missing, near_value, unavailable};
use crate::clock;
use crate::config::{Aws, Network, Secret};
use crate::upstream::{Ask, Fetcher};

const SERVICE: &str = "secretsmanager";
const TARGET: &str = "secretsmanager.GetSecretValue";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Secrets Manager of one region.
#[derive(Debug)]
pub(super) struct Client {
    config: Aws,
    fetcher: Fetcher,
    holdings: Arc<Holdings>,
}

/// What a request is signed with.
struct Keys<'k> {
    id: &'k str,
    secret: &'k str,
    region: &'k str,
    service: &'k str,
}

impl Client {
    pub(super) fn new(config: Aws, holdings: Arc<Holdings>) -> Self {
        Self { config, fetcher: Fetcher::default(), holdings }
    }

    /// Reads a secret, or a member of its JSON.
    pub(super) async fn read(&self, name: &str, field: Option<&str>) -> Result<Found, Refusal> {
        let (status, body) = self.ask(name).await?;
        let json = answer::read(body)?;
        if status != StatusCode::OK {
            return Err(refused(status, json.view()));
        }
        let view = json.view();
        let text = match (view.get("SecretString").and_then(View::as_str), view.get("SecretBinary").and_then(View::as_str)) {
            (Some(text), _) => Zeroizing::new(text.into_owned()),
            (None, Some(binary)) => {
                let bytes =
                    Zeroizing::new(STANDARD.decode(binary.as_bytes()).map_err(|_| unavailable("its `SecretBinary` is not base64"))?);
                let text = std::str::from_utf8(&bytes).map_err(|_| missing("the secret is binary and not a text"))?;
                Zeroizing::new(text.to_owned())
            }
            (None, None) => return Err(unavailable("what it answered is not a secret")),
        };
        let value = match field {
            None => answer::whole(Secret::new(text.as_str().to_owned()))?,
            Some(field) => {
                let bytes = Bytes::from_owner(Zeroizing::new(text.as_bytes().to_vec()));
                let inner = Json::parse(bytes).map_err(|_| missing(format!("the secret is not JSON and has no field {field:?}")))?;
                answer::field(inner.view().get(field), field)?
            }
        };
        let version = view.get("VersionId").and_then(View::as_str).map(|version| version.chars().take(64).collect());
        let made = view.get("CreatedDate").map(View::text).and_then(|seconds| seconds.split('.').next()?.parse::<u64>().ok());
        Ok(Found { value: Arc::new(value), version, made_ms: made.map(|seconds| seconds.saturating_mul(1000)) })
    }

    async fn ask(&self, name: &str) -> Result<(StatusCode, Bytes), Refusal> {
        let config = &self.config;
        let near_value = |template| near_value(template, &self.holdings);
        let (id, secret) = (near_value(&config.access_key_id)?, near_value(&config.secret_access_key)?);
        let session = config.session_token.as_ref().map(near_value).transpose()?;
        let body = Json::object([("SecretId", Json::string(name))]).bytes().to_vec();
        let keys = Keys { id: id.expose(), secret: secret.expose(), region: &config.region, service: SERVICE };
        let at = stamp(clock::now_ms());
        let host = config.endpoint[Position::BeforeHost..Position::AfterPort].to_owned();
        let mut headers = vec![("content-type", CONTENT_TYPE), ("host", &host), ("x-amz-date", &at)];
        headers.extend(session.as_ref().map(|session| ("x-amz-security-token", session.expose())));
        headers.push(("x-amz-target", TARGET));
        let path = config.endpoint.path();
        let authorization = Zeroizing::new(keys.sign(&at, ("POST", path), &headers, &body));
        // The client writes `host` itself.
        headers.retain(|(name, _)| *name != "host");
        headers.push(("authorization", &authorization));
        let ask = Ask { method: Method::POST, headers: &headers, body: Zeroizing::new(body) };
        let url: &Url = &config.endpoint;
        self.fetcher.ask(url, Network::Private, ask).await.map_err(unavailable)
    }
}

fn refused(status: StatusCode, answer: View<'_>) -> Refusal {
    let kind = answer.get("__type").and_then(View::as_str).unwrap_or_default();
    let kind = kind.rsplit('#').next().and_then(answer::code).unwrap_or("an error without a name");
    match kind {
        "ResourceNotFoundException" => missing("the store has no such secret"),
        // A secret that is marked for deletion is gone for whoever reads it.
        "InvalidRequestException" => missing("the secret was deleted, or cannot be read"),
        other => unavailable(format!("the store answered HTTP {}: {other}", status.as_u16())),
    }
}

/// A time as signatures have it: `20261121T062400Z`.
fn stamp(at_ms: u64) -> String {
    let whole: String = clock::utc(at_ms).chars().take(19).filter(|symbol| !matches!(symbol, '-' | ':')).collect();
    format!("{whole}Z")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Keys<'_> {
    /// The value of `Authorization` for a request without a query. `headers` are all that are signed: sorted, lower case.
    fn sign(&self, at: &str, (method, path): (&str, &str), headers: &[(&str, &str)], body: &[u8]) -> String {
        let day: String = at.chars().take(8).collect();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let signed = names.join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let request = Zeroizing::new(format!("{method}\n{path}\n\n{lines}\n{signed}\n{}", hex(digest(&SHA256, body).as_ref())));
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(digest(&SHA256, request.as_bytes()).as_ref()));
        let first = Zeroizing::new(format!("AWS4{}", self.secret));
        let mut tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes()), day.as_bytes());
        for part in [self.region, self.service, "aws4_request", &text] {
            tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref()), part.as_bytes());
        }
        format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={}", self.id, hex(tag.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `get-vanilla`, `post-vanilla` and `post-x-www-form-urlencoded` of the AWS test suite for Signature Version 4.
    #[test]
    fn signatures_are_those_of_the_test_suite() {
        let keys = Keys { id: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", region: "us-east-1", service: "service" };
        let at = "20150830T123600Z";
        let plain = [("host", "example.amazonaws.com"), ("x-amz-date", at)];
        let signature = |authorization: String| authorization.rsplit('=').next().unwrap_or_default().to_owned();
        assert_eq!(
            keys.sign(at, ("GET", "/"), &plain, b""),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        assert_eq!(
            signature(keys.sign(at, ("POST", "/"), &plain, b"")),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
        let form = [("content-type", "application/x-www-form-urlencoded"), ("host", "example.amazonaws.com"), ("x-amz-date", at)];
        assert_eq!(
            signature(keys.sign(at, ("POST", "/"), &form, b"Param1=value1")),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
    }

    #[test]
    fn times_are_stamped_as_signatures_have_them() {
        assert_eq!(stamp(1_795_242_240_123), "20261121T062400Z");
    }
}
