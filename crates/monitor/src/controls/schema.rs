//! placeholder
use crate::control::Control;
pub const THREAT: &str = "Arguments nobody declared.";
pub const REASONS: &[crate::reason::Reason] = &[];
#[derive(Debug, Default, serde::Deserialize)]
pub struct Config {}
pub fn build(_config: Config) -> Result<Schema, toml::de::Error> { Ok(Schema) }
#[derive(Debug)]
pub struct Schema;
impl Control for Schema {}
