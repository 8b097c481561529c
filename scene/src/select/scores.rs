//! Unit-norm embeddings in, scores of every view out: the view utility of 3D-R1 (arXiv 2507.23478, section 3).
//!
//! U(v) = w_t S_text + w_c S_img + w_clip S_clip with w_c + w_clip = 1, every score normalised over the candidates.

use super::visible::VisibleSets;

/// The scores of one view.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ViewScores {
    /// S_text(v) = cos(E_text(q), E_3D(v)).
    pub text: f32,
    /// S_img(v): mean over all views i of cos(E_img(i), E_3D(v)).
    pub image: f32,
    /// S_clip(v) = cos(CLIP_text(q), CLIP_image(v)).
    pub clip: f32,
    /// U(v), of the normalised scores.
    pub utility: f32,
}

/// Weights of the utility.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UtilityWeights {
    /// w_t.
    pub text: f32,
    /// w_c.
    pub image: f32,
    /// w_clip.
    pub clip: f32,
}

impl Default for UtilityWeights {
    /// The paper's best: 0.3, 0.5, 0.5.
    fn default() -> Self {
        Self { text: 0.3, image: 0.5, clip: 0.5 }
    }
}

/// Embeddings of a question.
#[derive(Debug, Clone, Copy)]
pub struct QueryEmbeddings<'a> {
    /// E_text(q).
    pub text: &'a [f32],
    /// CLIP_text(q).
    pub clip_text: &'a [f32],
}

/// Embeddings of a view.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ViewEmbeddings {
    /// E_img(v).
    pub image: Vec<f32>,
    /// E_3D(v).
    pub points: Vec<f32>,
    /// CLIP_image(v).
    pub clip_image: Vec<f32>,
}

/// Lanes that a dot product is summed in, so that the compiler can use the processor's.
const LANES: usize = 8;

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (mut lanes, (a8, b8)) = ([0.0f32; LANES], (a.chunks_exact(LANES), b.chunks_exact(LANES)));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for k in 0..LANES {
            lanes[k] += x[k] * y[k];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// The candidates, with everything about them that does not depend on the question: a question costs two products a view.
#[derive(Debug, Clone, Default)]
pub struct ViewTable {
    width: usize,
    /// E_3D, a view after the other.
    points: Vec<f32>,
    /// CLIP_image.
    clip_image: Vec<f32>,
    /// S_img.
    image_scores: Vec<f32>,
    /// S_img, normalised.
    image_normalised: Vec<f32>,
    sets: VisibleSets,
}

impl ViewTable {
    /// Of all candidates, whose embeddings are equally wide, and what each sees. Those without both are left out.
    pub fn new(views: &[ViewEmbeddings], sets: VisibleSets) -> Self {
        let views = &views[..views.len().min(sets.len())];
        let width = views.first().map_or(0, |v| v.points.len());
        // the mean of cosines with all E_img is the cosine with their mean
        let mut mean_image = vec![0.0; width];
        for view in views {
            for (sum, x) in mean_image.iter_mut().zip(&view.image) {
                *sum += x / views.len() as f32;
            }
        }
        let fitted = |x: &[f32]| (0..width).map(|i| x.get(i).copied().unwrap_or(0.0)).collect::<Vec<f32>>();
        let image_scores: Vec<f32> = views.iter().map(|v| dot(&mean_image, &fitted(&v.points))).collect();
        Self {
            width,
            points: views.iter().flat_map(|v| fitted(&v.points)).collect(),
            clip_image: views.iter().flat_map(|v| fitted(&v.clip_image)).collect(),
            image_normalised: standardised(&image_scores),
            image_scores,
            sets,
        }
    }

    /// Candidates.
    pub fn len(&self) -> usize {
        self.image_scores.len()
    }

    /// Whether there is no candidate.
    pub fn is_empty(&self) -> bool {
        self.image_scores.is_empty()
    }

    /// What each candidate sees.
    pub fn sets(&self) -> &VisibleSets {
        &self.sets
    }

    /// Memory of all candidates.
    pub fn bytes(&self) -> usize {
        let floats = [&self.points, &self.clip_image, &self.image_scores, &self.image_normalised];
        floats.iter().map(|f| f.capacity() * size_of::<f32>()).sum::<usize>() + self.sets.bytes()
    }

    /// Scores every candidate against the question.
    pub fn scores(&self, query: &QueryEmbeddings<'_>, weights: &UtilityWeights) -> Vec<ViewScores> {
        let cosines = |with: &[f32], table: &[f32]| -> Vec<f32> {
            table.chunks_exact(self.width.max(1)).map(|row| dot(with, row)).collect()
        };
        let text = cosines(query.text, &self.points);
        let clip = cosines(query.clip_text, &self.clip_image);
        let (text_normalised, clip_normalised) = (standardised(&text), standardised(&clip));
        (0..self.len())
            .map(|i| ViewScores {
                text: text[i],
                image: self.image_scores[i],
                clip: clip[i],
                utility: weights.text * text_normalised[i]
                    + weights.image * self.image_normalised[i]
                    + weights.clip * clip_normalised[i],
            })
            .collect()
    }
}

/// Mean 0 and deviation 1 over the candidates; all zero when they are equal.
fn standardised(x: &[f32]) -> Vec<f32> {
    let count = x.len().max(1) as f32;
    let mean = x.iter().sum::<f32>() / count;
    let deviation = (x.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count).sqrt();
    x.iter().map(|v| if deviation > 1.0e-6 { (v - mean) / deviation } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(points: [f32; 2], clip: [f32; 2]) -> ViewEmbeddings {
        ViewEmbeddings { image: vec![1.0, 0.0], points: points.to_vec(), clip_image: clip.to_vec() }
    }

    fn table(views: &[ViewEmbeddings]) -> ViewTable {
        let mut sets = VisibleSets::new(4);
        views.iter().for_each(|_| sets.push(&[]));
        ViewTable::new(views, sets)
    }

    #[test]
    fn scores_are_the_papers_cosines() {
        let views = [view([1.0, 0.0], [0.0, 1.0]), view([0.6, 0.8], [1.0, 0.0])];
        let query = QueryEmbeddings { text: &[0.0, 1.0], clip_text: &[1.0, 0.0] };
        let scores = table(&views).scores(&query, &UtilityWeights::default());
        assert!((scores[1].text - 0.8).abs() < 1e-6 && (scores[1].image - 0.6).abs() < 1e-6);
        assert_eq!((scores[0].clip, scores[1].clip), (0.0, 1.0));
        // standardised over two views every score is +-1: U = 0.3 (text) - 0.5 (image) + 0.5 (clip)
        assert!((scores[1].utility - 0.3).abs() < 1e-5);
    }

    #[test]
    fn products_of_any_width_are_those_of_the_sum() {
        for width in [0usize, 1, 7, 8, 19, 64] {
            let (a, b): (Vec<f32>, Vec<f32>) = (0..width).map(|i| ((i as f32).sin(), (i as f32).cos())).unzip();
            let plain: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            assert!((f64::from(dot(&a, &b)) - plain).abs() < 1e-5);
        }
    }

    #[test]
    fn no_views_have_no_scores_and_uneven_embeddings_are_fitted() {
        let query = QueryEmbeddings { text: &[1.0, 0.0], clip_text: &[1.0, 0.0] };
        assert!(table(&[]).scores(&query, &UtilityWeights::default()).is_empty());
        let views = [view([1.0, 0.0], [1.0, 0.0]), ViewEmbeddings { points: vec![0.5], ..ViewEmbeddings::default() }];
        let scores = table(&views).scores(&query, &UtilityWeights::default());
        assert_eq!((scores.len(), scores[1].text, scores[1].clip), (2, 0.5, 0.0));
    }
}
