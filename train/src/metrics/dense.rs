//! Objects said and objects there in, captions for the caption metrics out: m@kIoU of dense captioning.

use vantage_scene::OrientedBox;

use super::words::Words;

/// An object of a scene, with what people wrote of it.
#[derive(Debug, Clone)]
pub struct DescribedObject {
    /// Where it is.
    pub bbox: OrientedBox,
    /// Its captions.
    pub references: Vec<String>,
}

/// An object that the model says is there.
#[derive(Debug, Clone)]
pub struct SaidObject {
    /// Where it is said to be.
    pub bbox: OrientedBox,
    /// What it is said to be.
    pub caption: String,
}

/// Captions for m@kIoU (Scan2Cap, Chen et al. 2021) of one scene: one for each object that is there, with the caption of
/// the said object that overlaps it most, or an empty one where that overlap is not above `k`. Every caption metric of
/// the captions of all scenes together is then its m@kIoU: a missed object counts 0 in the mean. CIDEr weighs words by
/// the references of all objects, found or not.
///
/// Scan2Cap's own program puts `sos` and `eos` around every caption and scores misses as `sos eos`, so that its figures
/// lie above these; the formula of the paper has no such words.
pub fn captions_of_found(said: &[SaidObject], there: &[DescribedObject], k: f64) -> Vec<Words> {
    there
        .iter()
        .map(|object| {
            let overlaps = said.iter().map(|s| (s.bbox.iou(&object.bbox), s.caption.as_str()));
            let best = overlaps.reduce(|best, next| if next.0 > best.0 { next } else { best });
            let caption = best.filter(|(overlap, _)| *overlap > k).map_or("", |(_, caption)| caption);
            Words::of(caption, &object.references)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{rouge_l, score_captions};

    fn cube(x: f64) -> OrientedBox {
        OrientedBox { center: [x, 0.0, 0.0], size: [1.0; 3], yaw: 0.0 }
    }

    fn said(x: f64, caption: &str) -> SaidObject {
        SaidObject { bbox: cube(x), caption: caption.to_owned() }
    }

    #[test]
    fn what_is_not_found_counts_nothing() {
        let there = [0.0, 10.0, 20.0, 30.0]
            .map(|x| DescribedObject { bbox: cube(x), references: vec!["a red chair".to_owned()] });
        // The first is said twice, the nearer one right; the second is shifted by 0.5 (overlap 1/3); one is made up.
        let said =
            [said(0.2, "a blue desk"), said(0.1, "a red chair"), said(10.5, "a red chair"), said(50.0, "a lamp")];
        let mean = |k: f64| rouge_l(&captions_of_found(&said, &there, k)).corpus;
        assert!((mean(0.25) - 0.5).abs() < 1e-12);
        assert!((mean(0.5) - 0.25).abs() < 1e-12);
        assert_eq!(captions_of_found(&said, &there, 0.5)[0].candidate.join(" "), "a red chair");
    }

    #[test]
    fn empty_scenes_and_boxes_that_are_not_numbers() {
        assert!(captions_of_found(&[said(0.0, "a")], &[], 0.25).is_empty());
        let there = [DescribedObject { bbox: cube(0.0), references: Vec::new() }];
        assert!(captions_of_found(&[], &there, 0.25)[0].candidate.is_empty());
        let nowhere = [said(f64::NAN, "a chair")];
        let scores = score_captions(&captions_of_found(&nowhere, &there, 0.0));
        assert_eq!((scores.rouge_l, scores.meteor, scores.cider), (0.0, 0.0, 0.0));
    }
}
