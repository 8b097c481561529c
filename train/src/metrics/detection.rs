//! Detections with scores and the objects that are there in, mean average precision at an overlap out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use vantage_scene::OrientedBox;

/// An object that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// Which scene it is in.
    pub scene: usize,
    /// What it is.
    pub class: String,
    /// Where it is.
    pub bbox: OrientedBox,
}

/// A labelled box that a detector found.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// What was found, and where.
    pub object: Labelled,
    /// How sure the detector is; higher is surer. Not a number counts as least sure.
    pub score: f64,
}

/// Average precision of one class.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassPrecision {
    /// Name of the class.
    pub class: String,
    /// Area under its curve of precision over recall, 0 to 1.
    pub average_precision: f64,
}

/// Average precisions and their mean.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MeanPrecision {
    /// Mean over the classes; 0 without classes.
    pub mean: f64,
    /// Each class that is there, by name.
    pub classes: Vec<ClassPrecision>,
}

/// Mean average precision at an overlap above `threshold`, as the PASCAL VOC development kit has it since 2010 and
/// `VoteNet` for boxes in space: detections of a class by falling score, each to the object of its scene that it overlaps
/// most; right where that overlap is above the threshold and the object not yet found, else wrong; the area under the
/// curve with precision made monotone, at every recall. Equal scores keep the order given. Classes of which no object
/// is there do not count.
pub fn mean_average_precision(found: &[Detection], there: &[Labelled], threshold: f64) -> MeanPrecision {
    let names: BTreeSet<&str> = there.iter().map(|t| t.class.as_str()).collect();
    let mut by_class: BTreeMap<&str, Vec<&Detection>> = names.iter().map(|name| (*name, Vec::new())).collect();
    for detection in found {
        if let Some(list) = by_class.get_mut(detection.object.class.as_str()) {
            list.push(detection);
        }
    }
    let classes: Vec<ClassPrecision> = by_class
        .into_iter()
        .map(|(class, mut list)| {
            let sureness = |d: &Detection| if d.score.is_nan() { f64::NEG_INFINITY } else { d.score };
            list.sort_by(|a, b| sureness(b).total_cmp(&sureness(a)));
            ClassPrecision {
                class: class.to_owned(),
                average_precision: average_precision(&list, there, class, threshold),
            }
        })
        .collect();
    let sum: f64 = classes.iter().map(|c| c.average_precision).sum();
    let mean = if classes.is_empty() { 0.0 } else { sum / classes.len() as f64 };
    MeanPrecision { mean, classes }
}

/// Average precision of detections of one class, surest first.
fn average_precision(list: &[&Detection], there: &[Labelled], class: &str, threshold: f64) -> f64 {
    let mut scenes: HashMap<usize, Vec<(&OrientedBox, bool)>> = HashMap::new();
    let mut objects = 0usize;
    for object in there.iter().filter(|t| t.class == class) {
        scenes.entry(object.scene).or_default().push((&object.bbox, false));
        objects += 1;
    }
    let mut right = 0usize;
    // Precision where each object was found; recall rises by one object there and nowhere else.
    let mut precisions: Vec<f64> = Vec::new();
    for (i, detection) in list.iter().enumerate() {
        let Some(objects) = scenes.get_mut(&detection.object.scene) else { continue };
        let mut best: Option<(f64, &mut bool)> = None;
        for (bbox, taken) in objects.iter_mut() {
            let overlap = detection.object.bbox.iou(bbox);
            if best.as_ref().is_none_or(|(most, _)| overlap > *most) {
                best = Some((overlap, taken));
            }
        }
        let Some((overlap, taken)) = best else { continue };
        if overlap > threshold && !*taken {
            *taken = true;
            right += 1;
            precisions.push(right as f64 / (i + 1) as f64);
        }
    }
    let mut highest = 0.0f64;
    let mut sum = 0.0;
    for precision in precisions.iter().rev() {
        highest = highest.max(*precision);
        sum += highest;
    }
    if objects == 0 { 0.0 } else { sum / objects as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(scene: usize, class: &str, x: f64) -> Labelled {
        let bbox = OrientedBox { center: [x, 0.0, 0.0], size: [1.0; 3], yaw: 0.0 };
        Labelled { scene, class: class.to_owned(), bbox }
    }

    fn detection(scene: usize, class: &str, x: f64, score: f64) -> Detection {
        Detection { object: object(scene, class, x), score }
    }

    #[test]
    fn counted_by_hand() {
        let there = [object(0, "chair", 0.0), object(0, "chair", 5.0), object(1, "chair", 0.0), object(1, "desk", 9.0)];
        let found = [
            detection(0, "chair", 0.1, 0.9),     // right: precision 1
            detection(1, "chair", 7.0, 0.8),     // wrong
            detection(0, "chair", 0.0, 0.7),     // wrong: found before
            detection(1, "chair", 0.5, 0.6),     // overlap 1/3: right at 0.25, precision 2/4
            detection(0, "chair", 5.0, 0.5),     // right: precision 3/5, or 2/5 at 0.5
            detection(0, "lamp", 0.0, 0.99),     // no such class
            detection(2, "desk", 9.0, 0.99),     // no such scene: wrong
            detection(1, "desk", 9.0, f64::NAN), // right: precision 1/2
        ];
        let at = |threshold: f64| mean_average_precision(&found, &there, threshold);
        let quarter = at(0.25);
        assert_eq!(quarter.classes.iter().map(|c| c.class.as_str()).collect::<Vec<_>>(), ["chair", "desk"]);
        // The precision of 2/4 is raised to the later 3/5.
        assert!((quarter.classes[0].average_precision - (1.0 + 0.6 + 0.6) / 3.0).abs() < 1e-12);
        assert!((quarter.classes[1].average_precision - 0.5).abs() < 1e-12);
        let half = at(0.5);
        assert!((half.classes[0].average_precision - (1.0 + 0.4) / 3.0).abs() < 1e-12);
        assert!((half.mean - ((1.0 + 0.4) / 3.0 + 0.5) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_there_or_nothing_found() {
        assert_eq!(mean_average_precision(&[detection(0, "chair", 0.0, 1.0)], &[], 0.5), MeanPrecision::default());
        let none = mean_average_precision(&[], &[object(0, "chair", 0.0)], 0.5);
        assert_eq!((none.mean, none.classes.len()), (0.0, 1));
        let nowhere = mean_average_precision(&[detection(0, "chair", f64::NAN, 1.0)], &[object(0, "chair", 0.0)], 0.0);
        assert_eq!(nowhere.mean, 0.0);
    }
}
