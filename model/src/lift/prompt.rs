//! A question and the size of the picture that the model sees in, what it is asked about that picture out.
//!
//! The wording follows how Qwen2.5-VL was published to ground: asked for `bbox_2d` and `label` in JSON, it answers in absolute
//! pixels of its resized input (Bai et al. 2025, arXiv 2502.13923, section 2.2.1).

/// What is asked about one picture of `size` (width, height), pixels as the model sees them.
pub fn prompt(question: &str, size: (u32, u32)) -> String {
    let question = question.split_whitespace().collect::<Vec<_>>().join(" ");
    format!(
        "This picture of {} x {} pixels shows part of a room. Question about the room: {question}\n\
         First report every object in the picture that the question is about, or that its answer names, in JSON: \
         [{{\"bbox_2d\": [x1, y1, x2, y2], \"label\": \"name\"}}] in pixels of the picture. Write [] when there is none.\n\
         Then write one line that begins with \"Answer:\" and answers the question from what the picture shows; \
         write \"Answer: not visible\" when it does not show it.",
        size.0, size.1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_holds_the_question_on_one_line_and_the_size() {
        let text = prompt("where is\n\nthe  chair?", (640, 476));
        assert!(text.contains("room: where is the chair?\n") && text.contains("640 x 476"), "{text}");
        assert!(text.contains("{\"bbox_2d\": [x1, y1, x2, y2], \"label\": \"name\"}"), "{text}");
    }

    #[test]
    fn a_prompt_repeated_by_the_model_reports_nothing() {
        let reading = super::super::parse(&prompt("where?", (64, 48)), &[(64, 48)]);
        assert!(reading.boxes.is_empty(), "{reading:?}");
    }
}
