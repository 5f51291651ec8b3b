use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn read(options: &[&str]) -> Result<Container, Unclear> {
    let image = format!("mcp/fetch@sha256:{HEX}");
    let words = ["docker", "run"].into_iter().chain(options.iter().copied()).chain([image.as_str(), "stdio", "--privileged"]);
    Container::read(&words.map(str::to_owned).collect::<Vec<_>>())
}

#[test]
fn what_is_understood_is_kept() {
    let line = [
        "-i",
        "--rm",
        "--init",
        "-iq",
        "-e",
        "KEY",
        "-eA=b=c",
        "-e=B",
        "--env=C=",
        "-v",
        "/a:/b",
        "-v=/a:/c:ro",
        "-v/a:/d:rw",
        "--volume=/a:/e:ro",
        "--mount",
        "type=bind,src=/f,dst=/g",
        "--mount=type=bind,source=/f,target=/h,readonly",
        "--tmpfs",
        "/run",
        "--mount=type=tmpfs,dst=/cache",
        "-u",
        "1000:100",
        "-w=/b",
        "--entrypoint",
        "serve",
        "--pull",
        "never",
        "--network",
        "none",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
    ];
    let mount = |host: &str, inside: &str, access| Mount { host: host.into(), inside: inside.to_owned(), access };
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let expected = Container {
        image: format!("mcp/fetch@sha256:{HEX}"),
        arguments: words(&["stdio", "--privileged"]),
        env: words(&["KEY", "A=b=c", "B", "C="]),
        mounts: vec![
            mount("/a", "/b", Access::Write),
            mount("/a", "/c", Access::Read),
            mount("/a", "/d", Access::Write),
            mount("/a", "/e", Access::Read),
            mount("/f", "/g", Access::Write),
            mount("/f", "/h", Access::Read),
        ],
        scratch: words(&["/run", "/cache"]),
        user: Some((1000, 100)),
        plain: words(&["--workdir=/b", "--entrypoint=serve", "--pull=never"]),
    };
    assert_eq!(read(&line), Ok(expected));
}

/// Every option of `docker run` and `podman run` that widens, or could: with a value that it takes.
const WIDENING: &[(&str, &str)] = &[
    ("--privileged", "true"),
    ("--cap-add", "SYS_ADMIN"),
    ("--device", "/dev/kmsg"),
    ("--device-cgroup-rule", "a"),
    ("--device-read-bps", "/dev/sda:1"),
    ("--gpus", "all"),
    ("--pid", "host"),
    ("--ipc", "host"),
    ("--uts", "host"),
    ("--userns", "host"),
    ("--cgroupns", "host"),
    ("--network", "host"),
    ("--net", "bridge"),
    ("--network", "container:other"),
    ("--network-alias", "a"),
    ("--ip", "10.0.0.1"),
    ("--link", "other"),
    ("--publish", "80:80"),
    ("-p", "80:80"),
    ("-P", "true"),
    ("--publish-all", "true"),
    ("--expose", "80"),
    ("--add-host", "a:127.0.0.1"),
    ("--dns", "1.1.1.1"),
    ("--security-opt", "seccomp=unconfined"),
    ("--security-opt", "apparmor=unconfined"),
    ("--security-opt", "label=disable"),
    ("--security-opt", "no-new-privileges:false"),
    ("--security-opt", "no-new-privileges=false"),
    ("--security-opt", "systempaths=unconfined"),
    ("--volumes-from", "other"),
    ("--group-add", "docker"),
    ("--cgroup-parent", "/"),
    ("--runtime", "other"),
    ("--isolation", "process"),
    ("--sysctl", "net.ipv4.ip_forward=1"),
    ("--storage-opt", "size=1T"),
    ("--volume-driver", "other"),
    ("--ulimit", "nofile=99999"),
    ("--oom-kill-disable", "true"),
    ("--oom-score-adj", "-1000"),
    ("--memory", "100g"),
    ("-m", "100g"),
    ("--memory-swap", "-1"),
    ("--memory-reservation", "1g"),
    ("--cpus", "64"),
    ("--cpu-shares", "9999"),
    ("--cpuset-cpus", "0"),
    ("--pids-limit", "-1"),
    ("--shm-size", "100g"),
    ("--blkio-weight", "1000"),
    ("--restart", "always"),
    ("--detach", "true"),
    ("-d", "true"),
    ("--tty", "true"),
    ("-t", "true"),
    ("--attach", "stdin"),
    ("-a", "stdin"),
    ("--name", "a"),
    ("--label", "traefik.enable=true"),
    ("-l", "a=b"),
    ("--label-file", "/etc/passwd"),
    ("--env-file", "/etc/passwd"),
    ("--env-host", "true"),
    ("--cidfile", "/a"),
    ("--health-cmd", "a"),
    ("--hostname", "a"),
    ("-h", "a"),
    ("--log-driver", "syslog"),
    ("--log-opt", "a=b"),
    ("--stop-timeout", "9999"),
    ("--sig-proxy", "false"),
    ("--rm", "false"),
    ("--init", "false"),
    ("--read-only", "false"),
    ("--rootfs", "true"),
    ("--systemd", "always"),
    ("--pod", "a"),
    ("--secret", "a"),
    ("--init-path", "/bin/sh"),
    ("--hooks-dir", "/a"),
    ("--cgroups", "disabled"),
    ("--image-volume", "bind"),
    ("--unsetenv-all", "true"),
    ("--userns", "keep-id"),
    ("--uidmap", "0:0:1"),
    ("--preserve-fds", "9"),
    ("--passwd-entry", "a"),
    ("--tls-verify", "false"),
    ("--disable-content-trust", "true"),
    ("-u", "0"),
    ("-u", "root"),
    ("-u", "app"),
    ("-u", "1000"),
    ("-u", "0:1000"),
    ("-u", "1000:0"),
    ("-u", "00:01"),
    ("-u", "+1:1"),
    ("-u", "4294967296:1"),
    ("--user", "1000:root"),
    ("-e", ""),
    ("-e", "=a"),
    ("-e", "A*"),
    ("-e", "*"),
    ("-v", "/a"),
    ("-v", "name:/a"),
    ("-v", "./a:/a"),
    ("-v", "~/a:/a"),
    ("-v", "/a:/b:rw,z"),
    ("-v", "/a:/b:Z"),
    ("-v", "/a:/b:rshared"),
    ("-v", "/a:b"),
    ("-v", "/a:/"),
    ("-v", "/a:/b/../c"),
    ("-v", "/a:/proc"),
    ("-v", "/a:/sys/fs"),
    ("-v", "/a:/dev/x"),
    ("-v", "/a,b:/c"),
    ("--volume", "/a:/b:O"),
    ("--mount", "type=volume,src=a,dst=/b"),
    ("--mount", "src=/a,dst=/b"),
    ("--mount", "type=bind,src=/a"),
    ("--mount", "type=bind,src=/a,src=/b,dst=/c"),
    ("--mount", "type=bind,src=/a,dst=/c,bind-propagation=shared"),
    ("--mount", "type=bind,src=/a,dst=/c,volume-opt=a"),
    ("--mount", "\"type=bind\",src=/a,dst=/c"),
    ("--mount", "type=tmpfs,dst=/c,tmpfs-mode=4777"),
    ("--mount", "type=npipe,src=/a,dst=/c"),
    ("--tmpfs", "/a:exec"),
    ("--tmpfs", "/"),
    ("--tmpfs", "a"),
    ("--workdir", "a"),
    ("--platform", "linux/amd64,x"),
    ("--pull", "newer"),
    ("--entrypoint", ""),
    ("--network", ""),
];

#[test]
fn what_widens_is_refused_in_every_spelling() {
    for (name, value) in WIDENING {
        let (joined, glued) = (format!("{name}={value}"), format!("{name}{value}"));
        let mut spellings = vec![vec![*name, value], vec![&joined], vec!["-i", "--rm", name, value], vec!["-e", "A", &joined]];
        let short = name.strip_prefix('-').filter(|letter| letter.len() == 1);
        let combined: Vec<String> =
            short.iter().flat_map(|letter| [format!("-i{letter}"), format!("-i{letter}{value}"), format!("-iq{letter}={value}")]).collect();
        // `-e=a` says `-e a`.
        if short.is_some() && !value.is_empty() && !value.starts_with('=') {
            spellings.push(vec![&glued]);
        }
        spellings.extend(combined.iter().map(|word| vec![word.as_str(), value]));
        spellings.extend(combined.iter().map(|word| vec![word.as_str()]));
        // A flag may be written without its value.
        if *value == "true" {
            spellings.push(vec![name]);
        }
        for options in spellings {
            let refused = read(&options).expect_err(&format!("{options:?} is refused"));
            assert!(!refused.instead.is_empty(), "{options:?}: {refused}");
        }
    }
}

#[test]
fn flags_are_on_or_not_written() {
    for flag in ASKED.flags {
        read(&[flag]).expect("understood");
        for value in ["=false", "=true", "=0", "=", "x"] {
            assert!(read(&[&format!("{flag}{value}")]).is_err(), "{flag}{value}");
        }
    }
    for word in ["-it", "-ti", "-itv", "-itv/a:/b", "-iv/a:/b", "-ie", "-", "--interactive=1", "---rm", "-rm", "--r", "--vol=/a:/b"] {
        assert!(read(&[word]).is_err(), "{word}");
    }
}

#[test]
fn only_a_digest_and_only_a_repository() {
    let named = |image: &str| Container::read(&["podman", "container", "run", image].map(str::to_owned)).map(|read| read.image).ok();
    let at = |name: &str| format!("{name}@sha256:{HEX}");
    for (given, kept) in [
        (at("mcp/fetch"), at("mcp/fetch")),
        (at("ghcr.io/a/b:1.2"), at("ghcr.io/a/b")),
        (at("localhost:5000/a"), at("localhost:5000/a")),
        (format!("sha256:{HEX}"), format!("sha256:{HEX}")),
    ] {
        assert_eq!(named(&given), Some(kept));
    }
    let others = ["mcp/fetch", "mcp/fetch:latest", "", "a@sha256:0", "a@sha512:00"].map(str::to_owned);
    let transports =
        ["oci:/a", "oci:5000/a", "dir:/a", "docker://a", "docker-archive:/a", "/a", "a/", "../a", "a b", "a@b", ".a", "http://a.b/c"];
    for refused in others.into_iter().chain(transports.map(at)) {
        assert_eq!(named(&refused), None, "{refused}");
    }
}

#[test]
fn whose_engine_it_is_is_not_for_a_command_line_to_say() {
    let image = format!("a@sha256:{HEX}");
    for words in [
        &["docker", "-H", "tcp://1.2.3.4", "run"][..],
        &["docker", "--host=tcp://1.2.3.4", "run"],
        &["docker", "--context", "other", "run"],
        &["docker", "--config", "/a", "run"],
        &["podman", "--remote", "run"],
        &["podman", "--url=ssh://a", "run"],
        &["docker", "exec"],
        &["docker", "start"],
        &["docker", "create"],
        &["docker", "compose", "run"],
        &["docker", "container", "exec"],
        &["docker", "mcp", "gateway", "run"],
        &["docker"],
    ] {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).chain([image.clone()]).collect();
        assert!(Container::read(&words).is_err(), "{words:?}");
    }
}
