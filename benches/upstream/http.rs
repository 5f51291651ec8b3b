//! Streamable HTTP: every request is answered in its own response.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::rpc::{Answer, Server};

/// Session ids are counted, not random: nothing here is worth guessing.
static NEXT_SESSION: AtomicU64 = AtomicU64::new(1);

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut r = Response::new(Full::new(Bytes::new()));
    *r.status_mut() = code;
    r
}

async fn respond(server: &Server, req: Request<Incoming>) -> Response<Full<Bytes>> {
    if req.uri().path() == "/health" {
        return Response::new(Full::new(Bytes::from_static(b"ok")));
    }
    match *req.method() {
        Method::POST => {}
        Method::DELETE => return status(StatusCode::OK),
        _ => return status(StatusCode::METHOD_NOT_ALLOWED),
    }
    let version = req.headers().get("mcp-protocol-version");
    let modern = version.is_some_and(|v| v.as_bytes() >= b"2026".as_slice());
    let Ok(body) = req.into_body().collect().await else {
        return status(StatusCode::BAD_REQUEST);
    };
    let (body, new_session) = match server.answer(&body.to_bytes(), modern) {
        Answer::Body(b) => (b, false),
        Answer::Initialized(b) => (b, server.opts.sessions),
        Answer::Accepted => return status(StatusCode::ACCEPTED),
        Answer::BadRequest => return status(StatusCode::BAD_REQUEST),
    };
    if let Some(d) = server.opts.delay {
        tokio::time::sleep(d).await;
    }
    let mut resp = framed(server.opts.sse, body);
    if new_session {
        let n = NEXT_SESSION.fetch_add(1, Ordering::Relaxed);
        if let Ok(v) = HeaderValue::from_str(&format!("bench-{n:016x}")) {
            resp.headers_mut().insert("mcp-session-id", v);
        }
    }
    resp
}

/// As plain JSON, or as an event stream with one event.
fn framed(sse: bool, body: Vec<u8>) -> Response<Full<Bytes>> {
    let (kind, body) = if sse {
        let mut s = Vec::with_capacity(body.len() + 32);
        s.extend_from_slice(b"event: message\ndata: ");
        s.extend_from_slice(&body);
        s.extend_from_slice(b"\n\n");
        ("text/event-stream", s)
    } else {
        ("application/json", body)
    };
    let mut resp = Response::new(Full::new(Bytes::from(body)));
    resp.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    resp
}

/// Serves until the process is ended.
pub(crate) async fn serve(server: Arc<Server>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(server.opts.addr).await?;
    eprintln!("listening on http://{}/mcp", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |req| {
                let server = Arc::clone(&server);
                async move { Ok::<_, Infallible>(respond(&server, req).await) }
            });
            // A client that goes away in the middle is the client's business.
            let _ = hyper::server::conn::http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                .await;
        });
    }
}
