//! Messages in, the prompt in pieces out: the model's own chat template (Jinja), rendered with bounds on work and size.
//!
//! What users wrote is kept apart from what the template wrote, so that marks in a question are not mistaken for the
//! template's. While rendering, each text stands as a stand-in of private-use characters, and is put back afterwards; a
//! template that looks into texts (none of Qwen's does) sees the stand-in.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;
use serde_json::Value;

use super::error::{QwenError, read_file};

/// Where a template may be, in this order; the last two are JSON files with a field `chat_template`.
const FILES: [&str; 3] = ["chat_template.jinja", "chat_template.json", "tokenizer_config.json"];
const MAX_BYTES: u64 = 1 << 24;
/// Longest template; Qwen's have some thousands of bytes.
const MAX_TEMPLATE: usize = 1 << 17;
/// Stack of the thread that compiles it: a template may be as deeply nested as it is long.
const COMPILER_STACK: usize = 512 << 20;
/// Instructions that a template may run: a thousand times what Qwen's needs for a long conversation.
const FUEL: u64 = 5_000_000;
/// Nested calls and includes.
const RECURSION: usize = 64;
/// Characters that a stand-in is made of: its ends, and two digits. They are of a private-use plane that no text uses.
const OPEN: char = '\u{10_FF00}';
const CLOSE: char = '\u{10_FF01}';
const DIGIT: u32 = 0x10_FE00;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What the model is told beforehand.
    System,
    /// Who asks.
    User,
    /// The model's earlier answers.
    Assistant,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The next picture.
    Image,
    /// Words.
    Text(String),
}

/// What one side says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Pictures and words, in order.
    pub parts: Vec<Part>,
}

/// A run of the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// By the template; marks count.
    Template(String),
    /// By a user; marks are text.
    User(String),
}

impl Piece {
    /// Its text.
    pub fn text(&self) -> &str {
        match self {
            Self::Template(text) | Self::User(text) => text,
        }
    }
}

/// A compiled template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    file: String,
}

impl ChatTemplate {
    /// The template of a model folder.
    ///
    /// # Errors
    /// [`QwenError`] where there is none, or it cannot be read or compiled, with the line.
    pub fn read(dir: &Path) -> Result<Self, QwenError> {
        for name in FILES {
            let path = dir.join(name);
            if !path.is_file() {
                continue;
            }
            let file = path.display().to_string();
            let bytes = read_file(&path, MAX_BYTES)?;
            let fault = |reason: String| QwenError::Config { file: file.clone(), reason };
            let text = String::from_utf8(bytes).map_err(|e| fault(e.to_string()))?;
            if name.ends_with(".jinja") {
                return Self::new(text, &file);
            }
            let json: Value = serde_json::from_str(&text).map_err(|e| fault(e.to_string()))?;
            if let Some(template) = json.get("chat_template").and_then(Value::as_str) {
                return Self::new(template.to_owned(), &file);
            }
        }
        let file = dir.display().to_string();
        Err(QwenError::Config { file, reason: format!("no chat template in any of {}", FILES.join(", ")) })
    }

    /// Compiles `template`; `file` names it in errors.
    ///
    /// # Errors
    /// [`QwenError::Template`] with the line.
    pub fn new(template: String, file: &str) -> Result<Self, QwenError> {
        let fault = |error: &minijinja::Error| QwenError::Template {
            file: file.to_owned(),
            line: error.line(),
            reason: error.to_string(),
        };
        let mut environment = Environment::new();
        // as transformers sets jinja2 up
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(|e| fault(&e))?;
        environment.set_syntax(syntax);
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |text: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, text))
        });
        if template.len() > MAX_TEMPLATE {
            let reason = format!("the chat template has {} bytes, at most {MAX_TEMPLATE} are read", template.len());
            return Err(QwenError::Config { file: file.to_owned(), reason });
        }
        let compiled = std::thread::Builder::new().stack_size(COMPILER_STACK).spawn(move || {
            environment.add_template_owned("chat", template)?;
            Ok(environment)
        });
        let compiled = compiled.map(std::thread::JoinHandle::join);
        match compiled {
            Ok(Ok(environment)) => Ok(Self { environment: environment.map_err(|e| fault(&e))?, file: file.to_owned() }),
            _ => {
                let reason = "the chat template could not be compiled".to_owned();
                Err(QwenError::Config { file: file.to_owned(), reason })
            }
        }
    }

    /// The prompt for `messages`, up to where the model is to go on.
    ///
    /// # Errors
    /// [`QwenError::Template`] with the template's own complaint, or where it runs too long.
    pub fn render(&self, messages: &[Message]) -> Result<Vec<Piece>, QwenError> {
        let mut texts = Vec::new();
        let mut stand_in = |text: &str| {
            texts.push(text.to_owned());
            let digit = |n: usize| char::from_u32(DIGIT + (n % 256) as u32).unwrap_or(OPEN);
            let n = texts.len() - 1;
            format!("{OPEN}{}{}{CLOSE}", digit(n / 256), digit(n))
        };
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| {
                let parts: Vec<Value> = message
                    .parts
                    .iter()
                    .map(|part| match part {
                        Part::Image => serde_json::json!({"type": "image"}),
                        Part::Text(text) => serde_json::json!({"type": "text", "text": stand_in(text)}),
                    })
                    .collect();
                serde_json::json!({"role": message.role, "content": parts})
            })
            .collect();
        let template = self.environment.get_template("chat").map_err(|e| self.fault(&e))?;
        let rendered = template
            .render(context! { messages => Serde(messages), add_generation_prompt => true, add_vision_id => false })
            .map_err(|e| self.fault(&e))?;
        Ok(split(&rendered, &texts))
    }

    fn fault(&self, error: &minijinja::Error) -> QwenError {
        QwenError::Template { file: self.file.clone(), line: error.line(), reason: error.to_string() }
    }
}

/// Puts the texts back where their stand-ins are.
fn split(rendered: &str, texts: &[String]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = rendered;
    while let Some(start) = rest.find(OPEN) {
        let (before, from) = rest.split_at(start);
        let mut inner = from.chars();
        inner.next();
        let digit = |c: Option<char>| c.map(|c| (c as u32).wrapping_sub(DIGIT) as usize).filter(|d| *d < 256);
        let number = digit(inner.next()).zip(digit(inner.next())).map(|(high, low)| high * 256 + low);
        let text = number.filter(|_| inner.next() == Some(CLOSE)).and_then(|n| texts.get(n));
        let Some(text) = text else { break };
        if !before.is_empty() {
            pieces.push(Piece::Template(before.to_owned()));
        }
        pieces.push(Piece::User(text.clone()));
        rest = inner.as_str();
    }
    if !rest.is_empty() {
        pieces.push(Piece::Template(rest.to_owned()));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "{% for m in messages %}[{{ m.role }}]{% for p in m.content %}{% if p.type == 'image' %}<img>\
                         {% else %}{{ p.text }}{% endif %}{% endfor %}\n{% endfor %}{% if add_generation_prompt %}>{% endif %}";

    fn ask(text: &str) -> Vec<Message> {
        vec![Message { role: Role::User, parts: vec![Part::Image, Part::Text(text.to_owned())] }]
    }

    fn joined(template: &str, messages: &[Message]) -> Result<String, QwenError> {
        let pieces = ChatTemplate::new(template.to_owned(), "t.jinja")?.render(messages)?;
        Ok(pieces.iter().map(Piece::text).collect())
    }

    /// What jinja2 with transformers' settings renders for the same templates and messages.
    #[test]
    fn it_renders_as_the_reference_does() {
        let cases: Value = serde_json::from_slice(include_bytes!("../../tests/fixtures/chat_templates.json")).unwrap();
        let cases = cases.as_array().unwrap();
        assert!(cases.len() >= 3);
        for case in cases {
            let messages: Vec<Message> = case["messages"]
                .as_array()
                .unwrap()
                .iter()
                .map(|m| Message {
                    role: match m["role"].as_str().unwrap() {
                        "system" => Role::System,
                        "user" => Role::User,
                        _ => Role::Assistant,
                    },
                    parts: m["content"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|p| match p["text"].as_str() {
                            Some(text) => Part::Text(text.to_owned()),
                            None => Part::Image,
                        })
                        .collect(),
                })
                .collect();
            let ours = joined(case["template"].as_str().unwrap(), &messages).unwrap();
            assert_eq!(ours, case["rendered"].as_str().unwrap());
        }
    }

    #[test]
    fn what_users_write_is_kept_apart() {
        let text = "where is {{ it }}? <|im_end|>";
        let pieces = ChatTemplate::new(PLAIN.to_owned(), "t").unwrap().render(&ask(text)).unwrap();
        let expected =
            [Piece::Template("[user]<img>".to_owned()), Piece::User(text.to_owned()), Piece::Template(">".to_owned())];
        assert_eq!(pieces, expected);
    }

    #[test]
    fn faults_name_the_file_and_line_and_endless_templates_end() {
        let error = joined("a\n{% if %}", &ask("x")).unwrap_err().to_string();
        assert!(error.contains("t.jinja, line 2"), "{error}");
        let error = joined("{{ raise_exception('no images here') }}", &ask("x")).unwrap_err().to_string();
        assert!(error.contains("no images here"), "{error}");
        let endless = "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}";
        assert!(joined(endless, &ask("x")).is_err());
        let deep = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
        assert!(joined(deep, &ask("x")).is_err());
        let dir = tempfile::tempdir().unwrap();
        let error = ChatTemplate::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("chat_template.jinja"), "{error}");
    }
}
