//! Markup that nobody else writes: what is not in this program's text goes through [`Html::text`].

/// A page, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup of ours. Only what was compiled in can be such.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Anything, as text or as a quoted attribute.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for symbol in text.chars() {
            match symbol {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                _ => self.0.push(symbol),
            }
        }
        self
    }

    /// A hidden field of a form.
    pub(super) fn hidden(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.raw("<input type=\"hidden\" name=\"").raw(name).raw("\" value=\"").text(value).raw("\">")
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_wherever_it_stands() {
        let mut html = Html::default();
        html.hidden("n", "\"><script>alert('&amp;')</script>").text("<b>");
        let text = String::from_utf8(html.into_bytes()).expect("text");
        assert_eq!(
            text,
            "<input type=\"hidden\" name=\"n\" value=\"&quot;&gt;&lt;script&gt;alert(&#39;&amp;amp;&#39;)&lt;/script&gt;\">&lt;b&gt;"
        );
    }
}
