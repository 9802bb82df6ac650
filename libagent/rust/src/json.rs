//! JSON text where it lies: each value is a part of the text, found by walking over what stands
//! before it, so that no number is rounded and no escape is lost.

/// Levels of JSON that are read.
pub const DEPTH_MAX: usize = 128;

#[derive(Debug)]
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, expected: u8) -> bool {
        let taken = self.peek() == Some(expected);
        self.at += taken as usize;
        taken
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    fn digits(&mut self) -> bool {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at > from
    }

    fn number(&mut self) -> bool {
        self.take(b'-');
        if !self.take(b'0') && !self.digits() {
            return false;
        }
        if self.take(b'.') && !self.digits() {
            return false;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            return self.digits();
        }
        true
    }

    fn string(&mut self) -> bool {
        if !self.take(b'"') {
            return false;
        }
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return true,
                b'\\' if !self.escape() => return false,
                0..=0x1f => return false,
                _ => (),
            }
        }
        false
    }

    fn escape(&mut self) -> bool {
        let byte = self.peek();
        self.at += 1;
        match byte {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
            Some(b'u') => {
                let digits = self.text.as_bytes().get(self.at..self.at + 4);
                self.at += 4;
                digits.map_or(false, |d| d.iter().all(u8::is_ascii_hexdigit))
            }
            _ => false,
        }
    }

    fn items(&mut self, close: u8, depth: usize) -> bool {
        self.at += 1;
        if depth > DEPTH_MAX {
            return false;
        }
        self.blanks();
        if self.take(close) {
            return true;
        }
        loop {
            let good = if close == b'}' { self.member(depth) } else { self.value(depth) };
            if !good {
                return false;
            }
            self.blanks();
            if !self.take(b',') {
                return self.take(close);
            }
        }
    }

    fn member(&mut self, depth: usize) -> bool {
        self.blanks();
        if !self.string() {
            return false;
        }
        self.blanks();
        self.take(b':') && self.value(depth)
    }

    fn value(&mut self, depth: usize) -> bool {
        self.blanks();
        match self.peek() {
            Some(b'{') => self.items(b'}', depth + 1),
            Some(b'[') => self.items(b']', depth + 1),
            Some(b'"') => self.string(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number(),
        }
    }

    /// The value that stands here; the cursor is behind it.
    fn next(&mut self) -> Option<&'a str> {
        self.blanks();
        let from = self.at;
        if self.value(0) {
            Some(&self.text[from..self.at])
        } else {
            None
        }
    }
}

/// The whole text as one value, without the blanks around it; None when it is no strict JSON. The
/// functions below take what this one or they returned.
pub fn whole(text: &str) -> Option<&str> {
    let mut cursor = Cursor { text, at: 0 };
    let value = cursor.next();
    cursor.blanks();
    value.filter(|_| cursor.at == text.len())
}

/// An object's member of this name (the last one of several).
pub fn get<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    if !json.starts_with('{') {
        return None;
    }
    let mut cursor = Cursor { text: json, at: 1 };
    let mut found = None;
    loop {
        cursor.blanks();
        if cursor.peek() == Some(b'}') {
            return found;
        }
        let key = cursor.next()?;
        cursor.blanks();
        cursor.take(b':');
        let value = cursor.next()?;
        let same = if key.contains('\\') {
            string(key).as_deref() == Some(name)
        } else {
            &key[1..key.len() - 1] == name
        };
        if same {
            found = Some(value);
        }
        cursor.blanks();
        cursor.take(b',');
    }
}

/// An array's elements.
pub fn elements(json: &str) -> Elements<'_> {
    let at = if json.starts_with('[') { 1 } else { json.len() };
    Elements(Cursor { text: json, at })
}

#[derive(Debug)]
pub struct Elements<'a>(Cursor<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.blanks();
        self.0.take(b',');
        self.0.blanks();
        match self.0.peek() {
            None | Some(b']') => None,
            _ => self.0.next(),
        }
    }
}

/// A string's content. Half a surrogate pair becomes U+FFFD.
pub fn string(json: &str) -> Option<String> {
    let mut rest = json.strip_prefix('"')?.strip_suffix('"')?;
    let mut to = String::with_capacity(rest.len());
    while let Some(at) = rest.find('\\') {
        to.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let escaped = rest.as_bytes()[0];
        rest = &rest[1..];
        match escaped {
            b'u' => rest = unit(rest, &mut to),
            b'b' => to.push('\u{8}'),
            b'f' => to.push('\u{c}'),
            b'n' => to.push('\n'),
            b'r' => to.push('\r'),
            b't' => to.push('\t'),
            other => to.push(other as char),
        }
    }
    to.push_str(rest);
    Some(to)
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.get(..4)?, 16).ok()
}

/// What follows \u; returns what follows that.
fn unit<'a>(rest: &'a str, to: &mut String) -> &'a str {
    let high = hex(rest).unwrap_or(0xfffd);
    let after = &rest[4..];
    if let Some(low) = after.strip_prefix("\\u").and_then(hex) {
        if (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low) {
            let point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            to.push(char::from_u32(point).unwrap_or('\u{fffd}'));
            return &after[6..];
        }
    }
    to.push(char::from_u32(high).unwrap_or('\u{fffd}'));
    after
}

/// The text in quotes, escaped.
pub fn quote(text: &str) -> String {
    let mut to = String::with_capacity(text.len() + 2);
    to.push('"');
    for character in text.chars() {
        match character {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\u{8}' => to.push_str("\\b"),
            '\u{c}' => to.push_str("\\f"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\0'..='\u{1f}' => to.push_str(&format!("\\u{:04x}", character as u32)),
            _ => to.push(character),
        }
    }
    to.push('"');
    to
}

/// On one line: outside of strings a line's break is a blank, and inside there is none.
pub(crate) fn one_line(json: &str) -> String {
    json.replace(|c: char| c < ' ', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_json_and_what_is_not() {
        for good in ["{}", " [1, -0.5e+7]\n", "\"\\u00e9\\\"\"", "true", "{\"a\":{\"a\":null}}"] {
            assert!(whole(good).is_some(), "{}", good);
        }
        let deep = "[".repeat(DEPTH_MAX + 1) + &"]".repeat(DEPTH_MAX + 1);
        for bad in
            ["", "{", "{}{}", "01", "1.", ".5", "+1", "tru", "[1,]", "{\"a\"}", "\"\t\"", "\"\\x\"",
             "\"\\u12g4\"", "\"\\u12", "NaN", "'a'", "{a:1}", &deep]
        {
            assert!(whole(bad).is_none(), "{}", bad);
        }
        assert!(whole(&deep[1..deep.len() - 1]).is_some());
    }

    #[test]
    fn members() {
        let json = " { \"a\" : 1 , \"b\":[2,3], \"\\u0061\":9007199254740993 } ";
        let object = whole(json).unwrap();
        assert_eq!(get(object, "a"), Some("9007199254740993"));
        assert_eq!(elements(get(object, "b").unwrap()).collect::<Vec<_>>(), ["2", "3"]);
        assert_eq!(get(object, "c"), None);
        assert_eq!(elements("[ ]").count(), 0);
        assert_eq!(elements("{}").count(), 0);
    }

    #[test]
    fn strings() {
        assert_eq!(string(r#""a\u0000\ud83e\udeb2\ud800x\/""#).unwrap(), "a\0🪲\u{fffd}x/");
        assert_eq!(string("1"), None);
        let text = "a\"\\\u{1}\n€";
        assert_eq!(string(whole(&quote(text)).unwrap()).unwrap(), text);
    }
}
