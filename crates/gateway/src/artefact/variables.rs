//! Environment variables that say which programs or libraries are loaded. A server is what was reviewed only as long
//! as nobody else's code is put into it that way.

use bartizan_monitor::lock::artefact::{Artefact, Source};

use super::tree;
use super::words::Unclear;
use crate::config::How;
use crate::config::ServerSettings;

/// Loaders of one language or program each, by their whole name.
const NAMES: &[&str] = &[
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_COMPILE_CACHE",
    "NODE_REPL_EXTERNAL_MODULE",
    "BASH_ENV",
    "ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "ZDOTDIR",
    "PERLLIB",
    "PERL5LIB",
    "PERL5OPT",
    "PERL5DB",
    "RUBYLIB",
    "RUBYOPT",
    "GEM_HOME",
    "GEM_PATH",
    "BUNDLE_GEMFILE",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "CLASSPATH",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "DOTNET_STARTUP_HOOKS",
    "DOTNET_ADDITIONAL_DEPS",
    "DOTNET_SHARED_STORE",
    "DOTNET_GCName",
    "GCONV_PATH",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
];

/// How the names of loaders begin. Lua has its own once more for each version: `LUA_PATH_5_4`.
const BEGINNINGS: &[&str] = &["LD_", "DYLD_", "PYTHON", "CORECLR_", "BASH_FUNC_", "LUA_INIT", "LUA_PATH", "LUA_CPATH"];

/// Names that begin so and load nothing.
const HARMLESS: &[&str] = &[
    "PYTHONUNBUFFERED",
    "PYTHONUTF8",
    "PYTHONIOENCODING",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONNOUSERSITE",
    "PYTHONSAFEPATH",
    "PYTHONHASHSEED",
    "PYTHONFAULTHANDLER",
];

/// Whether a variable says which programs or libraries are loaded.
pub(super) fn loads_code(name: &str) -> bool {
    NAMES.contains(&name) || (BEGINNINGS.iter().any(|begin| name.starts_with(begin)) && !HARMLESS.contains(&name))
}

/// The variables of a server's configuration that load code: refused, unless `dangerous.load_variables` names them;
/// then their values are part of what is reviewed.
pub(super) fn pinned(settings: &ServerSettings) -> Result<Vec<Artefact>, Unclear> {
    let How::Stdio { env, .. } = &settings.how else { return Ok(Vec::new()) };
    let mut pins = Vec::new();
    for (name, value) in env.iter().filter(|(name, _)| loads_code(name)) {
        if !settings.supply.load_variables.contains(name) {
            let what = format!("the variable {name} in its `env` could change what runs, and nobody would see it");
            let instead = format!("leave it out; `dangerous.load_variables = [\"{name}\"]` accepts the risk, and pins its value");
            return Err(Unclear::new(what, instead));
        }
        if value.references().next().is_some() {
            let what = format!("the variable {name} in its `env` loads code, and what a reference stands for can change without review");
            return Err(Unclear::new(what, "write its value out".to_owned()));
        }
        pins.push(Artefact {
            source: Source::Inline,
            name: format!("env {name}"),
            version: String::new(),
            integrity: tree::text(&value.plain()),
            files: String::new(),
            parts: Vec::new(),
        });
    }
    pins.sort();
    Ok(pins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loads_code_is_told_from_what_does_not() {
        for name in
            ["LD_PRELOAD", "LD_AUDIT", "NODE_OPTIONS", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PYTHONPYCACHEPREFIX", "PERL5OPT"]
        {
            assert!(loads_code(name), "{name}");
        }
        for name in ["PERLLIB", "PERL5DB", "LUA_INIT", "LUA_CPATH_5_4", "GEM_HOME", "BUNDLE_GEMFILE", "PHPRC", "DOTNET_GCName"] {
            assert!(loads_code(name), "{name}");
        }
        for name in ["PYTHONUNBUFFERED", "PYTHONUTF8", "NODE_ENV", "API_KEY", "LDAP_HOST", "HOME", "NODE_EXTRA_CA_CERTS"] {
            assert!(!loads_code(name), "{name}");
        }
    }
}
