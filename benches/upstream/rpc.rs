//! One JSON-RPC message in, one out. Arguments are copied as text: parsing them
//! would measure this server instead of the gateway.

use std::borrow::Cow;
use std::io::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Opts, tools};

#[derive(Deserialize)]
struct Rpc<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CallParams<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Option<EchoArgs<'a>>,
}

#[derive(Deserialize)]
struct EchoArgs<'a> {
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct InitParams<'a> {
    #[serde(rename = "protocolVersion", borrow)]
    protocol_version: Cow<'a, str>,
}

const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
const NEWEST_LEGACY: &str = "2025-11-25";

/// What a request is answered with.
pub(crate) enum Answer {
    /// A JSON-RPC response.
    Body(Vec<u8>),
    /// The response to `initialize`, which may open a session.
    Initialized(Vec<u8>),
    /// A notification or a response: nothing to say.
    Accepted,
    BadRequest,
}

/// The answers that do not depend on the request are made once.
pub(crate) struct Server {
    pub(crate) opts: Opts,
    tools_json: String,
}

impl Server {
    pub(crate) fn new(opts: Opts) -> Server {
        let tools_json = tools::json(opts.tools);
        Server { opts, tools_json }
    }

    /// `modern`: the request came under a revision without a handshake.
    pub(crate) fn answer(&self, body: &[u8], modern: bool) -> Answer {
        let Ok(rpc) = serde_json::from_slice::<Rpc<'_>>(body) else {
            return Answer::BadRequest;
        };
        let (Some(id), Some(method)) = (rpc.id, &rpc.method) else {
            return Answer::Accepted;
        };
        let mut out = Vec::with_capacity(body.len() + 256);
        out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        out.extend_from_slice(id.get().as_bytes());
        let complete = if modern { r#""resultType":"complete","# } else { "" };
        // Writing to a vector cannot fail.
        let _ = match &**method {
            "tools/call" => call(&mut out, rpc.params, complete),
            "initialize" => {
                let _ = initialize(&mut out, rpc.params);
                return Answer::Initialized(out);
            }
            "server/discover" => write!(
                out,
                r#","result":{{"resultType":"complete","supportedVersions":["2026-07-28","2025-11-25","2025-06-18"],"capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"bench-upstream","version":"0.1.0"}},"ttlMs":60000,"cacheScope":"public"}}}}"#
            ),
            "tools/list" => {
                let cache = if modern { r#","ttlMs":60000,"cacheScope":"public""# } else { "" };
                out.reserve(self.tools_json.len());
                write!(out, r#","result":{{{complete}"tools":{}{cache}}}}}"#, self.tools_json)
            }
            "ping" => write!(out, r#","result":{{}}}}"#),
            _ => error(&mut out, -32601, "method not found"),
        };
        Answer::Body(out)
    }
}

fn error(out: &mut Vec<u8>, code: i32, message: &str) -> std::io::Result<()> {
    write!(out, r#","error":{{"code":{code},"message":"{message}"}}}}"#)
}

fn initialize(out: &mut Vec<u8>, params: Option<&RawValue>) -> std::io::Result<()> {
    let want = params.and_then(|p| serde_json::from_str::<InitParams<'_>>(p.get()).ok());
    let version = match &want {
        Some(p) if LEGACY.contains(&&*p.protocol_version) => &*p.protocol_version,
        _ => NEWEST_LEGACY,
    };
    write!(
        out,
        r#","result":{{"protocolVersion":"{version}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"bench-upstream","version":"0.1.0"}}}}}}"#
    )
}

fn call(out: &mut Vec<u8>, params: Option<&RawValue>, complete: &str) -> std::io::Result<()> {
    let Some(call) = params.and_then(|p| serde_json::from_str::<CallParams<'_>>(p.get()).ok()) else {
        return error(out, -32602, "bad params");
    };
    let message = call.arguments.as_ref().and_then(|a| a.message).map(RawValue::get);
    let (text, failed) = match message {
        _ if call.name != "echo" => (r#""ok""#, false),
        Some(m) if m.starts_with('"') => (m, false),
        _ => (r#""message must be a string""#, true),
    };
    write!(out, r#","result":{{{complete}"content":[{{"type":"text","text":"#)?;
    out.write_all(text.as_bytes())?;
    write!(out, r#"}}],"isError":{failed}}}}}"#)
}
