//! The controls, in the order in which they are asked: cheap and certain first, then contextual,
//! then content.

use crate::control::{Control, Entry, Section};

macro_rules! controls {
    ($($name:ident),+ $(,)?) => {
        $(pub mod $name;)+
        /// Every control. All are built for every monitor; none can be absent.
        pub static REGISTRY: &[Entry] = &[$(Entry {
            name: stringify!($name),
            threat: $name::THREAT,
            reasons: $name::REASONS,
            build: |section: Option<Section<'_>>| -> Result<Box<dyn Control>, toml::de::Error> {
                Ok(Box::new($name::build(crate::control::settings(section)?)?))
            },
        }),+];
    };
}

controls! {
    visibility,
    suspend,
    canary,
    shape,
    drift,
    shadow,
    argument,
    schema,
    policy,
    once,
    flow,
    confirm,
    quota,
    request,
    size,
    output,
    binary,
    projection,
    unicode,
    secrets,
    personal,
    injection,
    paging,
    provenance,
}
