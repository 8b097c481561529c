//! One piece of work and what came of it: a question kept, or rejected with its reason.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::data::SceneQuestion;
use crate::tasks::Task;

/// Version of a line of `rejected.jsonl`.
pub(crate) const REJECTED_FORMAT_VERSION: u32 = 1;

/// Which piece of work; results are written in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct ItemKey {
    /// Number of the scene.
    pub(crate) scene: u32,
    /// Number of the question within it.
    pub(crate) slot: u32,
}

/// What was asked of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spent {
    /// Requests sent.
    pub(crate) requests: u64,
    /// Tokens of the prompts.
    pub(crate) prompt_tokens: u64,
    /// Tokens of the replies.
    pub(crate) reply_tokens: u64,
}

impl Spent {
    /// No request.
    pub(crate) const NONE: Self = Self { requests: 0, prompt_tokens: 0, reply_tokens: 0 };

    /// Adds `other`; stays at the largest number rather than wrap.
    pub(crate) fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.reply_tokens = self.reply_tokens.saturating_add(other.reply_tokens);
    }

    /// Prompts and replies.
    pub(crate) fn tokens(self) -> u64 {
        self.prompt_tokens.saturating_add(self.reply_tokens)
    }
}

/// Why a sample was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// The endpoint refused the request for its content.
    Refused,
    /// The endpoint's reply cannot be read.
    BadReply,
    /// The reply holds no question that can be used.
    Question,
    /// The text is not in the grammar of model output.
    Grammar,
    /// The reasoning is too short.
    ThinkLength,
    /// The answer is too short or too long for its task.
    AnswerLength,
    /// The reasoning has too few steps.
    Steps,
    /// The last step does not name the target.
    Target,
    /// The answer has a box that is no object's.
    UnknownBox,
    /// The answer does not follow from the reasoning.
    Rederived,
    /// The scene was asked this before.
    Duplicate,
}

impl Reason {
    /// Whether the reply could not be read at all, rather than failed a filter.
    pub(crate) fn is_bad_reply(self) -> bool {
        matches!(self, Self::Refused | Self::BadReply | Self::Question | Self::Grammar)
    }

    /// As in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::BadReply => "bad_reply",
            Self::Question => "question",
            Self::Grammar => "grammar",
            Self::ThinkLength => "think_length",
            Self::AnswerLength => "answer_length",
            Self::Steps => "steps",
            Self::Target => "target",
            Self::UnknownBox => "unknown_box",
            Self::Rederived => "rederived",
            Self::Duplicate => "duplicate",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something fails, in words too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Which rule.
    pub(crate) reason: Reason,
    /// What exactly.
    pub(crate) detail: String,
}

impl Failure {
    /// A failure.
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// A line of `rejected.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rejected {
    /// [`REJECTED_FORMAT_VERSION`].
    pub(crate) format_version: u32,
    /// What it would have been called.
    pub(crate) id: String,
    /// The scene.
    pub(crate) scene: String,
    /// The task.
    #[serde(rename = "type")]
    pub(crate) task: Task,
    /// The question; empty where there is none.
    pub(crate) question: String,
    /// Which rule it failed.
    pub(crate) reason: Reason,
    /// How.
    pub(crate) detail: String,
    /// What the writer wrote.
    pub(crate) text: String,
}

/// What came of a piece of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It passed all filters.
    Kept(Box<SceneQuestion>),
    /// It did not.
    Rejected(Box<Rejected>),
}

/// A finished piece of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Item {
    /// Which.
    pub(crate) key: ItemKey,
    /// How many pieces its scene has.
    pub(crate) of: u32,
    /// What it took.
    pub(crate) spent: Spent,
    /// What came of it.
    pub(crate) outcome: Outcome,
}
