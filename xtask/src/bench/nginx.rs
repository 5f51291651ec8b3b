//! The floor: nginx with a plain `proxy_pass`, which looks at nothing.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::run::{Server, apt_install, installed, text};

/// Two workers as there are two cores, connections kept on both sides, buffers that hold the largest
/// answer, no log: as fast as it goes.
fn config(dir: &str, port: u16, upstream: u16) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}worker_processes 2;
daemon off;
pid {dir}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    client_max_body_size 4m;
    client_body_buffer_size 256k;
    proxy_buffer_size 32k;
    proxy_buffers 16 32k;
    proxy_busy_buffers_size 128k;
    keepalive_requests 1000000000;
    upstream mcp {{
        server 127.0.0.1:{upstream};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://mcp;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
        }}
    }}
}}
"
    )
}

/// Starts it in front of `upstream`; installs it where that is possible.
pub(crate) fn start(dir: &Path, port: u16, upstream: u16) -> Result<Server> {
    if !installed("nginx") {
        apt_install("nginx-light").context("nginx is the yardstick (--only leaves it out)")?;
    }
    let conf = dir.join("nginx.conf");
    std::fs::write(&conf, config(text(dir)?, port, upstream))?;
    let mut c = Command::new("nginx");
    c.arg("-e").arg("stderr").arg("-c").arg(&conf);
    let mut server = Server::start("nginx", &c, &dir.join("nginx.log"))?;
    server.wait_for(port, Duration::from_secs(10))?;
    Ok(server)
}
