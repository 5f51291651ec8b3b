//! Media types, and whether bytes begin like what they are said to be.

/// Types that show or sound and do nothing else, and whose bytes say what they are. Pictures that are programs (SVG) and
/// documents that hold some (PDF, HTML) are not among them.
pub const INERT: [&str; 7] = ["image/png", "image/jpeg", "image/gif", "image/webp", "audio/wav", "audio/mpeg", "audio/ogg"];

/// A media type in its one spelling: lower case, without parameters, the registered name of those that have several. None
/// when it is no media type.
#[must_use]
pub fn name(declared: &str) -> Option<String> {
    let bare = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (top, sub) = bare.split_once('/')?;
    let token = |text: &str| {
        (1..=127).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    if !token(top) || !token(sub) {
        return None;
    }
    let name = match bare.as_str() {
        "image/jpg" | "image/pjpeg" => "image/jpeg",
        "image/x-png" => "image/png",
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "audio/wav",
        "audio/mp3" | "audio/x-mp3" | "audio/x-mpeg" => "audio/mpeg",
        "audio/x-ogg" | "application/ogg" => "audio/ogg",
        "audio/x-flac" => "audio/flac",
        "application/x-pdf" => "application/pdf",
        other => other,
    };
    Some(name.to_owned())
}

/// Whether bytes begin as those of this type do. Of a type that is not known here nothing can be said: true.
#[must_use]
pub fn fits(name: &str, bytes: &[u8]) -> bool {
    let riff = |form: &[u8]| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(form);
    match name {
        "image/png" => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        "image/jpeg" => bytes.starts_with(b"\xff\xd8\xff"),
        "image/gif" => bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a"),
        "image/webp" => riff(b"WEBP"),
        "audio/wav" => riff(b"WAVE"),
        "audio/mpeg" => bytes.starts_with(b"ID3") || is_frame(bytes),
        "audio/ogg" => bytes.starts_with(b"OggS"),
        "audio/flac" => bytes.starts_with(b"fLaC"),
        "application/pdf" => bytes.starts_with(b"%PDF-"),
        _ => true,
    }
}

/// Whether an MPEG audio frame begins here: sync, a version, a layer and a bit rate that exist.
fn is_frame(bytes: &[u8]) -> bool {
    let [0xff, second, third, ..] = bytes else { return false };
    second & 0xe0 == 0xe0 && second & 0x18 != 0x08 && second & 0x06 != 0 && third & 0xf0 != 0xf0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_one_spelling() {
        assert_eq!(name("Image/JPG; q=1").as_deref(), Some("image/jpeg"));
        assert_eq!(name(" audio/x-wav ").as_deref(), Some("audio/wav"));
        assert_eq!(name("image/svg+xml").as_deref(), Some("image/svg+xml"));
        for none in ["", "png", "/", "image/", "image/p ng", "image/png\n", "a/b/c", "image/p\u{e9}", &format!("image/{}", "x".repeat(128))]
        {
            let padded = none.ends_with('\n');
            assert_eq!(name(none).is_some(), padded, "{none:?}");
        }
        assert!(INERT.iter().all(|inert| name(inert).as_deref() == Some(inert)));
    }

    #[test]
    fn bytes_are_what_they_are_said_to_be() {
        let rows: [(&str, &[u8]); 11] = [
            ("image/png", b"\x89PNG\r\n\x1a\n...."),
            ("image/jpeg", b"\xff\xd8\xff\xe0"),
            ("image/gif", b"GIF89a"),
            ("image/webp", b"RIFF\0\0\0\0WEBPVP8 "),
            ("audio/wav", b"RIFF\0\0\0\0WAVEfmt "),
            ("audio/mpeg", b"ID3\x04"),
            ("audio/mpeg", b"\xff\xfb\x90\x00"),
            ("audio/ogg", b"OggS\0"),
            ("audio/flac", b"fLaC"),
            ("application/pdf", b"%PDF-1.7"),
            ("audio/mpeg", b"\xff\xf3\x40\xc0"),
        ];
        for (own, bytes) in rows {
            assert!(fits(own, bytes), "{own}");
            for (other, _) in rows.iter().filter(|(other, _)| *other != own) {
                assert!(!fits(other, bytes), "{own} is no {other}");
            }
        }
        for (known, _) in rows {
            assert!([&b""[..], b"<", b"<svg onload=x()>", b"<!doctype html>", b"\xff", b"RIFF"].iter().all(|bytes| !fits(known, bytes)));
        }
    }
}
