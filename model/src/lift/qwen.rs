//! A loaded Qwen2.5-VL in, a reader of views out.

use std::ops::ControlFlow;

use vantage_scene::ColorImage;

use super::answer::ViewReader;
use crate::error::ModelError;
use crate::qwen::{Message, Part, QwenVl, ReplyOptions, Role};

impl ViewReader for QwenVl {
    fn read(
        &mut self,
        images: &[&ColorImage],
        prompt: &str,
        options: &ReplyOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<String, ModelError> {
        let pictures = images.iter().map(|_| Part::Image);
        let parts = pictures.chain([Part::Text(prompt.to_owned())]).collect();
        Ok(self.reply(&[Message { role: Role::User, parts }], images, options, on_text)?.text)
    }

    fn seen_size(&self, width: u32, height: u32) -> Result<(u32, u32), ModelError> {
        Ok(self.resized(width, height)?)
    }
}
