//! The part of the configuration that is about marks over the pictures of rungs.

use super::KeyDoc;
use engine::limits::{MARK_LETTERS_MAX, MARKS_BYTES_MAX, MARKS_MAX};
use engine::mark::{Align, Content, Drawing, File, Mark, Marks, Place, TimeFormat, check_font, check_image};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

section! {
    /// An image, a text or a clock over the pictures of a rung. Sizes are parts of the short side of the picture.
    Watermark {
        /// A PNG file, with transparency or without.
        image: Option<PathBuf> = None,
        /// A text.
        text: Option<String> = None,
        /// A time: `"%F %T"` is `2030-01-31 13:45:00`.
        time: Option<String> = None,
        /// Which one: `"utc"`, how far it is from that (`"+05:30"`), or `"stream"` for the time since the stream began.
        clock: ClockName = ClockName::Offset(0),
        /// The font of texts and times: a .ttf, .otf or .ttc file. Unset, one that systems have.
        font: Option<PathBuf> = None,
        /// Their colour: `"#rrggbb"`.
        color: ColorName = ColorName([255; 3]),
        /// `"top-left"`, `"top"`, `"top-right"`, `"left"`, `"center"`, `"right"`, `"bottom-left"`, `"bottom"` or `"bottom-right"`.
        place: PlaceName = PlaceName::TopRight,
        /// How far it is from the borders.
        margin: f64 = 0.04,
        /// How high it is; 0 is 0.1 for an image and 0.05 for a line of text.
        height: f64 = 0.0,
        /// How much it hides: from 0 to 1.
        opacity: f64 = 1.0,
    }
}

/// Marks of a rung as they are written: one, or a list.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(transparent)]
pub struct Watermarks(pub Vec<Watermark>);

impl<'de> Deserialize<'de> for Watermarks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Watermarks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ image = \"logo.png\" }, or a list of such")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Watermarks, A::Error> {
                Watermark::deserialize(MapAccessDeserializer::new(map)).map(|one| Watermarks(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Watermarks, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Watermarks)
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

/// Where a mark is, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "they say what they are")]
pub enum PlaceName {
    TopLeft,
    Top,
    #[default]
    TopRight,
    Left,
    Center,
    Right,
    BottomLeft,
    Bottom,
    BottomRight,
}

impl PlaceName {
    const fn to_place(self) -> Place {
        let (across, down) = match self {
            Self::TopLeft => (Align::Start, Align::Start),
            Self::Top => (Align::Middle, Align::Start),
            Self::TopRight => (Align::End, Align::Start),
            Self::Left => (Align::Start, Align::Middle),
            Self::Center => (Align::Middle, Align::Middle),
            Self::Right => (Align::End, Align::Middle),
            Self::BottomLeft => (Align::Start, Align::End),
            Self::Bottom => (Align::Middle, Align::End),
            Self::BottomRight => (Align::End, Align::End),
        };
        Place { across, down }
    }
}

/// Which time is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClockName {
    /// That of the day, so many minutes east of Greenwich.
    Offset(i32),
    /// That since the stream began.
    Stream,
}

impl TryFrom<String> for ClockName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let offset = |text: &str| {
            let sign = match text.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let (hours, minutes) = text.get(1..)?.split_once(':')?;
            let number = |digits: &str| {
                let is_number = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
                if is_number { digits.parse::<i32>().ok() } else { None }
            };
            let (hours, minutes) = (number(hours)?, number(minutes)?);
            (hours < 24 && minutes < 60).then(|| sign * (60 * hours + minutes))
        };
        match text.as_str() {
            "utc" => Ok(Self::Offset(0)),
            "stream" => Ok(Self::Stream),
            other => offset(other).map(Self::Offset).ok_or_else(|| {
                format!("{other:?} is no clock: write \"utc\", \"stream\", or hours and minutes such as \"+05:30\"")
            }),
        }
    }
}

impl From<ClockName> for String {
    fn from(clock: ClockName) -> Self {
        match clock {
            ClockName::Stream => "stream".to_owned(),
            ClockName::Offset(0) => "utc".to_owned(),
            ClockName::Offset(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                format!("{sign}{:02}:{:02}", minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60)
            }
        }
    }
}

/// Red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ColorName(pub [u8; 3]);

impl TryFrom<String> for ColorName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
        let number = digits
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let [_, red, green, blue] = number
            .ok_or_else(|| format!("{text:?} is no colour: write one such as \"#ffcc00\""))?
            .to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

impl From<ColorName> for String {
    fn from(ColorName([red, green, blue]): ColorName) -> Self {
        format!("#{red:02x}{green:02x}{blue:02x}")
    }
}

/// Where systems have a font.
const FONTS: [&str; 6] = [
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/System/Library/Fonts/Helvetica.ttc",
];

const IMAGE_HEIGHT: f64 = 0.1;
const TEXT_HEIGHT: f64 = 0.05;

/// Half of the picture: from both sides nothing would be left.
const MARGIN_MAX: f64 = 0.45;

impl Watermarks {
    /// Reads the files of all, and calls `wrong` with the key, below that of the list, and the message of every problem.
    pub(super) fn validate(&self, wrong: &mut impl FnMut(&str, String)) {
        if self.0.len() > MARKS_MAX {
            wrong("", format!("has more than {MARKS_MAX} entries"));
        }
        for (i, watermark) in self.0.iter().enumerate().take(MARKS_MAX) {
            if let Err((key, message)) = watermark.load_checked() {
                wrong(&format!(".{i}.{key}"), message);
            }
        }
        if self.files().map(|file| file.0.len()).sum::<usize>() > MARKS_BYTES_MAX {
            wrong(
                "",
                format!("has files of more than {MARKS_BYTES_MAX} bytes taken together: use smaller ones"),
            );
        }
    }

    /// The files of all that can be read.
    fn files(&self) -> impl Iterator<Item = File> {
        let loaded = self.0.iter().take(MARKS_MAX).filter_map(|watermark| watermark.load().ok());
        loaded.map(|mark| match mark.drawing {
            Drawing::Image(file) | Drawing::Text { font: file, .. } => file,
        })
    }

    /// Reads what belongs to them.
    ///
    /// # Errors
    ///
    /// A file that is not there any more, or is another one.
    pub(crate) fn load(&self) -> Result<Marks, String> {
        let marks = self.0.iter().map(Watermark::load).collect::<Result<_, _>>();
        marks.map(Marks::new).map_err(|(key, message)| format!("{key}: {message}"))
    }
}

/// The key that is wrong, and what is wrong with it.
pub(super) type Wrong = (&'static str, String);

impl Watermark {
    /// Checks all but the files.
    fn check(&self) -> Result<(), Wrong> {
        let parts = [
            ("margin", self.margin, MARGIN_MAX),
            ("height", self.height, 1.0),
            ("opacity", self.opacity, 1.0),
        ];
        for (key, value, most) in parts {
            if !(0.0..=most).contains(&value) {
                return Err((key, format!("must lie between 0 and {most}")));
            }
        }
        let kinds = [self.image.is_some(), self.text.is_some(), self.time.is_some()];
        if kinds.iter().filter(|is_set| **is_set).count() != 1 {
            return Err(("image", "a watermark has one of \"image\", \"text\" and \"time\"".to_owned()));
        }
        for (key, text) in [("text", &self.text), ("time", &self.time)] {
            let Some(text) = text else { continue };
            if text.is_empty()
                || text.chars().count() > MARK_LETTERS_MAX
                || text.chars().any(char::is_control)
            {
                return Err((key, format!("must be a line of 1 to {MARK_LETTERS_MAX} letters")));
            }
        }
        Ok(())
    }

    /// Checks it, and gives the mark.
    pub(super) fn load_checked(&self) -> Result<Mark, Wrong> {
        self.check().and_then(|()| self.load())
    }

    /// The mark, with the bytes of its file.
    fn load(&self) -> Result<Mark, Wrong> {
        let (drawing, height) = match &self.image {
            Some(path) => {
                let file = read(path).map_err(|message| ("image", message))?;
                check_image(&file).map_err(|why| ("image", format!("{} {why}", path.display())))?;
                (Drawing::Image(File(file.into())), IMAGE_HEIGHT)
            }
            None => (self.to_text()?, TEXT_HEIGHT),
        };
        Ok(Mark {
            drawing,
            place: self.place.to_place(),
            margin: self.margin as f32,
            height: if self.height > 0.0 { self.height } else { height } as f32,
            opacity: self.opacity as f32,
        })
    }

    fn to_text(&self) -> Result<Drawing, Wrong> {
        let content = match (&self.time, self.clock) {
            (Some(time), clock) => {
                let is_of_day = clock != ClockName::Stream;
                let format = TimeFormat::parse(time, is_of_day).map_err(|message| ("time", message))?;
                match clock {
                    ClockName::Offset(offset_minutes) => Content::Clock { format, offset_minutes },
                    ClockName::Stream => Content::Stream(format),
                }
            }
            (None, _) => Content::Literal(self.text.clone().unwrap_or_default()),
        };
        let path = match &self.font {
            Some(path) => path.clone(),
            None => {
                let known = FONTS.iter().map(PathBuf::from).find(|path| path.is_file());
                let missing =
                    "is not set, and no usual font is on this system: name one, or install fonts-dejavu-core";
                known.ok_or_else(|| ("font", missing.to_owned()))?
            }
        };
        let font = read(&path).map_err(|message| ("font", message))?;
        check_font(&font).map_err(|why| ("font", format!("{} {why}", path.display())))?;
        Ok(Drawing::Text { content, font: File(font.into()), color: self.color.0 })
    }
}

/// Reads a file that is not too large.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let name = path.display();
    let failed = |error| {
        format!(
            "{name} cannot be read ({error}): name a file that is there, from / on or from where the server is started"
        )
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MARKS_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() > MARKS_BYTES_MAX {
        true => Err(format!("{name} has more than {MARKS_BYTES_MAX} bytes: use a smaller one")),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(text: &str) -> Result<Watermarks, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    fn problems(watermarks: &Watermarks) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        watermarks.validate(&mut |key, message| problems.push((key.to_owned(), message)));
        problems
    }

    /// The only thing that is wrong with a mark.
    fn problem(watermark: Watermark) -> (String, String) {
        let mut problems = problems(&Watermarks(vec![watermark]));
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    }

    /// The smallest file that is a picture: one transparent pixel.
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\
        \0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
        \0\0\0\x0bIDAT\x78\x9c\x63\x60\0\x02\0\0\x05\0\x01\x7a\x5e\xab\x3f\
        \0\0\0\0IEND\xae\x42\x60\x82";

    #[test]
    fn one_or_more_are_written_alike() {
        let one = read_as(r#"{"image": "logo.png", "place": "bottom-left"}"#).unwrap();
        let list = read_as(r#"[{"image": "logo.png", "place": "bottom-left"}]"#).unwrap();
        assert_eq!((one.0[0].place, one.0.len()), (PlaceName::BottomLeft, 1));
        assert_eq!(one, list);
        assert_eq!(read_as("[]").unwrap(), Watermarks::default());
        assert!(read_as("\"logo.png\"").unwrap_err().contains("or a list of such"));
        assert!(read_as(r#"{"imag": "logo.png"}"#).unwrap_err().contains("imag"));
        let written = serde_json::to_string(&list).unwrap();
        assert_eq!(read_as(&written).unwrap(), list, "what is printed can be read");
    }

    #[test]
    fn clocks_and_colours_have_one_spelling() {
        for (text, clock) in [
            ("utc", ClockName::Offset(0)),
            ("stream", ClockName::Stream),
            ("+05:30", ClockName::Offset(330)),
            ("-03:30", ClockName::Offset(-210)),
        ] {
            assert_eq!(ClockName::try_from(text.to_owned()), Ok(clock));
            assert_eq!(String::from(clock), text);
        }
        for text in ["", "+5:30", "+0530", "+24:00", "+00:60", "05:30", "Europe/Berlin", "++5:30", "+é:30"] {
            assert!(ClockName::try_from(text.to_owned()).is_err(), "{text}");
        }
        assert_eq!(ColorName::try_from("#FFcc00".to_owned()), Ok(ColorName([255, 204, 0])));
        assert_eq!(String::from(ColorName([255, 204, 0])), "#ffcc00");
        for text in ["", "#fff", "ffcc00", "#ffcc0g", "#+fcc00", "red"] {
            assert!(ColorName::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_or_no_picture_is_told_with_its_name() {
        let folder = std::env::temp_dir().join(format!("rushlight-watermark-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let of = |name: &str| Watermark { image: Some(folder.join(name)), ..Watermark::default() };
        std::fs::write(folder.join("photo.png"), b"\xff\xd8\xff\xe0").unwrap();
        std::fs::write(folder.join("cut.png"), &PNG[..50]).unwrap();
        std::fs::write(folder.join("logo.png"), PNG).unwrap();
        for (name, says) in [
            ("missing.png", "missing.png cannot be read"),
            ("photo.png", "photo.png is not a PNG file"),
            ("cut.png", "cut.png ends in the middle"),
        ] {
            let (key, message) = problem(of(name));
            assert!(
                key == ".0.image" && message.contains(says) && !message.contains('\n'),
                "{key}: {message}"
            );
        }
        let mark = of("logo.png").load().unwrap();
        assert_eq!(mark.height, IMAGE_HEIGHT as f32);
        let font = Watermark {
            text: Some("?".to_owned()),
            font: Some(folder.join("logo.png")),
            ..Watermark::default()
        };
        assert!(problem(font).1.contains("is not a TrueType or OpenType font"));
        let many = Watermarks(vec![of("logo.png"); MARKS_MAX + 1]);
        assert_eq!(problems(&many).len(), 1);
        assert_eq!(Watermarks(vec![of("logo.png"); 2]).load().unwrap().list().len(), 2);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let text = |text: &str| Watermark { text: Some(text.to_owned()), ..Watermark::default() };
        for (key, watermark) in [
            (".0.image", Watermark::default()),
            (".0.image", Watermark { time: Some("%T".to_owned()), ..text("two") }),
            (".0.text", text("")),
            (".0.text", text("two\nlines")),
            (".0.margin", Watermark { margin: 0.5, ..text("?") }),
            (".0.height", Watermark { height: 1.5, ..text("?") }),
            (".0.opacity", Watermark { opacity: f64::NAN, ..text("?") }),
            (".0.time", Watermark { time: Some("%Q".to_owned()), ..Watermark::default() }),
            (
                ".0.time",
                Watermark { time: Some("%F".to_owned()), clock: ClockName::Stream, ..Watermark::default() },
            ),
        ] {
            assert_eq!(problem(watermark).0, key);
        }
    }
}
