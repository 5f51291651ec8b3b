//! A tool's result that is longer than what is handed out at once, taken apart so that it can be: texts are cut, at a
//! line where there is one near, and everything else stays in one piece.

use std::borrow::Cow;

use bytes::Bytes;

use crate::wire::json::{Edits, Json, Kind, View};

/// Bytes of one part with everything that is in it, pictures and sounds, too.
pub const PART: usize = 4 * 1024 * 1024;
/// What stands between two blocks.
const COMMA: usize = 1;
/// What a block takes in memory beside its bytes, about.
const OVERHEAD: usize = 200;

/// A result whose content can be handed out in parts.
#[derive(Debug, PartialEq)]
pub struct Whole {
    /// The result without its content.
    frame: Json,
    blocks: Vec<Block>,
    most: usize,
}

/// A part of the content.
#[derive(Debug, PartialEq)]
enum Block {
    /// A text, and the block that it stood in.
    Text { frame: Json, text: String },
    /// Anything else, and how many of its bytes are not those of a picture, a sound or a file.
    Solid { json: Json, counts: usize },
}

/// Where a part begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spot {
    block: usize,
    at: usize,
}

impl Spot {
    /// Two numbers, so that it can be written down.
    #[must_use]
    pub const fn new(block: usize, at: usize) -> Self {
        Self { block, at }
    }
}

/// One part.
#[derive(Debug, PartialEq)]
pub struct Piece {
    /// The result with this part of its content.
    pub body: Json,
    /// Where the next one begins.
    pub next: Option<Spot>,
    /// How many bytes follow.
    pub left: usize,
    /// How many bytes of the body are not those of a picture, a sound or a file.
    pub counts: usize,
}

impl Whole {
    /// Takes a result apart; none where a part would say less than the whole (structured content), or something that is
    /// in one piece is too long for one part.
    #[must_use]
    pub fn of(result: &Json, most: usize) -> Option<Self> {
        let view = result.view();
        let content = view.get("content").filter(|content| content.kind() == Kind::Array)?;
        let mut frame = Edits::of(result);
        frame.replace(content, &Json::array([]));
        // What stands around the content is in every part, and takes its room: half of it at most.
        let whole = Self { frame: frame.apply(), blocks: Vec::new(), most };
        let (room, bulk) = whole.room();
        if view.get("structuredContent").is_some() || room < most / 2 {
            return None;
        }
        let blocks = content.items().map(|block| Block::of(block, (room, bulk))).collect::<Option<_>>()?;
        Some(Self { blocks, ..whole })
    }

    /// What has room in one part: of what counts, and of everything.
    fn room(&self) -> (usize, usize) {
        let frame = self.frame.bytes().len();
        (self.most.saturating_sub(frame), PART.max(self.most).saturating_sub(frame))
    }

    /// How many bytes of memory it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // Many small blocks take more than their bytes.
        self.blocks.iter().fold(self.frame.bytes().len(), |all, block| all.saturating_add(block.bytes()).saturating_add(OVERHEAD))
    }

    /// One part.
    #[must_use]
    pub fn piece(&self, from: Spot) -> Piece {
        let ((mut room, mut bulk), mut content, mut spot) = (self.room(), Vec::new(), from);
        let mut all = self.frame.bytes().len();
        while let Some(block) = self.blocks.get(spot.block) {
            let Some((json, taken, counts)) = block.piece(spot.at, (room, bulk), content.is_empty()) else { break };
            (room, bulk) = (room.saturating_sub(counts), bulk.saturating_sub(json.bytes().len().saturating_add(COMMA)));
            all = all.saturating_add(counts);
            content.push(json);
            spot = match taken {
                Some(at) => Spot { block: spot.block, at },
                None => Spot { block: spot.block.saturating_add(1), at: 0 },
            };
            if taken.is_some() {
                break;
            }
        }
        let rest = self.blocks.iter().skip(spot.block).fold(0, |all: usize, block| all.saturating_add(block.says()));
        let mut body = Edits::of(&self.frame);
        body.set(self.frame.view(), "content", &Json::array(content));
        let is_more = spot.block < self.blocks.len();
        Piece { body: body.apply(), next: is_more.then_some(spot), left: rest.saturating_sub(spot.at), counts: all }
    }
}

impl Block {
    fn of(block: View<'_>, (room, bulk): (usize, usize)) -> Option<Self> {
        let own = Json::parse(Bytes::copy_from_slice(block.text().as_bytes())).ok()?;
        let view = own.view();
        let string = |path: &[&str]| view.at(path).filter(|found| found.kind() == Kind::String);
        let (outer, inner) = (string(&["text"]), string(&["resource", "text"]));
        if outer.is_some() && inner.is_some() {
            // Which of them is its text is for the client to say, so neither is cut.
            return None;
        }
        if let Some(place) = outer.or(inner) {
            let text = place.as_str().map(Cow::into_owned)?;
            let mut frame = Edits::of(&own);
            frame.replace(place, &Json::string(""));
            let frame = frame.apply();
            return (frame.bytes().len() <= room / 2).then_some(Self::Text { frame, text });
        }
        let media = string(&["data"]).or_else(|| string(&["resource", "blob"])).map_or(0, |data| data.text().len());
        let length = own.bytes().len().saturating_add(COMMA);
        let counts = length.saturating_sub(media);
        (counts <= room && length <= bulk).then_some(Self::Solid { json: own, counts })
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Text { frame, text } => frame.bytes().len().saturating_add(text.len()),
            Self::Solid { json, .. } => json.bytes().len(),
        }
    }

    /// How many bytes of it there are to be read.
    fn says(&self) -> usize {
        match self {
            Self::Text { text, .. } => text.len(),
            Self::Solid { json, .. } => json.bytes().len(),
        }
    }

    /// What of it has room, where it goes on when that is not all, and how much it takes. The first of a part gets
    /// something in any case: it was looked at whether it can be.
    fn piece(&self, at: usize, (room, bulk): (usize, usize), is_first: bool) -> Option<(Json, Option<usize>, usize)> {
        let (frame, text) = match self {
            Self::Solid { json, counts } => {
                return (is_first || (*counts <= room && json.bytes().len() < bulk)).then(|| (json.clone(), None, *counts));
            }
            Self::Text { frame, text } => (frame, text.get(at..).unwrap_or_default()),
        };
        // Also a text without a letter has something around it.
        let room = room.min(bulk).checked_sub(frame.bytes().len().saturating_add(COMMA))?;
        let taken = cut(text, room);
        // A few words at the end of a part are better read with what follows them.
        if taken < text.len() && !is_first && taken < room / 2 || (taken == 0 && !text.is_empty()) {
            return None;
        }
        let json = framed(frame, text.get(..taken)?);
        let counts = json.bytes().len().saturating_add(COMMA);
        Some((json, (taken < text.len()).then_some(at.saturating_add(taken)), counts))
    }
}

/// The block of a text with a part of it.
fn framed(frame: &Json, text: &str) -> Json {
    let view = frame.view();
    let place = view.get("text").filter(|text| text.kind() == Kind::String).or_else(|| view.at(&["resource", "text"]));
    let mut edits = Edits::of(frame);
    if let Some(place) = place {
        edits.replace(place, &Json::string(text));
    }
    edits.apply()
}

/// How many bytes a character takes in JSON.
const fn written(symbol: char) -> usize {
    match symbol {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => symbol.len_utf8(),
    }
}

/// How much of a text has room: all of it, or up to the end of a line or a word that is not far, or of a character.
fn cut(text: &str, room: usize) -> usize {
    let (mut used, mut line, mut word) = (0_usize, 0, 0);
    for (at, symbol) in text.char_indices() {
        used = used.saturating_add(written(symbol));
        if used > room {
            return [line, word].into_iter().find(|place| *place > at / 2).unwrap_or(at);
        }
        let end = at.saturating_add(symbol.len_utf8());
        match symbol {
            '\n' => line = end,
            _ if symbol.is_whitespace() => word = end,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(whole: &Whole) -> Vec<Json> {
        let (mut spot, mut bodies) = (Some(Spot::default()), Vec::new());
        while let Some(from) = spot {
            let piece = whole.piece(from);
            assert!(piece.next.is_some() || piece.left == 0, "{piece:?}");
            spot = piece.next;
            bodies.push(piece.body);
        }
        bodies
    }

    fn result(text: &str) -> Json {
        let block = |text: &str| Json::object([("type", Json::string("text")), ("text", Json::string(text))]);
        Json::object([("content", Json::array([block(text), block("end")])), ("isError", Json::of(&false))])
    }

    fn texts(body: &Json) -> Vec<String> {
        let blocks = body.get("content").expect("content");
        blocks.view().items().map(|block| block.get("text").and_then(View::as_str).expect("a text").into_owned()).collect()
    }

    #[test]
    fn parts_are_the_whole_in_order_and_none_is_longer_than_it_may_be() {
        for unit in ["one line\n", "word ", "x", "é", "\"\\\u{1}", "a\nb😀", "日本語"] {
            let text = unit.repeat(3000 / unit.len());
            for most in [600, 1001, 5000] {
                let bodies = read(&Whole::of(&result(&text), most).expect("can be cut"));
                assert!(bodies.iter().all(|body| body.bytes().len() <= most && body.get("isError").is_some()), "{unit:?} {most}");
                let mut all: Vec<String> = bodies.iter().flat_map(texts).collect();
                assert_eq!(all.pop().as_deref(), Some("end"));
                assert_eq!(all.concat(), text, "{unit:?} {most}");
            }
        }
        let lines = read(&Whole::of(&result(&"one line\n".repeat(500)), 600).expect("can be cut"));
        assert!(lines.iter().take(5).all(|body| texts(body)[0].ends_with('\n')));
    }

    #[test]
    fn what_is_in_one_piece_stays_so_and_pictures_do_not_count() {
        let picture = |bytes: usize| Json::object([("type", Json::string("image")), ("data", Json::string(&"A".repeat(bytes)))]);
        let of = |blocks: Vec<Json>| Whole::of(&Json::object([("content", Json::array(blocks))]), 600);
        assert_eq!(read(&of(vec![picture(100_000), picture(100_000)]).expect("pictures")).len(), 1);
        assert_eq!(read(&of(vec![picture(PART - 200), picture(PART - 200)]).expect("pictures")).len(), 2);
        assert_eq!(of(vec![picture(PART)]), None);
        let link = |name: &str| Json::object([("type", Json::string("resource_link")), ("name", Json::string(name))]);
        assert_eq!(of(vec![link(&"x".repeat(700))]), None);
        assert_eq!(read(&of((0..20).map(|_| link(&"x".repeat(100))).collect()).expect("links")).len(), 5);
        let resource = Json::object([("uri", Json::string("a:b")), ("text", Json::string(&"x ".repeat(1000)))]);
        assert!(read(&of(vec![Json::object([("type", Json::string("resource")), ("resource", resource)])]).expect("a text")).len() > 3);
    }

    #[test]
    fn what_stands_around_texts_takes_its_room() {
        let of = |content: Vec<Json>, meta: usize, most| {
            let meta = Json::object([("x", Json::string(&"m".repeat(meta)))]);
            Whole::of(&Json::object([("content", Json::array(content)), ("_meta", meta)]), most)
        };
        let empty = |around: usize| {
            let annotations = Json::object([("a", Json::string(&"x".repeat(around)))]);
            Json::object([("type", Json::string("text")), ("text", Json::string("")), ("annotations", annotations)])
        };
        for (around, meta, most) in [(2000, 10, 10_000), (100, 200, 600), (0, 10, 600)] {
            let whole = of((0..500).map(|_| empty(around)).collect(), meta, most).expect("can be cut");
            let (bodies, first) = (read(&whole), whole.piece(Spot::default()));
            assert!(bodies.iter().all(|body| body.bytes().len() <= most), "{around} {meta} {most}");
            assert_eq!(bodies.iter().map(|body| texts(body).len()).sum::<usize>(), 500);
            assert!((first.body.bytes().len()..=most).contains(&first.counts), "{} of {most}", first.counts);
        }
        assert_eq!(of(vec![empty(10)], 300, 600), None, "every part would be half of what stands around it");
        // Two texts are not cut, whichever of them is empty.
        let resource = |text: &str| Json::object([("text", Json::string(text))]);
        for (outer, inner) in [("", "x"), ("x", ""), ("x", "x")] {
            let members = [("type", Json::string("resource")), ("text", Json::string(outer)), ("resource", resource(inner))];
            assert_eq!(of(vec![Json::object(members)], 10, 600), None, "{outer:?} {inner:?}");
        }
    }

    #[test]
    fn what_cannot_be_cut_is_not() {
        let long = Json::string(&"x".repeat(10_000));
        for (member, value) in
            [("structuredContent", Json::object([("a", long.clone())])), ("_meta", long.clone()), ("content", long.clone())]
        {
            let mut edits = Vec::from([("content", Json::array([]))]);
            edits.retain(|(key, _)| *key != member);
            edits.push((member, value));
            assert_eq!(Whole::of(&Json::object(edits), 600), None, "{member}");
        }
        let framed = Json::object([("type", Json::string("text")), ("text", Json::string("x")), ("annotations", long)]);
        assert_eq!(Whole::of(&Json::object([("content", Json::array([framed]))]), 600), None);
    }
}
