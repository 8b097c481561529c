//! A request in, the text of the reply out, after as many tries as it takes and is allowed. The key leaves this file
//! only in the header of a request.

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde_json::json;
use ureq::tls::{RootCerts, TlsConfig};

use super::gate::{Gate, Limits, StopReason};
use super::prompts::Prompt;
use super::retry::{back_off, retry_after};
use crate::data::engine::item::Spent;

/// Largest reply that is read, bytes.
const MAX_REPLY_BYTES: u64 = 1 << 20;
/// Longest wait that an endpoint may ask for; for a longer one the run ends.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Tokens that a chat template may add to a prompt.
const TEMPLATE_TOKENS: u64 = 128;
/// Tokens that a picture of a megapixel or less may become.
const PICTURE_TOKENS: u64 = 2048;
/// How much of what an endpoint says is repeated, characters.
const MAX_QUOTE: usize = 300;
/// What stands where the key stood.
const REDACTED: &str = "[key]";

/// A key; it cannot be printed.
#[derive(Clone)]
pub(crate) struct Key(String);

impl Key {
    /// `None` where `text` can stand in no header.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// How an endpoint is reached and what is asked of it.
#[derive(Debug, Clone)]
pub(crate) struct ClientConfig {
    /// Its base, such as `http://127.0.0.1:8000/v1`.
    pub(crate) endpoint: String,
    /// The model.
    pub(crate) model: String,
    /// Its key, if it needs one.
    pub(crate) key: Option<Key>,
    /// Sampling temperature.
    pub(crate) temperature: f64,
    /// Most tokens of a reply.
    pub(crate) max_reply_tokens: u32,
    /// Longest wait for a whole reply.
    pub(crate) timeout: Duration,
    /// Tries after the first.
    pub(crate) retries: u32,
}

/// Why there is no reply.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The run ends.
    Stop(StopReason),
    /// The endpoint refused this request for its content.
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        text: String,
    },
    /// What came is no reply.
    BadReply(String),
}

/// How one try ended.
enum Try {
    Done(Completion),
    /// Worth another: why, the wait that the endpoint asks for, whether it answered at all, and what it may have taken.
    Again {
        why: String,
        after: Option<Duration>,
        answered: bool,
        taken: Spent,
    },
    Failed(CallError, Spent),
}

struct Completion {
    text: String,
    spent: Spent,
}

/// A reply, in the words of the OpenAI chat completions API; fields that are of no use are left out.
#[derive(Deserialize)]
struct ReplyBody {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// An endpoint.
pub(crate) struct Client {
    agent: ureq::Agent,
    url: String,
    config: ClientConfig,
    gate: Gate,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Client {
    /// `used` is what earlier runs took of the budget.
    pub(crate) fn new(config: ClientConfig, limits: Limits, used: Spent) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // a redirect would send the request, or its key, to somewhere else
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(config.timeout))
            .timeout_connect(Some(CONNECT_TIMEOUT.min(config.timeout)))
            .tls_config(tls)
            .build()
            .new_agent();
        let url = format!("{}/chat/completions", config.endpoint.trim_end_matches('/'));
        Self { agent, url, config, gate: Gate::new(limits, used) }
    }

    /// Ends every wait; no request goes out any more.
    pub(crate) fn interrupt(&self) {
        self.gate.stop();
    }

    /// Asks; adds what that took to `spent`. `salt` seeds the jitter of waits.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) fn chat(&self, prompt: &Prompt<'_>, salt: u64, spent: &mut Spent) -> Result<String, CallError> {
        let body = json!({
            "model": self.config.model,
            "messages": prompt.messages(),
            "temperature": self.config.temperature,
            "max_tokens": self.config.max_reply_tokens,
        });
        let body = body.to_string();
        let bound = self.bound(prompt);
        let mut rng = ChaCha8Rng::seed_from_u64(salt);
        let (mut last, mut last_answered) = (String::new(), false);
        for attempt in 0..=self.config.retries {
            self.gate.admit(bound).map_err(CallError::Stop)?;
            let tried = self.send(&body, bound);
            let taken = match &tried {
                Try::Done(completion) => completion.spent,
                Try::Again { taken, .. } | Try::Failed(_, taken) => *taken,
            };
            self.gate.settle(bound, taken);
            spent.add(taken);
            match tried {
                Try::Done(completion) => return Ok(completion.text),
                Try::Failed(error, _) => {
                    return Err(error);
                }
                Try::Again { why, after, answered, .. } => {
                    if let Some(wait) = after.filter(|wait| *wait > MAX_RETRY_AFTER) {
                        let why = format!("{why}; it asks to wait {} s, so run the same command later", wait.as_secs());
                        return Err(CallError::Stop(StopReason::Unavailable(why)));
                    }
                    tracing::info!(attempt, "the endpoint failed: {why}");
                    (last, last_answered) = (why, answered);
                    if attempt < self.config.retries {
                        match after {
                            Some(wait) => self.gate.hold(wait),
                            None => self.gate.sleep(back_off(attempt, &mut rng)),
                        }
                    }
                }
            }
        }
        let tries = u64::from(self.config.retries) + 1;
        if last_answered {
            return Err(CallError::BadReply(format!("{last} (tried {tries} times)")));
        }
        Err(CallError::Stop(StopReason::Unavailable(format!("{last} (tried {tries} times)"))))
    }

    /// What a request takes at most: no tokeniser in use makes more than one token of a byte.
    fn bound(&self, prompt: &Prompt<'_>) -> Spent {
        let pictures = PICTURE_TOKENS * prompt.views.len() as u64;
        Spent {
            requests: 1,
            prompt_tokens: prompt.text_bytes() as u64 + TEMPLATE_TOKENS + pictures,
            reply_tokens: u64::from(self.config.max_reply_tokens),
        }
    }

    /// One try.
    fn send(&self, body: &str, bound: Spent) -> Try {
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(Key(key)) = &self.config.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let sent = Spent { requests: 1, ..Spent::NONE };
        let mut response = match request.send(body) {
            Ok(response) => response,
            Err(error) => return self.failed(&error, bound),
        };
        let status = response.status().as_u16();
        let header = response.headers().get("retry-after").and_then(|h| h.to_str().ok());
        let after = header.and_then(|h| retry_after(h, SystemTime::now()));
        let bytes = match response.body_mut().with_config().limit(MAX_REPLY_BYTES).read_to_vec() {
            Ok(bytes) => bytes,
            Err(ureq::Error::BodyExceedsLimit(_)) => {
                let fault = format!("the reply is longer than {MAX_REPLY_BYTES} bytes");
                return Try::Failed(CallError::BadReply(fault), bound);
            }
            Err(error) => return self.failed(&error, bound),
        };
        let text = self.without_key(&String::from_utf8_lossy(&bytes));
        let said = || format!("status {status}: {}", quote(&text));
        match status {
            200..=299 => read(&text, bound),
            408 | 409 | 425 | 429 | 500..=599 => Try::Again { why: said(), after, answered: false, taken: sent },
            400 | 413 | 422 => Try::Failed(CallError::Refused { status, text: quote(&text) }, sent),
            _ => Try::Failed(CallError::Stop(StopReason::Refused(format!("{}: {}", self.url, said()))), sent),
        }
    }

    /// A try that broke off; what may have reached the endpoint counts in full.
    fn failed(&self, error: &ureq::Error, bound: Spent) -> Try {
        use ureq::{Error, Timeout};
        let why = self.without_key(&format!("{}: {error}", self.url));
        let unsent = match error {
            Error::Io(e) => e.kind() == ErrorKind::ConnectionRefused,
            Error::HostNotFound | Error::ConnectionFailed => true,
            Error::Timeout(Timeout::Resolve | Timeout::Connect) => true,
            // nothing that another try would change
            Error::BadUri(_) | Error::Http(_) | Error::InvalidProxyUrl | Error::Tls(_) | Error::Rustls(_) => {
                return Try::Failed(CallError::Stop(StopReason::Refused(why)), Spent::NONE);
            }
            _ => false,
        };
        Try::Again { why, after: None, answered: false, taken: if unsent { Spent::NONE } else { bound } }
    }

    /// An endpoint may repeat the key that it was sent.
    fn without_key(&self, text: &str) -> String {
        self.config.key.as_ref().map_or_else(|| text.to_owned(), |key| text.replace(&key.0, REDACTED))
    }
}

/// The reply's text; where the endpoint counts no tokens, as many as there can be.
fn read(text: &str, bound: Spent) -> Try {
    let body: ReplyBody = match serde_json::from_str(text) {
        Ok(body) => body,
        Err(error) => {
            let why = format!("the reply is no chat completion: {error}: {}", quote(text));
            return Try::Again { why, after: None, answered: true, taken: bound };
        }
    };
    let spent = body.usage.map_or(bound, |usage| Spent {
        requests: 1,
        prompt_tokens: usage.prompt_tokens,
        reply_tokens: usage.completion_tokens,
    });
    match body.choices.into_iter().next().and_then(|choice| choice.message.content) {
        Some(text) => Try::Done(Completion { text, spent }),
        None => Try::Failed(CallError::BadReply("the reply has no text".to_owned()), spent),
    }
}

/// The beginning of what an endpoint said, on one line.
fn quote(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_QUOTE).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(key: Option<&str>) -> ClientConfig {
        ClientConfig {
            endpoint: "http://127.0.0.1:9/v1/".to_owned(),
            model: "m".to_owned(),
            key: key.and_then(Key::new),
            temperature: 0.5,
            max_reply_tokens: 10,
            timeout: Duration::from_secs(5),
            retries: 0,
        }
    }

    #[test]
    fn the_key_cannot_be_printed_and_is_taken_out_of_replies() {
        let client = Client::new(config(Some(" sk-secret\n")), Limits::default(), Spent::NONE);
        assert!(!format!("{client:?}").contains("sk-secret"));
        assert_eq!(client.without_key("bad key sk-secret!"), "bad key [key]!");
        assert_eq!(client.url, "http://127.0.0.1:9/v1/chat/completions");
        assert!(Key::new("a b").is_none() && Key::new("\n").is_none() && Key::new("ä").is_none());
    }

    #[test]
    fn replies_are_read_by_what_matters() {
        let bound = Spent { requests: 1, prompt_tokens: 100, reply_tokens: 10 };
        let text = r#"{"id":"x","choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]"#;
        let Try::Done(done) = read(&format!("{text}}}"), bound) else { panic!("no reply") };
        assert_eq!((done.text.as_str(), done.spent), ("hi", bound));
        let counted = format!(r#"{text},"usage":{{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}}}"#);
        let Try::Done(done) = read(&counted, bound) else { panic!("no reply") };
        assert_eq!(done.spent.tokens(), 7);
        assert!(matches!(read("{\"choices\":[", bound), Try::Again { answered: true, .. }));
        for none in [r#"{"choices":[]}"#, r#"{"choices":[{"message":{"content":null}}]}"#] {
            assert!(matches!(read(none, bound), Try::Failed(CallError::BadReply(_), _)));
        }
    }

    #[test]
    fn where_nobody_listens_the_run_ends_and_nothing_is_spent() {
        // a port that was free a moment ago
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let endpoint = format!("http://127.0.0.1:{port}");
        let client = Client::new(ClientConfig { endpoint, ..config(None) }, Limits::default(), Spent::NONE);
        let mut spent = Spent::NONE;
        let error = client.chat(&Prompt::default(), 1, &mut spent).unwrap_err();
        assert!(matches!(error, CallError::Stop(StopReason::Unavailable(_))), "{error:?}");
        assert_eq!(spent, Spent::NONE);
    }
}
