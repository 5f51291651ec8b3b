//! Named formats: they never panic, and what they give is of the format.
#![no_main]

use bartizan_format::{Dates, Dialect, Format, Options, Roots, Urls};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let Ok(roots) = Roots::new(&["/srv/data"]) else { return };
    let formats = [
        Format::Path(roots),
        Format::Url(Urls::public(&["https", "http"])),
        Format::Hostname,
        Format::Email,
        Format::Identifier,
        Format::SqlReadOnly(Dialect::Any),
        Format::ShellWord,
        Format::Argument(Options::default()),
        Format::Glob,
        Format::Date(Dates::default()),
    ];
    for format in formats {
        if let Ok(canonical) = format.parse(&text) {
            assert_eq!(format.parse(canonical.as_str()), Ok(canonical), "{}", format.name());
        }
    }
});
