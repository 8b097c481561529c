//! Unit-norm embeddings in, scored and chosen views out: the view utility of 3D-R1 (arXiv 2507.23478, section 3).
//!
//! U(v) = w_t S_text + w_c S_img + w_clip S_clip with w_c + w_clip = 1, every score normalised over the candidates.

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

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Scores every view against the question.
pub fn score_views(query: &QueryEmbeddings<'_>, views: &[ViewEmbeddings], weights: &UtilityWeights) -> Vec<ViewScores> {
    // the mean of cosines with all E_img is the cosine with their mean
    let width = views.first().map_or(0, |v| v.image.len());
    let mut mean_image = vec![0.0; width];
    for view in views {
        for (sum, x) in mean_image.iter_mut().zip(&view.image) {
            *sum += x / views.len() as f32;
        }
    }
    let mut scores: Vec<ViewScores> = views
        .iter()
        .map(|v| ViewScores {
            text: dot(query.text, &v.points),
            image: dot(&mean_image, &v.points),
            clip: dot(query.clip_text, &v.clip_image),
            utility: 0.0,
        })
        .collect();
    let text = standardised(&scores.iter().map(|s| s.text).collect::<Vec<_>>());
    let image = standardised(&scores.iter().map(|s| s.image).collect::<Vec<_>>());
    let clip = standardised(&scores.iter().map(|s| s.clip).collect::<Vec<_>>());
    for (i, score) in scores.iter_mut().enumerate() {
        score.utility = weights.text * text[i] + weights.image * image[i] + weights.clip * clip[i];
    }
    scores
}

/// Mean 0 and deviation 1 over the candidates; all zero when they are equal.
fn standardised(x: &[f32]) -> Vec<f32> {
    let count = x.len().max(1) as f32;
    let mean = x.iter().sum::<f32>() / count;
    let deviation = (x.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count).sqrt();
    x.iter().map(|v| if deviation > 1.0e-6 { (v - mean) / deviation } else { 0.0 }).collect()
}

/// The `count` views of highest utility, best first; of equals the earlier.
pub fn select_top(scores: &[ViewScores], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].utility.total_cmp(&scores[a].utility).then(a.cmp(&b)));
    order.truncate(count);
    order
}

/// `count` of the candidates at even distances in time, the first and the last among them; the baseline.
pub fn select_uniform(candidates: usize, count: usize) -> Vec<usize> {
    match count.min(candidates) {
        0 => Vec::new(),
        1 => vec![candidates / 2],
        n => (0..n).map(|i| i * (candidates - 1) / (n - 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(points: [f32; 2], clip: [f32; 2]) -> ViewEmbeddings {
        ViewEmbeddings { image: vec![1.0, 0.0], points: points.to_vec(), clip_image: clip.to_vec() }
    }

    #[test]
    fn scores_are_the_papers_cosines() {
        let views = [view([1.0, 0.0], [0.0, 1.0]), view([0.6, 0.8], [1.0, 0.0])];
        let query = QueryEmbeddings { text: &[0.0, 1.0], clip_text: &[1.0, 0.0] };
        let scores = score_views(&query, &views, &UtilityWeights::default());
        assert!((scores[1].text - 0.8).abs() < 1e-6 && (scores[1].image - 0.6).abs() < 1e-6);
        assert_eq!((scores[0].clip, scores[1].clip), (0.0, 1.0));
        // standardised over two views every score is +-1: U = 0.3 (text) - 0.5 (image) + 0.5 (clip)
        assert!((scores[1].utility - 0.3).abs() < 1e-5);
        assert_eq!(select_top(&scores, 1), vec![1]);
    }

    #[test]
    fn equal_utilities_keep_the_order_of_time() {
        let scores = vec![ViewScores::default(); 5];
        assert_eq!(select_top(&scores, 3), vec![0, 1, 2]);
    }

    #[test]
    fn uniform_spans_the_recording() {
        assert_eq!(select_uniform(10, 4), vec![0, 3, 6, 9]);
        assert_eq!(select_uniform(2, 4), vec![0, 1]);
        assert_eq!(select_uniform(0, 4), Vec::<usize>::new());
    }
}
