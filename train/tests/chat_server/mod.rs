//! A chat endpoint on the loopback interface that does what a script says. In: requests. Out: replies, faults, and a log of what came.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Tokens that every good reply says it took.
pub const PROMPT_TOKENS: u64 = 1000;
pub const REPLY_TOKENS: u64 = 100;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// When its last byte was there.
    pub at: Instant,
    /// The `authorization` header.
    pub authorization: Option<String>,
    /// The body.
    pub body: Value,
    /// How often the same body came before.
    pub before: usize,
    /// How many requests came before.
    pub number: usize,
}

impl Asked {
    /// The user's message.
    pub fn text(&self) -> &str {
        let content = &self.body["messages"][1]["content"];
        content.as_str().or_else(|| content.as_array()?.last()?["text"].as_str()).unwrap_or_default()
    }
}

/// What to do about a request.
#[derive(Debug, Clone)]
pub enum Act {
    /// A good reply to what was asked.
    Good,
    /// A chat completion with this text.
    Say(String),
    /// This status, with headers and a body.
    Status(u16, String, String),
    /// The connection is closed at once.
    Cut,
    /// The connection is closed in the middle of a good reply.
    CutMidway,
    /// A good reply, so much later.
    Slow(Duration),
}

type Script = dyn Fn(&Asked) -> Act + Send + Sync;

/// A running server; it ends when dropped.
pub struct ChatServer {
    /// To give as `--endpoint`.
    pub endpoint: String,
    log: Arc<Mutex<Vec<Asked>>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ChatServer {
    /// Starts one on a free port.
    pub fn start(script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let ending = Arc::new(AtomicBool::new(false));
        let script: Arc<Script> = Arc::new(script);
        let (to_log, to_end) = (log.clone(), ending.clone());
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if to_end.load(Ordering::SeqCst) {
                    return;
                }
                let (log, script) = (to_log.clone(), script.clone());
                thread::spawn(move || serve(&stream.unwrap(), &log, &*script));
            }
        });
        Self { endpoint: format!("http://{address}/v1"), log, ending, thread: Some(thread) }
    }

    /// What came so far.
    pub fn log(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for ChatServer {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        let address = self.endpoint.trim_start_matches("http://").trim_end_matches("/v1");
        // wakes the listener
        drop(TcpStream::connect(address));
        self.thread.take().map(JoinHandle::join);
    }
}

/// One request a connection. A client that goes away, as killed ones do, is no fault.
fn serve(mut stream: &TcpStream, log: &Mutex<Vec<Asked>>, script: &Script) {
    let Some((authorization, body)) = read(stream) else { return };
    let asked = {
        let mut log = log.lock().unwrap();
        let before = log.iter().filter(|a| a.body == body).count();
        let asked = Asked { at: Instant::now(), authorization, body, before, number: log.len() };
        log.push(asked.clone());
        asked
    };
    let good = || response(200, "", &completion(&good_reply(asked.text())));
    let out = match script(&asked) {
        Act::Good => good(),
        Act::Say(text) => response(200, "", &completion(&text)),
        Act::Status(status, headers, body) => response(status, &headers, &body),
        Act::Cut => String::new(),
        Act::CutMidway => {
            let whole = good();
            whole[..whole.len() - 40].to_owned()
        }
        Act::Slow(wait) => {
            thread::sleep(wait);
            good()
        }
    };
    drop(stream.write_all(out.as_bytes()));
    drop(stream.shutdown(Shutdown::Both));
}

fn read(stream: &TcpStream) -> Option<(Option<String>, Value)> {
    let mut reader = BufReader::new(stream);
    let (mut authorization, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_lowercase().as_str() {
            "authorization" => authorization = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((authorization, serde_json::from_slice(&body).unwrap()))
}

fn response(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

fn completion(text: &str) -> String {
    json!({
        "id": "c", "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": REPLY_TOKENS, "total_tokens": PROMPT_TOKENS + REPLY_TOKENS},
    })
    .to_string()
}

/// What a model that does as it is told would write, by the text alone.
fn good_reply(text: &str) -> String {
    if let Some((_, rest)) = text.split_once("Write question ") {
        let number: usize = rest.split(' ').next().unwrap().parse().unwrap();
        let objects = objects(text);
        let (color, label, _) = &objects[number % objects.len()];
        let asks = if text.contains("find or to show") { "Where is" } else { "What color has" };
        return json!({"question": format!("{asks} the {color} {label}, number {number}?"), "target": label})
            .to_string();
    }
    if let Some((_, reasoning)) = text.split_once("Somebody's reasoning: ") {
        let last = &reasoning[reasoning.rfind("So ").unwrap()..];
        let stated = last.split_once(" is ").unwrap().1;
        return stated.split('.').next().unwrap().to_owned();
    }
    let question = text.split_once("The question: ").unwrap().1.lines().next().unwrap();
    let number: usize = question.split_once("number ").unwrap().1.trim_end_matches('?').parse().unwrap();
    let objects = objects(text);
    let (color, label, text_box) = &objects[number % objects.len()];
    let (conclusion, answer) = if question.starts_with("Where") {
        (format!("So this is the {color} {label}."), format!("The {color} {label} is here: {text_box}"))
    } else {
        (format!("So the color of the {label} is {color}."), color.clone())
    };
    format!(
        "```\n<think>First, I go through the list of the objects of this room one by one. Next, I come upon the {color} \
         {label} at {text_box} and compare it with the words of the question. {conclusion}</think>\n<answer>{answer}</answer>\n```"
    )
}

/// Colour, name and box of each object of the list.
fn objects(text: &str) -> Vec<(String, String, String)> {
    let line = |line: &str| {
        let (_, rest) = line.split_once(". ")?;
        let (name, rest) = rest.split_once(": centre")?;
        let (color, label) = name.split_once(' ')?;
        Some((color.to_owned(), label.to_owned(), rest[rest.find("<obj>")?..].to_owned()))
    };
    text.lines().filter_map(line).collect()
}
