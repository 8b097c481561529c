//! What came on each topic in, a line for people out when something does not come, with the reason that the graph shows.

use std::collections::BTreeMap;

use vantage_node::wire::TfMessage;

use super::bus::{Bus, Delivery, Publisher};
use super::inputs::{Heard, Inputs};

/// Most topics named in a hint.
const MOST_NAMED: usize = 8;

/// Compares what came now with what came at the last look.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    received: BTreeMap<String, u64>,
    /// What is wrong with each topic, as last said.
    said: BTreeMap<String, String>,
    frames: u64,
    stuck: Option<String>,
}

impl Watchdog {
    /// Looks once; says what has become wrong or right since the last look.
    pub(crate) fn look(&mut self, bus: &Bus, inputs: &Inputs) {
        let mut all_come = true;
        for heard in &inputs.topics {
            let now = heard.received();
            let before = self.received.insert(heard.topic.clone(), now).unwrap_or(0);
            let watched = heard.input.needed || heard.type_name == TfMessage::TYPE;
            let trouble = (watched && now == before && !(latched(heard) && now > 0)).then(|| trouble(bus, heard));
            all_come &= trouble.is_none() || !heard.input.needed;
            // a robot may have nothing that moves, or nothing that is fixed: that is said with the frames that lack it
            let trouble = trouble.filter(|_| heard.input.needed);
            self.say(heard, trouble);
        }
        self.look_at_frames(inputs, all_come);
    }

    fn say(&mut self, heard: &Heard, trouble: Option<String>) {
        match (trouble, self.said.get(&heard.topic)) {
            (Some(now), Some(said)) if now == *said => {}
            (Some(now), _) => {
                tracing::warn!("{now}");
                self.said.insert(heard.topic.clone(), now);
            }
            (None, Some(_)) => {
                tracing::info!("{} is heard", heard.topic);
                self.said.remove(&heard.topic);
            }
            (None, None) => {}
        }
    }

    /// Images come, but no frame: the synchroniser knows why.
    fn look_at_frames(&mut self, inputs: &Inputs, all_come: bool) {
        let stats = inputs.stats();
        let stuck = (all_come && stats.frames == self.frames).then(|| {
            let mut why: Vec<String> = stats.drops().map(|(reason, _)| format!("images dropped: {reason}")).collect();
            why.extend(stats.last_transform_error.clone());
            why.extend(stats.last_refused_transform.clone().map(|refused| format!("transform refused: {refused}")));
            format!("images come but no frame is complete. {}", why.join("; "))
        });
        self.frames = stats.frames;
        if stuck != self.stuck {
            match &stuck {
                Some(text) => tracing::warn!("{text}"),
                None => tracing::info!("frames are complete"),
            }
            self.stuck = stuck;
        }
    }
}

/// Whether one message is all that ever comes.
fn latched(heard: &Heard) -> bool {
    heard.delivery == Delivery::Latched
}

fn trouble(bus: &Bus, heard: &Heard) -> String {
    let publishers = bus.publishers(&heard.topic);
    let others = if publishers.is_empty() { bus.published(heard.type_name) } else { Vec::new() };
    diagnose(&heard.topic, heard.type_name, heard.delivery, &publishers, &others)
}

/// Why nothing is heard.
fn diagnose(topic: &str, type_name: &str, delivery: Delivery, publishers: &[Publisher], others: &[String]) -> String {
    let Some(first) = publishers.first() else {
        let mut text = format!("{topic}: nobody publishes it ({type_name})");
        if !others.is_empty() {
            let named: Vec<&str> = others.iter().take(MOST_NAMED).map(String::as_str).collect();
            text += &format!("; of that type there is {}: remap the topic to one of them", named.join(", "));
        }
        return text;
    };
    if publishers.iter().all(|p| p.type_name != type_name) {
        return format!("{topic}: {} publishes {}, the node listens for {type_name}", first.node, first.type_name);
    }
    if delivery != Delivery::BestEffort && publishers.iter().all(|p| !p.reliable) {
        return format!(
            "{topic}: {} publishes it best effort, the node asks for reliable delivery; set the parameter qos_input to best_effort",
            first.node
        );
    }
    format!("{topic}: {} publishes it, but nothing comes", first.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "sensor_msgs/msg/Image";

    fn publisher(type_name: &str, reliable: bool) -> Publisher {
        Publisher { node: "/camera".into(), type_name: type_name.into(), reliable }
    }

    #[test]
    fn the_reason_is_named() {
        let diagnose = |publishers: &[Publisher], others: &[String]| {
            diagnose("/c/image", TYPE, Delivery::Reliable, publishers, others)
        };
        let none = diagnose(&[], &["/cam/rgb".into()]);
        assert!(none.contains("nobody publishes") && none.contains("/cam/rgb"), "{none}");
        let other = diagnose(&[publisher("sensor_msgs/msg/CompressedImage", true)], &[]);
        assert!(other.contains("/camera publishes sensor_msgs/msg/CompressedImage"), "{other}");
        assert!(diagnose(&[publisher(TYPE, false)], &[]).contains("qos_input"));
        assert!(diagnose(&[publisher(TYPE, true)], &[]).contains("nothing comes"));
    }
}
